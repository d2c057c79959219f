/* SPDX-License-Identifier: BSD-3-Clause */
/* What the programs around the bridge have in common: their options, the
 * socket they listen at, the time they run. */
#ifndef VWL_BRIDGE_SERVE_H
#define VWL_BRIDGE_SERVE_H

#include <glib.h>
#include <stdbool.h>

#include "limit.h"
#include "listen.h"

struct vwl_transport;

struct vwl_serve {
    const char *program; /* for messages */
    char *listen;        /* default: wayland-0 in XDG_RUNTIME_DIR */
    char *title_prefix, *app_id_prefix;
    char **sockets; /* NAME:PATH, of other sockets than Wayland's */
    struct vwl_limits limits;
    gboolean trace;
    gboolean share_pools;      /* as of struct vwl_bridge_options */
    struct vwl_listen wayland; /* the program's to set to VWL_LISTEN_NONE */
    /* private */
    GMainLoop *loop;
    guint term, interrupt;
    GArray *named; /* of struct vwl_listen, as sockets says */
    bool gone;
};

/* As many descriptors as the process may have. Before anything that looks at
 * how many that are. */
void vwl_serve_raise_limit(void);

/* The strings that they fill are freed by vwl_serve_finish. */
void vwl_serve_add_options(struct vwl_serve *serve, GOptionContext *context);

/* Takes the one socket that a service manager has opened, if it has; else
 * makes one at `listen`, in the place of one that nobody serves. Once anybody
 * can see it, a signal that asks for the end has it removed. */
bool vwl_serve_open(struct vwl_serve *serve, GError **error);

/* Until a signal asks for the end (true) or the transport is gone. */
bool vwl_serve_run(struct vwl_serve *serve, struct vwl_transport *transport);

/* Removes the sockets, unless they are somebody else's by now. */
void vwl_serve_finish(struct vwl_serve *serve);

#endif
