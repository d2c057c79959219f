/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the service on the bus as the window sees it: connected, with its
 * machines, or not, and why. While it is connected the service stays; when it
 * ends all the same, it is called again.
 *
 * Thread: the main one.
 */
#ifndef VWL_WINDOW_SERVICE_H
#define VWL_WINDOW_SERVICE_H

#include "vwl-bus.h"

struct vwl_watch;

struct vwl_watch_ops {
    void (*added)(void *data, VwlBusMachine *machine);
    void (*removed)(void *data, VwlBusMachine *machine);
    /* All that there are were added. */
    void (*connected)(void *data);
    /* Nothing more comes, until vwl_watch_connect. */
    void (*failed)(void *data, const GError *error);
};

struct vwl_watch *vwl_watch_create(const struct vwl_watch_ops *ops, void *data);
void vwl_watch_destroy(struct vwl_watch *watch);

/* Has one of the ops called, later. */
void vwl_watch_connect(struct vwl_watch *watch);

#endif
