/* SPDX-License-Identifier: BSD-3-Clause */
#include "kit.h"

#include <gio/gio.h>
#include <glib/gstdio.h>

#include "fail.h"
#include "folders.h"
#include "host.h"

#define INSTALLER "install-kit"

char *vwl_share_file(const char *name)
{
    const char *folder = g_getenv("VWL_SHARE");

    return g_build_filename(folder ? folder : VWL_SHARE_DIR, name, NULL);
}

char *vwl_kit_find(const char *given, GError **error)
{
    char *folder, *path = NULL;
    const char *name;
    GDir *dir;

    if (given) {
        return g_canonicalize_filename(given, NULL);
    }
    folder = vwl_share_file("kit");
    dir = g_dir_open(folder, 0, NULL);
    while (dir && !path && (name = g_dir_read_name(dir))) {
        if (g_str_has_prefix(name, "vhost-user-wl-guest_") &&
            g_str_has_suffix(name, ".deb")) {
            path = g_build_filename(folder, name, NULL);
        }
    }
    if (!path) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "the guest's kit is not in %s; say where its package is: "
                 "--kit=FILE",
                 folder);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_free(folder);
    return path;
}

/* ---- the disk ----------------------------------------------------------- */

static char *disk_path(const char *folder)
{
    return g_build_filename(folder, VWL_KIT_DISK, NULL);
}

static bool copy_into(const char *folder, const char *path, GError **error)
{
    char *name = g_path_get_basename(path);
    char *to = g_build_filename(folder, name, NULL);
    GFile *from = g_file_new_for_path(path), *there = g_file_new_for_path(to);
    bool ok = g_file_copy(from, there, G_FILE_COPY_OVERWRITE, NULL, NULL, NULL,
                          error);

    g_object_unref(there);
    g_object_unref(from);
    g_free(to);
    g_free(name);
    return ok;
}

/* Administrators' programs are not on every user's path. */
static char *find_mke2fs(GError **error)
{
    char *path = g_find_program_in_path("mke2fs");

    if (!path && g_file_test("/usr/sbin/mke2fs", G_FILE_TEST_IS_EXECUTABLE)) {
        path = g_strdup("/usr/sbin/mke2fs");
    }
    if (!path) {
        vwl_fail(error, VWL_FAIL_NOT_FOUND,
                 "there is no mke2fs; run: sudo apt install e2fsprogs");
    }
    return path;
}

static bool pack(const char *tree, const char *disk, GError **error)
{
    char *mke2fs = find_mke2fs(error), *said = NULL;
    const char *argv[] = { mke2fs,    "-q", "-F", "-t", "ext2", "-L",
                           "vwl-kit", "-d", tree, disk, "32M",  NULL };
    int status = 1;
    bool ok = mke2fs && g_spawn_sync(NULL, (char **)argv, NULL,
                                     G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL,
                                     NULL, &said, &status, error);

    if (ok && !g_spawn_check_wait_status(status, NULL)) {
        ok = vwl_fail(error, VWL_FAIL_FAILED,
                      "the kit's disk cannot be made: %s; is there room in its "
                      "folder?",
                      g_strstrip(said));
    }
    g_free(said);
    g_free(mke2fs);
    return ok;
}

bool vwl_kit_make_disk(const char *folder, const char *given, GError **error)
{
    char *kit = vwl_kit_find(given, error), *disk = disk_path(folder);
    char *installer = vwl_share_file(INSTALLER);
    char *tree = kit ? g_dir_make_tmp("vwl-kit-XXXXXX", error) : NULL;
    bool ok = tree && copy_into(tree, kit, error) &&
              copy_into(tree, installer, error) &&
              vwl_folder_make(folder, error);

    if (ok) {
        g_chmod(tree, 0755); /* it is the root of what apt reads there */
        g_unlink(disk);
        ok = pack(tree, disk, error);
    }
    if (tree) {
        vwl_folder_remove(tree, NULL);
    }
    g_free(tree);
    g_free(installer);
    g_free(disk);
    g_free(kit);
    return ok;
}

void vwl_kit_remove_disk(const char *folder)
{
    char *disk = disk_path(folder);

    g_unlink(disk);
    g_free(disk);
}
