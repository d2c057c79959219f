/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "fds.h"
#include "ring.h"

static int try_add(const struct vwl_mem *mem, uint64_t gpa, uint64_t size,
                   uint64_t uva, uint64_t offset, int fd)
{
    struct vwl_mem_region region = { gpa, size, uva, offset };
    struct vwl_mem *out = (struct vwl_mem *)&region;
    int rc = vwl_mem_add(mem, &region, fd, &out);

    if (rc == 0) {
        vwl_mem_unref(out);
    } else {
        g_assert_true(out == (struct vwl_mem *)&region);
    }
    return rc;
}

/* What is mapped cannot be cut off, where it can be sealed. */
static void test_cut(void)
{
    struct vwl_mem *mem = vwl_mem_new();
    int fd = sealed_file(0x2000, 0);

    add_region(&mem, 0, 0x2000, 0, 0, fd);
    g_assert_cmpint(ftruncate(fd, 0x1000), ==, -1);
    g_assert_cmpint(errno, ==, EPERM);
    g_assert_cmpint(ftruncate(fd, 0x3000), ==, 0);
    vwl_mem_unref(mem);
    close(fd);
}

static void test_refused(void)
{
    unsigned int before = count_fds();
    struct vwl_mem *mem = vwl_mem_new();
    int fd = make_memfd(0x10000), zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    int pipes[2];

    g_assert_cmpint(pipe(pipes), ==, 0);
    g_assert_cmpint(try_add(mem, 0, 0, 0, 0, fd), ==, -EINVAL);
    g_assert_cmpint(try_add(mem, 0, 0x10001, 0, 0, fd), ==, -EINVAL);
    g_assert_cmpint(try_add(mem, 0, 0x10000, 0, 1, fd), ==, -EINVAL);
    g_assert_cmpint(try_add(mem, 0, 1, 0, UINT64_MAX, fd), ==, -EINVAL);
    g_assert_cmpint(try_add(mem, 0, 2, 0, UINT64_MAX, fd), ==, -EINVAL);
    g_assert_cmpint(try_add(mem, UINT64_MAX, 2, 0, 0, fd), ==, -EINVAL);
    g_assert_cmpint(try_add(mem, 0, 2, UINT64_MAX, 0, fd), ==, -EINVAL);
    g_assert_cmpint(try_add(mem, 0, 0x1000, 0, 0, zero), ==, -EINVAL);
    g_assert_cmpint(try_add(mem, 0, 0x1000, 0, 0, pipes[0]), ==, -EINVAL);
    g_assert_cmpint(try_add(mem, 0, 0x1000, 0, 0, -1), ==, -EBADF);
    /* the very end of both address spaces is fine */
    g_assert_cmpint(try_add(mem, UINT64_MAX - 0xfff, 0x1000, UINT64_MAX - 0xfff,
                            0xf000, fd),
                    ==, 0);
    add_region(&mem, 0x1000, 0x1000, 0x9000, 0, fd);
    g_assert_cmpint(try_add(mem, 0x1fff, 1, 0x20000, 0, fd), ==, -EEXIST);
    g_assert_cmpint(try_add(mem, 0, 0x1001, 0x20000, 0, fd), ==, -EEXIST);
    g_assert_cmpint(try_add(mem, 0, 0x8000, 0x20000, 0, fd), ==, -EEXIST);
    g_assert_cmpint(try_add(mem, 0x1800, 0x10, 0x20000, 0, fd), ==, -EEXIST);
    g_assert_cmpint(try_add(mem, 0x5000, 0x1001, 0x8000, 0, fd), ==, -EEXIST);
    g_assert_cmpint(try_add(mem, 0, 0x1000, 0x8000, 0, fd), ==, 0);
    g_assert_cmpint(try_add(mem, 0x2000, 0x1000, 0xa000, 0, fd), ==, 0);
    vwl_mem_unref(mem);
    close(fd);
    close(zero);
    close(pipes[0]);
    close(pipes[1]);
    g_assert_cmpuint(count_fds(), ==, before);
    g_assert_cmpuint(count_maps(), ==, 0);
}

