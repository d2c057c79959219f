/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The compositor's probe against compositor doubles: libwayland's server for
 * honest ones, bytes for the others.
 */
#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <wayland-server.h>

#include "base/closer.h"
#include "base/fd.h"
#include "compositor/probe.h"
#include "linux-dmabuf-server.h"

#define DEVICE makedev(226, 128)

struct entry {
    uint32_t fourcc, pad;
    uint64_t modifier;
};

struct world {
    struct wl_display *display;
    struct wl_client *client;
    struct wl_global *dmabuf;
    struct wl_resource *feedback;
    struct vwl_log log;
    struct vwl_closer *closer;
    struct vwl_probe *probe;
    GPtrArray *lines;
    uint32_t version;
    bool bad_table, big_table, short_table;
};

static void on_log(void *opaque, enum vwl_log_level level, const char *line)
{
    struct world *w = opaque;

    g_test_message("%s", line);
    g_ptr_array_add(w->lines, g_strdup(line));
}

static void on_destroy(struct wl_client *client, struct wl_resource *resource)
{
    wl_resource_destroy(resource);
}

static void on_no_params(struct wl_client *client, struct wl_resource *from,
                         uint32_t id)
{
}

static const struct zwp_linux_dmabuf_feedback_v1_interface feedback_impl = {
    .destroy = on_destroy,
};

static const struct entry table[] = {
    { DRM_FORMAT_XRGB8888, 0, DRM_FORMAT_MOD_LINEAR },
    { DRM_FORMAT_ARGB8888, 0, DRM_FORMAT_MOD_LINEAR },
    { DRM_FORMAT_XRGB8888, 0, UINT64_C(0x100000000000001) },
    { DRM_FORMAT_NV12, 0, UINT64_C(0x100000000000001) },
};

static int table_fd(size_t size)
{
    int fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(write(fd, table, size), ==, (ssize_t)size);
    return fd;
}

static void send_feedback(struct world *w, dev_t device,
                          const uint16_t *indices, size_t n)
{
    struct wl_array bytes;
    int fd = w->bad_table ? open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
                          : table_fd(w->short_table ? 16 : sizeof table);

    zwp_linux_dmabuf_feedback_v1_send_format_table(w->feedback, fd,
                                                   w->big_table ? 0xfffffff0u
                                                                : sizeof table);
    close(fd);
    wl_array_init(&bytes);
    memcpy(wl_array_add(&bytes, sizeof device), &device, sizeof device);
    zwp_linux_dmabuf_feedback_v1_send_main_device(w->feedback, &bytes);
    zwp_linux_dmabuf_feedback_v1_send_tranche_target_device(w->feedback,
                                                            &bytes);
    wl_array_release(&bytes);
    zwp_linux_dmabuf_feedback_v1_send_tranche_flags(w->feedback, 0);
    wl_array_init(&bytes);
    memcpy(wl_array_add(&bytes, n * 2), indices, n * 2);
    zwp_linux_dmabuf_feedback_v1_send_tranche_formats(w->feedback, &bytes);
    wl_array_release(&bytes);
    zwp_linux_dmabuf_feedback_v1_send_tranche_done(w->feedback);
    zwp_linux_dmabuf_feedback_v1_send_done(w->feedback);
}

static void on_feedback(struct wl_client *client, struct wl_resource *from,
                        uint32_t id)
{
    static const uint16_t indices[] = { 0, 1, 2, 3, 4, 0xffff, 1 };
    struct world *w = wl_resource_get_user_data(from);

    w->feedback = wl_resource_create(client,
                                     &zwp_linux_dmabuf_feedback_v1_interface, 4,
                                     id);
    wl_resource_set_implementation(w->feedback, &feedback_impl, w, NULL);
    send_feedback(w, DEVICE, indices, G_N_ELEMENTS(indices));
}

static const struct zwp_linux_dmabuf_v1_interface dmabuf_impl = {
    .destroy = on_destroy,
    .create_params = on_no_params,
    .get_default_feedback = on_feedback,
};

