/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: load the device plugin, once in the process's life. Ownership: the
 * table is the plugin's; it stays loaded. Thread: the main one.
 */
#ifndef VWL_DAEMON_LOADER_H
#define VWL_DAEMON_LOADER_H

#include <glib.h>

#include "vhost-user-wl/plugin.h"

/* The plugin at path, of an ABI and a size that this daemon can use. NULL with
 * *error, which is for the user. */
const struct vwl_plugin *vwl_loader_load(const char *path, GError **error);

#endif
