/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests in flight: those that wait for a peer, in order for each VFD. They
 * may never fill the out queue, since a driver gives up after a second: who
 * has too many, or has waited for longest when they are too many together, is
 * hung up.
 */
#ifndef VWL_WL_WAIT_H
#define VWL_WL_WAIT_H

#include <stdint.h>

struct vwl_core;
struct vwl_parcel;
struct vwl_request;
struct vwl_vfd;

/* Takes the parcel (NULL is fine). -EINPROGRESS; 0: there is no room for it,
 * the VFD was hung up and the request answered ERR. */
int vwl_wait_begin(struct vwl_vfd *vfd, struct vwl_request *request,
                   struct vwl_parcel *parcel);

/* Answers the first one. */
void vwl_wait_complete(struct vwl_vfd *vfd, uint32_t type);
/* Answers all of them. */
void vwl_wait_fail(struct vwl_vfd *vfd, uint32_t type);
/* Takes them off without an answer. */
void vwl_wait_drop(struct vwl_vfd *vfd);

/* Makes room for one more. -EBUSY: there is nobody to hang up but vfd. */
int vwl_wait_make_room(struct vwl_core *core, const struct vwl_vfd *vfd);

#endif
