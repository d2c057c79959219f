/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's command line, checked before anything is opened. */
#ifndef VWL_DAEMON_OPTIONS_H
#define VWL_DAEMON_OPTIONS_H

#include <glib.h>
#include <stdbool.h>

#include "vhost-user-wl/plugin.h"

struct options {
    char *socket_path; /* NULL with fd */
    int fd;            /* -1 with socket_path */
    char *plugin;      /* path of the plugin */
    char *dmabufs;     /* of config */
    char *resources;   /* path of the resource bridge; NULL: none */
    bool exit_on_disconnect;
    bool verbose;
    bool sandbox;
    bool print_capabilities;
    bool print_version;
    bool probe; /* print what the compositor offers, serve nobody */
    struct vwl_config config;
    GArray *sockets;    /* struct vwl_socket, config points at it */
    GPtrArray *strings; /* what they point at */
};

/* False with *error, which is for the user. */
bool options_parse(int argc, char **argv, struct options *out, GError **error);
void options_finish(struct options *options);

#endif
