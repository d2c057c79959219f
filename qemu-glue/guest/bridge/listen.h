/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A socket that programs connect to. One for Wayland comes with libwayland's
 * lock beside it (PATH.lock), so that compositors that look for a free name
 * leave it alone. Nothing is removed but the very files that were made here.
 */
#ifndef VWL_BRIDGE_LISTEN_H
#define VWL_BRIDGE_LISTEN_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct vwl_listen {
    int fd; /* that is listened at; -1: none */
    /* private */
    char *path; /* of the socket; NULL: it is somebody else's */
    dev_t dev;
    ino_t ino;
    struct timespec mtime; /* numbers of files are used again */
    int lock;              /* -1: none */
    char *lock_path;
};

#define VWL_LISTEN_NONE      \
    {                        \
        .fd = -1, .lock = -1 \
    }

/* Listens at path, in the place of a socket that nobody serves; of anything
 * else that is there, it is an error, G_FILE_ERROR_EXIST if another process
 * listens there. Waits for nobody. */
bool vwl_listen_open(struct vwl_listen *listen, const char *path, bool wayland,
                     GError **error);

/* A socket for Wayland that is listened at already, of a service manager's.
 * false: somebody else holds its lock, and may have taken its place; it can be
 * served nevertheless. */
bool vwl_listen_adopt(struct vwl_listen *listen, int fd);

void vwl_listen_close(struct vwl_listen *listen);

#endif
