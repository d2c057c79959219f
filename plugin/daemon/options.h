/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the daemon's command line, one table of rows, checked before
 * anything is opened. Ownership: the struct owns all that it points at.
 * Thread: the main one, before there are others.
 */
#ifndef VWL_DAEMON_OPTIONS_H
#define VWL_DAEMON_OPTIONS_H

#include <glib.h>
#include <stdbool.h>

#include "listener.h"
#include "secctx/secctx.h"
#include "socket_list.h"
#include "vhost-user-wl/plugin.h"

enum vwl_sandbox_mode {
    VWL_SANDBOX_ON,
    VWL_SANDBOX_OFF,
    VWL_SANDBOX_REQUIRE,
};

struct vwl_options {
    char *socket_path;                 /* NULL with fd */
    int fd;                            /* -1 with socket_path */
    char *group;                       /* name or number; NULL: the daemon\'s */
    struct vwl_listener_access access; /* of socket_path */
    char *control;        /* path of the controller's socket; NULL: none */
    char *plugin;         /* path of the plugin; NULL: the default one */
    char *dmabufs;        /* of config */
    char *resources;      /* path of the resource bridge; NULL: none */
    unsigned int sandbox; /* enum vwl_sandbox_mode */
    char *name;           /* of the VM; NULL: it has none */
    struct vwl_secctx_names context_names;
    char *context_folder; /* of the socket that a context is made with */
    bool exit_on_disconnect;
    bool verbose;
    bool mem_slots;
    bool guest_pages;
    bool print_capabilities;
    bool print_version;
    bool probe; /* print what the compositor offers, serve nobody */
    struct vwl_config config;
    struct vwl_socket_list sockets;            /* config points into it */
    char *allow, *deny;                        /* of policy */
    struct vwl_socket_policy policy;           /* of Wayland */
    const struct vwl_socket_policy **policies; /* of each socket */
};

/* Fills *out, which needs vwl_options_finish in any case. False with *error,
 * which is for the user. --help prints and ends the process. */
bool vwl_options_parse(int argc, char **argv, struct vwl_options *out,
                       GError **error);
void vwl_options_finish(struct vwl_options *options);

/* Guests are connected to that socket within a security context. */
bool vwl_options_wants_context(const struct vwl_options *options, size_t index);

#endif
