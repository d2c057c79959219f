/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/source.h"

#include <stdint.h>

/* The one GSource of a device: GLib's share of a dispatch grows with the
 * number of sources, not with that of their descriptors. */
struct hub {
    GSource base;
    struct vwl_gate *gate; /* a reference */
    GPtrArray *sources;    /* struct vwl_source; NULL where one went */
};

struct vwl_gate {
    GMutex lock;
    GThread *inside; /* who holds the lock; atomic */
    bool closed;     /* under the lock */
    gint refs;
    struct hub *hub; /* under the lock; NULL: no sources */
};

struct vwl_source {
    struct hub *hub;
    const char *name;
    gpointer tag; /* of g_source_add_unix_fd; NULL while paused */
    int fd;
    GIOCondition condition;
    bool woken;
    int64_t due_us; /* 0: not to be woken then */
    vwl_source_fn fn;
    void *opaque;
};

struct vwl_gate *vwl_gate_create(void)
{
    struct vwl_gate *gate = g_new0(struct vwl_gate, 1);

    g_mutex_init(&gate->lock);
    gate->refs = 1;
    return gate;
}

struct vwl_gate *vwl_gate_ref(struct vwl_gate *gate)
{
    g_atomic_int_inc(&gate->refs);
    return gate;
}

void vwl_gate_unref(struct vwl_gate *gate)
{
    if (g_atomic_int_dec_and_test(&gate->refs)) {
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
    g_mutex_lock(&gate->lock);
    g_atomic_pointer_set(&gate->inside, self);
    return true;
}

void vwl_gate_unlock(struct vwl_gate *gate)
{
    g_atomic_pointer_set(&gate->inside, NULL);
    g_mutex_unlock(&gate->lock);
}

void vwl_gate_close(struct vwl_gate *gate)
{
    gate->closed = true;
}

static void run(struct hub *hub, guint index)
{
    struct vwl_source *source = hub->sources->pdata[index];
    GIOCondition condition = 0;
    bool woken;

    if (!source) {
        return;
    }
    if (source->tag) {
        condition = g_source_query_unix_fd(&hub->base, source->tag);
    }
    woken = source->woken ||
            (source->due_us && source->due_us <= g_source_get_time(&hub->base));
    if (condition || woken) {
        source->woken = false;
        source->due_us = 0;
        source->fn(source->opaque, condition);
    }
}

/* Somebody who was woken runs first: then this is called again. */
static void arm(struct hub *hub)
{
    int64_t due_us = -1;

    if (g_source_get_ready_time(&hub->base) == 0) {
        return;
    }
    for (guint i = 0; i < hub->sources->len; i++) {
        const struct vwl_source *source = hub->sources->pdata[i];

        if (source && source->due_us &&
            (due_us < 0 || source->due_us < due_us)) {
            due_us = source->due_us;
        }
    }
    g_source_set_ready_time(&hub->base, due_us);
}

static gboolean hub_dispatch(GSource *base, GSourceFunc unused,
                             gpointer unused_data)
{
    struct hub *hub = (struct hub *)base;
    struct vwl_gate *gate = hub->gate;

    if (!vwl_gate_lock(gate)) {
        return G_SOURCE_CONTINUE;
    }
    g_source_set_ready_time(base, -1);
    for (guint i = 0;
         i < hub->sources->len && !gate->closed && !g_source_is_destroyed(base);
         i++) {
        run(hub, i);
    }
    arm(hub);
    vwl_gate_unlock(gate);
    return G_SOURCE_CONTINUE;
}

static void hub_finalize(GSource *base)
{
    struct hub *hub = (struct hub *)base;

    g_ptr_array_unref(hub->sources);
    vwl_gate_unref(hub->gate);
}

static GSourceFuncs hub_funcs = {
    .dispatch = hub_dispatch,
    .finalize = hub_finalize,
};

static struct hub *hub_of(struct vwl_gate *gate, GMainContext *context)
{
    GSource *base;

    if (gate->hub) {
        return gate->hub;
    }
    base = g_source_new(&hub_funcs, sizeof(struct hub));
    gate->hub = (struct hub *)base;
    gate->hub->gate = vwl_gate_ref(gate);
    gate->hub->sources = g_ptr_array_new();
    g_source_set_static_name(base, "vhost-user-wl");
    /* No dispatch of ours iterates a context, and the gate refuses one inside
     * another. Without this GLib takes the descriptors out of its poll set
     * and back around every dispatch. */
    g_source_set_can_recurse(base, TRUE);
    g_source_attach(base, context);
    return gate->hub;
}

struct vwl_source *vwl_source_create(GMainContext *context,
                                     struct vwl_gate *gate, const char *name,
                                     int fd, GIOCondition condition,
                                     vwl_source_fn fn, void *opaque)
{
    struct vwl_source *source = g_new0(struct vwl_source, 1);

    source->hub = hub_of(gate, context);
    source->name = name;
    source->fd = -1;
    source->fn = fn;
    source->opaque = opaque;
    g_ptr_array_add(source->hub->sources, source);
    vwl_source_watch(source, fd, condition);
    return source;
}

static bool is_empty(const struct hub *hub)
{
    for (guint i = 0; i < hub->sources->len; i++) {
        if (hub->sources->pdata[i]) {
            return false;
        }
    }
    return true;
}

void vwl_source_destroy(struct vwl_source **at)
{
    struct vwl_source *source = *at;
    struct hub *hub;
    guint index;

    if (!source) {
        return;
    }
    *at = NULL;
    hub = source->hub;
    vwl_source_watch(source, -1, 0);
    /* a dispatch may be walking along the array */
    if (g_ptr_array_find(hub->sources, source, &index)) {
        hub->sources->pdata[index] = NULL;
    }
    g_free(source);
    if (is_empty(hub)) {
        hub->gate->hub = NULL;
        g_source_destroy(&hub->base);
        g_source_unref(&hub->base);
    }
}

/* A paused watch has no tag at all: poll reports hang-ups even of a
 * descriptor that nothing was asked of, and would spin. */
void vwl_source_watch(struct vwl_source *source, int fd, GIOCondition condition)
{
    if (fd < 0) {
        condition = 0;
    }
    if (source->fd == fd && source->condition == condition) {
        return;
    }
    if (source->tag && source->fd == fd && condition) {
        g_source_modify_unix_fd(&source->hub->base, source->tag, condition);
    } else {
        if (source->tag) {
            g_source_remove_unix_fd(&source->hub->base, source->tag);
            source->tag = NULL;
        }
        if (condition) {
            source->tag = g_source_add_unix_fd(&source->hub->base, fd,
                                               condition);
        }
    }
    source->fd = fd;
    source->condition = condition;
}

void vwl_source_wake(struct vwl_source *source)
{
    source->woken = true;
    g_source_set_ready_time(&source->hub->base, 0);
}

void vwl_source_wake_in(struct vwl_source *source, unsigned int ms)
{
    if (!source->due_us) {
        source->due_us = g_source_get_time(&source->hub->base) +
                         ms * INT64_C(1000);
        arm(source->hub);
    }
}
