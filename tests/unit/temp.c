/* SPDX-License-Identifier: BSD-3-Clause */
#include <ftw.h>
#include <glib/gstdio.h>

#include "desktop/files.h"
#include "temp.h"

static char *folder;

static void set(const char *name, const char *below)
{
    g_autofree char *path = g_build_filename(folder, below, NULL);

    g_setenv(name, path, TRUE);
}

void temp_begin(void)
{
    folder = g_dir_make_tmp("vwl-home.XXXXXX", NULL);
    g_assert_nonnull(folder);
    set("HOME", "home");
    set("XDG_DATA_HOME", "data");
    set("XDG_CONFIG_HOME", "config");
    set("XDG_CACHE_HOME", "cache");
    set("XDG_DATA_DIRS", "none");
    set("XDG_CONFIG_DIRS", "none");
    set("XDG_RUNTIME_DIR", "run");
}

static int remove_one(const char *path, const struct stat *st, int kind,
                      struct FTW *at)
{
    return g_remove(path);
}

void temp_end(void)
{
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    g_clear_pointer(&folder, g_free);
}

const char *temp_path(void)
{
    return folder;
}

GPtrArray *temp_expect_files(const char *name, unsigned int n)
{
    g_autofree char *path = vwl_files_data(name, NULL);
    GPtrArray *names = vwl_files_list(path);

    g_assert_cmpuint(names->len, ==, n);
    return names;
}
