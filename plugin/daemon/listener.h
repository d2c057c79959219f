/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the daemon's listening socket: for its own user alone unless others
 * are named, never taken over from a live daemon, and accepting even when
 * descriptors have run out. Ownership: the listener owns its descriptors and
 * its path. Thread: the main one.
 */
#ifndef VWL_DAEMON_LISTENER_H
#define VWL_DAEMON_LISTENER_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

/* Which file a socket is: numbers alone are used again. */
struct vwl_bound {
    dev_t dev;
    ino_t ino;
    struct timespec mtime;
};

struct vwl_listener {
    int fd;
    int reserve;            /* given up to accept one connection at EMFILE */
    char *path;             /* to unlink at the end; NULL: not ours */
    struct vwl_bound bound; /* what is there, if path */
};

/* Who may connect, besides the superuser. */
struct vwl_listener_access {
    mode_t mode;
    gid_t group; /* (gid_t)-1: the daemon's */
};

/* Binds and listens. A socket file that nobody listens on is replaced; anything
 * else at that path is an error. Nobody can connect before the file has its
 * group and mode. False with *error. */
bool vwl_listener_open(struct vwl_listener *listener, const char *path,
                       const struct vwl_listener_access *access,
                       GError **error);
/* Listens on an inherited descriptor. False with *error. */
bool vwl_listener_adopt(struct vwl_listener *listener, int fd, GError **error);
/* Unlinks the path as vwl_bound_unlink does. */
void vwl_listener_close(struct vwl_listener *listener);

/* Unlinks path, unless something else is there than what was bound. */
void vwl_bound_unlink(const struct vwl_bound *bound, const char *path);

/* A connection (non-blocking, close-on-exec); -EAGAIN: none now; other
 * -errno: try again after this pause. */
#define VWL_LISTENER_PAUSE_MS 100
int vwl_listener_accept(struct vwl_listener *listener);

#endif