static void test_lookup(void)
{
    unsigned int before = count_fds();
    struct vwl_mem *mem = vwl_mem_new();
    int fd = make_memfd(0x10000);
    struct vwl_span span = { &fd, 1, 2 };

    g_assert_cmpint(pwrite(fd, "odd", 3, 0x1234), ==, 3);
    add_region(&mem, 0x8000, 0x2000, 0x50000, 0x1234, fd);
    add_region(&mem, 0x1000, 0x1000, 0x90000, 0x8000, fd);
    add_region(&mem, 0xa000, 0x1000, 0x20000, 0x9000, fd);
    close(fd);

    g_assert_cmpuint(vwl_mem_count(mem), ==, 3);
    g_assert_false(vwl_mem_at_gpa(mem, 0xfff, 1, &span));
    g_assert_false(vwl_mem_at_gpa(mem, 0x2000, 1, &span));
    g_assert_false(vwl_mem_at_gpa(mem, 0xb000, 1, &span));
    g_assert_false(vwl_mem_at_gpa(mem, 0x8000, 0, &span));
    g_assert_false(vwl_mem_at_uva(mem, 0x52000, 1, &span));
    g_assert_false(vwl_mem_at_uva(mem, 0x8000, 1, &span));
    g_assert_true(span.base == &fd && span.len == 1 && span.gpa == 2);

    g_assert_true(vwl_mem_at_gpa(mem, 0x8000, 3, &span));
    g_assert_cmpmem(span.base, span.len, "odd", 3);
    g_assert_cmpuint(span.gpa, ==, 0x8000);
    /* never past the region, although the next one follows */
    g_assert_true(vwl_mem_at_gpa(mem, 0x9fff, UINT64_MAX, &span));
    g_assert_cmpuint(span.len, ==, 1);
    g_assert_true(vwl_mem_at_uva(mem, 0x50001, 2, &span));
    g_assert_cmpmem(span.base, span.len, "dd", 2);
    g_assert_cmpuint(span.gpa, ==, 0x8001);
    g_assert_true(vwl_mem_at_uva(mem, 0x20fff, 9, &span));
    g_assert_cmpuint(span.gpa, ==, 0xafff);
    g_assert_cmpuint(span.len, ==, 1);
    vwl_mem_unref(mem);
    g_assert_cmpuint(count_fds(), ==, before);
}

static void test_share(void)
{
    struct vwl_mem_region region = { 0x1000, 0x1000, 0x9000, 77 };
    struct vwl_mem *first = vwl_mem_new(), *second = NULL;
    int fd = make_memfd(0x10000);
    struct vwl_span a, b;

    add_region(&first, 0x1000, 0x1000, 0x9000, 0, fd);
    add_region(&first, 0x4000, 0x1000, 0xc000, 0x5000, fd);
    /* the offset is not compared, all else is */
    region.size = 0xfff;
    g_assert_cmpint(vwl_mem_remove(first, &region, &second), ==, -ENOENT);
    region.size = 0;
    g_assert_cmpint(vwl_mem_remove(first, &region, &second), ==, -ENOENT);
    region.size = 0x1000;
    region.uva = 0x9001;
    g_assert_cmpint(vwl_mem_remove(first, &region, &second), ==, -ENOENT);
    region.uva = 0xc000;
    g_assert_cmpint(vwl_mem_remove(first, &region, &second), ==, -ENOENT);
    region.uva = 0x9000;
    region.gpa = 0x1001;
    g_assert_cmpint(vwl_mem_remove(first, &region, &second), ==, -ENOENT);
    g_assert_null(second);
    region.gpa = 0x1000;
    g_assert_cmpint(vwl_mem_remove(first, &region, &second), ==, 0);

    g_assert_cmpuint(vwl_mem_count(first), ==, 2);
    g_assert_cmpuint(vwl_mem_count(second), ==, 1);
    g_assert_false(vwl_mem_at_gpa(second, 0x1000, 1, &b));
    g_assert_true(vwl_mem_at_gpa(first, 0x4000, 1, &a));
    g_assert_true(vwl_mem_at_gpa(second, 0x4000, 1, &b));
    g_assert_true(a.base == b.base);
    g_assert_cmpuint(count_maps(), ==, 2);
    vwl_mem_unref(vwl_mem_ref(first));
    vwl_mem_unref(first);
    g_assert_cmpuint(count_maps(), ==, 1);
    memset(b.base, 1, b.len); /* still there */
    vwl_mem_unref(second);
    vwl_mem_unref(NULL);
    g_assert_cmpuint(count_maps(), ==, 0);
    close(fd);
}

