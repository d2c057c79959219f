/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Closing what strangers sent. For most descriptors close is instant, but for
 * some it waits for a stranger: a file of a FUSE server that does not answer
 * FLUSH, a terminal that drains, a TCP socket that lingers, or a Unix socket
 * with one of these in its queue. Threads close those, in the order in which
 * they came, several at once; everything else is closed on the spot. They live
 * only while there is something to close. One that never comes back is left to
 * itself.
 *
 * Device thread; the closer's own threads touch nothing but its queue.
 */
#ifndef VWL_BASE_CLOSER_H
#define VWL_BASE_CLOSER_H

/* As many slow ones can be closed at once. */
#define VWL_CLOSER_HANDS 8u
/* With as many waiting for that no more should be taken from anybody. */
#define VWL_CLOSER_FULL 128u

struct vwl_closer;

struct vwl_closer *vwl_closer_create(void);
/* Gives the threads a moment to finish, and no more. NULL is fine. */
void vwl_closer_destroy(struct vwl_closer *closer);

/* Takes *fd, a descriptor that a host peer sent, or one that may have such
 * descriptors in its queue. */
void vwl_closer_close(struct vwl_closer *closer, int *fd);
/* The same for a connected Unix stream socket, which ends for all that hold it:
 * with nothing in its queue then, nothing comes any more. */
void vwl_closer_close_shut(struct vwl_closer *closer, int *fd);
void vwl_closer_close_all(struct vwl_closer *closer, int *fds, unsigned int n);
/* Calls work(data) on one of its threads, in its turn: for a library that
 * closes such descriptors itself. */
void vwl_closer_call(struct vwl_closer *closer, void (*work)(void *data),
                     void *data);

/* How many wait for a thread; takes no lock, since each new VFD asks. */
unsigned int vwl_closer_waiting(struct vwl_closer *closer);

#endif
