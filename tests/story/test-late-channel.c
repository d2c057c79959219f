/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory of a snapshot, and a front-end that gives the channel by which it is
 * mapped late, never, or anew: the guest waits for it, not for ever.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "saved.h"
#include "story.h"

#define SIZE 200000
#define STATE_BIT (UINT64_C(1) << VHOST_USER_PROTOCOL_F_DEVICE_STATE)

/* A guest with memory of its own, in a new device; its rings stand still. */
static struct rig *restored(enum rig_device device, bool packed, bool late)
{
    struct rig_options options = {
        .device = device,
        .n_peers = 1,
        .fe = { .packed = packed, .protocol_features_on = STATE_BIT },
    };
    struct rig *r = rig_new(&options);
    GByteArray *stream;

    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 2, SIZE), ==, RESP_VFD_NEW);
    memset(vwl_drv_map(r->drv, 2), 'm', SIZE);
    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    stream = saved_save(r);
    r->fe->options.late_channel = late;
    saved_replace_device(r);
    g_assert_cmphex(saved_load(r, stream->data, stream->len), ==, 0);
    g_assert_cmpuint(vwl_window_count(&r->fe->window), ==, 0);
    g_byte_array_unref(stream);
    return r;
}

static bool is_mapped(void *opaque)
{
    return vwl_window_count(&((struct rig *)opaque)->fe->window) == 1;
}

/* All of it is there, and the guest goes on. */
static void check(struct rig *r)
{
    const char *memory;
    int peer;

    rig_wait(r, is_mapped, r);
    memory = vwl_drv_map(r->drv, 2);
    g_assert_nonnull(memory);
    for (size_t i = 0; i < SIZE; i++) {
        g_assert_cmpint(memory[i], ==, 'm');
    }
    peer = rig_open_ctx(r, 1, 0);
    story_alive(r, 1, peer);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 3, 4096), ==, RESP_VFD_NEW);
    g_assert_cmphex((unsigned)vwl_drv_close(r->drv, 2), ==, RESP_OK);
    close(peer);
    rig_free(r);
}

/* Nothing is answered while it is waited for. */
static struct vwl_drv_request *asked(struct rig *r)
{
    struct vwl_drv_request *request;

    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    request = vwl_drv_send_async(r->drv, 77, NULL, 0, "x", 1);
    g_assert_nonnull(request);
    rig_settle(r);
    g_assert_false(request->done);
    g_assert_cmpuint(vwl_window_count(&r->fe->window), ==, 0);
    return request;
}

static void answered(struct rig *r, struct vwl_drv_request *request)
{
    g_assert_cmpint(vwl_drv_wait(r->drv, request, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(request), ==, RESP_INVALID_ID);
    vwl_drv_request_free(r->drv, request);
}

static void late(enum rig_device device, bool packed)
{
    struct rig *r = restored(device, packed, true);
    struct vwl_drv_request *request = asked(r);

    g_assert_cmpint(vwl_fe_give_channel(r->fe), ==, 0);
    answered(r, request);
    check(r);
}

static void test_late(gconstpointer packed)
{
    late(RIG_CONTEXT, GPOINTER_TO_INT(packed));
}

static void test_late_daemon(gconstpointer packed)
{
    late(RIG_DAEMON, GPOINTER_TO_INT(packed));
}

/* Stopped and started while it is waited for. */
static void test_stopped(gconstpointer packed)
{
    struct rig *r = restored(RIG_CONTEXT, GPOINTER_TO_INT(packed), true);
    struct vwl_drv_request *request = asked(r);

    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    g_assert_cmpint(vwl_fe_give_channel(r->fe), ==, 0);
    rig_settle(r);
    g_assert_cmpuint(vwl_window_count(&r->fe->window), ==, 0);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    answered(r, request);
    check(r);
}

/* The guest goes on without what cannot be mapped. */
static void test_never(void)
{
    struct rig *r = restored(RIG_CONTEXT, false, true);
    struct vwl_drv_request *request = asked(r);
    int peer;

    answered(r, request);
    g_assert_true(
        rig_logged(r, "memory from the snapshot could not be mapped"));
    peer = rig_open_ctx(r, 1, 0);
    story_alive(r, 1, peer);
    g_assert_cmphex((unsigned)vwl_drv_close(r->drv, 2), ==, RESP_OK);
    /* one that comes after that is as good as any */
    g_assert_cmpint(vwl_fe_give_channel(r->fe), ==, 0);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 3, 4096), ==, RESP_VFD_NEW);
    close(peer);
    rig_free(r);
}

static bool is_asked(void *opaque)
{
    return ((struct rig *)opaque)->fe->held.length == 1;
}

/* Another channel in place of one that was asked, and has not answered. */
static void replaced(enum rig_device device, bool packed)
{
    struct rig *r = restored(device, packed, false);
    struct vwl_drv_request *request;

    r->fe->shm_policy = VWL_FE_SHM_HOLD;
    request = asked(r);
    rig_wait(r, is_asked, r);
    r->fe->shm_policy = VWL_FE_SHM_ANSWER;
    g_assert_cmpint(vwl_fe_give_channel(r->fe), ==, 0);
    answered(r, request);
    check(r);
}

static void test_replaced(gconstpointer packed)
{
    replaced(RIG_CONTEXT, GPOINTER_TO_INT(packed));
}

static void test_replaced_daemon(gconstpointer packed)
{
    replaced(RIG_DAEMON, GPOINTER_TO_INT(packed));
}

/* The first goes, and the second is late. */
static void test_lost(gconstpointer packed)
{
    struct rig *r = restored(RIG_CONTEXT, GPOINTER_TO_INT(packed), false);
    struct vwl_drv_request *request;

    r->fe->shm_policy = VWL_FE_SHM_HOLD;
    request = asked(r);
    rig_wait(r, is_asked, r);
    close(r->fe->backend);
    r->fe->backend = -1;
    rig_settle(r);
    g_assert_false(request->done);
    r->fe->shm_policy = VWL_FE_SHM_ANSWER;
    g_assert_cmpint(vwl_fe_give_channel(r->fe), ==, 0);
    answered(r, request);
    check(r);
}

/* Before anything ran by the first. */
static void test_anew(gconstpointer packed)
{
    struct rig *r = restored(RIG_CONTEXT, GPOINTER_TO_INT(packed), false);

    g_assert_cmpint(vwl_fe_give_channel(r->fe), ==, 0);
    rig_settle(r);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    check(r);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(gconstpointer);
    } tests[] = {
        { "late", test_late },
        { "late-daemon", test_late_daemon },
        { "stopped", test_stopped },
        { "replaced", test_replaced },
        { "replaced-daemon", test_replaced_daemon },
        { "lost", test_lost },
        { "anew", test_anew },
    };

    signal(SIGPIPE, SIG_IGN);
    g_test_init(&argc, &argv, NULL);
    for (unsigned int i = 0; i < 2 * G_N_ELEMENTS(tests); i++) {
        char *path = g_strdup_printf("/late-channel/%s/%s", tests[i / 2].name,
                                     i % 2 != 0 ? "packed" : "split");

        g_test_add_data_func(path, GINT_TO_POINTER(i % 2), tests[i / 2].test);
        g_free(path);
    }
    g_test_add_func("/late-channel/never", test_never);
    return g_test_run();
}
