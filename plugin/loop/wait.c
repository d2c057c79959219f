/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "base/clock.h"
#include "base/look.h"
#include "loop/source_priv.h"

/* How long: 0 if it is over. */
static int left_ms(int64_t end_us)
{
    int64_t left_us = end_us - (int64_t)vwl_clock_us();

    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

/* A lock that is taken again at once is seldom won by anybody else. */
static void make_way(struct vwl_gate *gate)
{
    if (g_atomic_int_get(&gate->wanting) > 0) {
        vwl_gate_unlock(gate);
        while (g_atomic_int_get(&gate->wanting) > 0) {
            g_thread_yield();
        }
        vwl_gate_lock(gate);
    }
}

/* Sleeps without the lock: what it finds may have changed since. */
static int look(struct vwl_gate *gate, struct epoll_event *events, int ms)
{
    int n;

    make_way(gate);
    if (gate->woken || ms == 0) {
        return vwl_look(gate->set, events, EVENTS);
    }
    n = vwl_gate_linger(gate, events);
    if (n > 0 || gate->linger.glanced) {
        return n;
    }
    vwl_gate_stop_glancing(gate);
    if (gate->woken) {
        return 0;
    }
    vwl_gate_arm(gate);
    vwl_gate_unlock(gate);
    n = epoll_wait(gate->set, events, EVENTS, ms);
    vwl_gate_lock(gate);
    return n;
}

static bool has_other(const struct epoll_event *events, int n)
{
    bool found = false;

    for (int i = 0; i < n; i++) {
        found |= events[i].data.u64 == KEY_OTHER;
    }
    return found;
}

static int wait_for(struct vwl_gate *gate, int timeout_ms)
{
    int64_t end_us = timeout_ms > 0
                         ? (int64_t)vwl_clock_us() + timeout_ms * INT64_C(1000)
                         : 0;
    int ms = timeout_ms;

    for (;;) {
        struct epoll_event events[EVENTS];
        int n = look(gate, events, ms);

        if (gate->closed) {
            return -ESHUTDOWN;
        }
        vwl_gate_run_found(gate, events, n);
        if (has_other(events, n)) {
            return 1;
        }
        if (timeout_ms > 0) {
            ms = left_ms(end_us);
        }
        if (ms == 0) {
            return 0;
        }
    }
}

int vwl_gate_wait(struct vwl_gate *gate, int other, int timeout_ms)
{
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = KEY_OTHER };
    int ret;

    if (!vwl_gate_lock(gate)) {
        return -EDEADLK;
    }
    if (gate->closed) {
        ret = -ESHUTDOWN;
    } else if (other >= 0 &&
               epoll_ctl(gate->set, EPOLL_CTL_ADD, other, &event) < 0) {
        ret = -errno;
    } else if (other < 0 && timeout_ms == 0) {
        vwl_gate_run(gate);
        ret = 0;
    } else {
        gate->linger.waits = true;
        ret = wait_for(gate, timeout_ms);
        gate->linger.waits = false;
        if (other >= 0) {
            epoll_ctl(gate->set, EPOLL_CTL_DEL, other, NULL);
        }
        vwl_gate_stop_glancing(gate);
        vwl_gate_arm(gate);
    }
    vwl_gate_unlock(gate);
    return ret;
}
