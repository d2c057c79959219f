/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/log.h"

#include <glib.h>
#include <string.h>

struct lines {
    GPtrArray *text;
    enum vwl_log_level last;
};

static void sink(void *opaque, enum vwl_log_level level, const char *line)
{
    struct lines *lines = opaque;

    g_ptr_array_add(lines->text, g_strdup(line));
    lines->last = level;
}

static void test_blame(void)
{
    struct lines lines = { g_ptr_array_new_with_free_func(g_free), 0 };
    struct vwl_log log;

    vwl_log_init(&log, sink, &lines);
    log_guest_bug(&log, "vfd %u: no", 7u);
    g_assert_cmpstr(lines.text->pdata[0], ==, "guest bug: vfd 7: no");
    g_assert_cmpint(lines.last, ==, VWL_LOG_WARN);
    log_our_bug(&log, "x");
    g_assert_cmpstr(lines.text->pdata[1], ==, "our bug: x");
    g_assert_cmpint(lines.last, ==, VWL_LOG_ERROR);
    g_ptr_array_unref(lines.text);
}

static void test_rate_limit(void)
{
    struct lines lines = { g_ptr_array_new_with_free_func(g_free), 0 };
    struct vwl_log log;
    unsigned int before;

    vwl_log_init(&log, sink, &lines);
    for (int i = 0; i < 100000; i++) {
        log_guest_bug(&log, "flood");
    }
    g_assert_cmpuint(lines.text->len, <, 100);
    before = lines.text->len;
    log_compositor_bug(&log, "another blame has a budget of its own");
    g_assert_cmpuint(lines.text->len, ==, before + 1);
    for (int i = 0; i < 100000; i++) {
        log_debug(&log, "what a guest can cause");
        log_note(&log, "and another");
    }
    g_assert_cmpuint(lines.text->len, <, before + 300);
    g_ptr_array_unref(lines.text);
}

static void test_escape(void)
{
    char out[32];

    g_assert_cmpstr(vwl_log_escape("a\nb\"\\\x1b", 6, out, sizeof out), ==,
                    "a\\x0ab\\x22\\x5c\\x1b");
    /* never a half escape, never past the end */
    g_assert_cmpstr(vwl_log_escape("\n\n\n\n\n\n\n\n\n\n", 10, out, 8), ==,
                    "\\x0a");
    g_assert_cmpstr(vwl_log_escape("abc", 0, out, sizeof out), ==, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/blame", test_blame);
    g_test_add_func("/log/rate-limit", test_rate_limit);
    g_test_add_func("/log/escape", test_escape);
    return g_test_run();
}
