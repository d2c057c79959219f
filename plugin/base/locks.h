/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which files are locked on this host. A lock of flock belongs to an open file
 * and ends with the last descriptor and mapping of it, in whatever process that
 * is. So whoever locks a file, passes it on and closes it can see whether it
 * is still held.
 */
#ifndef VWL_BASE_LOCKS_H
#define VWL_BASE_LOCKS_H

#include <stdint.h>
#include <sys/types.h>

struct vwl_locks;

/* NULL: this host does not tell. Opened once, before a sandbox is entered. */
struct vwl_locks *vwl_locks_open(void);
void vwl_locks_close(struct vwl_locks *locks); /* NULL is fine */

/* Calls for each file that is locked, for some maybe twice. Locks that come or
 * go meanwhile may hide others: look more than once. -errno: it cannot be
 * read. */
int vwl_locks_visit(struct vwl_locks *locks,
                    void (*visit)(void *opaque, dev_t dev, uint64_t ino),
                    void *opaque);

#endif
