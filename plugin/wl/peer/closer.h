/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Closing what strangers sent. For most descriptors close is instant, but for
 * some it waits for a stranger: a file of a FUSE server that does not answer
 * FLUSH, a terminal that drains, a lingering TCP socket. Those are closed by a
 * thread that lives only while there is something to close; everything else
 * at once. A thread that never comes back is left to itself.
 *
 * Device thread; the closer's own thread touches nothing but its queue.
 */
#ifndef VWL_WL_PEER_CLOSER_H
#define VWL_WL_PEER_CLOSER_H

struct vwl_closer;

struct vwl_closer *vwl_closer_create(void);
/* Gives the thread a moment to finish, and no more. NULL is fine. */
void vwl_closer_destroy(struct vwl_closer *closer);

/* Takes *fd, a descriptor that a host peer sent. */
void vwl_closer_close(struct vwl_closer *closer, int *fd);
void vwl_closer_close_all(struct vwl_closer *closer, int *fds, unsigned int n);

#endif
