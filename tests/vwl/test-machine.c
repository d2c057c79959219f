/* SPDX-License-Identifier: BSD-3-Clause */
/* The settings of a machine, their file, and names and folders. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>

#include "fail.h"
#include "folders.h"
#include "machine.h"

static char *scratch;

static void refuses(struct vwl_machine *machine, const char *name,
                    const char *text, const char *says)
{
    GError *error = NULL;
    char *before = vwl_setting_find(name, NULL) ? vwl_machine_get(machine, name)
                                                : NULL;
    char *after;

    g_assert_false(vwl_machine_set(machine, name, text, &error));
    g_assert_error(error, VWL_FAIL, VWL_FAIL_USAGE);
    if (!strstr(error->message, says)) {
        g_error("'%s' does not say '%s'", error->message, says);
    }
    g_assert_nonnull(strstr(error->message, "; "));
    g_error_free(error);
    if (before) {
        after = vwl_machine_get(machine, name);
        g_assert_cmpstr(before, ==, after);
        g_free(after);
    }
    g_free(before);
}

static void takes(struct vwl_machine *machine, const char *name,
                  const char *text, const char *is)
{
    GError *error = NULL;
    char *now;

    vwl_machine_set(machine, name, text, &error);
    g_assert_no_error(error);
    now = vwl_machine_get(machine, name);
    g_assert_cmpstr(now, ==, is);
    g_free(now);
}

static void test_values(void)
{
    struct vwl_machine *machine = vwl_machine_new("a", "/tmp");

    takes(machine, "memory", "2G", "2048M");
    takes(machine, "memory", "512M", "512M");
    takes(machine, "memory", "300", "300M");
    refuses(machine, "memory", "2T", "memory=2T");
    refuses(machine, "memory", "G", "N[M|G]");
    refuses(machine, "memory", "0", "memory=0");
    refuses(machine, "memory", "1048577", "memory");
    refuses(machine, "memory", "2000000G", "memory");
    refuses(machine, "memory", "-1", "memory");
    takes(machine, "memory", "", "");
    takes(machine, "cpus", "4", "4");
    refuses(machine, "cpus", "256", "1-255");
    refuses(machine, "cpus", "four", "1-255");
    takes(machine, "net", "none", "none");
    refuses(machine, "net", "bridge", "user|none");
    takes(machine, "apps", "off", "off");
    takes(machine, "apps", "", "on");
    refuses(machine, "apps", "yes", "on|off");
    takes(machine, "clipboard", "to-guest", "to-guest");
    takes(machine, "clipboard", "ask", "ask");
    refuses(machine, "clipboard", "never", "both|to-guest|from-guest|off|ask");
    takes(machine, "append", "console=ttyS0 quiet", "console=ttyS0 quiet");
    refuses(machine, "append", "a\nb", "several lines");
    refuses(machine, "append", "\xff", "UTF-8");
    refuses(machine, "memry", "1G", "did you mean memory?");
    refuses(machine, "a-word-that-is-longer-than-the-longest-setting", "1G",
            "there is no setting");
    vwl_machine_free(machine);
}

/* What was set comes back, what is as it was at first is not written. */
static void test_file(void)
{
    struct vwl_machine *machine = vwl_machine_new("box", scratch);
    char *path = g_build_filename(scratch, "machine.conf", NULL);
    char *text = NULL, *full;
    GError *error = NULL;

    vwl_machine_set(machine, "disk", "disk.qcow2", NULL);
    vwl_machine_set(machine, "memory", "1G", NULL);
    vwl_machine_set(machine, "append", "root=/dev/vda  x=\\y; z", NULL);
    vwl_machine_set(machine, "links", "allow", NULL);
    vwl_machine_set(machine, "apps", "off", NULL);
    vwl_machine_set(machine, "notifications", "on", NULL);
    vwl_machine_save(machine, &error);
    g_assert_no_error(error);
    vwl_machine_free(machine);

    g_file_get_contents(path, &text, NULL, NULL);
    g_assert_nonnull(strstr(text, "[policy]\nlinks=allow\napps=off\n"));
    g_assert_null(strstr(text, "notifications"));
    g_assert_null(strstr(text, "cpus"));
    g_free(text);

    machine = vwl_machine_load(scratch, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(machine->memory, ==, 1024);
    g_assert_cmpstr(machine->append, ==, "root=/dev/vda  x=\\y; z");
    g_assert_cmpuint(machine->links, ==, VWL_ANSWER_ALLOW);
    g_assert_false(machine->apps);
    g_assert_true(machine->notifications);
    g_assert_cmpuint(machine->cpus, ==, 0);
    full = vwl_machine_path(machine, machine->disk);
    g_assert_true(g_str_has_prefix(full, scratch));
    g_assert_null(vwl_machine_path(machine, NULL));
    g_free(full);
    vwl_machine_free(machine);
    g_free(path);
}

static void cannot_load(const char *text, const char *says)
{
    char *path = g_build_filename(scratch, "machine.conf", NULL);
    GError *error = NULL;

    g_file_set_contents(path, text, -1, NULL);
    g_assert_null(vwl_machine_load(scratch, &error));
    g_assert_nonnull(error);
    if (!strstr(error->message, says) || !strstr(error->message, path)) {
        g_error("'%s' does not say '%s'", error->message, says);
    }
    g_error_free(error);
    g_free(path);
}

static void test_wrong_file(void)
{
    cannot_load("[machine]\nmemory=lots\n", "memory=lots");
    cannot_load("[machine]\nlinks=ask\n", "put it into [policy]");
    cannot_load("[machine]\nmemori=1G\n", "did you mean memory?");
    cannot_load("[machine]\nno key\n", "");
    cannot_load("[elsewhere]\nmemory=1G\n", "put it into [machine]");
}

static void test_names(void)
{
    static const char *const good[] = { "a", "test", "a-1",
                                        "abcdefghijklmnopqrstuvwxyz01234" };
    static const char *const bad[] = { "",
                                       "A",
                                       "1a",
                                       "-a",
                                       "a_",
                                       "a/b",
                                       "..",
                                       "a\nb",
                                       ".",
                                       "t\xc3\xa4",
                                       "abcdefghijklmnopqrstuvwxyz012345" };
    static const char *const files[][2] = {
        { "/x/Debian 12.qcow2", "debian-12" },
        { "disk", "disk" },
        { "/12.img", "vm-12" },
        { "./_a--b_.raw", "a-b" },
        { "/\xc3\xa4\xc3\xb6.img", "vm-" },
        { "/abcdefghijklmnopqrstuvwxyz0123456789.img",
          "abcdefghijklmnopqrstuvwxyz01234" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(vwl_name_check(good[i], NULL));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;

        g_assert_false(vwl_name_check(bad[i], &error));
        g_assert_error(error, VWL_FAIL, VWL_FAIL_USAGE);
        g_error_free(error);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        char *name = vwl_name_of_file(files[i][0]);

        g_assert_cmpstr(name, ==, files[i][1]);
        g_assert_true(vwl_name_check(name, NULL));
        g_free(name);
    }
}

/* A link out of the folder is removed, and not what it leads to. */
static void test_folders(void)
{
    char *data = vwl_folder_data("one"), *names;
    char *conf = g_build_filename(data, "machine.conf", NULL);
    char *link = g_build_filename(data, "link", NULL);
    char *kept = g_build_filename(scratch, "kept", NULL);
    char *inside = g_build_filename(kept, "file", NULL);
    char **all;

    g_assert_true(g_str_has_prefix(data, scratch));
    g_assert_true(vwl_folder_make(data, NULL));
    g_assert_false(vwl_folder_has("one"));
    g_file_set_contents(conf, "", 0, NULL);
    g_assert_true(vwl_folder_has("one"));
    g_assert_false(vwl_folder_has("../vwl/one"));
    all = vwl_folder_names();
    names = g_strjoinv(" ", all);
    g_assert_cmpstr(names, ==, "one");

    g_mkdir(kept, 0700);
    g_file_set_contents(inside, "x", 1, NULL);
    g_assert_cmpint(symlink(kept, link), ==, 0);
    g_assert_true(vwl_folder_remove(data, NULL));
    g_assert_false(g_file_test(data, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(inside, G_FILE_TEST_EXISTS));
    g_assert_true(vwl_folder_remove(data, NULL));
    g_strfreev(all);
    g_free(names);
    g_free(inside);
    g_free(kept);
    g_free(link);
    g_free(conf);
    g_free(data);
}

int main(int argc, char **argv)
{
    int status;

    scratch = g_dir_make_tmp("vwl-machine-XXXXXX", NULL);
    g_setenv("XDG_DATA_HOME", scratch, TRUE);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/machine/values", test_values);
    g_test_add_func("/machine/file", test_file);
    g_test_add_func("/machine/wrong-file", test_wrong_file);
    g_test_add_func("/machine/names", test_names);
    g_test_add_func("/machine/folders", test_folders);
    status = g_test_run();
    vwl_folder_remove(scratch, NULL);
    g_free(scratch);
    return status;
}
