/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests in flight: those that wait for a peer, in order for each VFD. They
 * may never fill the out queue, since a driver gives up after a second: a VFD
 * has a share of it, and when they are too many together, the one that has
 * waited for longest must go. Who goes is said here; vfd.c hangs it up.
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
/* Whether one more may wait for this VFD. */
bool vwl_wait_has_share(const struct vwl_vfd *vfd);

/* Appends it. What it waits on (a parcel, or NULL) goes with it. */
void vwl_wait_push(struct vwl_vfd *vfd, struct vwl_request *request);
/* Completes the first one: 0, or why it failed. */
void vwl_wait_complete(struct vwl_vfd *vfd, int err);
/* Completes all of them so. */
void vwl_wait_fail(struct vwl_vfd *vfd, int err);
/* Takes them off without an answer. */
void vwl_wait_drop(struct vwl_vfd *vfd);

#endif
