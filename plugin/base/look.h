/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A look into an epoll set, without waiting. One that is interrupted is tried
 * again, once: sets stand in sets, and each level that gave up would begin at
 * the first one again.
 */
#ifndef VWL_BASE_LOOK_H
#define VWL_BASE_LOOK_H

#include <errno.h>
#include <sys/epoll.h>

static inline int vwl_look(int set, struct epoll_event *events, int most)
{
    int n = epoll_wait(set, events, most, 0);

    return n < 0 && errno == EINTR ? epoll_wait(set, events, most, 0) : n;
}

/* Between two looks without waiting: it leaves the processor's other half to
 * others. */
static inline void vwl_breathe(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#endif
