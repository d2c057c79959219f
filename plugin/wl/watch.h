/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is watched of a VFD's host peer: by what it is now, and not more than
 * that. in: the peer has something; out: it takes something again,
 * or is gone.
 */
#ifndef VWL_WL_WATCH_H
#define VWL_WL_WATCH_H

struct vwl_vfd;

/* Registers what there is to watch. -errno: it cannot be watched; whoever calls
 * ends that direction, since nobody would ever hear of it. */
int vwl_watch_in(struct vwl_vfd *vfd);
int vwl_watch_out(struct vwl_vfd *vfd);

/* Before the descriptor is closed: others may hold the open file, and then
 * closing ours would not unregister it. */
void vwl_watch_end(struct vwl_vfd *vfd);

#endif
