/* SPDX-License-Identifier: BSD-3-Clause */
#include "folders.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "fail.h"

static bool is_name(const char *name)
{
    size_t length = strlen(name);

    if (length > VWL_NAME_MOST || !g_ascii_islower(name[0])) {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

bool vwl_name_check(const char *name, GError **error)
{
    if (is_name(name)) {
        return true;
    }
    return vwl_fail(error, VWL_FAIL_USAGE,
                    "'%s' cannot be a machine's name; take a small letter, "
                    "then up to %d small letters, digits and hyphens",
                    name, VWL_NAME_MOST - 1);
}

char *vwl_name_of_file(const char *path)
{
    char *base = g_path_get_basename(path), *dot = strrchr(base, '.');
    GString *name = g_string_new(NULL);

    if (dot && dot != base) {
        *dot = '\0';
    }
    for (const char *c = base; *c && name->len < VWL_NAME_MOST; c++) {
        char small = g_ascii_isalnum(*c) ? g_ascii_tolower(*c) : '-';
        char last = name->len > 0 ? name->str[name->len - 1] : '-';

        if (small != '-' || last != '-') {
            g_string_append_c(name, small);
        }
    }
    while (name->len > 0 && name->str[name->len - 1] == '-') {
        g_string_truncate(name, name->len - 1);
    }
    if (!g_ascii_islower(name->str[0])) {
        g_string_prepend(name, "vm-");
        g_string_truncate(name, MIN(name->len, VWL_NAME_MOST));
    }
    g_free(base);
    return g_string_free(name, FALSE);
}

char *vwl_folder_data(const char *name)
{
    return g_build_filename(g_get_user_data_dir(), "vwl", name, NULL);
}

char *vwl_folder_state(const char *name)
{
    return g_build_filename(g_get_user_state_dir(), "vwl", name, NULL);
}

char *vwl_folder_runtime(const char *name)
{
    return g_build_filename(g_get_user_runtime_dir(), "vwl", name, NULL);
}

bool vwl_folder_make(const char *folder, GError **error)
{
    if (g_mkdir_with_parents(folder, 0700) == 0) {
        return true;
    }
    return vwl_fail(error, VWL_FAIL_FAILED,
                    "%s cannot be made: %s; make room, or look whose the "
                    "folder above is",
                    folder, g_strerror(errno));
}

bool vwl_folder_remove(const char *folder, GError **error)
{
    GDir *dir = g_file_test(folder, G_FILE_TEST_IS_SYMLINK)
                    ? NULL
                    : g_dir_open(folder, 0, NULL);
    const char *name;
    bool ok = true;

    while (ok && dir && (name = g_dir_read_name(dir))) {
        char *path = g_build_filename(folder, name, NULL);

        ok = vwl_folder_remove(path, error);
        g_free(path);
    }
    if (dir) {
        g_dir_close(dir);
    }
    if (ok && g_remove(folder) != 0 && errno != ENOENT) {
        ok = vwl_fail(error, VWL_FAIL_FAILED,
                      "%s cannot be removed: %s; remove it by hand", folder,
                      g_strerror(errno));
    }
    return ok;
}

bool vwl_folder_has(const char *name)
{
    char *folder = vwl_folder_data(name);
    char *path = g_build_filename(folder, "machine.conf", NULL);
    bool has = is_name(name) && g_file_test(path, G_FILE_TEST_IS_REGULAR);

    g_free(path);
    g_free(folder);
    return has;
}

static int compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char **vwl_folder_names(void)
{
    GPtrArray *names = g_ptr_array_new();
    char *folder = vwl_folder_data(NULL);
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (vwl_folder_has(name)) {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_free(folder);
    g_ptr_array_sort(names, compare);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}
