/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Host peers that do as they are told: a listening Unix socket, and plain
 * calls on the connections that it accepts. Every descriptor is non-blocking
 * and CLOEXEC; nothing here waits (the rig has calls that do).
 */
#ifndef RIG_PEER_H
#define RIG_PEER_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define PEER_MAX_FDS 253 /* the kernel's limit for one message */

struct peer {
    char *path;
    int listener;
    GArray *fillers; /* of int: connections that fill the backlog */
};

/* Listens at path. */
void peer_init(struct peer *peer, const char *path, int backlog);
/* Stops listening and removes the socket. */
void peer_finish(struct peer *peer);

/* A connection, or -EAGAIN. */
int peer_accept(struct peer *peer);

/* Fills the accept queue, so that a further connect finds it full. */
void peer_fill_backlog(struct peer *peer);
/* Accepts and closes what filled it; others stay in the queue's order. */
void peer_drain_backlog(struct peer *peer);

/* One sendmsg: bytes sent, or -errno. */
ssize_t peer_send(int fd, const void *data, size_t len, const int *fds,
                  unsigned int n_fds);
/* One recvmsg: bytes, 0 at the end, -EAGAIN. *n_fds: room, then count (fds
 * may be NULL: they are closed and counted). */
ssize_t peer_recv(int fd, void *data, size_t cap, int *fds,
                  unsigned int *n_fds);
/* Sends until the socket's buffer is full; returns the bytes. */
size_t peer_fill(int fd);

#endif
