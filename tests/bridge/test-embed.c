/* SPDX-License-Identifier: BSD-3-Clause */
/* A context within another runs whenever the outer one does, and alone when
 * somebody waits for it. */
#include "embed.h"

#include <glib-unix.h>
#include <stdbool.h>
#include <unistd.h>

struct rig {
    GMainContext *outer, *inner;
    GSource *embed;
    unsigned int ran, readable;
    int ends[2];
};

static void on_ran(void *opaque)
{
    ((struct rig *)opaque)->ran++;
}

static void rig_init(struct rig *rig)
{
    *rig = (struct rig){
        .outer = g_main_context_new(),
        .inner = g_main_context_new(),
    };
    g_main_context_push_thread_default(rig->outer);
    rig->embed = vwl_embed_new(rig->inner, on_ran, rig);
    g_assert_cmpint(pipe(rig->ends), ==, 0);
}

static void rig_finish(struct rig *rig)
{
    g_source_destroy(rig->embed);
    g_source_unref(rig->embed);
    g_main_context_pop_thread_default(rig->outer);
    g_assert_false(g_main_context_iteration(rig->outer, FALSE));
    g_main_context_unref(rig->inner);
    g_main_context_unref(rig->outer);
    close(rig->ends[0]);
    close(rig->ends[1]);
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    struct rig *rig = data;
    char byte;

    g_assert_cmpint(condition, ==, G_IO_IN);
    g_assert_cmpint(read(fd, &byte, 1), ==, 1);
    rig->readable++;
    return G_SOURCE_CONTINUE;
}

static GSource *watch(struct rig *rig)
{
    GSource *source = g_unix_fd_source_new(rig->ends[0], G_IO_IN);

    g_source_set_callback(source, G_SOURCE_FUNC(on_readable), rig, NULL);
    g_source_attach(source, rig->inner);
    g_source_unref(source);
    return source;
}

static void poke(const struct rig *rig)
{
    g_assert_cmpint(write(rig->ends[1], "x", 1), ==, 1);
}

/* GLib may wake itself up in between. */
static void iterate(struct rig *rig)
{
    while (g_main_context_iteration(rig->outer, FALSE)) {
    }
}

static void test_descriptors(void)
{
    struct rig rig;
    GSource *source;

    rig_init(&rig);
    iterate(&rig);
    for (unsigned int i = 1; i <= 100; i++) {
        source = watch(&rig);
        iterate(&rig);
        g_assert_cmpuint(rig.readable, ==, i - 1);
        poke(&rig);
        while (rig.readable != i) {
            g_main_context_iteration(rig.outer, TRUE);
        }
        g_assert_cmpuint(rig.ran, >=, i);
        g_source_destroy(source);
        iterate(&rig);
    }
    rig_finish(&rig);
}

static gboolean on_time(gpointer data)
{
    *(bool *)data = true;
    return G_SOURCE_REMOVE;
}

static void later(GMainContext *context, guint ms, bool *done)
{
    GSource *source = ms == 0 ? g_idle_source_new() : g_timeout_source_new(ms);

    g_source_set_callback(source, on_time, done, NULL);
    g_source_attach(source, context);
    g_source_unref(source);
}

static void test_times(void)
{
    bool timeout = false, idle = false;
    struct rig rig;

    rig_init(&rig);
    later(rig.inner, 20, &timeout);
    later(rig.inner, 0, &idle);
    while (!timeout || !idle) {
        g_main_context_iteration(rig.outer, TRUE);
    }
    rig_finish(&rig);
}

struct waiter {
    struct rig *rig;
    bool waited;
};

/* As a callback does that needs an answer: the inner one alone. */
static gboolean wait_for_it(gpointer data)
{
    struct waiter *waiter = data;
    unsigned int before = waiter->rig->readable;

    poke(waiter->rig);
    while (waiter->rig->readable == before) {
        g_main_context_iteration(waiter->rig->inner, TRUE);
    }
    waiter->waited = true;
    return G_SOURCE_REMOVE;
}

/* Even while the inner one's own dispatch is due. */
static void test_waits(void)
{
    struct rig rig;

    rig_init(&rig);
    watch(&rig);
    for (unsigned int i = 0; i < 100; i++) {
        struct waiter waiter = { &rig, false };
        GSource *source = g_idle_source_new();

        g_source_set_priority(source, G_PRIORITY_DEFAULT);
        g_source_set_callback(source, wait_for_it, &waiter, NULL);
        g_source_attach(source, rig.outer);
        g_source_unref(source);
        poke(&rig);
        while (!waiter.waited || rig.readable != (i + 1) * 2) {
            g_main_context_iteration(rig.outer, TRUE);
        }
    }
    rig_finish(&rig);
}

static gpointer wake_up(gpointer data)
{
    struct rig *rig = data;

    poke(rig);
    g_main_context_wakeup(rig->inner);
    return NULL;
}

static void test_threads(void)
{
    struct rig rig;

    rig_init(&rig);
    watch(&rig);
    for (unsigned int i = 1; i <= 100; i++) {
        GThread *thread = g_thread_new("other", wake_up, &rig);

        while (rig.readable != i) {
            g_main_context_iteration(rig.outer, TRUE);
        }
        g_thread_join(thread);
    }
    rig_finish(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/embed/descriptors", test_descriptors);
    g_test_add_func("/embed/times", test_times);
    g_test_add_func("/embed/waits", test_waits);
    g_test_add_func("/embed/threads", test_threads);
    return g_test_run();
}
