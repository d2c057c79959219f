/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small process beside the daemon that keeps what the sandbox takes from it:
 * it connects to the host sockets of the command line, named by their place in
 * the list alone, and removes the daemon's own listening socket at the end.
 * Paths are looked up anew each time, so a compositor may be restarted. It
 * never reads a byte that a guest or a compositor sent, allocates nothing,
 * and ends with the daemon.
 */
#ifndef VWL_DAEMON_CONNECTOR_H
#define VWL_DAEMON_CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "options.h"

struct vwl_connector {
    int fd; /* -1: there is none */
    pid_t pid;
};

/* Forks it; call while the process has one thread. options must stay.
 * confine, in the new process, takes away what it does not need. -errno. */
int vwl_connector_start(struct vwl_connector *connector,
                        const struct vwl_options *options,
                        void (*confine)(const struct vwl_options *options));

/* As vwl_host's socket_connect. */
int vwl_connector_connect(const struct vwl_connector *connector, size_t index,
                          int *fd);

/* Ends it, and waits for that. remove_socket: --socket-path goes first. */
void vwl_connector_stop(struct vwl_connector *connector, bool remove_socket);

#endif
