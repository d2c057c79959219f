/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a bridge, or each program on it, may have at most. All are options
 * (--max-NAME) with defaults that ordinary work does not reach; docs/guest.md
 * lists them. Running out of what one paste needs ends that paste; running out
 * of what a window needs ends the program that asked. The first time that a
 * limit is reached, a line says so.
 */
#ifndef VWL_BRIDGE_LIMIT_H
#define VWL_BRIDGE_LIMIT_H

#include <glib.h>
#include <stdbool.h>

struct vwl_bridge;
struct vwl_client;

enum vwl_limit {
    VWL_LIMIT_CLIENTS, /* of the bridge; the rest is of each program */
    VWL_LIMIT_PIPES,   /* clipboard and drag data under way */
    VWL_LIMIT_POOLS,
    VWL_LIMIT_MEMORY, /* of the host's, MiB */
    VWL_LIMIT_OBJECTS,
    VWL_LIMIT_PLANES,      /* dma-bufs of buffers that are not made yet */
    VWL_LIMIT_DESCRIPTORS, /* received before their messages */
    VWL_LIMITS,
    /* Without an option: the system's, for all programs together. */
    VWL_LIMIT_PROCESS = VWL_LIMITS,
    VWL_LIMITS_SAID,
};

/* By enum vwl_limit; 0: the default. */
struct vwl_limits {
    int max[VWL_LIMITS];
};

void vwl_limits_add_options(struct vwl_limits *limits, GOptionContext *context);
/* Puts the defaults where there is 0. NULL, or what is wrong. */
const char *vwl_limits_complete(struct vwl_limits *limits);

/* Says once that it was reached; client may be NULL. */
void vwl_limit_reached(struct vwl_bridge *bridge,
                       const struct vwl_client *client, enum vwl_limit limit);

/* How much a client may have. */
unsigned int vwl_limit_of(const struct vwl_client *client,
                          enum vwl_limit limit);

/* Notes how many descriptors the process may have. A part of them is kept for
 * programs that hold few: see vwl_limit_may_hold. */
void vwl_limit_look_at_process(struct vwl_bridge *bridge);
/* Whether the process is far enough from its own limit to serve one more
 * program. any is a descriptor of it. */
bool vwl_limit_has_room(struct vwl_bridge *bridge, int any);
/* Whether a client may keep this descriptor, the newest of the process: always,
 * but when they run out and it holds more than its share of them. */
bool vwl_limit_may_hold(struct vwl_client *client, int fd);

#endif
