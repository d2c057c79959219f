/* SPDX-License-Identifier: BSD-3-Clause */
/* Which links of a machine are opened, by whom, and how many. */
#include <glib/gstdio.h>
#include <string.h>

#include "desktop/desktop.h"
#include "desktop/files.h"
#include "desktop/links.h"
#include "temp.h"

static GString *said;
static unsigned int asked;
static char *detail;

static void on_log(void *opaque, const char *line)
{
    g_string_append_printf(said, "%s\n", line);
}

static void on_ask(void *opaque, unsigned int serial, const char *what,
                   const char *text)
{
    asked = serial;
    g_free(detail);
    detail = g_strdup(text);
}

static const struct vwl_desktop_ops ops = { .log = on_log, .ask = on_ask };

static void test_allowed(void)
{
    static const char *const good[] = {
        "http://a.example",
        "https://a.example:8080/x?y=%20z&a='b'#c",
        "HTTPS://a.example/",
        "https://[::1]/",
        "mailto:me@a.example",
        "mailto:me@a.example?subject=a%20b&body=c&cc=d@e.example",
        "https://a.example/*(x)!$;,+~_-.@:",
    };

    for (unsigned int i = 0; i < G_N_ELEMENTS(good); i++) {
        g_test_message("%s", good[i]);
        g_assert_cmpstr(vwl_link_wrong(good[i]), ==, NULL);
    }
}

static void test_refused(void)
{
    static const char *const bad[] = {
        "",
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://a.example/",
        "vbscript:x",
        "smb://a/b",
        "http://x\nExec=y",
        "http://x y",
        "http://",
        "http:///etc",
        "https:a.example",
        "//a.example",
        "a.example",
        "/etc/passwd",
        "-x",
        "http://me:secret@a.example/",
        "http://google.com@a.example/",
        "http://a.example/\x1b[2J",
        "http://\xc3\xa4.example/",
        "http://a.example/\"x",
        "http://a.example/<x>",
        "http://a.example/`x`",
        "mailto:a@b?attach=/etc/passwd",
        "mailto:a@b?subject=x&ATTACHMENT=y",
        "mailto:a@b?x=1",
        " http://a.example",
        "http://a.example/%s{}",
    };
    char *large = g_strnfill(VWL_MAX_OPEN_BYTES, 'a');

    for (unsigned int i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%u", i);
        g_assert_nonnull(vwl_link_wrong(bad[i]));
    }
    memcpy(large, "http://", 7);
    g_assert_nonnull(vwl_link_wrong(large));
    large[VWL_MAX_OPEN_BYTES - 1] = '\0';
    g_assert_null(vwl_link_wrong(large));
    g_free(large);
}

/* ---- opening ------------------------------------------------------------ */

static char *opened_path(void)
{
    return g_build_filename(temp_path(), "opened", NULL);
}

/* A browser that writes down what it was given. */
static void install_browser(void)
{
    g_autofree char *path = opened_path();
    g_autofree char *script = g_build_filename(temp_path(), "browser", NULL);
    g_autofree char *run = g_strdup_printf("#!/bin/sh\necho \"$1\" >>%s\n",
                                           path);
    g_autofree char *text = g_strdup_printf(
        "[Desktop Entry]\nType=Application\nName=B\nExec=%s %%u\n"
        "MimeType=x-scheme-handler/http;x-scheme-handler/https;\n",
        script);
    g_autofree char *entry = vwl_files_data("applications", "b.desktop");
    g_autofree char *list = g_build_filename(g_get_user_config_dir(),
                                             "mimeapps.list", NULL);
    const char *defaults = "[Default Applications]\n"
                           "x-scheme-handler/http=b.desktop\n"
                           "x-scheme-handler/https=b.desktop\n";

    g_assert_true(vwl_files_write(script, run, strlen(run), NULL));
    g_assert_cmpint(g_chmod(script, 0755), ==, 0);
    g_assert_true(vwl_files_write(entry, text, strlen(text), NULL));
    g_assert_true(vwl_files_write(list, defaults, strlen(defaults), NULL));
}

static gboolean on_time(gpointer late)
{
    *(bool *)late = true;
    return G_SOURCE_REMOVE;
}

static gboolean on_tick(gpointer data)
{
    return G_SOURCE_CONTINUE;
}

static unsigned int count_lines(const char *text)
{
    unsigned int n = 0;

    for (; text && *text; text++) {
        n += *text == '\n';
    }
    return n;
}

