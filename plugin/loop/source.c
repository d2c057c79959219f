/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "base/look.h"
#include "loop/source_priv.h"

/* Looks of one dispatch: then others of the context have a turn. */
#define LOOKS 8
/* When the kernel had no room for a descriptor in the set. */
#define FULL_MS 10

/* ---- entries of the set ------------------------------------------------- */

/* By which events are sorted in the order of their sources. */
static uint64_t key_of(const struct vwl_source *source)
{
    return (uint64_t)source->index << 32 | source->generation;
}

static struct vwl_source *source_of(const struct vwl_gate *gate, uint64_t key)
{
    struct vwl_source *source = key >> 32 < gate->sources->len
                                    ? gate->sources->pdata[key >> 32]
                                    : NULL;

    return source && source->asked && source->generation == (uint32_t)key
               ? source
               : NULL;
}

static void let_go(struct vwl_source *source)
{
    if (source->asked) {
        epoll_ctl(source->gate->set, EPOLL_CTL_DEL, source->watched->fd, NULL);
        source->asked = 0;
    }
}

static void on_forget(void *opaque)
{
    struct vwl_source *source = opaque;

    let_go(source);
    source->watched->forget = NULL;
    source->watched = NULL;
    source->wanted = 0;
    source->is_always = false;
    source->is_left_out = false;
}

static void take_up(struct vwl_source *source, struct vwl_watched *watched)
{
    if (watched && watched->fd < 0) {
        watched = NULL;
    }
    if (source->watched == watched) {
        return;
    }
    if (source->watched) {
        on_forget(source);
    }
    if (watched) {
        source->watched = watched;
        watched->forget = on_forget;
        watched->opaque = source;
    }
}

/* Puts into the set what is wanted. */
static int ask(struct vwl_source *source)
{
    struct vwl_gate *gate = source->gate;
    struct epoll_event event = { .events = source->wanted };
    int how = source->asked ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (!source->asked) {
        source->generation = ++gate->generation;
    }
    event.data.u64 = key_of(source);
    if (epoll_ctl(gate->set, how, source->watched->fd, &event) < 0) {
        return -errno;
    }
    source->asked = source->wanted;
    return 0;
}

/* The same, and again in a while if the kernel has no room. */
static int ask_until_there(struct vwl_source *source)
{
    int err = ask(source);

    source->is_left_out = err == -ENOMEM || err == -ENOSPC;
    if (source->is_left_out) {
        vwl_source_wake_in(source, FULL_MS);
        return 0;
    }
    return err;
}

static int watch(struct vwl_source *source, struct vwl_watched *watched,
                 uint32_t wanted)
{
    take_up(source, watched);
    source->wanted = source->watched ? wanted : 0;
    /* What is paused stays in the set until it is found ready: often it goes
     * on before. */
    if (source->is_always ||
        (source->asked & source->wanted) == source->wanted) {
        return 0;
    }
    return ask_until_there(source);
}

void vwl_source_watch(struct vwl_source *source, struct vwl_watched *watched,
                      GIOCondition condition)
{
    if (watch(source, watched, (uint32_t)condition) < 0) {
        source->is_always = true;
    }
    if (source->is_always && source->wanted) {
        vwl_source_wake(source);
    }
}

int vwl_source_watch_edges(struct vwl_source *source,
                           struct vwl_watched *watched)
{
    int err = watch(source, watched, EPOLLIN | (uint32_t)EPOLLET);

    if (err < 0) {
        take_up(source, NULL);
    }
    return err;
}

/* ---- running ------------------------------------------------------------ */

static void run(struct vwl_source *source, GIOCondition condition)
{
    source->woken = false;
    source->gate->last = source;
    vwl_gate_count(source->gate);
    if (source->due_us) {
        source->due_us = 0;
        source->gate->due_changed = true;
    }
    /* Not every function says anew what it waits for. */
    if (source->is_left_out && source->wanted && ask_until_there(source) < 0 &&
        !(source->wanted & (uint32_t)EPOLLET)) {
        source->is_always = true;
    }
    source->fn(source->opaque, condition);
}

static void run_ready(struct vwl_gate *gate, const struct epoll_event *event)
{
    struct vwl_source *source = source_of(gate, event->data.u64);
    uint32_t condition = event->events;

    if (event->data.u64 == KEY_ALARM) {
        gate->armed_us = 0; /* it rang */
    }
    if (!source) {
        return; /* or one that ran before it let it go */
    }
    if (!source->wanted) {
        let_go(source); /* epoll reports hang-ups whatever was asked */
        return;
    }
    condition &= source->wanted | EPOLLERR | EPOLLHUP;
    if (condition) {
        run(source, (GIOCondition)condition);
    } else {
        ask(source); /* for less */
    }
}

static void run_events(struct vwl_gate *gate, struct epoll_event *events, int n)
{
    for (int i = 1; i < n; i++) {
        struct epoll_event event = events[i];
        int at = i;

        for (; at > 0 && events[at - 1].data.u64 > event.data.u64; at--) {
            events[at] = events[at - 1];
        }
        events[at] = event;
    }
    for (int i = 0; i < n && !gate_is_over(gate); i++) {
        gate->behind = n - i - 1;
        run_ready(gate, &events[i]);
    }
}

static void run_all_ready(struct vwl_gate *gate)
{
    struct epoll_event events[EVENTS];

    run_events(gate, events, vwl_look(gate->set, events, EVENTS));
}

