/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An id is free once its CLOSE was answered. What the device said of it before
 * that lies in the other queue, and a driver has to look there before it gives
 * the id to something new.
 */
#include <unistd.h>

#include "rig.h"

#define TIMES 200

void __real_vwl_drv_collect_in(struct vwl_drv *drv);
void __wrap_vwl_drv_collect_in(struct vwl_drv *drv);

/* Time for the device to hang up, and to answer the CLOSE, before the driver
 * looks at the answers. */
void __wrap_vwl_drv_collect_in(struct vwl_drv *drv)
{
    __real_vwl_drv_collect_in(drv);
    g_usleep(500);
}

static void check(gconstpointer data)
{
    struct rig_options options = { .device = GPOINTER_TO_INT(data),
                                   .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int peer;

    for (int i = 0; i < TIMES; i++) {
        peer = rig_open_ctx(r, 1, 0);
        vwl_drv_collect(r->drv);
        g_assert_false(vwl_drv_readable(r->drv, 1));
        close(peer);
        g_assert_cmphex((unsigned)vwl_drv_close(r->drv, 1), ==,
                        VIRTIO_WL_RESP_OK);
    }
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/reused-ids/thread", GINT_TO_POINTER(RIG_THREAD),
                         check);
    g_test_add_data_func("/reused-ids/daemon", GINT_TO_POINTER(RIG_DAEMON),
                         check);
    return g_test_run();
}
