/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: Landlock: no file may be opened, made, changed or removed by path,
 * no TCP port be used, no abstract socket be reached and no other process be
 * sent a signal, as far as the running kernel knows how. What is open stays
 * open. From VWL_LANDLOCK_SOCKETS_ABI on (Linux 7.1) it also holds for sockets
 * that are files. Ownership: none. Thread: the calling one and those it makes.
 */
#ifndef VWL_DAEMON_LANDLOCK_H
#define VWL_DAEMON_LANDLOCK_H

#include <stddef.h>

#define VWL_LANDLOCK_ALL_ABI 6 /* from here on, all of the above is refused */

#define VWL_LANDLOCK_SOCKETS_ABI 9

struct vwl_landlock_wishes {
    const char *may_remove_in; /* folder from which files may be removed */
    const char *may_bind_in;   /* where sockets may be made, too */
    /* Sockets that may be connected to: the very files that are there now.
     * NULL: every socket may, as before that ABI. */
    const char *const *sockets;
    size_t n_sockets;
};

/* The kernel's ABI, or -errno. */
int vwl_landlock_enter(const struct vwl_landlock_wishes *wishes);

#endif
