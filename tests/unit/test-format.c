/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Strides, offsets and sizes: against what libdrm's header says of each format
 * in words, against literal numbers, and with numbers that try to wrap.
 */
#include <drm_fourcc.h>
#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <xf86drm.h>

#include "base/fd.h"
#include "compositor/allocator.h"
#include "compositor/format.h"

static struct vwl_buffer_wish wish(uint32_t width, uint32_t height)
{
    return (struct vwl_buffer_wish){ width, height, 0, UINT64_MAX };
}

static void check(uint32_t fourcc, uint32_t width, uint32_t height,
                  uint32_t stride0, const uint32_t stride[3],
                  const uint32_t offset[3], uint64_t size_bytes)
{
    const struct vwl_format *format = vwl_format_find(fourcc);
    struct vwl_buffer_wish w = wish(width, height);
    struct vwl_buffer out;

    g_assert_nonnull(format);
    g_assert_cmpint(vwl_format_layout(format, &w, stride0, &out), ==, 0);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpuint(out.stride[i], ==, stride[i]);
        g_assert_cmpuint(out.offset[i], ==, offset[i]);
    }
    g_assert_cmpuint(out.size_bytes, ==, size_bytes);
}

#define THREE(a, b, c) ((const uint32_t[3]){ a, b, c })

static void test_literal(void)
{
    check(0x34325258, 640, 480, 0, THREE(2560, 0, 0), THREE(0, 0, 0), 1228800);
    check(0x34325241, 1, 1, 0, THREE(256, 0, 0), THREE(0, 0, 0), 4096);
    check(0x36314752, 100, 50, 0, THREE(256, 0, 0), THREE(0, 0, 0), 16384);
    check(0x34324752, 101, 3, 0, THREE(512, 0, 0), THREE(0, 0, 0), 4096);
    check(0x34325258, 640, 480, 2600, THREE(2600, 0, 0), THREE(0, 0, 0),
          1249280);
    /* NV12: chroma samples are pairs, half as many each way */
    check(0x3231564e, 640, 480, 0, THREE(768, 768, 0), THREE(0, 368640, 0),
          552960);
    check(0x3231564e, 640, 480, 640, THREE(640, 640, 0), THREE(0, 307200, 0),
          462848);
    check(0x3231564e, 5, 5, 6, THREE(6, 6, 0), THREE(0, 30, 0), 4096);
    /* YU12: two planes of a quarter each */
    check(0x32315559, 640, 480, 640, THREE(640, 320, 320),
          THREE(0, 307200, 384000), 462848);
    check(0x32315559, 640, 480, 0, THREE(1024, 512, 512),
          THREE(0, 491520, 614400), 737280);
    check(0x32315559, 5, 5, 6, THREE(6, 3, 3), THREE(0, 30, 39), 4096);
}

/* The bits of "[31:0] x:R:G:B 8:8:8:8 little endian" and the like. */
static unsigned int bits_in_words(const char *words)
{
    const char *at = strchr(words, '[');

    return at ? (unsigned int)strtoul(at + 1, NULL, 10) + 1 : 0;
}

static char *line_of(const char *header, const char *fourcc_code)
{
    const char *at = strstr(header, fourcc_code), *start = at, *end;

    g_assert_nonnull(at);
    while (start > header && start[-1] != '\n') {
        start--;
    }
    end = strchr(at, '\n');
    return g_strndup(start, (gsize)(end - start));
}

static void check_words(const struct vwl_format *format, const char *line)
{
    if (format->n_planes == 1) {
        g_assert_cmpuint(bits_in_words(line), ==, format->bytes[0] * 8u);
    } else {
        g_assert_nonnull(strstr(line, "2x2 subsampled"));
        g_assert_cmpuint(format->subsampling, ==, 2);
        g_assert_true((format->n_planes == 3) == (strstr(line, "(1)") != NULL));
    }
}

static void test_header(void)
{
    g_autofree char *header = NULL;
    unsigned int n;
    const struct vwl_format *list = vwl_format_list(&n);

    g_assert_true(g_file_get_contents(VWL_FOURCC_HEADER, &header, NULL, NULL));
    for (unsigned int i = 0; i < n; i++) {
        const char *f = (const char *)&list[i].fourcc;
        g_autofree char *code = g_strdup_printf(
            "fourcc_code('%c', '%c', '%c', '%c')", f[0], f[1], f[2], f[3]);
        g_autofree char *line = line_of(header, code);
        char *name = drmGetFormatName(list[i].fourcc);

        g_test_message("%s: %s", name, line);
        g_assert_nonnull(name);
        free(name);
        if (list[i].fourcc != DRM_FORMAT_P010) { /* in words of its own */
            check_words(&list[i], line);
        }
    }
    g_assert_null(vwl_format_find(0));
    g_assert_null(vwl_format_find(0x34325259));
}

static int layout(uint32_t fourcc, uint32_t width, uint32_t height,
                  uint32_t stride0, uint64_t max_bytes)
{
    const struct vwl_format *format = vwl_format_find(fourcc);
    struct vwl_buffer_wish w = { width, height, fourcc, max_bytes };
    struct vwl_buffer out, before;
    int err;

    memset(&out, 0x5a, sizeof out);
    before = out;
    err = vwl_format_layout(format, &w, stride0, &out);
    if (err < 0) {
        g_assert_cmpmem(&out, sizeof out, &before, sizeof before);
    }
    return err;
}