static void on_bind(struct wl_client *client, void *data, uint32_t version,
                    uint32_t id)
{
    struct world *w = data;
    struct wl_resource *r = wl_resource_create(client,
                                               &zwp_linux_dmabuf_v1_interface,
                                               (int)version, id);

    wl_resource_set_implementation(r, &dmabuf_impl, w, NULL);
    g_assert_cmpuint(version, ==, MIN(w->version, 4));
    if (version < 4) {
        zwp_linux_dmabuf_v1_send_format(r, DRM_FORMAT_XRGB8888);
    }
    if (version == 3) {
        zwp_linux_dmabuf_v1_send_modifier(r, DRM_FORMAT_ABGR8888, 0, 0);
        zwp_linux_dmabuf_v1_send_modifier(r, DRM_FORMAT_RGB565, 0xffffff,
                                          0xffffffff);
        zwp_linux_dmabuf_v1_send_modifier(r, DRM_FORMAT_BGR565, 0x1000000, 1);
    }
}

static void turn(struct world *w)
{
    wl_event_loop_dispatch(wl_display_get_event_loop(w->display), 0);
    wl_display_flush_clients(w->display);
}

static void add_dmabuf(struct world *w)
{
    w->dmabuf = wl_global_create(w->display, &zwp_linux_dmabuf_v1_interface,
                                 (int)w->version, w, on_bind);
}

