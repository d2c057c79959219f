/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/dirty.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fds.h"
#include "ring.h"

static void test_bits(void)
{
    unsigned int before = count_fds();
    struct vwl_dirty *dirty = vwl_dirty_create();
    int fd = make_memfd(0x3000);
    unsigned char *log = mmap(NULL, 0x3000, PROT_READ | PROT_WRITE, MAP_SHARED,
                              fd, 0);
    static const unsigned char none[0x3000];

    vwl_dirty_enable(dirty, true);
    vwl_dirty_mark(dirty, 0, 1); /* no log yet */
    vwl_dirty_mark(NULL, 0, 1);
    g_assert_cmpint(vwl_dirty_set_base(dirty, fd, 0, 0), ==, -EINVAL);
    g_assert_cmpint(vwl_dirty_set_base(dirty, fd, 0, 0x3001), ==, -EINVAL);
    g_assert_cmpint(vwl_dirty_set_base(dirty, fd, 0x2fff, 2), ==, -EINVAL);
    g_assert_cmpint(vwl_dirty_set_base(dirty, fd, UINT64_MAX, 2), ==, -EINVAL);
    g_assert_cmpint(vwl_dirty_set_base(dirty, -1, 0, 2), ==, -EBADF);
    /* an odd offset: 16 bytes from 0x1008, 128 pages */
    g_assert_cmpint(vwl_dirty_set_base(dirty, fd, 0x1008, 16), ==, 0);
    vwl_dirty_enable(dirty, false);
    vwl_dirty_mark(dirty, 0, 0x100000);
    g_assert_cmpmem(log, 0x3000, none, 0x3000);
    vwl_dirty_enable(dirty, true);
    vwl_dirty_mark(dirty, 0, 0);
    g_assert_cmpmem(log, 0x3000, none, 0x3000);

    vwl_dirty_mark(dirty, 0xfff, 1);  /* page 0 */
    vwl_dirty_mark(dirty, 0x2fff, 2); /* pages 2 and 3 */
    vwl_dirty_mark(dirty, 0x9000, 1); /* page 9 */
    g_assert_cmphex(log[0x1008], ==, 0x0d);
    g_assert_cmphex(log[0x1009], ==, 0x02);
    vwl_dirty_mark(dirty, 0x16000, 0x1b000); /* pages 22 to 48 */
    g_assert_cmphex(log[0x100a], ==, 0xc0);
    g_assert_cmphex(log[0x100b], ==, 0xff);
    g_assert_cmphex(log[0x100d], ==, 0xff);
    g_assert_cmphex(log[0x100e], ==, 0x01);
    g_assert_cmphex(log[0x100f], ==, 0x00);
    /* beyond the log, with and without a beginning in it */
    vwl_dirty_mark(dirty, 127 * 4096, UINT64_MAX);
    vwl_dirty_mark(dirty, 128 * 4096, 1);
    g_assert_cmphex(log[0x1017], ==, 0x80);
    g_assert_cmpmem(log, 0x1008, none, 0x1008);
    g_assert_cmpmem(log + 0x1018, 0x1000, none, 0x1000);

    /* a new log replaces it */
    g_assert_cmpint(vwl_dirty_set_base(dirty, fd, 0x2000, 1), ==, 0);
    vwl_dirty_mark(dirty, 0x1000, 1);
    g_assert_cmphex(log[0x2000], ==, 0x02);
    g_assert_cmphex(log[0x1008], ==, 0x0d);
    vwl_dirty_destroy(dirty);
    vwl_dirty_destroy(NULL);
    munmap(log, 0x3000);
    close(fd);
    g_assert_cmpuint(count_fds(), ==, before);
    g_assert_cmpuint(count_maps(), ==, 0);
}

static void test_signal(void)
{
    unsigned int before = count_fds();
    struct vwl_dirty *dirty = vwl_dirty_create();
    int log = make_memfd(64), event = eventfd(0, EFD_CLOEXEC);
    int mine = fcntl(event, F_DUPFD_CLOEXEC, 0), pipes[2];
    uint64_t value = UINT64_MAX - 1;

    g_assert_cmpint(vwl_dirty_set_base(dirty, log, 0, 64), ==, 0);
    vwl_dirty_set_fd(dirty, &event);
    g_assert_cmpint(event, ==, -1);
    vwl_dirty_enable(dirty, true);
    vwl_dirty_flush(dirty); /* nothing marked: a read would block */
    vwl_dirty_mark(dirty, 0, 1);
    vwl_dirty_flush(dirty);
    vwl_dirty_flush(dirty);
    g_assert_cmpint(read(mine, &value, 8), ==, 8);
    g_assert_cmpuint(value, ==, 1);
    /* full and blocking: must not hang */
    value = UINT64_MAX - 1;
    g_assert_cmpint(write(mine, &value, 8), ==, 8);
    vwl_dirty_mark(dirty, 0, 1);
    vwl_dirty_flush(dirty);
    /* a pipe without a reader: no SIGPIPE */
    g_assert_cmpint(pipe(pipes), ==, 0);
    close(pipes[0]);
    vwl_dirty_set_fd(dirty, &pipes[1]);
    g_assert_cmpint(pipes[1], ==, -1);
    vwl_dirty_mark(dirty, 0, 1);
    vwl_dirty_flush(dirty);
    vwl_dirty_destroy(dirty);
    close(mine);
    close(log);
    g_assert_cmpuint(count_fds(), ==, before);
}

/* The log cannot be cut off, where it can be sealed. */
static void test_cut(void)
{
    struct vwl_dirty *dirty = vwl_dirty_create();
    int fd = sealed_file(0x2000, 0);

    g_assert_cmpint(vwl_dirty_set_base(dirty, fd, 0, 0x2000), ==, 0);
    g_assert_cmpint(ftruncate(fd, 0x1000), ==, -1);
    g_assert_cmpint(errno, ==, EPERM);
    vwl_dirty_destroy(dirty);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/dirty/bits", test_bits);
    g_test_add_func("/dirty/signal", test_signal);
    g_test_add_func("/dirty/cut", test_cut);
    return g_test_run();
}
