/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device that may poll needs no kick for what comes soon, and sleeps when
 * nothing comes. Device and guest share a thread here, but in the last test, so
 * that nothing depends on how fast anybody is.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "story.h"

#define TIMES 500

static int kick_fd = -1;
static unsigned int kicks;

/* In place of libc's, to see the guest's kicks. */
ssize_t write(int fd, const void *data, size_t len)
{
    if (fd == kick_fd) {
        kicks++;
    }
    return syscall(SYS_write, fd, data, len);
}

static struct rig *begin(uint32_t poll_us, bool packed)
{
    const struct vwl_config config = { .size = sizeof config,
                                       .poll_us = poll_us };
    const struct rig_options options = {
        .device = RIG_CONTEXT,
        .n_peers = 1,
        .config = &config,
        .fe = { .dialect = VWL_FE_STANDARD, .packed = packed },
    };
    struct rig *r = rig_new(&options);

    kick_fd = r->fe->ring[VIRTIO_WL_QUEUE_OUT].kick;
    return r;
}

static void end(struct rig *r)
{
    kick_fd = -1;
    rig_free(r);
}

static unsigned int kicks_of_sends(struct rig *r, int peer)
{
    kicks = 0;
    for (unsigned int i = 0; i < TIMES; i++) {
        char byte = 0;

        g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 1, NULL, 0, "a", 1), ==,
                        RESP_OK);
        rig_read(r, peer, &byte, 1, NULL, NULL);
        g_assert_cmpint(byte, ==, 'a');
    }
    return kicks;
}

/* The device has nothing to do, and knows it. */
static void wait_idle(struct rig *r)
{
    int64_t end_us = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (g_main_context_pending(r->context)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end_us);
        g_main_context_iteration(r->context, FALSE);
    }
}

static void run(bool packed)
{
    struct rig *r = begin(10000, packed);
    int peer = rig_open_ctx(r, 1, 0);

    /* A thread that waits long enough loses its turn: twice is luck. */
    g_assert_cmpuint(kicks_of_sends(r, peer), <, TIMES / 2);
    wait_idle(r);
    kicks = 0;
    story_alive(r, 1, peer);
    g_assert_cmpuint(kicks, >, 0);
    wait_idle(r);
    close(peer);
    rig_settle(r);
    end(r);
}

static void test_split(void)
{
    run(false);
}

static void test_packed(void)
{
    run(true);
}

/* By default it sleeps at once. */
static void test_off(void)
{
    struct rig *r = begin(0, false);
    int peer = rig_open_ctx(r, 1, 0);

    g_assert_cmpuint(kicks_of_sends(r, peer), ==, TIMES);
    close(peer);
    rig_settle(r);
    end(r);
}

/* A pause in the middle of a look, and all goes on after it. */
static void test_pause(void)
{
    struct rig *r = begin(10000, false);
    int peer = rig_open_ctx(r, 1, 0);

    for (unsigned int i = 0; i < 20; i++) {
        story_alive(r, 1, peer);
        g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
        g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
        kick_fd = -1;
    }
    story_alive(r, 1, peer);
    close(peer);
    rig_settle(r);
    end(r);
}

/* ---- others on the context ---------------------------------------------- */

struct busy_guest {
    struct rig *r;
    gint stop, over; /* atomic */
};

/* The next request is there as soon as the last one is answered. */
static gpointer ask_on_and_on(gpointer data)
{
    struct busy_guest *busy = data;
    struct vwl_drv *drv = busy->r->drv;

    while (!g_atomic_int_get(&busy->stop)) {
        struct vwl_drv_request *request = vwl_drv_send_async(drv, 1, NULL, 0,
                                                             "", 0);

        while (!request->done) {
            vwl_drv_collect(drv);
        }
        vwl_drv_request_free(drv, request);
    }
    g_atomic_int_set(&busy->over, 1);
    return NULL;
}

static gboolean count(gpointer data)
{
    ++*(unsigned int *)data;
    return G_SOURCE_CONTINUE;
}

/* The device never has nothing to do, and stays in each dispatch for a while;
 * all the others have a turn after it. */
static void test_others(void)
{
    struct rig *r = begin(10000, false);
    int peer = rig_open_ctx(r, 1, 0);
    struct busy_guest busy = { .r = r };
    GSource *other = g_idle_source_new();
    unsigned int turns = 0;
    GThread *thread;

    vwl_drv_set_calls(r->drv, false);
    g_source_set_priority(other, G_PRIORITY_DEFAULT);
    g_source_set_callback(other, count, &turns, NULL);
    g_source_attach(other, r->context);
    thread = g_thread_new("guest", ask_on_and_on, &busy);
    for (unsigned int i = 1; i <= 200; i++) {
        g_assert_true(g_main_context_iteration(r->context, TRUE));
        g_assert_cmpuint(turns, ==, i);
    }
    g_atomic_int_set(&busy.stop, 1);
    while (!g_atomic_int_get(&busy.over)) {
        g_main_context_iteration(r->context, FALSE);
    }
    g_thread_join(thread);
    g_source_destroy(other);
    g_source_unref(other);
    vwl_drv_set_calls(r->drv, true);
    story_alive(r, 1, peer);
    close(peer);
    rig_settle(r);
    end(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/poll/split", test_split);
    g_test_add_func("/poll/packed", test_packed);
    g_test_add_func("/poll/off", test_off);
    g_test_add_func("/poll/pause", test_pause);
    g_test_add_func("/poll/others", test_others);
    return g_test_run();
}
