/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rig's own proof: in every way that a device can be run and a ring can
 * be laid out, a window's pixels reach the compositor double, bytes go both
 * ways, and nothing is left behind.
 */
#include "painter.h"
#include "rig.h"

#include <string.h>
#include <unistd.h>

struct variant {
    const char *name;
    struct rig_options options;
};

static const struct variant variants[] = {
    { "context", { .device = RIG_CONTEXT } },
    { "thread", { .device = RIG_THREAD } },
    { "daemon", { .device = RIG_DAEMON } },
    { "packed", { .fe.packed = true } },
    { "packed-plain",
      { .fe = { .packed = true, .no_event_idx = true, .no_indirect = true } } },
    { "no-event-idx", { .fe.no_event_idx = true } },
    { "no-indirect", { .fe.no_indirect = true } },
    { "pieces", { .drv.shape = { .piece = 13, .gap = 5 } } },
    { "separate", { .drv.shape = { .separate = true } } },
    { "held-buffers", { .drv.hold_buffers = true } },
    { "private-dialect", { .fe.dialect = VWL_FE_PRIVATE } },
    { "crosvm-order", { .fe.order = VWL_FE_CROSVM } },
    { "no-reply-ack", { .fe.no_reply_ack = true } },
    { "in-band", { .fe.in_band = true } },
    { "in-band-packed", { .fe = { .in_band = true, .packed = true } } },
    { "iommu", { .fe.iommu = true } },
    { "iommu-packed", { .fe = { .iommu = true, .packed = true } } },
    { "absolute-pfn", { .fe.no_use_shmem = true } },
    { "old-driver",
      { .fe = { .no_use_shmem = true,
                .no_trans_flags = true,
                .no_send_fences = true } } },
    { "host-map", { .host_map = true } },
    { "host-map-thread", { .host_map = true, .device = RIG_THREAD } },
    { "host-map-absolute", { .host_map = true, .fe.no_use_shmem = true } },
    { "small-queue", { .drv.queue_size = 4 } },
};

static void check_pixels(const struct compositor_surface *window,
                         uint32_t width, uint32_t height)
{
    g_assert_nonnull(window);
    g_assert_cmpuint(window->width, ==, width);
    g_assert_cmpuint(window->height, ==, height);
    g_assert_cmpuint(window->stride, >, width * 4);
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            g_assert_cmphex(compositor_pixel(window, x, y), ==,
                            vwl_pattern_pixel(x, y, width, height));
        }
    }
}

static void test_picture(gconstpointer data)
{
    const struct variant *variant = data;
    struct rig_options options = variant->options;
    struct vwl_transport *t;
    struct vwl_painter *painter;
    struct vwl_painter_options wanted = {
        .width = 321,
        .height = 97,
        .title = "rig",
        .app_id = "org.rig",
    };
    struct rig *r;

    options.compositor.ping = true;
    r = rig_new(&options);
    t = vwl_transport_loopback(r->drv);
    g_assert_cmpint(vwl_painter_create(t, &wanted, &painter), ==, 0);
    g_assert_cmpint(vwl_painter_paint(painter, RIG_TIMEOUT_MS), ==, 0);
    check_pixels(compositor_window(r->compositor), 321, 97);
    g_assert_cmpstr(compositor_window(r->compositor)->title, ==, "rig");
    g_assert_cmpstr(compositor_window(r->compositor)->app_id, ==, "org.rig");
    g_assert_cmpuint(compositor_pongs(r->compositor), ==, 1);
    vwl_painter_destroy(painter);
    rig_settle(r);
    g_assert_cmpuint(compositor_clients(r->compositor), ==, 0);
    g_assert_cmpuint(vwl_window_count(&r->fe->window), <=, 1);
    vwl_transport_destroy(t);
    rig_free(r);
}

/* The whole of bytes goes through the peer to the guest, which reads while
 * the peer writes: neither may need room for all of it. */
