/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the daemon waits: the device does it, for itself and for all that is on
 * the default context, so that GLib has nothing to do as long as only the
 * guest wants something. Purpose: a command costs two system calls less, and
 * half of the instructions. One device in a process; the main thread.
 */
#ifndef VHOST_USER_WL_DAEMON_WAIT_H
#define VHOST_USER_WL_DAEMON_WAIT_H

#include "vhost-user-wl/plugin.h"

/* As device_start on the default context, whose sources go on to run. Takes
 * *fd. */
int vwl_wait_start(const struct vwl_plugin *plugin, struct vwl_device *device,
                   int *fd);

/* In a callback of the device that may change sources of the default context:
 * GLib has a turn after it, which it does not take for what its own thread
 * does. */
void vwl_wait_note(void);

#endif
