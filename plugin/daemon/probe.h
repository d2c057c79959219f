/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: --probe. Prints what the host's compositor offers, for which the
 * device must be served: by a front-end that never says anything. Ownership:
 * plugin and device are the caller's. Thread: the main one; its timer runs on
 * the default context.
 */
#ifndef VWL_DAEMON_PROBE_H
#define VWL_DAEMON_PROBE_H

#include <glib.h>
#include <stdbool.h>

#include "vhost-user-wl/plugin.h"

struct vwl_probe {
    const struct vwl_plugin *plugin;
    struct vwl_device *device;
    void (*done)(void *opaque, int status); /* the process's exit status */
    void *opaque;
    /* its own */
    int fd; /* the silent front-end's end */
    gint64 until_us;
};

/* *fd becomes the device's end of a socket, which the caller serves. done is
 * called once, from the default context. False with *error. */
bool vwl_probe_start(struct vwl_probe *probe, int *fd, GError **error);

#endif
