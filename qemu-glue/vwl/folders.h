/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: where things of a machine are, by XDG's rules, and which names
 * machines may have.
 *
 *     data     ~/.local/share/vwl/NAME/      machine.conf, disk, kernel
 *     state    ~/.local/state/vwl/NAME/      logs
 *     runtime  $XDG_RUNTIME_DIR/vwl/NAME/    sockets, pid files
 *
 * All are the caller's to free. None is made here but by vwl_folder_make.
 */
#ifndef VWL_FOLDERS_H
#define VWL_FOLDERS_H

#include <glib.h>
#include <stdbool.h>

#define VWL_NAME_MOST 31

/* [a-z][a-z0-9-]{0,30}. False with *error. */
bool vwl_name_check(const char *name, GError **error);

/* The nearest name to the text of a file's name: "Debian 12.qcow2" is
 * "debian-12". */
char *vwl_name_of_file(const char *path);

/* name NULL: the folder that holds all of them. */
char *vwl_folder_data(const char *name);
char *vwl_folder_state(const char *name);
char *vwl_folder_runtime(const char *name);

/* Makes the folder, and those above it, for this user alone. */
bool vwl_folder_make(const char *folder, GError **error);

/* Removes a folder and all that is in it; links are not followed. */
bool vwl_folder_remove(const char *folder, GError **error);

/* The names of all machines, sorted; free with g_strfreev. */
char **vwl_folder_names(void);

/* Whether there is a machine of that name. */
bool vwl_folder_has(const char *name);

#endif
