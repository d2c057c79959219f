/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests in flight: those that wait for a peer, in order for each VFD. They
 * may not fill the out queue for long, since a driver gives up after a second.
 * A quarter of what may wait is each VFD's share; above it a VFD is greedy and
 * uses what others leave, but goes when they need it. When all are within
 * their shares and too many together, the one that has waited for longest
 * goes. Who goes is said here; vfd.c and crowd.c hang it up.
 */
#ifndef VWL_WL_OUTBOX_WAIT_H
#define VWL_WL_OUTBOX_WAIT_H

#include <stdbool.h>

struct vwl_core;
struct vwl_request;
struct vwl_vfd;

/* Whether one more may wait at all. 0; -EAGAIN: when *victim is hung up it may;
 * -EBUSY: only vfd itself could make room. */
int vwl_wait_check_room(struct vwl_core *core, const struct vwl_vfd *vfd,
                        struct vwl_vfd **victim);
/* Something of what waits went to its peer. */
void vwl_wait_moved(struct vwl_vfd *vfd);
/* A greedy VFD that stands still while others need its room; NULL. */
struct vwl_vfd *vwl_wait_find_intruder(struct vwl_core *core);
/* Whether greedy VFDs leave the driver less than a quarter of its queue: then
 * somebody may be one soon. */
bool vwl_wait_fills_ring(struct vwl_core *core);

/* Appends it. What it waits on (a parcel, or NULL) goes with it. */
void vwl_wait_push(struct vwl_vfd *vfd, struct vwl_request *request);
/* Completes the first one: 0, or why it failed. */
void vwl_wait_complete(struct vwl_vfd *vfd, int err);
/* They wait no more, and go behind those in core->released. */
void vwl_wait_release(struct vwl_vfd *vfd);
/* Completes all of them so. */
void vwl_wait_fail(struct vwl_vfd *vfd, int err);
/* Takes them off without an answer. */
void vwl_wait_drop(struct vwl_vfd *vfd);

#endif
