/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Wayland server that a guest's programs connect to: one host connection
 * for each of them, through a transport. Runs on the default GMainContext;
 * one thread. A client that misbehaves loses its own connection. The program
 * ignores SIGPIPE: clients' pipes are written to.
 */
#ifndef VWL_BRIDGE_BRIDGE_H
#define VWL_BRIDGE_BRIDGE_H

#include <glib.h>
#include <stdbool.h>

#include "limit.h"

struct vwl_transport;
struct vwl_bridge;

struct vwl_bridge_options {
    const char *program;      /* for messages */
    struct vwl_limits limits; /* complete */
    /* Of up to 1024 bytes, so that users can tell whose a window is; a
     * hostile guest can leave them out. May be NULL. */
    const char *title_prefix, *app_id_prefix;
    bool trace; /* every message, to stderr */
    /* Clients' pools that cannot shrink go to the host as they are, not
     * copied: its transport can import any file of memory. */
    bool share_pools;
    /* Buffers are given to the host in place after their first copy, however
     * small, for tests. */
    bool place_at_once;
    /* The transport is gone; nothing more will happen. */
    void (*gone)(void *opaque);
    void *opaque;
};

/* The transport stays the caller's and outlives the bridge. */
struct vwl_bridge *vwl_bridge_new(struct vwl_transport *transport,
                                  const struct vwl_bridge_options *options);

/* A listening socket; stays the caller's. name NULL: for Wayland. Else what
 * connects there is connected to the host's socket of this name, whatever is
 * spoken: bytes both ways, and pipes among descriptors. */
void vwl_bridge_listen(struct vwl_bridge *bridge, int fd, const char *name);

/* NULL is fine. */
void vwl_bridge_free(struct vwl_bridge *bridge);

#endif
