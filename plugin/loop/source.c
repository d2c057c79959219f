/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/source.h"

struct vwl_gate {
    GMutex lock;
    GThread *inside; /* who holds the lock; atomic */
    bool closed;     /* under the lock */
    gint refs;
};

struct vwl_source {
    GSource base;
    struct vwl_gate *gate;
    gpointer tag; /* of g_source_add_unix_fd; NULL while paused */
    int fd;
    GIOCondition condition;
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

static gboolean source_dispatch(GSource *base, GSourceFunc unused,
                                gpointer unused_data)
{
    struct vwl_source *source = (struct vwl_source *)base;
    struct vwl_gate *gate = source->gate;

    if (!vwl_gate_lock(gate)) {
        return G_SOURCE_CONTINUE;
    }
    if (!gate->closed && !g_source_is_destroyed(base)) {
        GIOCondition condition = 0;

        g_source_set_ready_time(base, -1);
        if (source->tag) {
            condition = g_source_query_unix_fd(base, source->tag);
        }
        source->fn(source->opaque, condition);
    }
    vwl_gate_unlock(gate);
    return G_SOURCE_CONTINUE;
}

static void source_finalize(GSource *base)
{
    vwl_gate_unref(((struct vwl_source *)base)->gate);
}

static GSourceFuncs source_funcs = {
    .dispatch = source_dispatch,
    .finalize = source_finalize,
};

struct vwl_source *vwl_source_create(GMainContext *context,
                                     struct vwl_gate *gate, const char *name,
                                     int fd, GIOCondition condition,
                                     vwl_source_fn fn, void *opaque)
{
    GSource *base = g_source_new(&source_funcs, sizeof(struct vwl_source));
    struct vwl_source *source = (struct vwl_source *)base;

    source->gate = vwl_gate_ref(gate);
    source->fd = -1;
    source->fn = fn;
    source->opaque = opaque;
    g_source_set_static_name(base, name);
    /* No dispatch of ours iterates a context, and the gate refuses one inside
     * another. Without this GLib takes the descriptor out of its poll set and
     * back around every dispatch: three system calls. */
    g_source_set_can_recurse(base, TRUE);
    vwl_source_watch(source, fd, condition);
    g_source_attach(base, context);
    return source;
}

void vwl_source_destroy(struct vwl_source **source)
{
    if (*source) {
        GSource *base = &(*source)->base;

        *source = NULL;
        g_source_destroy(base);
        g_source_unref(base);
    }
}

/* A paused watch has no tag at all: poll reports hang-ups even of a
 * descriptor that nothing was asked of, and would spin. */
void vwl_source_watch(struct vwl_source *source, int fd,
                      GIOCondition condition)
{
    if (fd < 0) {
        condition = 0;
    }
    if (source->fd == fd && source->condition == condition) {
        return;
    }
    if (source->tag && source->fd == fd && condition) {
        g_source_modify_unix_fd(&source->base, source->tag, condition);
    } else {
        if (source->tag) {
            g_source_remove_unix_fd(&source->base, source->tag);
            source->tag = NULL;
        }
        if (condition) {
            source->tag = g_source_add_unix_fd(&source->base, fd, condition);
        }
    }
    source->fd = fd;
    source->condition = condition;
}

void vwl_source_wake(struct vwl_source *source)
{
    g_source_set_ready_time(&source->base, 0);
}
