/* SPDX-License-Identifier: BSD-3-Clause */
/* Small files in the user's folders. */
#ifndef VWL_DESKTOP_FILES_H
#define VWL_DESKTOP_FILES_H

#include <glib.h>
#include <stdbool.h>

/* $XDG_DATA_HOME/folder/name; name may be NULL. */
char *vwl_files_data(const char *folder, const char *name);
/* Replaces it as a whole, and makes its folder; not if it is as it should
 * be. */
bool vwl_files_write(const char *path, const void *data, gsize len,
                     GError **error);
/* Names in a folder, which need not exist; sorted. */
GPtrArray *vwl_files_list(const char *folder);

#endif
