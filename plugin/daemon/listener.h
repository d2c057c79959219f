/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's listening socket: for its own user only, never taken over from
 * a live daemon, and accepting even when descriptors have run out.
 */
#ifndef VWL_DAEMON_LISTENER_H
#define VWL_DAEMON_LISTENER_H

#include <glib.h>
#include <stdbool.h>

struct vwl_listener {
    int fd;
    int reserve; /* given up to accept one connection at EMFILE */
    char *path;  /* to unlink at the end; NULL: not ours */
};

/* Binds and listens, mode 0600. A socket file that nobody listens on is
 * replaced; anything else at that path is an error. */
bool vwl_listener_open(struct vwl_listener *listener, const char *path,
                       GError **error);
/* Listens on an inherited descriptor. */
bool vwl_listener_adopt(struct vwl_listener *listener, int fd, GError **error);
void vwl_listener_close(struct vwl_listener *listener);

/* A connection (non-blocking, close-on-exec); -EAGAIN: none now; other
 * -errno: try again after a pause. */
int vwl_listener_accept(struct vwl_listener *listener);

#endif
