/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a filter tells of a client's windows: their titles and application ids
 * as the client says them, clean and short, until they are destroyed; and what
 * the memory for that is counted as.
 */
#include "policy_rig.h"

#define MOST_WINDOWS 256u
#define MOST_TEXT 128u

static const char *const usual[] = { "wl_compositor", "xdg_wm_base", NULL };

enum { COMPOSITOR = 3, WM_BASE, FIRST };

static void begin(struct policy_rig *rig, const char *prefix)
{
    const struct vwl_socket_policy policy = { .size = sizeof policy,
                                              .title_prefix = prefix };

    rig_init(rig, &policy);
    announce(rig, usual, 3);
    pass(rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 1u, "wl_compositor", 3u,
         (uint32_t)COMPOSITOR);
    pass(rig, VWL_TO_HOST, REGISTRY, 0, "usuu", 2u, "xdg_wm_base", 3u,
         (uint32_t)WM_BASE);
}

/* Three objects, of which the last one is the window. */
static uint32_t add_window(struct policy_rig *rig, uint32_t id)
{
    pass(rig, VWL_TO_HOST, COMPOSITOR, 0, "u", id);
    pass(rig, VWL_TO_HOST, WM_BASE, 2, "uu", id + 1, id);
    g_assert_cmpint(push(rig, VWL_TO_HOST, id + 1, 1, "u", id + 2), ==, 0);
    g_byte_array_unref(take(rig, VWL_TO_HOST));
    return id + 2;
}

static void say(struct policy_rig *rig, uint32_t window, uint16_t opcode,
                const char *text)
{
    g_assert_cmpint(push(rig, VWL_TO_HOST, window, opcode, "s", text), ==, 0);
    g_byte_array_unref(take(rig, VWL_TO_HOST));
}

static void expect_windows(struct policy_rig *rig, const char *lines)
{
    GString *found = g_string_new(NULL);

    vwl_filter_windows(rig->filter, found);
    g_assert_cmpstr(found->str, ==, lines);
    g_string_free(found, TRUE);
}

static void test_life(void)
{
    struct policy_rig rig;
    uint32_t first, second;

    begin(&rig, NULL);
    expect_windows(&rig, "");
    first = add_window(&rig, FIRST);
    expect_windows(&rig, "\t\n");
    say(&rig, first, 2, "A letter");
    say(&rig, first, 3, "org.example.Editor");
    second = add_window(&rig, FIRST + 3);
    say(&rig, second, 2, "Another");
    expect_windows(&rig, "org.example.Editor\tA letter\n\tAnother\n");
    say(&rig, first, 2, "A letter, changed");
    expect_windows(&rig, "org.example.Editor\tA letter, changed\n\tAnother\n");
    pass(&rig, VWL_TO_HOST, first, 0, "");
    expect_windows(&rig, "\tAnother\n");
    rig_finish(&rig);
}

/* The prefix is the host's, and not in it. */
static void test_clean(void)
{
    g_autofree char *long_one = g_strnfill(4 * MOST_TEXT, 'x');
    g_autofree char *cut = g_strnfill(MOST_TEXT, 'x');
    g_autofree char *line = g_strdup_printf("\t%s\n", cut);
    struct policy_rig rig;
    uint32_t window;

    begin(&rig, "[test] ");
    window = add_window(&rig, FIRST);
    say(&rig, window, 2, "one\ttwo\nthree\xe2\x80\xae");
    expect_windows(&rig, "\tone two three\n");
    say(&rig, window, 2, long_one);
    expect_windows(&rig, line);
    rig_finish(&rig);
}

static void test_bounds(void)
{
    GString *found = g_string_new(NULL);
    struct policy_rig rig;
    unsigned int lines = 0;
    int64_t before;
    uint32_t window;

    begin(&rig, NULL);
    for (uint32_t i = 0; i < MOST_WINDOWS + 10; i++) {
        window = add_window(&rig, FIRST + 3 * i);
        say(&rig, window, 2, "x");
    }
    vwl_filter_windows(rig.filter, found);
    for (const char *at = found->str; *at; at++) {
        lines += *at == '\n';
    }
    g_assert_cmpuint(lines, ==, MOST_WINDOWS);
    g_string_free(found, TRUE);
    before = rig.charged;
    pass(&rig, VWL_TO_HOST, FIRST + 2, 0, "");
    g_assert_cmpint(rig.charged, <, before);
    rig_finish(&rig);

    /* one without memory is a window all the same */
    begin(&rig, NULL);
    window = add_window(&rig, FIRST);
    rig.most = rig.charged;
    window = add_window(&rig, FIRST + 3);
    say(&rig, window, 2, "not listed");
    expect_windows(&rig, "\t\n");
    rig_finish(&rig);
}

/* A connection that was ended has none. */
static void test_end(void)
{
    struct policy_rig rig;

    begin(&rig, NULL);
    add_window(&rig, FIRST);
    g_assert_cmpint(push(&rig, VWL_TO_HOST, 999, 0, ""), ==, -EPROTO);
    expect_windows(&rig, "");
    rig_finish(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy-windows/life", test_life);
    g_test_add_func("/policy-windows/clean", test_clean);
    g_test_add_func("/policy-windows/bounds", test_bounds);
    g_test_add_func("/policy-windows/end", test_end);
    return g_test_run();
}