static void test_refused(void)
{
    static const uint32_t huge[] = {
        0x7fff,     0x8000,     0xffff,     0x10000,    0x3fffffff,
        0x40000000, 0x40000001, 0x55555555, 0x55555556, 0x7fffffff,
        0x80000000, 0xfffffffe, 0xffffffff,
    };
    unsigned int n;
    const struct vwl_format *list = vwl_format_list(&n);

    g_assert_cmpint(layout(DRM_FORMAT_XRGB8888, 0, 1, 0, 1 << 20), ==, -EINVAL);
    g_assert_cmpint(layout(DRM_FORMAT_XRGB8888, 1, 0, 0, 1 << 20), ==, -EINVAL);
    g_assert_cmpint(layout(DRM_FORMAT_XRGB8888, 64, 1, 255, 1 << 20), ==,
                    -EINVAL);
    g_assert_cmpint(layout(DRM_FORMAT_NV12, 5, 5, 5, 1 << 20), ==, -EINVAL);
    g_assert_cmpint(layout(DRM_FORMAT_XRGB8888, 64, 16, 0, 4096), ==, 0);
    g_assert_cmpint(layout(DRM_FORMAT_XRGB8888, 64, 17, 0, 4096), ==, -ENOSPC);
    g_assert_cmpint(layout(DRM_FORMAT_XRGB8888, 64, 16, 0, 4095), ==, -ENOSPC);
    /* 4 GiB less a page can be said, 4 GiB cannot */
    g_assert_cmpint(layout(DRM_FORMAT_XRGB8888, 1024, 0xfffff, 0, UINT64_MAX),
                    ==, 0);
    g_assert_cmpint(layout(DRM_FORMAT_XRGB8888, 1024, 0x100000, 0, UINT64_MAX),
                    ==, -ENOSPC);
    for (unsigned int i = 0; i < n; i++) {
        for (size_t w = 0; w < G_N_ELEMENTS(huge); w++) {
            for (size_t h = 0; h < G_N_ELEMENTS(huge); h++) {
                uint64_t least = (uint64_t)list[i].bytes[0] * huge[w];
                int err = layout(list[i].fourcc, huge[w], huge[h], 0,
                                 UINT64_MAX);

                if (least > UINT32_MAX / huge[h]) {
                    g_assert_cmpint(err, ==, -ENOSPC);
                }
            }
        }
    }
}

/* Every plane lies behind the one before, and the last ends in the buffer. */
static void test_planes(void)
{
    unsigned int n;
    const struct vwl_format *list = vwl_format_list(&n);

    for (unsigned int i = 0; i < n; i++) {
        for (uint32_t size = 1; size < 700; size += 23) {
            struct vwl_buffer_wish w = wish(size, 701 - size);
            struct vwl_buffer out;
            uint64_t end = 0;

            g_assert_cmpint(vwl_format_layout(&list[i], &w, 0, &out), ==, 0);
            for (unsigned int p = 0; p < list[i].n_planes; p++) {
                uint32_t sub = p ? list[i].subsampling : 1;

                g_assert_cmpuint(out.offset[p], ==, end);
                g_assert_cmpuint(out.stride[p], >=,
                                 (w.width + sub - 1) / sub * list[i].bytes[p]);
                g_assert_cmpuint(out.stride[p] % 256, ==, 0);
                end += (uint64_t)out.stride[p] * ((w.height + sub - 1) / sub);
            }
            g_assert_cmpuint(end, <=, out.size_bytes);
            g_assert_cmpuint(end + 4096, >, out.size_bytes);
            g_assert_cmpuint((uint64_t)out.stride[0] *
                                 vwl_format_lines(&list[i], w.height),
                             >=, end);
        }
    }
}

static void ignore(void *opaque, enum vwl_log_level level, const char *line)
{
    g_test_message("%s", line);
}

/* What needs no device of this machine. */
static void test_words(void)
{
    struct vwl_allocators *set = NULL;
    struct vwl_log log;

    vwl_log_init(&log, ignore, NULL);
    g_assert_cmpint(vwl_allocators_open(NULL, &log, &set), ==, 0);
    g_assert_false(vwl_allocators_any(set));
    vwl_allocators_close(set);
    g_assert_cmpint(vwl_allocators_open("off", &log, &set), ==, 0);
    g_assert_false(vwl_allocators_any(set));
    g_assert_null(vwl_allocators_name(set, 0));
    vwl_allocators_close(set);
    set = NULL;
    g_assert_cmpint(vwl_allocators_open("", &log, &set), ==, 0);
    vwl_allocators_close(set);
    set = NULL;
    g_assert_cmpint(vwl_allocators_open("auto", &log, &set), ==, 0);
    g_assert_true(vwl_allocators_are_auto(set));
    vwl_allocators_close(set);
    set = NULL;
    g_assert_cmpint(vwl_allocators_open("udma", &log, &set), ==, -EINVAL);
    g_assert_cmpint(vwl_allocators_open("udmabufs", &log, &set), ==, -EINVAL);
    g_assert_cmpint(vwl_allocators_open("udmabuf=/nonexistent", &log, &set), ==,
                    -ENOENT);
    /* a comma or a semicolon ends a word, unless it is escaped */
    g_assert_cmpint(vwl_allocators_open("udma;udmabuf", &log, &set), ==,
                    -EINVAL);
    g_assert_cmpint(vwl_allocators_open("udmabuf=/none\\,heap\\;x", &log, &set),
                    ==, -ENOENT);
    g_assert_cmpint(vwl_allocators_open("heap=/proc/self/maps", &log, &set), <,
                    0);
    g_assert_cmpint(vwl_allocators_open("dumb=/dev/null", &log, &set), <, 0);
    g_assert_null(set);
    g_assert_false(vwl_allocators_any(NULL));
    vwl_allocators_close(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/format/literal", test_literal);
    g_test_add_func("/format/header", test_header);
    g_test_add_func("/format/refused", test_refused);
    g_test_add_func("/format/planes", test_planes);
    g_test_add_func("/allocator/words", test_words);
    return g_test_run();
}
