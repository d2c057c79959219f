/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "loop/source_priv.h"

/* Its edges count: it is never read. */
static int open_alarm(struct vwl_gate *gate)
{
    struct epoll_event event = { .events = EPOLLIN | (uint32_t)EPOLLET,
                                 .data.u64 = KEY_ALARM };

    gate->alarm = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    return gate->alarm < 0 ||
                   epoll_ctl(gate->set, EPOLL_CTL_ADD, gate->alarm, &event) < 0
               ? -errno
               : 0;
}

int vwl_gate_create(GMainContext *context, struct vwl_gate **out)
{
    struct vwl_gate *gate = g_new0(struct vwl_gate, 1);
    int err;

    g_mutex_init(&gate->lock);
    gate->refs = 1;
    gate->context = context;
    gate->alarm = -1;
    gate->sources = g_ptr_array_new();
    gate->set = epoll_create1(EPOLL_CLOEXEC);
    err = gate->set < 0 ? -errno : context ? 0 : open_alarm(gate);
    if (err < 0) {
        vwl_gate_unref(gate);
        return err;
    }
    *out = gate;
    return 0;
}

struct vwl_gate *vwl_gate_ref(struct vwl_gate *gate)
{
    g_atomic_int_inc(&gate->refs);
    return gate;
}

void vwl_gate_unref(struct vwl_gate *gate)
{
    if (g_atomic_int_dec_and_test(&gate->refs)) {
        vwl_fd_clear(&gate->alarm);
        vwl_fd_clear(&gate->set);
        g_ptr_array_unref(gate->sources);
        g_mutex_clear(&gate->lock);
        g_free(gate);
    }
}

bool vwl_gate_lock(struct vwl_gate *gate)
{
    GThread *self = g_thread_self();

    if (g_atomic_pointer_get(&gate->inside) == self) {
        return false;
    }
    g_atomic_int_inc(&gate->wanting);
    g_mutex_lock(&gate->lock);
    g_atomic_int_add(&gate->wanting, -1);
    g_atomic_pointer_set(&gate->inside, self);
    return true;
}

void vwl_gate_unlock(struct vwl_gate *gate)
{
    g_atomic_pointer_set(&gate->inside, NULL);
    g_mutex_unlock(&gate->lock);
}

/* poll does not take edges out of the set. */
bool vwl_gate_has_news(const struct vwl_gate *gate)
{
    struct pollfd set = { .fd = gate->set, .events = POLLIN };

    return gate->behind > 0 || g_atomic_int_get(&gate->wanting) > 0 ||
           poll(&set, 1, 0) > 0;
}

int vwl_gate_fd(const struct vwl_gate *gate)
{
    return gate->set;
}

/* ---- the alarm ---------------------------------------------------------- */

int64_t vwl_gate_now_us(const struct vwl_gate *gate)
{
    return gate->stand_in ? g_source_get_time(&gate->stand_in->base)
                          : (int64_t)vwl_clock_us();
}

static void find_first_due(struct vwl_gate *gate)
{
    gate->due_changed = false;
    gate->due_us = 0;
    for (guint i = 0; i < gate->sources->len; i++) {
        const struct vwl_source *source = gate->sources->pdata[i];

        if (source && source->due_us &&
            (!gate->due_us || source->due_us < gate->due_us)) {
            gate->due_us = source->due_us;
        }
    }
}

/* at_us: 1 for now, 0 for never. One that rang is set again only for another
 * time. */
static void set_alarm(struct vwl_gate *gate, int64_t at_us)
{
    int64_t in_us = at_us - (at_us > 1 ? vwl_gate_now_us(gate) : 0);
    struct itimerspec when = { 0 };

    if (gate->alarm < 0 || gate->armed_us == at_us) {
        return;
    }
    gate->armed_us = at_us;
    if (at_us) {
        in_us = MAX(in_us, 1);
        when.it_value.tv_sec = (time_t)(in_us / G_USEC_PER_SEC);
        when.it_value.tv_nsec = (long)(in_us % G_USEC_PER_SEC) * 1000;
    }
    timerfd_settime(gate->alarm, 0, &when, NULL);
}

void vwl_gate_arm(struct vwl_gate *gate)
{
    int64_t at_us;

    if (gate->running || gate_is_over(gate)) {
        return;
    }
    if (gate->due_changed) {
        find_first_due(gate);
    }
    at_us = gate->woken ? 1 : gate->due_us;
    if (gate->stand_in) {
        g_source_set_ready_time(&gate->stand_in->base, at_us ? at_us : -1);
    } else {
        set_alarm(gate, at_us);
    }
}

void vwl_gate_close(struct vwl_gate *gate)
{
    gate->closed = true;
    gate->armed_us = 0;
    set_alarm(gate, 1);
}