static void check_back(struct rig *r, int peer, const uint8_t *bytes,
                       size_t len)
{
    uint8_t *in = g_malloc(len);
    size_t sent = 0, at = 0;

    while (at < len) {
        ssize_t n = sent < len
                        ? peer_send(peer, bytes + sent, len - sent, NULL, 0)
                        : 0;
        int64_t got;

        sent += n > 0 ? (size_t)n : 0;
        got = vwl_drv_recv(r->drv, 1, in + at, len - at, NULL, NULL,
                           RIG_TIMEOUT_MS);
        g_assert_cmpint(got, >, 0);
        at += (size_t)got;
    }
    g_assert_cmpmem(in, len, bytes, len);
    g_free(in);
}

static void check_echo(struct rig *r, int peer, size_t len)
{
    uint8_t *out = g_malloc(len), *in = g_malloc(len);
    struct vwl_drv_request *req;

    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)(i * 7 + i / 251);
    }
    req = vwl_drv_send_async(r->drv, 1, NULL, 0, out, len);
    g_assert_nonnull(req);
    rig_read(r, peer, in, len, NULL, NULL);
    g_assert_cmpmem(in, len, out, len);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, VIRTIO_WL_RESP_OK);
    vwl_drv_request_free(r->drv, req);
    check_back(r, peer, out, len);
    g_free(out);
    g_free(in);
}

static void test_bytes(gconstpointer data)
{
    const struct variant *variant = data;
    struct rig_options options = variant->options;
    struct rig *r;
    int peer;

    options.n_peers = 1;
    r = rig_new(&options);
    if (strcmp(variant->name, "old-driver") == 0) {
        /* It has no names; the unnamed context is the compositor's. */
        rig_free(r);
        return;
    }
    peer = rig_open_ctx(r, 1, 0);
    check_echo(r, peer, 1);
    check_echo(r, peer, 3968);
    check_echo(r, peer, 3969);
    /* a request has no more than 16384 pieces */
    check_echo(r, peer, options.drv.shape.piece ? 200000 : 300000);
    if (options.drv.shape.piece == 0) {
        check_echo(r, peer, 5000000);
    }
    g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, VIRTIO_WL_RESP_OK);
    g_assert_cmpuint(rig_read_to_end(r, peer), ==, 0);
    close(peer);
    rig_reconnect(r);
    peer = rig_open_ctx(r, 1, 0);
    check_echo(r, peer, 100);
    rig_disconnect(r);
    g_assert_cmpuint(rig_read_to_end(r, peer), ==, 0);
    close(peer);
    rig_free(r);
}

static void test_reset(gconstpointer data)
{
    const struct variant *variant = data;
    struct rig_options options = variant->options;
    struct rig *r = rig_new(&options);

    for (unsigned int i = 0; i < 3; i++) {
        g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==,
                        VIRTIO_WL_RESP_VFD_NEW);
        memset(vwl_drv_map(r->drv, 1), 0xaa, 4096);
        g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
        g_assert_cmpint(vwl_fe_start(r->fe), ==, 0); /* a pause */
        g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==,
                        VIRTIO_WL_RESP_INVALID_ID);
        g_assert_cmpint(((uint8_t *)vwl_drv_map(r->drv, 1))[4095], ==, 0xaa);
        g_assert_cmpint(vwl_drv_reset(r->drv), ==, 0);
    }
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned int i = 0; i < G_N_ELEMENTS(variants); i++) {
        const struct variant *v = &variants[i];
        char *path = g_strdup_printf("/rig/picture/%s", v->name);

        g_test_add_data_func(path, v, test_picture);
        g_free(path);
        path = g_strdup_printf("/rig/bytes/%s", v->name);
        g_test_add_data_func(path, v, test_bytes);
        g_free(path);
        path = g_strdup_printf("/rig/reset/%s", v->name);
        g_test_add_data_func(path, v, test_reset);
        g_free(path);
    }
    return g_test_run();
}
