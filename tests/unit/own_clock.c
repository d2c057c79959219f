/* SPDX-License-Identifier: BSD-3-Clause */
#include "own_clock.h"

#include <sys/timerfd.h>

#include "fds.h"

static int64_t now_us = 1000000;
static int64_t due_us; /* 0: no timer */
static int timer = -1;

gint64 __wrap_g_get_monotonic_time(void);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
                           struct itimerspec *old);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
                           struct itimerspec *old);

gint64 __wrap_g_get_monotonic_time(void)
{
    return now_us;
}

/* It rings at once if it is due by our clock. */
static void ring(void)
{
    struct itimerspec spec = { 0 };

    spec.it_value.tv_nsec = due_us && due_us <= now_us;
    __real_timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *spec,
                           struct itimerspec *old)
{
    timer = fd;
    due_us = (int64_t)spec->it_value.tv_sec * 1000000 +
             spec->it_value.tv_nsec / 1000;
    ring();
    return 0;
}

void own_clock_advance(struct core_rig *rig, int64_t ms)
{
    now_us += ms * 1000;
    ring();
    while (is_readable(vwl_core_out_fd(rig->core))) {
        vwl_core_dispatch_out(rig->core);
    }
}
