/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A descriptor that a loop may wait for. The kernel's set of such descriptors
 * (epoll) does not notice a close: as long as anybody else has a duplicate, it
 * reports the file for ever, and a number that is used again is not waited for
 * though it looks so. So nobody but these functions closes one, and they tell
 * whoever watches it first.
 */
#ifndef VWL_BASE_WATCHED_H
#define VWL_BASE_WATCHED_H

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/* Stays where it is while it is watched. */
struct vwl_watched {
    int fd;                       /* -1: none; to be read only */
    void (*forget)(void *opaque); /* NULL: nobody watches it */
    void *opaque;
};

static inline void vwl_watched_init(struct vwl_watched *watched)
{
    *watched = (struct vwl_watched){ .fd = -1 };
}

/* Gives it to the caller, -1 if there is none. */
static inline int vwl_watched_steal(struct vwl_watched *watched)
{
    int fd = watched->fd;

    if (watched->forget) {
        watched->forget(watched->opaque);
    }
    vwl_watched_init(watched);
    return fd;
}

/* Closes it, if there is one; errno survives. */
static inline void vwl_watched_clear(struct vwl_watched *watched)
{
    int saved = errno, fd = vwl_watched_steal(watched);

    if (fd >= 0) {
        close(fd);
    }
    errno = saved;
}

/* Takes fd, -1 for none, in the place of what was there, which is closed. */
static inline void vwl_watched_set(struct vwl_watched *watched, int fd)
{
    vwl_watched_clear(watched);
    watched->fd = fd;
}

#endif
