/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <wayland-client.h>

#include "base/closer.h"
#include "compositor/probe_priv.h"
#include "linux-dmabuf-client.h"

/* What a compositor can make us remember. */
#define MAX_GLOBALS 1024

static void on_global(void *data, struct wl_registry *registry, uint32_t name,
                      const char *interface, uint32_t version)
{
    struct vwl_probe *probe = data;
    struct vwl_probe_global global = { name, version, NULL };

    if (probe->globals->len < MAX_GLOBALS) {
        global.interface = g_strdup(interface);
        g_array_append_val(probe->globals, global);
        probe->changed = true;
    }
    if (!probe->dmabuf &&
        strcmp(interface, zwp_linux_dmabuf_v1_interface.name) == 0) {
        vwl_probe_bind_dmabuf(probe, name, version);
    }
}

static void on_global_remove(void *data, struct wl_registry *registry,
                             uint32_t name)
{
    struct vwl_probe *probe = data;

    for (guint i = 0; i < probe->globals->len; i++) {
        if (g_array_index(probe->globals, struct vwl_probe_global, i).name ==
            name) {
            g_array_remove_index(probe->globals, i);
            probe->changed = true;
            break;
        }
    }
    if (probe->dmabuf && probe->dmabuf_name == name) {
        vwl_probe_forget_dmabuf(probe);
    }
}

static const struct wl_registry_listener registry_listener = {
    .global = on_global,
    .global_remove = on_global_remove,
};

/* Once for the globals, once more for what was bound then. */
static void on_sync(void *data, struct wl_callback *sync, uint32_t serial);

static const struct wl_callback_listener sync_listener = { .done = on_sync };

static bool ask_sync(struct vwl_probe *probe)
{
    probe->sync = wl_display_sync(probe->display);
    if (probe->sync) {
        wl_callback_add_listener(probe->sync, &sync_listener, probe);
    }
    return probe->sync;
}

static void on_sync(void *data, struct wl_callback *sync, uint32_t serial)
{
    struct vwl_probe *probe = data;

    wl_callback_destroy(probe->sync);
    probe->sync = NULL;
    if (++probe->rounds < 2) {
        ask_sync(probe);
    } else {
        probe->changed = true;
    }
}

static void clear_global(gpointer data)
{
    g_free(((struct vwl_probe_global *)data)->interface);
}

static int flush(struct vwl_probe *probe)
{
    int n = wl_display_flush(probe->display);

    probe->wants_write = n < 0 && errno == EAGAIN;
    return n < 0 && !probe->wants_write ? -errno : 0;
}

int vwl_probe_create(int *fd, struct vwl_log *log, struct vwl_closer *closer,
                     struct vwl_probe **out)
{
    struct vwl_probe *probe;
    struct wl_display *display = wl_display_connect_to_fd(*fd);

    if (!display) {
        return -ENOMEM;
    }
    *fd = -1;
    probe = g_new0(struct vwl_probe, 1);
    probe->log = log;
    probe->closer = closer;
    probe->display = display;
    vwl_watched_init(&probe->socket);
    vwl_watched_set(&probe->socket, wl_display_get_fd(display));
    probe->globals = g_array_new(FALSE, FALSE, sizeof(struct vwl_probe_global));
    g_array_set_clear_func(probe->globals, clear_global);
    probe->formats = g_array_new(FALSE, FALSE, sizeof(struct vwl_probe_format));
    probe->coming = g_array_new(FALSE, FALSE, sizeof(struct vwl_probe_format));
    probe->table = g_array_new(FALSE, TRUE, sizeof(struct vwl_probe_entry));
    probe->registry = wl_display_get_registry(display);
    if (!probe->registry || !ask_sync(probe)) {
        vwl_probe_destroy(probe);
        return -ENOMEM;
    }
    wl_registry_add_listener(probe->registry, &registry_listener, probe);
    if (flush(probe) < 0) {
        vwl_probe_destroy(probe);
        return -EPIPE;
    }
    *out = probe;
    return 0;
}

/* It closes what it has received and not handed out. */
static void disconnect(void *display)
{
    wl_display_disconnect(display);
}

void vwl_probe_destroy(struct vwl_probe *probe)
{
    if (!probe) {
        return;
    }
    vwl_probe_forget_dmabuf(probe);
    if (probe->sync) {
        wl_callback_destroy(probe->sync);
    }
    if (probe->registry) {
        wl_registry_destroy(probe->registry);
    }
    vwl_watched_steal(&probe->socket); /* which closes it */
    vwl_closer_call(probe->closer, disconnect, probe->display);
    g_array_unref(probe->globals);
    g_array_unref(probe->formats);
    g_array_unref(probe->coming);
    g_array_unref(probe->table);
    g_free(probe);
}

struct vwl_watched *vwl_probe_socket(struct vwl_probe *probe)
{
    return &probe->socket;
}

bool vwl_probe_wants_write(const struct vwl_probe *probe)
{
    return probe->wants_write;
}

static int last_error(const struct vwl_probe *probe)
{
    int err = wl_display_get_error(probe->display);

    return err > 0 ? -err : -EPIPE;
}

bool vwl_probe_is_known(const struct vwl_probe *probe)
{
    return probe->rounds >= 2;
}

int vwl_probe_dispatch(struct vwl_probe *probe, bool *changed)
{
    while (wl_display_prepare_read(probe->display) < 0) {
        if (wl_display_dispatch_pending(probe->display) < 0) {
            return last_error(probe);
        }
    }
    if (wl_display_read_events(probe->display) < 0 ||
        wl_display_dispatch_pending(probe->display) < 0 || flush(probe) < 0) {
        return last_error(probe);
    }
    *changed = probe->changed && vwl_probe_is_known(probe);
    if (*changed) {
        probe->changed = false;
    }
    return 0;
}
