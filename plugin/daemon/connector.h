/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: a small process beside the daemon that keeps what the sandbox takes
 * from it. It connects to the host sockets of the command line, named by their
 * place in the list alone (to compositors within a security context), and
 * removes the daemon's own listening socket when the daemon ends, in whatever
 * way. Paths are looked up anew each time, so a compositor may be restarted.
 * It never reads a byte that a guest or a compositor sent (but for the answers
 * by which a security context is made), allocates nothing once it is confined,
 * and ends with the daemon.
 *
 * Ownership: the options are the caller's and stay. Thread: the main one.
 */
#ifndef VWL_DAEMON_CONNECTOR_H
#define VWL_DAEMON_CONNECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "listener.h"
#include "options.h"
#include "sandbox.h"

struct vwl_connector {
    int fd; /* -1: there is none */
    pid_t pid;
    uint64_t not_for; /* mask of sockets: the daemon connects there itself */
};

/* Takes away from the new process what it does not need. */
typedef void (*vwl_connector_confine_fn)(const struct vwl_options *options,
                                         struct vwl_sandbox_report *report);

/* Forks it, and waits until it is confined; call while the process has one
 * thread. 0 with *report, or -errno. */
int vwl_connector_start(struct vwl_connector *connector,
                        const struct vwl_options *options,
                        vwl_connector_confine_fn confine,
                        struct vwl_sandbox_report *report);

/* The daemon's socket of --socket-path is bound: it goes at the end, unless
 * another is at that path then. */
void vwl_connector_note_socket(const struct vwl_connector *connector,
                               const struct vwl_bound *bound);

/* Logs what the connector has told of security contexts; call when `fd` is
 * readable. False: the connector is gone. */
bool vwl_connector_log(const struct vwl_connector *connector,
                       const struct vwl_options *options);

/* As vwl_host's socket_connect. */
int vwl_connector_connect(const struct vwl_connector *connector, size_t index,
                          int *fd);

/* As vwl_host's socket_connect_again. */
int vwl_connector_connect_again(size_t index, int fd);

/* As vwl_host's socket_open, for those that are not for the connector. Where
 * one was made anew since the daemon started, the kernel refuses it. */
int vwl_connector_open(const struct vwl_connector *connector,
                       const struct vwl_options *options, size_t index,
                       int *fd);

/* Ends it, and waits for that. */
void vwl_connector_stop(struct vwl_connector *connector);

#endif
