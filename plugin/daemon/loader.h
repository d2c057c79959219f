/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: load the device plugin, and the resource bridge's module if there is
 * to be one, once in the process's life. Ownership: the tables are the
 * modules'; they stay loaded. Thread: the main one.
 */
#ifndef VWL_DAEMON_LOADER_H
#define VWL_DAEMON_LOADER_H

#include <glib.h>

#include "resources.h"
#include "vhost-user-wl/plugin.h"

/* The plugin at path, of an ABI and a size that this daemon can use. NULL with
 * *error, which is for the user. */
const struct vwl_plugin *vwl_loader_load(const char *path, GError **error);

/* The module of the resource bridge at path, of this daemon's own version. NULL
 * with *error, which is for the user. */
const struct vwl_resources_calls *vwl_loader_load_resources(const char *path,
                                                            GError **error);

#endif