static bool is_due(const struct vwl_source *source)
{
    return source->due_us && source->due_us <= vwl_gate_now_us(source->gate);
}

/* Those that ran are not, unless somebody woke them since. */
static void note_woken(struct vwl_gate *gate)
{
    gate->woken = false;
    for (guint i = 0; i < gate->sources->len; i++) {
        struct vwl_source *source = gate->sources->pdata[i];

        if (source) {
            source->woken |= source->is_always && source->wanted;
            gate->woken |= source->woken;
        }
    }
}

static void run_woken(struct vwl_gate *gate)
{
    if (gate_is_over(gate) ||
        (!gate->woken &&
         !(gate->due_us && gate->due_us <= vwl_gate_now_us(gate)))) {
        return;
    }
    for (guint i = 0; i < gate->sources->len && !gate_is_over(gate); i++) {
        struct vwl_source *source = gate->sources->pdata[i];

        if (source && (source->woken || is_due(source))) {
            run(source, source->is_always ? (GIOCondition)source->wanted : 0);
        }
    }
    note_woken(gate);
}

void vwl_gate_polls(struct vwl_gate *gate, bool on)
{
    gate->polls = on;
}

/* What comes soon saves a turn of the context. */
static void look_again(struct vwl_gate *gate)
{
    struct epoll_event events[EVENTS];

    for (unsigned int looks = 1; looks < LOOKS; looks++) {
        int n = gate->polls && !gate_is_over(gate)
                    ? vwl_look(gate->set, events, EVENTS)
                    : vwl_gate_linger(gate, events);

        if (n > 0) {
            run_events(gate, events, n);
        } else if (gate->linger.glanced) {
            run_woken(gate);
        } else {
            break;
        }
    }
}

void vwl_gate_run(struct vwl_gate *gate)
{
    gate->running = true;
    run_all_ready(gate);
    run_woken(gate);
    look_again(gate);
    vwl_gate_stop_glancing(gate);
    gate->running = false;
    vwl_gate_arm(gate);
}

void vwl_gate_run_found(struct vwl_gate *gate, struct epoll_event *events,
                        int n)
{
    gate->running = true;
    run_events(gate, events, n);
    run_woken(gate);
    gate->running = false;
}

/* ---- the GSource -------------------------------------------------------- */

static gboolean on_dispatch(GSource *base, GSourceFunc unused,
                            gpointer unused_data)
{
    struct vwl_gate *gate = ((struct stand_in *)base)->gate;

    if (!vwl_gate_lock(gate)) {
        return G_SOURCE_CONTINUE;
    }
    if (!gate_is_over(gate)) {
        vwl_gate_run(gate);
    }
    vwl_gate_unlock(gate);
    return G_SOURCE_CONTINUE;
}

static void on_finalize(GSource *base)
{
    vwl_gate_unref(((struct stand_in *)base)->gate);
}

static GSourceFuncs functions = {
    .dispatch = on_dispatch,
    .finalize = on_finalize,
};

static void enter_context(struct vwl_gate *gate)
{
    GSource *base = g_source_new(&functions, sizeof(struct stand_in));

    gate->stand_in = (struct stand_in *)base;
    gate->stand_in->gate = vwl_gate_ref(gate);
    g_source_set_static_name(base, "vhost-user-wl");
    /* No dispatch of ours iterates a context, and the gate refuses one inside
     * another. Without this GLib takes the descriptor out of its poll set and
     * back around every dispatch. */
    g_source_set_can_recurse(base, TRUE);
    g_source_add_unix_fd(base, gate->set, G_IO_IN);
    g_source_attach(base, gate->context);
}

static void leave_context(struct vwl_gate *gate)
{
    GSource *base = &gate->stand_in->base;

    gate->stand_in = NULL;
    g_source_destroy(base);
    g_source_unref(base);
}

/* ---- sources ------------------------------------------------------------ */

struct vwl_source *vwl_source_create(struct vwl_gate *gate, const char *name,
                                     vwl_source_fn fn, void *opaque)
{
    struct vwl_source *source = g_new0(struct vwl_source, 1);

    source->gate = gate;
    source->name = name;
    source->index = gate->sources->len;
    source->fn = fn;
    source->opaque = opaque;
    g_ptr_array_add(gate->sources, source);
    if (gate->n_sources++ == 0 && gate->context) {
        enter_context(gate);
    }
    return source;
}

void vwl_source_destroy(struct vwl_source **at)
{
    struct vwl_source *source = *at;
    struct vwl_gate *gate;

    if (!source) {
        return;
    }
    *at = NULL;
    gate = source->gate;
    take_up(source, NULL);
    if (gate->last == source) {
        gate->last = NULL;
    }
    if (gate->linger.glancer == source) {
        gate->linger.glancer = NULL;
    }
    gate->due_changed |= source->due_us != 0;
    /* a dispatch may be walking along the array */
    gate->sources->pdata[source->index] = NULL;
    g_free(source);
    if (--gate->n_sources == 0 && gate->context) {
        leave_context(gate);
    }
}

void vwl_source_wake(struct vwl_source *source)
{
    source->woken = true;
    source->gate->woken = true;
    vwl_gate_arm(source->gate);
}

void vwl_source_wake_in(struct vwl_source *source, unsigned int ms)
{
    if (!source->due_us) {
        source->due_us = vwl_gate_now_us(source->gate) + ms * INT64_C(1000);
        source->gate->due_changed = true;
        vwl_gate_arm(source->gate);
    }
}
