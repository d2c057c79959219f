/* SPDX-License-Identifier: BSD-3-Clause */
/* Entries of a machine's programs, as the host's own libraries read them. */
#include <gio/gdesktopappinfo.h>
#include <glib/gstdio.h>
#include <string.h>

#include "desktop/apps.h"
#include "desktop/files.h"
#include "desktop/png.h"
#include "temp.h"

#define ID "org.vhost_user_wl.vm.test."

static struct vwl_app *app_of(const char *id, const char *class,
                              const char *name, const char *comment,
                              const char *keywords, const char *categories)
{
    const char *const strings[] = { id,      class,    name,
                                    comment, keywords, categories };

    return vwl_app_create(strings);
}

static void put(const struct vwl_app *app)
{
    g_autoptr(GError) error = NULL;

    vwl_entry_write("test", "/bin/true", app, &error);
    g_assert_no_error(error);
}

static char *path_of(const char *id)
{
    g_autofree char *name = g_strdup_printf(ID "%s.desktop", id);

    return vwl_files_data("applications", name);
}

static GDesktopAppInfo *read_back(const char *id)
{
    g_autofree char *path = path_of(id);

    return g_desktop_app_info_new_from_filename(path);
}

static void expect(GDesktopAppInfo *info, const char *key, const char *want)
{
    g_autofree char *got = g_desktop_app_info_get_string(info, key);

    g_assert_cmpstr(got, ==, want);
}

static void test_plain(void)
{
    struct vwl_app *app = app_of("org.a.Calc", "calc", "Calculator",
                                 "Adds; \"and\" more", "add;sum",
                                 "GTK;Utility;System;X-Other;Math");
    GDesktopAppInfo *info;

    put(app);
    info = read_back("org.a.Calc");
    g_assert_nonnull(info);
    g_assert_cmpstr(g_app_info_get_name(G_APP_INFO(info)), ==,
                    "Calculator (test)");
    g_assert_cmpstr(g_app_info_get_description(G_APP_INFO(info)), ==,
                    "Adds; \"and\" more");
    g_assert_cmpstr(g_app_info_get_commandline(G_APP_INFO(info)), ==,
                    "/bin/true launch test org.a.Calc");
    expect(info, "StartupWMClass", ID "calc");
    expect(info, "Categories", "Utility;X-vwl-test;");
    expect(info, "Keywords", "add;sum;test;");
    expect(info, "X-vwl-Machine", "test");
    expect(info, "Icon", "application-x-executable");
    g_assert_true(g_app_info_should_show(G_APP_INFO(info)));
    g_object_unref(info);
    vwl_app_destroy(app);
}

/* What a guest says is text, and stays in its place. */
static void test_hostile(void)
{
    struct vwl_app *app = app_of("evil", "x\nExec=/bin/sh",
                                 "A\nExec=/bin/sh -c id\nTerminal=true",
                                 "\x1b[2J\xe2\x80\xae"
                                 "b",
                                 "a\nb;;[Desktop Action x]\n;%U",
                                 "Utility;\nMimeType=x-scheme-handler/http;");
    g_autofree char *path = path_of("evil"), *text = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned int n_exec = 0;
    GDesktopAppInfo *info;

    put(app);
    info = read_back("evil");
    g_assert_cmpstr(g_app_info_get_commandline(G_APP_INFO(info)), ==,
                    "/bin/true launch test evil");
    g_assert_cmpstr(g_app_info_get_name(G_APP_INFO(info)), ==,
                    "A Exec=/bin/sh -c id Terminal=true (test)");
    g_assert_null(g_app_info_get_supported_types(G_APP_INFO(info)));
    g_assert_null(g_desktop_app_info_list_actions(info)[0]);
    g_assert_false(g_desktop_app_info_has_key(info, "Terminal"));
    g_file_get_contents(path, &text, NULL, NULL);
    lines = g_strsplit(text, "\n", 0);
    for (char **line = lines; *line; line++) {
        n_exec += g_str_has_prefix(*line, "Exec=");
        g_assert_true(line == lines || (*line)[0] != '[');
    }
    g_assert_cmpuint(n_exec, ==, 1);
    g_object_unref(info);
    vwl_app_destroy(app);
}

