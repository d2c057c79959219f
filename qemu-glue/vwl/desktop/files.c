/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "files.h"

char *vwl_files_data(const char *folder, const char *name)
{
    return g_build_filename(g_get_user_data_dir(), folder, name, NULL);
}

static bool is_the_same(const char *path, const void *data, gsize len)
{
    g_autofree char *old = NULL;
    gsize n;

    return g_file_get_contents(path, &old, &n, NULL) && n == len &&
           memcmp(old, data, len) == 0;
}

bool vwl_files_write(const char *path, const void *data, gsize len,
                     GError **error)
{
    g_autofree char *folder = g_path_get_dirname(path);

    if (is_the_same(path, data, len)) {
        return true;
    }
    if (g_mkdir_with_parents(folder, 0755) < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                    "%s: %s", folder, g_strerror(errno));
        return false;
    }
    return g_file_set_contents_full(path, data, (gssize)len,
                                    G_FILE_SET_CONTENTS_CONSISTENT, 0644,
                                    error);
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

GPtrArray *vwl_files_list(const char *folder)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_ptr_array_add(names, g_strdup(name));
    }
    g_ptr_array_sort(names, by_name);
    return names;
}
