/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the guest's kit, the package vhost-user-wl-guest: where it is, and
 * a small disk with it for a machine that exists already.
 */
#ifndef VWL_CLIENT_KIT_H
#define VWL_CLIENT_KIT_H

#include <glib.h>
#include <stdbool.h>

/* What to type in the machine, where the disk is. */
#define VWL_KIT_COMMAND \
    "sudo sh -c 'mount -r LABEL=vwl-kit /mnt && sh /mnt/install-kit'"

/* A file of this installation, or for tests of the source tree; g_free. */
char *vwl_share_file(const char *name);

/* The package; given: by --kit, or NULL. NULL with *error; g_free. */
char *vwl_kit_find(const char *given, GError **error);

/* Makes the disk, where vwl_host_find looks for it, or takes it away. */
bool vwl_kit_make_disk(const char *folder, const char *given, GError **error);
void vwl_kit_remove_disk(const char *folder);

#endif