static void world_start(struct world *w)
{
    int sv[2];

    w->lines = g_ptr_array_new_with_free_func(g_free);
    w->closer = vwl_closer_create();
    vwl_log_init(&w->log, on_log, w);
    w->display = wl_display_create();
    wl_display_init_shm(w->display);
    if (w->version) {
        add_dmabuf(w);
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    w->client = wl_client_create(w->display, sv[1]);
    g_assert_cmpint(vwl_probe_create(&sv[0], &w->log, w->closer, &w->probe), ==,
                    0);
    g_assert_cmpint(sv[0], ==, -1);
}

static void world_end(struct world *w)
{
    vwl_probe_destroy(w->probe);
    vwl_closer_destroy(w->closer);
    turn(w);
    wl_display_destroy_clients(w->display);
    wl_display_destroy(w->display);
    g_ptr_array_unref(w->lines);
}

/* Both take turns; how often something changed. */
static unsigned int turns(struct world *w)
{
    unsigned int n = 0;

    for (int i = 0; i < 10; i++) {
        bool changed = false;

        turn(w);
        g_assert_cmpint(vwl_probe_dispatch(w->probe, &changed), ==, 0);
        g_assert_true(!changed || vwl_probe_is_known(w->probe));
        n += changed;
    }
    g_assert_true(vwl_probe_is_known(w->probe));
    return n;
}

static bool says(const struct vwl_probe *probe, const char *line)
{
    g_autofree char *text = vwl_probe_describe(probe);

    g_test_message("%s", text);
    return strstr(text, line);
}

static void test_none(void)
{
    struct world w = { 0 };
    bool changed;

    world_start(&w);
    /* nothing is known before it answers, and nobody waits for it */
    for (int i = 0; i < 5; i++) {
        g_assert_cmpint(vwl_probe_dispatch(w.probe, &changed), ==, 0);
        g_assert_false(changed);
    }
    g_assert_false(vwl_probe_is_known(w.probe));
    g_assert_cmpuint(turns(&w), ==, 1);
    g_assert_cmpuint(vwl_probe_dmabuf_version(w.probe), ==, 0);
    g_assert_cmpuint(vwl_probe_n_formats(w.probe), ==, 0);
    g_assert_cmpuint(vwl_probe_main_device(w.probe), ==, 0);
    g_assert_false(vwl_probe_takes(w.probe, DRM_FORMAT_XRGB8888));
    g_assert_true(says(w.probe, "global wl_shm 1\n"));
    world_end(&w);
}

static void test_modifiers(void)
{
    struct world w = { .version = 3 };

    world_start(&w);
    turns(&w);
    g_assert_cmpuint(vwl_probe_dmabuf_version(w.probe), ==, 3);
    g_assert_cmpuint(vwl_probe_n_formats(w.probe), ==, 3);
    g_assert_true(vwl_probe_takes(w.probe, DRM_FORMAT_ABGR8888));
    g_assert_true(vwl_probe_takes(w.probe, DRM_FORMAT_RGB565));
    g_assert_false(vwl_probe_takes(w.probe, DRM_FORMAT_BGR565));
    g_assert_false(vwl_probe_takes(w.probe, DRM_FORMAT_XRGB8888));
    g_assert_true(says(w.probe, "format AB24 modifier 0x0000000000000000 "
                                "(linear)\n"));
    g_assert_true(says(w.probe, "format RG16 modifier 0x00ffffffffffffff "
                                "(implicit)\n"));
    g_assert_true(says(w.probe, "global zwp_linux_dmabuf_v1 3\n"));
    world_end(&w);
}

static void test_old(void)
{
    struct world w = { .version = 1 };

    world_start(&w);
    turns(&w);
    g_assert_true(vwl_probe_takes(w.probe, DRM_FORMAT_XRGB8888));
    g_assert_cmpuint(vwl_probe_n_formats(w.probe), ==, 1);
    world_end(&w);
}

static void test_feedback(void)
{
    static const uint16_t second[] = { 1 };
    struct world w = { .version = 4 };

    world_start(&w);
    turns(&w);
    g_assert_cmpuint(vwl_probe_n_formats(w.probe), ==, 4);
    g_assert_cmpuint(vwl_probe_main_device(w.probe), ==, DEVICE);
    g_assert_true(vwl_probe_takes(w.probe, DRM_FORMAT_XRGB8888));
    g_assert_false(vwl_probe_takes(w.probe, DRM_FORMAT_NV12));
    g_assert_true(says(w.probe, "main device 226:128\n"));
    /* the compositor changes its mind */
    send_feedback(&w, makedev(226, 129), second, 1);
    g_assert_cmpuint(turns(&w), ==, 1);
    g_assert_cmpuint(vwl_probe_n_formats(w.probe), ==, 1);
    g_assert_cmpuint(vwl_probe_main_device(w.probe), ==, makedev(226, 129));
    g_assert_false(vwl_probe_takes(w.probe, DRM_FORMAT_XRGB8888));
    /* it takes it all away, and gives it back */
    wl_global_destroy(w.dmabuf);
    g_assert_cmpuint(turns(&w), ==, 1);
    g_assert_cmpuint(vwl_probe_dmabuf_version(w.probe), ==, 0);
    g_assert_cmpuint(vwl_probe_n_formats(w.probe), ==, 0);
    g_assert_cmpuint(vwl_probe_main_device(w.probe), ==, 0);
    add_dmabuf(&w);
    g_assert_cmpuint(turns(&w), >=, 1);
    g_assert_cmpuint(vwl_probe_n_formats(w.probe), ==, 4);
    world_end(&w);
}

static void check_bad_table(struct world *w)
{
    world_start(w);
    turns(w);
    g_assert_cmpuint(vwl_probe_dmabuf_version(w->probe), ==, 4);
    g_assert_cmpuint(vwl_probe_n_formats(w->probe), ==, 0);
    g_assert_cmpuint(w->lines->len, ==, 1);
    g_assert_nonnull(strstr(w->lines->pdata[0], "format table"));
    world_end(w);
}

/* Not memory, longer than anybody needs, shorter than it says. */
static void test_bad_tables(void)
{
    check_bad_table(&(struct world){ .version = 4, .bad_table = true });
    check_bad_table(&(struct world){ .version = 4, .big_table = true });
    check_bad_table(&(struct world){ .version = 4, .short_table = true });
}

static void test_gone(void)
{
    struct world w = { .version = 4 };
    bool changed;
    int sv[2];

    world_start(&w);
    turns(&w);
    wl_client_destroy(w.client);
    g_assert_cmpint(vwl_probe_dispatch(w.probe, &changed), <, 0);
    world_end(&w);
    /* one that was never there, and one that talks nonsense */
    for (int i = 0; i < 2; i++) {
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv),
                        ==, 0);
        w.lines = g_ptr_array_new_with_free_func(g_free);
        w.closer = vwl_closer_create();
        g_assert_cmpint(vwl_probe_create(&sv[0], &w.log, w.closer, &w.probe),
                        ==, 0);
        if (i == 1) {
            g_assert_cmpint(write(sv[1], "\2\0\0\0\0\0\4\0", 8), ==, 8);
        }
        shutdown(sv[1], SHUT_WR);
        g_assert_cmpint(vwl_probe_dispatch(w.probe, &changed), <, 0);
        vwl_probe_destroy(w.probe);
        vwl_closer_destroy(w.closer);
        close(sv[1]);
        g_ptr_array_unref(w.lines);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/probe/none", test_none);
    g_test_add_func("/probe/modifiers", test_modifiers);
    g_test_add_func("/probe/old", test_old);
    g_test_add_func("/probe/feedback", test_feedback);
    g_test_add_func("/probe/bad-tables", test_bad_tables);
    g_test_add_func("/probe/gone", test_gone);
    return g_test_run();
}