/* Waits until the browser was started n times in all. */
static char *expect_opened(unsigned int n)
{
    g_autofree char *path = opened_path();
    char *text = NULL;
    bool late = false;
    guint end = g_timeout_add_seconds(30, on_time, &late);
    guint tick = g_timeout_add(10, on_tick, NULL);

    while (g_file_get_contents(path, &text, NULL, NULL),
           count_lines(text) < n) {
        g_clear_pointer(&text, g_free);
        g_assert_false(late);
        g_main_context_iteration(NULL, TRUE);
    }
    g_source_remove(end);
    g_source_remove(tick);
    g_assert_cmpuint(count_lines(text), ==, n);
    return text;
}

static struct vwl_desktop *begin(enum vwl_wish links)
{
    const struct vwl_desktop_policy policy = { VWL_WISH_ALLOW, links,
                                               VWL_WISH_ALLOW };
    struct vwl_desktop *desktop;
    g_autofree char *path = opened_path();

    g_unlink(path);
    g_string_truncate(said, 0);
    asked = 0;
    desktop = vwl_desktop_create("test", "/bin/true", NULL, &ops, NULL);
    vwl_desktop_set_policy(desktop, &policy);
    return desktop;
}

static void open_link(struct vwl_desktop *desktop, const char *link)
{
    const struct vwl_frame frame = { .type = VWL_FRAME_OPEN,
                                     .strings = &link,
                                     .n_strings = 1 };

    g_assert_true(vwl_desktop_frame(desktop, &frame));
}

static void test_open(void)
{
    struct vwl_desktop *desktop = begin(VWL_WISH_ALLOW);
    g_autofree char *text = NULL;

    open_link(desktop, "https://a.example/$(id)?a=b;c&d");
    text = expect_opened(1);
    g_assert_cmpstr(text, ==, "https://a.example/$(id)?a=b;c&d\n");
    g_assert_cmpstr(said->str, ==, "");
    vwl_desktop_destroy(desktop);
}

static void test_rate(void)
{
    struct vwl_desktop *desktop = begin(VWL_WISH_ALLOW);

    for (unsigned int i = 0; i < 1000; i++) {
        open_link(desktop, "https://a.example/");
    }
    g_free(expect_opened(VWL_LINK_BURST));
    g_assert_cmpstr(said->str, ==, "links: too many, some are not opened\n");
    for (unsigned int i = 0; i < 1000; i++) {
        open_link(desktop, "file:///etc/passwd");
    }
    g_assert_cmpuint(count_lines(said->str), ==, 1 + VWL_LINK_BURST);
    g_free(expect_opened(VWL_LINK_BURST));
    vwl_desktop_destroy(desktop);
}

static void test_deny(void)
{
    struct vwl_desktop *desktop = begin(VWL_WISH_DENY);

    open_link(desktop, "https://a.example/");
    g_assert_cmpstr(said->str, ==,
                    "a link was not opened: the policy has links=deny\n");
    g_assert_cmpuint(vwl_desktop_may(desktop), ==,
                     VWL_MAY_LIST | VWL_MAY_NOTIFY);
    vwl_desktop_destroy(desktop);
}

static void test_ask(void)
{
    struct vwl_desktop *desktop = begin(VWL_WISH_ASK);
    g_autofree char *text = NULL;

    open_link(desktop, "https://a.example/x");
    g_assert_cmpuint(asked, ==, 1);
    g_assert_cmpstr(detail, ==, "a.example");
    open_link(desktop, "https://b.example/"); /* one at a time */
    g_assert_cmpuint(asked, ==, 1);
    vwl_desktop_answer(desktop, 7, true);
    vwl_desktop_answer(desktop, 1, true);
    vwl_desktop_answer(desktop, 1, true); /* once */
    text = expect_opened(1);
    g_assert_cmpstr(text, ==, "https://a.example/x\n");
    open_link(desktop, "https://c.example/");
    vwl_desktop_answer(desktop, 2, false);
    open_link(desktop, "https://d.example/");
    vwl_desktop_hang_up(desktop);
    vwl_desktop_answer(desktop, 3, true);
    open_link(desktop, "https://e.example/");
    vwl_desktop_answer(desktop, 4, true);
    g_free(expect_opened(2));
    vwl_desktop_destroy(desktop);
}

int main(int argc, char **argv)
{
    int status;

    temp_begin();
    install_browser();
    said = g_string_new(NULL);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/links/allowed", test_allowed);
    g_test_add_func("/links/refused", test_refused);
    g_test_add_func("/links/open", test_open);
    g_test_add_func("/links/rate", test_rate);
    g_test_add_func("/links/deny", test_deny);
    g_test_add_func("/links/ask", test_ask);
    status = g_test_run();
    temp_end();
    g_string_free(said, TRUE);
    g_free(detail);
    return status;
}