/* No file outside the two folders, whatever the names are. */
static void test_names(void)
{
    static const char *const machines[] = { "../x", "a.b", "",   "A",
                                            "1a",   "a/b", "a b" };
    static const char *const ids[] = {
        "../../x", "a/b", ".x", "", "a b", "%U"
    };
    struct vwl_app *app = app_of("a", "", "A", "", "", "");

    for (unsigned int i = 0; i < G_N_ELEMENTS(machines); i++) {
        g_assert_false(vwl_entry_write(machines[i], "/bin/true", app, NULL));
    }
    g_assert_false(vwl_entry_write("test", "/bin/a b", app, NULL));
    g_assert_false(vwl_entry_write("test", "true", app, NULL));
    vwl_app_destroy(app);
    for (unsigned int i = 0; i < G_N_ELEMENTS(ids); i++) {
        app = app_of(ids[i], "", "A", "", "", "");
        g_assert_false(vwl_entry_write("test", "/bin/true", app, NULL));
        vwl_app_destroy(app);
    }
}

/* An empty name is the id; no category is one; a hidden one is not shown. */
static void test_defaults(void)
{
    struct vwl_app *app = app_of("plain", "", " \n ", "", "",
                                 "Settings;Video;");
    GDesktopAppInfo *info;

    app->shown = false;
    put(app);
    info = read_back("plain");
    g_assert_cmpstr(g_app_info_get_name(G_APP_INFO(info)), ==, "plain (test)");
    expect(info, "StartupWMClass", ID "plain");
    expect(info, "Categories", "AudioVideo;Video;X-vwl-test;");
    g_assert_false(g_desktop_app_info_has_key(info, "Comment"));
    g_assert_false(g_app_info_should_show(G_APP_INFO(info)));
    g_object_unref(info);
    vwl_app_destroy(app);
}

/* TryExec: without the command no launcher shows it. */
static void test_without_command(void)
{
    struct vwl_app *app = app_of("gone", "", "Gone", "", "", "");

    g_assert_true(vwl_entry_write("test", "/nowhere/vwl", app, NULL));
    g_assert_null(read_back("gone"));
    vwl_app_destroy(app);
}

static void test_remove(void)
{
    struct vwl_app *app = app_of("rm", "", "Rm", "", "", "");
    g_autofree char *path = path_of("rm");
    g_autofree char *menu = g_build_filename(
        g_get_user_config_dir(), "menus/applications-merged/vwl-test.menu",
        NULL);
    g_autofree char *others = vwl_files_data("applications",
                                             "org.example.desktop");
    g_autofree char *icon = vwl_files_data("icons",
                                           "hicolor/64x64/apps/" ID "rm.png");

    app->icons[VWL_ICON_64] = g_bytes_new_static("png", 3);
    put(app);
    g_assert_true(vwl_entry_write_menu("test", NULL));
    g_assert_true(vwl_entry_write("tester", "/bin/true", app, NULL));
    g_assert_true(vwl_files_write(others, "x", 1, NULL));
    g_assert_true(g_file_test(icon, G_FILE_TEST_EXISTS));
    vwl_entry_remove("test", NULL);
    g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(icon, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(menu, G_FILE_TEST_EXISTS));
    g_ptr_array_unref(temp_expect_files("applications", 2));
    vwl_entry_remove(NULL, NULL);
    g_ptr_array_unref(temp_expect_files("applications", 1));
    g_unlink(others);
    vwl_app_destroy(app);
}

int main(int argc, char **argv)
{
    int status;

    temp_begin();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/entry/plain", test_plain);
    g_test_add_func("/entry/hostile", test_hostile);
    g_test_add_func("/entry/names", test_names);
    g_test_add_func("/entry/defaults", test_defaults);
    g_test_add_func("/entry/without-command", test_without_command);
    g_test_add_func("/entry/remove", test_remove);
    status = g_test_run();
    temp_end();
    return status;
}
