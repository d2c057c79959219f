/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deadlines of the core on one timerfd: connections that are retried,
 * allocations that wait for the region's address, outboxes of closed VFDs.
 * Few at a time and mostly in order, so a sorted list does.
 */
#ifndef VWL_WL_TIMER_H
#define VWL_WL_TIMER_H

#include <stdint.h>

#include "base/list.h"

struct vwl_timer {
    struct vwl_list link; /* of vwl_timers.list */
    uint64_t due_us;      /* monotonic */
    void (*fire)(struct vwl_timer *timer);
};

struct vwl_timers {
    int fd;
    uint64_t armed_us;    /* when the descriptor is readable; 0: never */
    struct vwl_list list; /* of vwl_timer.link, earliest first */
};

/* -errno when no descriptor can be had. */
int vwl_timers_init(struct vwl_timers *timers);
void vwl_timers_finish(struct vwl_timers *timers);

void vwl_timer_init(struct vwl_timer *timer,
                    void (*fire)(struct vwl_timer *timer));
/* Fires once, in that time; set again, it is moved. */
void vwl_timer_set(struct vwl_timers *timers, struct vwl_timer *timer,
                   unsigned int in_ms);
void vwl_timer_cancel(struct vwl_timers *timers, struct vwl_timer *timer);

/* The descriptor is readable: fires what is due. */
void vwl_timers_run(struct vwl_timers *timers);

#endif
