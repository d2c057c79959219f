/* SPDX-License-Identifier: BSD-3-Clause */
#include "saved.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fail.h"
#include "folders.h"

#define GROUP "saved"
#define FULL_MIB 16 /* that little room is none */

static char *file_of(const char *name, const char *file)
{
    char *folder = vwl_folder_data(name);
    char *path = g_build_filename(folder, file, NULL);

    g_free(folder);
    return path;
}

char *vwl_saved_path(const char *name, bool to_be)
{
    return file_of(name, to_be ? "saved.new" : "saved");
}

bool vwl_saved_is_there(const char *name)
{
    char *path = vwl_saved_path(name, false);
    bool is = g_file_test(path, G_FILE_TEST_EXISTS);

    g_free(path);
    return is;
}

bool vwl_saved_keep(const char *name, const char *version, char *const *line,
                    GError **error)
{
    char *conf = file_of(name, "saved.conf");
    char *from = vwl_saved_path(name, true), *to = vwl_saved_path(name, false);
    GKeyFile *file = g_key_file_new();
    bool ok;

    g_key_file_set_string(file, GROUP, "version", version);
    g_key_file_set_string_list(file, GROUP, "line", (const char *const *)line,
                               g_strv_length((char **)line));
    ok = g_key_file_save_to_file(file, conf, error);
    if (ok && g_rename(from, to) != 0) {
        ok = vwl_fail(error, VWL_FAIL_FAILED, "%s: %s; look whose it is", to,
                      g_strerror(errno));
    }
    g_key_file_free(file);
    g_free(to);
    g_free(from);
    g_free(conf);
    return ok;
}

static bool is_full(const char *path)
{
    struct statvfs fs;

    return statvfs(path, &fs) == 0 &&
           (guint64)fs.f_bavail * fs.f_frsize >> 20 < FULL_MIB;
}

void vwl_saved_give_up(const char *name, const char *why, GError **error)
{
    char *path = vwl_saved_path(name, true);
    char *folder = g_path_get_dirname(path);

    if (is_full(path)) {
        vwl_fail(error, VWL_FAIL_FAILED,
                 "%s is not saved and runs on: there is no room in %s; make "
                 "some, or run: vwl stop %s",
                 name, folder, name);
    } else {
        vwl_fail(error, VWL_FAIL_FAILED,
                 "%s is not saved and runs on: %s; run: vwl stop %s", name, why,
                 name);
    }
    unlink(path);
    g_free(folder);
    g_free(path);
}

/* The glue is made anew for the same QEMU when this package is upgraded. */
static bool is_same_line(char *const *a, char *const *b)
{
    for (; *a && *b; a++, b++) {
        if (strcmp(*a, *b) != 0) {
            return false;
        }
        if (strcmp(*a, "-plugin") == 0 && a[1] && b[1]) {
            a++;
            b++;
        }
    }
    return !*a && !*b;
}

bool vwl_saved_fits(const char *name, const char *version, char *const *line,
                    GError **error)
{
    char *conf = file_of(name, "saved.conf");
    GKeyFile *file = g_key_file_new();
    char *old_version, **old_line;
    bool ok = false;

    g_key_file_load_from_file(file, conf, G_KEY_FILE_NONE, NULL);
    old_version = g_key_file_get_string(file, GROUP, "version", NULL);
    old_line = g_key_file_get_string_list(file, GROUP, "line", NULL, NULL);
    if (!old_version || !old_line) {
        vwl_fail(error, VWL_FAIL_REFUSED,
                 "%s cannot be read, which says how %s was saved; run: vwl run "
                 "--discard-saved %s, which starts it anew",
                 conf, name, name);
    } else if (strcmp(old_version, version) != 0) {
        vwl_fail(error, VWL_FAIL_REFUSED,
                 "%s was saved by QEMU %s, and this is %s; run: vwl run "
                 "--discard-saved %s, which starts it anew",
                 name, old_version, version, name);
    } else if (!is_same_line(old_line, line)) {
        vwl_fail(error, VWL_FAIL_REFUSED,
                 "%s was saved with other settings than it has now; give it "
                 "those, or run: vwl run --discard-saved %s, which starts it "
                 "anew",
                 name, name);
    } else {
        ok = true;
    }
    g_strfreev(old_line);
    g_free(old_version);
    g_key_file_free(file);
    g_free(conf);
    return ok;
}

bool vwl_saved_remove(const char *name, GError **error)
{
    char *path = vwl_saved_path(name, false);
    char *conf = file_of(name, "saved.conf");
    bool ok = unlink(path) == 0 || errno == ENOENT ||
              vwl_fail(error, VWL_FAIL_FAILED,
                       "%s cannot be removed: %s; look whose it is", path,
                       g_strerror(errno));

    if (ok) {
        unlink(conf);
    }
    g_free(conf);
    g_free(path);
    return ok;
}
