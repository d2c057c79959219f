/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: Landlock: no file may be opened, made, changed or removed by path,
 * no TCP port be used, no abstract socket be reached and no other process be
 * sent a signal, as far as the running kernel knows how. What is open stays
 * open. Ownership: none. Thread: the calling one and those it makes.
 */
#ifndef VWL_DAEMON_LANDLOCK_H
#define VWL_DAEMON_LANDLOCK_H

#define VWL_LANDLOCK_ALL_ABI 6 /* from here on, all of the above is refused */

/* may_remove_in: files may be removed from this folder; may_bind_in: sockets
 * made in it, and removed. NULL: from none. The kernel's ABI, or -errno. */
int vwl_landlock_enter(const char *may_remove_in, const char *may_bind_in);

#endif
