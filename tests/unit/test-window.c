/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/memory/window.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

#define PAGE UINT64_C(4096)

static void test_first_fit(void)
{
    struct vwl_window window;
    uint64_t at[8], offset = 77;

    vwl_window_init(&window, 8 * PAGE);
    for (int i = 0; i < 8; i++) {
        g_assert_cmpint(vwl_window_alloc(&window, PAGE, &at[i]), ==, 0);
        g_assert_cmpuint(at[i], ==, (uint64_t)i * PAGE);
    }
    g_assert_cmpint(vwl_window_alloc(&window, PAGE, &offset), ==, -ENOSPC);
    g_assert_cmpuint(offset, ==, 77);
    g_assert_cmpint(vwl_window_free(&window, 1 * PAGE, PAGE), ==, 0);
    g_assert_cmpint(vwl_window_free(&window, 4 * PAGE, 2 * PAGE), ==, 0);
    g_assert_cmpint(vwl_window_alloc(&window, 2 * PAGE, &offset), ==, 0);
    g_assert_cmpuint(offset, ==, 4 * PAGE);
    g_assert_cmpint(vwl_window_alloc(&window, PAGE, &offset), ==, 0);
    g_assert_cmpuint(offset, ==, 1 * PAGE);
    g_assert_cmpuint(window.free_bytes, ==, 0);
    vwl_window_finish(&window);
}

static void test_refusals(void)
{
    struct vwl_window window;
    uint64_t offset = 77;

    vwl_window_init(&window, 16 * PAGE);
    g_assert_cmpint(vwl_window_alloc(&window, 0, &offset), ==, -EINVAL);
    g_assert_cmpint(vwl_window_alloc(&window, 100, &offset), ==, -EINVAL);
    g_assert_cmpint(vwl_window_alloc(&window, 17 * PAGE, &offset), ==, -ENOSPC);
    g_assert_cmpint(vwl_window_alloc(&window, UINT64_MAX - 4095, &offset), ==,
                    -ENOSPC);
    g_assert_cmpuint(offset, ==, 77);
    g_assert_cmpint(vwl_window_alloc(&window, 8 * PAGE, &offset), ==, 0);
    /* free already, outside, wrapping, odd */
    g_assert_cmpint(vwl_window_free(&window, 8 * PAGE, PAGE), ==, -EINVAL);
    g_assert_cmpint(vwl_window_free(&window, 7 * PAGE, 2 * PAGE), ==, -EINVAL);
    g_assert_cmpint(vwl_window_free(&window, 16 * PAGE, PAGE), ==, -EINVAL);
    g_assert_cmpint(vwl_window_free(&window, PAGE, UINT64_MAX - 4095), ==,
                    -EINVAL);
    g_assert_cmpint(vwl_window_free(&window, 1, PAGE), ==, -EINVAL);
    g_assert_cmpint(vwl_window_free(&window, 0, 0), ==, -EINVAL);
    g_assert_cmpuint(window.free_bytes, ==, 8 * PAGE);
    g_assert_cmpint(vwl_window_free(&window, 0, 8 * PAGE), ==, 0);
    g_assert_cmpint(vwl_window_free(&window, 0, 8 * PAGE), ==, -EINVAL);
    g_assert_cmpint(vwl_window_alloc(&window, 16 * PAGE, &offset), ==, 0);
    g_assert_cmpuint(offset, ==, 0);
    vwl_window_finish(&window);
}

/* Against a map of pages, which is slow and obvious. */
static void test_against_pages(void)
{
    enum { PAGES = 256 };
    struct vwl_window window;
    uint8_t used[PAGES] = { 0 };
    struct {
        uint64_t first, n;
    } live[PAGES];
    unsigned int n_live = 0;

    vwl_window_init(&window, PAGES * PAGE);
    for (int step = 0; step < 20000; step++) {
        if (g_test_rand_int_range(0, 100) < 55) {
            uint64_t n = (uint64_t)g_test_rand_int_range(1, 12), at, run = 0;
            uint64_t first = 0;
            int err;

            while (first < PAGES && run < n) {
                run = used[first++] ? 0 : run + 1;
            }
            err = vwl_window_alloc(&window, n * PAGE, &at);
            g_assert_cmpint(err, ==, run == n ? 0 : -ENOSPC);
            if (err == 0) {
                g_assert_cmpuint(at, ==, (first - n) * PAGE);
                memset(used + first - n, 1, n);
                live[n_live].first = first - n;
                live[n_live++].n = n;
            }
        } else if (n_live > 0) {
            int i = g_test_rand_int_range(0, (int)n_live);

            g_assert_cmpint(vwl_window_free(&window, live[i].first * PAGE,
                                            live[i].n * PAGE),
                            ==, 0);
            memset(used + live[i].first, 0, live[i].n);
            live[i] = live[--n_live];
        }
    }
    while (n_live > 0) {
        n_live--;
        g_assert_cmpint(vwl_window_free(&window, live[n_live].first * PAGE,
                                        live[n_live].n * PAGE),
                        ==, 0);
    }
    g_assert_cmpuint(window.free_bytes, ==, PAGES * PAGE);
    vwl_window_finish(&window);
}

/* The largest window the configuration allows, in many pieces, with every
 * second one freed again. */
static void test_many(void)
{
    struct vwl_window window;
    uint64_t offset;

    vwl_window_init(&window, UINT64_C(1) << 43);
    for (uint64_t i = 0; i < 100000; i++) {
        g_assert_cmpint(vwl_window_alloc(&window, PAGE, &offset), ==, 0);
        g_assert_cmpuint(offset, ==, i * PAGE);
    }
    for (uint64_t i = 0; i < 100000; i += 2) {
        g_assert_cmpint(vwl_window_free(&window, i * PAGE, PAGE), ==, 0);
    }
    g_assert_cmpint(vwl_window_alloc(&window, 2 * PAGE, &offset), ==, 0);
    g_assert_cmpuint(offset, ==, 100000 * PAGE);
    for (uint64_t i = 0; i < 100000; i += 2) {
        g_assert_cmpint(vwl_window_alloc(&window, PAGE, &offset), ==, 0);
        g_assert_cmpuint(offset, ==, i * PAGE);
    }
    vwl_window_finish(&window);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/window/first-fit", test_first_fit);
    g_test_add_func("/window/refusals", test_refusals);
    g_test_add_func("/window/against-pages", test_against_pages);
    g_test_add_func("/window/many", test_many);
    return g_test_run();
}
