/* SPDX-License-Identifier: BSD-3-Clause */
#include "embed.h"

#include <stdbool.h>

struct embed {
    GSource base;
    GMainContext *inner;
    void (*ran)(void *opaque);
    void *opaque;
    gint priority; /* of what is to be dispatched */
    GArray *asked; /* of GPollFD: what the inner one wants polled */
    GArray *added; /* of GPollFD: what the outer one polls, and finds */
};

static bool is_same(const struct embed *embed)
{
    if (embed->asked->len != embed->added->len) {
        return false;
    }
    for (guint i = 0; i < embed->asked->len; i++) {
        const GPollFD *a = &g_array_index(embed->asked, GPollFD, i);
        const GPollFD *b = &g_array_index(embed->added, GPollFD, i);

        if (a->fd != b->fd || a->events != b->events) {
            return false;
        }
    }
    return true;
}

static void remove_all(struct embed *embed)
{
    for (guint i = 0; i < embed->added->len; i++) {
        g_source_remove_poll(&embed->base,
                             &g_array_index(embed->added, GPollFD, i));
    }
    g_array_set_size(embed->added, 0);
}

/* GLib keeps the addresses, so that all of them are new or none. */
static void add_all(struct embed *embed)
{
    remove_all(embed);
    g_array_append_vals(embed->added, embed->asked->data, embed->asked->len);
    for (guint i = 0; i < embed->added->len; i++) {
        g_source_add_poll(&embed->base,
                          &g_array_index(embed->added, GPollFD, i));
    }
}

static gint ask(struct embed *embed)
{
    gint timeout = -1, n;

    for (;;) {
        n = g_main_context_query(embed->inner, embed->priority, &timeout,
                                 (GPollFD *)(void *)embed->asked->data,
                                 (gint)embed->asked->len);
        if (n <= (gint)embed->asked->len) {
            g_array_set_size(embed->asked, (guint)n);
            return timeout;
        }
        g_array_set_size(embed->asked, (guint)n);
    }
}

static gboolean prepare(GSource *source, gint *timeout)
{
    struct embed *embed = (struct embed *)(void *)source;
    gboolean ready = g_main_context_prepare(embed->inner, &embed->priority);

    *timeout = ask(embed);
    if (!is_same(embed)) {
        add_all(embed);
    }
    if (ready) {
        *timeout = 0;
    }
    return FALSE; /* who is ready now is not asked by check */
}

static gboolean check(GSource *source)
{
    struct embed *embed = (struct embed *)(void *)source;

    return g_main_context_check(embed->inner, embed->priority,
                                (GPollFD *)(void *)embed->added->data,
                                (gint)embed->added->len);
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    struct embed *embed = (struct embed *)(void *)source;

    g_main_context_dispatch(embed->inner);
    embed->ran(embed->opaque);
    return G_SOURCE_CONTINUE;
}

static void finalize(GSource *source)
{
    struct embed *embed = (struct embed *)(void *)source;

    g_array_unref(embed->asked);
    g_array_unref(embed->added);
    g_main_context_release(embed->inner);
    g_main_context_unref(embed->inner);
}

static GSourceFuncs functions = {
    prepare, check, dispatch, finalize, NULL, NULL,
};

GSource *vwl_embed_new(GMainContext *inner, void (*ran)(void *opaque),
                       void *opaque)
{
    GSource *source = g_source_new(&functions, sizeof(struct embed));
    struct embed *embed = (struct embed *)(void *)source;

    embed->inner = g_main_context_ref(inner);
    embed->ran = ran;
    embed->opaque = opaque;
    embed->asked = g_array_new(FALSE, TRUE, sizeof(GPollFD));
    embed->added = g_array_new(FALSE, TRUE, sizeof(GPollFD));
    (void)g_main_context_acquire(inner);
    g_source_set_can_recurse(source, TRUE); /* see ../guest/bridge/watch.c */
    g_source_attach(source, g_main_context_get_thread_default());
    return source;
}
