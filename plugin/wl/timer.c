/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/timer.h"

#include <errno.h>
#include <glib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

int vwl_timers_init(struct vwl_timers *timers)
{
    vwl_list_init(&timers->list);
    timers->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return timers->fd < 0 ? -errno : 0;
}

void vwl_timers_finish(struct vwl_timers *timers)
{
    vwl_fd_clear(&timers->fd);
}

/* It stays as it is if it fires early enough: most timers are taken back before
 * they are due, and one that fires for nobody costs less than as many calls. */
static void timers_arm(struct vwl_timers *timers)
{
    struct itimerspec spec = { 0 };
    uint64_t due_us;

    if (vwl_list_is_empty(&timers->list)) {
        return;
    }
    due_us = vwl_list_entry(timers->list.next, struct vwl_timer, link)->due_us;
    if (timers->armed_us && timers->armed_us <= due_us) {
        return;
    }
    timers->armed_us = due_us;
    spec.it_value.tv_sec = (time_t)(due_us / G_USEC_PER_SEC);
    spec.it_value.tv_nsec = (long)(due_us % G_USEC_PER_SEC) * 1000 + 1;
    timerfd_settime(timers->fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void vwl_timer_init(struct vwl_timer *timer,
                    void (*fire)(struct vwl_timer *timer))
{
    *timer = (struct vwl_timer){ .fire = fire };
    vwl_list_init(&timer->link);
}

void vwl_timer_set(struct vwl_timers *timers, struct vwl_timer *timer,
                   unsigned int in_ms)
{
    struct vwl_list *at = &timers->list;

    timer->due_us = vwl_clock_us() + in_ms * UINT64_C(1000);
    vwl_list_remove(&timer->link);
    while (at->prev != &timers->list &&
           vwl_list_entry(at->prev, struct vwl_timer, link)->due_us >
               timer->due_us) {
        at = at->prev;
    }
    vwl_list_insert(at, &timer->link);
    if (timers->list.next == &timer->link) {
        timers_arm(timers);
    }
}

void vwl_timer_cancel(struct vwl_timers *timers, struct vwl_timer *timer)
{
    vwl_list_remove(&timer->link);
}

void vwl_timers_run(struct vwl_timers *timers)
{
    uint64_t now_us = vwl_clock_us();
    uint64_t ticks;

    if (read(timers->fd, &ticks, sizeof ticks) < 0) {
        return;
    }
    timers->armed_us = 0;
    while (!vwl_list_is_empty(&timers->list)) {
        struct vwl_timer *timer = vwl_list_entry(timers->list.next,
                                                 struct vwl_timer, link);

        if (timer->due_us > now_us) {
            break;
        }
        vwl_list_remove(&timer->link);
        timer->fire(timer);
    }
    timers_arm(timers);
}
