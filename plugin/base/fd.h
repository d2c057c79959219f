/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors: -1 is the only "no descriptor"; 0 is one. An `int fd` argument
 * is borrowed, an `int *fd` is taken and reset to -1 on success.
 */
#ifndef VWL_BASE_FD_H
#define VWL_BASE_FD_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* Closes *fd, if there is one, and resets it; errno survives. close is never
 * retried: on Linux the number is free whatever it returns. */
static inline void vwl_fd_clear(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;

        close(*fd);
        *fd = -1;
        errno = saved;
    }
}

static inline void vwl_fds_clear(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vwl_fd_clear(&fds[i]);
    }
}

/* Moves a descriptor out of a variable. */
static inline int vwl_fd_steal(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

/* Descriptors that guests may not use up: what the front-end hands over at a
 * start, and the next front-end, need some. */
#define VWL_FD_RESERVE 48

/* Whether a new descriptor may be kept for a guest: 0, or -EMFILE when its
 * number is among the last VWL_FD_RESERVE below this process's limit. The
 * kernel gives the lowest free number, so that says how full the table is. */
int vwl_fd_admit(int fd);

/* A zeroed file of that size that nobody can shrink, grow or seal further:
 * a peer must not be able to take the guest's memory away. */
int vwl_sealed_memfd(const char *name, uint64_t size_bytes, int *fd);

/* Scope cleanup: `vwl_autofd int fd = -1;` */
#define vwl_autofd __attribute__((cleanup(vwl_fd_clear)))

#endif
