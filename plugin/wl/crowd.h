/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One VFD whose peer does not read may have as many requests in flight as
 * nobody else needs room for. This is where somebody else's need ends that:
 * others ask on and on, or so little of the out queue is left that their
 * drivers would give up.
 */
#ifndef VWL_WL_CROWD_H
#define VWL_WL_CROWD_H

struct vwl_core;
struct vwl_timer;

/* Before each request. May hang VFDs up. */
void vwl_crowd_look(struct vwl_core *core);
/* The same, of vwl_core.crowd. */
void vwl_crowd_on_timer(struct vwl_timer *timer);

#endif