static void test_many(void)
{
    struct vwl_mem *mem = vwl_mem_new();
    int fd = make_memfd(0x1000);
    struct vwl_span span;

    for (unsigned int i = 0; i < 512; i++) {
        /* not in order */
        uint64_t at = (i * 77 % 512) * 0x2000ull;

        add_region(&mem, at, 0x1000, 0x1000000 - at, 0, fd);
    }
    g_assert_cmpint(try_add(mem, 0x70000000, 1, 0x70000000, 0, fd), ==,
                    -ENOSPC);
    for (unsigned int i = 0; i < 512; i++) {
        g_assert_true(vwl_mem_at_gpa(mem, i * 0x2000ull + 5, 1, &span));
        g_assert_false(vwl_mem_at_gpa(mem, i * 0x2000ull + 0x1000, 1, &span));
        g_assert_true(vwl_mem_at_uva(mem, 0x1000000 - i * 0x2000ull, 1, &span));
        g_assert_cmpuint(span.gpa, ==, i * 0x2000ull);
    }
    vwl_mem_unref(mem);
    g_assert_cmpuint(count_maps(), ==, 0);
    close(fd);
}

/* A region's file is kept, if that was said of the empty table. */
static void test_files(void)
{
    unsigned int before = count_fds();
    struct vwl_mem *mem = vwl_mem_new(), *plain = vwl_mem_new(), *less;
    struct vwl_mem_region region = { 0x20000, 0x3000, 0x20000, 0x4000 };
    int fd = make_memfd(0x10000), other = make_memfd(0x2000);
    struct vwl_extent at = { .fd = -1 };

    vwl_mem_keep_files(mem);
    add_region(&mem, 0x1000, 0x2000, 0x1000, 0, other);
    add_region(&mem, 0x20000, 0x3000, 0x20000, 0x4000, fd);
    add_region(&plain, 0x20000, 0x3000, 0x20000, 0x4000, fd);
    g_assert_false(vwl_mem_file_at(plain, 0x20000, 1, &at));
    g_assert_cmpuint(count_fds(), ==, before + 4);
    g_assert_false(vwl_mem_file_at(mem, 0x1fff, 0, &at));
    g_assert_false(vwl_mem_file_at(mem, 0x3000, 1, &at));
    g_assert_false(vwl_mem_file_at(mem, 0x23000, 1, &at));
    g_assert_true(vwl_mem_file_at(mem, 0x21000, 0x1000, &at));
    g_assert_cmphex(at.offset, ==, 0x5000);
    g_assert_cmphex(at.bytes, ==, 0x1000);
    g_assert_true(same_file(at.fd, fd));
    g_assert_true(vwl_mem_file_at(mem, 0x22000, UINT64_MAX, &at));
    g_assert_cmphex(at.offset, ==, 0x6000);
    g_assert_cmphex(at.bytes, ==, 0x1000); /* no further than the region */
    g_assert_true(vwl_mem_file_at(mem, 0x1000, 0x9000, &at));
    g_assert_cmphex(at.offset, ==, 0);
    g_assert_cmphex(at.bytes, ==, 0x2000);
    g_assert_true(same_file(at.fd, other));
    g_assert_cmpint(vwl_mem_remove(mem, &region, &less), ==, 0);
    g_assert_true(vwl_mem_file_at(mem, 0x20000, 1, &at));
    vwl_mem_unref(mem);
    g_assert_false(vwl_mem_file_at(less, 0x20000, 1, &at));
    g_assert_true(vwl_mem_file_at(less, 0x1000, 1, &at));
    vwl_mem_unref(less);
    vwl_mem_unref(plain);
    close(fd);
    close(other);
    g_assert_cmpuint(count_fds(), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/mem/cut", test_cut);
    g_test_add_func("/mem/refused", test_refused);
    g_test_add_func("/mem/lookup", test_lookup);
    g_test_add_func("/mem/share", test_share);
    g_test_add_func("/mem/many", test_many);
    g_test_add_func("/mem/files", test_files);
    return g_test_run();
}
