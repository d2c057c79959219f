/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ABI's suspend: rings stop, guest memory and front-end are left alone,
 * data of host peers stays with them; all of it goes on after the resume.
 * The front-end's requests are answered throughout.
 */
#include <string.h>
#include <unistd.h>

#include "rig.h"

static void suspend(struct rig *r, int on)
{
    g_assert_cmpint(r->plugin->device_suspend(r->device, on), ==, 0);
}

static void check(enum rig_device device, bool packed)
{
    struct rig_options options = { .device = device,
                                   .n_peers = 1,
                                   .fe.packed = packed };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);
    struct vwl_drv_request *req;
    unsigned int requests;
    char data[8] = { 0 };

    suspend(r, 1);
    req = vwl_drv_send_async(r->drv, 1, NULL, 0, "to host", 7);
    rig_write(r, peer, "to guest", 8, NULL, 0);
    requests = r->fe->backend_requests;
    rig_settle(r);
    g_assert_false(req->done);
    g_assert_false(vwl_drv_readable(r->drv, 1));
    g_assert_false(rig_is_readable_within(r, peer, 0));
    g_assert_cmpint(vwl_fe_set_mem_table(r->fe), ==, 0); /* answered */
    g_assert_cmpuint(r->fe->backend_requests, ==, requests);
    suspend(r, 1); /* twice is once */

    suspend(r, 0);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, VIRTIO_WL_RESP_OK);
    vwl_drv_request_free(r->drv, req);
    rig_read(r, peer, data, 7, NULL, NULL);
    g_assert_cmpmem(data, 7, "to host", 7);
    g_assert_cmpint(vwl_drv_recv(r->drv, 1, data, sizeof data, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, 8);
    g_assert_cmpmem(data, 8, "to guest", 8);

    /* a request that waits for its peer outlives a suspend */
    {
        static char big[2000000];
        size_t total = 0;

        req = vwl_drv_send_async(r->drv, 1, NULL, 0, big, sizeof big);
        rig_settle(r);
        g_assert_false(req->done);
        suspend(r, 1);
        rig_settle(r);
        suspend(r, 0);
        while (total < sizeof big) {
            static char got[50000];

            rig_read(r, peer, got, sizeof got, NULL, NULL);
            total += sizeof got;
        }
        g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
        g_assert_cmphex(vwl_drv_request_type(req), ==, VIRTIO_WL_RESP_OK);
        vwl_drv_request_free(r->drv, req);
    }

    /* reset, stop and a lost front-end while suspended */
    suspend(r, 1);
    rig_disconnect(r);
    g_assert_cmpuint(rig_read_to_end(r, peer), ==, 0);
    close(peer);
    rig_reconnect(r);
    peer = rig_open_ctx(r, 1, 0);
    close(peer);
    rig_free(r);
}

static void test_context(void)
{
    check(RIG_CONTEXT, false);
}

static void test_thread(void)
{
    check(RIG_THREAD, true);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/suspend/context", test_context);
    g_test_add_func("/suspend/thread-packed", test_thread);
    return g_test_run();
}
