/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge.h"

#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "gpu.h"
#include "transfer.h"

#define ACCEPT_PAUSE_MS 100

struct source {
    GSource base;
    struct vwl_bridge *bridge;
    gpointer tag;
};

static struct vwl_bridge *of(GSource *source)
{
    return ((struct source *)(void *)source)->bridge;
}

static gboolean prepare(GSource *source, gint *timeout)
{
    struct vwl_bridge *bridge = of(source);

    *timeout = -1;
    return !bridge->gone &&
           (bridge->again || vwl_transport_pending(bridge->transport) != 0);
}

static gboolean check(GSource *source)
{
    struct source *own = (struct source *)(void *)source;
    gint timeout;

    return g_source_query_unix_fd(source, own->tag) != 0 ||
           prepare(source, &timeout);
}

static void reap(struct vwl_bridge *bridge)
{
    for (guint i = bridge->clients->len; i-- > 0;) {
        struct vwl_client *client = bridge->clients->pdata[i];

        if (client->dead) {
            vwl_client_hang_up(client);
        }
        if (client->dead && !client->sending) {
            for (guint j = 0; j < bridge->transfers->len; j++) {
                vwl_transfer_forget_client(bridge->transfers->pdata[j], client);
            }
            g_ptr_array_remove_index_fast(bridge->clients, i);
            vwl_client_free(client);
        }
    }
    for (guint i = bridge->transfers->len; i-- > 0;) {
        struct vwl_transfer *transfer = bridge->transfers->pdata[i];

        if (vwl_transfer_is_over(transfer)) {
            g_ptr_array_remove_index_fast(bridge->transfers, i);
            vwl_transfer_free(transfer);
        }
    }
}

/* All that the host has said, and what follows of it. */
static void hear(struct vwl_bridge *bridge)
{
    int r = vwl_transport_dispatch(bridge->transport);

    if (r < 0) {
        bridge->gone = true;
        if (bridge->options.gone != NULL) {
            bridge->options.gone(bridge->options.opaque);
        }
        return;
    }
    for (guint i = 0; i < bridge->clients->len; i++) {
        vwl_client_from_host(bridge->clients->pdata[i]);
    }
    for (guint i = 0; i < bridge->transfers->len; i++) {
        vwl_transfer_serve(bridge->transfers->pdata[i]);
    }
}

static void turn(void *opaque)
{
    struct vwl_bridge *bridge = opaque;

    if (!bridge->gone) {
        bridge->again = false;
        hear(bridge);
    }
    if (!bridge->gone) {
        reap(bridge);
    }
}

static gboolean dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
    struct vwl_bridge *bridge = of(source);

    turn(bridge);
    return bridge->gone ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

static GSourceFuncs functions = { prepare, check, dispatch, NULL, NULL, NULL };

struct vwl_bridge *vwl_bridge_new(struct vwl_transport *transport,
                                  const struct vwl_bridge_options *options)
{
    struct vwl_bridge *bridge = g_new0(struct vwl_bridge, 1);
    GSource *source = g_source_new(&functions, sizeof(struct source));
    struct source *own = (struct source *)(void *)source;

    bridge->transport = transport;
    bridge->options = *options;
    bridge->hear = hear;
    vwl_limits_complete(&bridge->options.limits);
    vwl_limit_look_at_process(bridge);
    bridge->clients = g_ptr_array_new();
    bridge->transfers = g_ptr_array_new();
    bridge->arrivals = g_ptr_array_new();
    bridge->listeners = g_ptr_array_new();
    bridge->source = source;
    own->bridge = bridge;
    own->tag = g_source_add_unix_fd(source, vwl_transport_fd(transport),
                                    G_IO_IN);
    g_source_set_can_recurse(source, TRUE); /* see watch.c */
    g_source_attach(source, NULL);
    vwl_transport_notify(transport, turn, bridge);
    return bridge;
}

struct listener {
    struct vwl_bridge *bridge;
    char *name; /* of the host's socket; NULL: Wayland */
    int fd;
    guint watch, pause;
};

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data);

static void listen_again(struct listener *listener)
{
    listener->watch = g_unix_fd_add(listener->fd, G_IO_IN, on_connection,
                                    listener);
}

static gboolean after_pause(gpointer data)
{
    struct listener *listener = data;

    listener->pause = 0;
    listen_again(listener);
    return G_SOURCE_REMOVE;
}

static void listener_free(struct listener *listener)
{
    if (listener->watch != 0) {
        g_source_remove(listener->watch);
    }
    if (listener->pause != 0) {
        g_source_remove(listener->pause);
    }
    g_free(listener->name);
    g_free(listener);
}

/* A client whose connection to the host is being made. */
struct arrival {
    struct vwl_bridge *bridge;
    int fd;
    const struct vwl_speaker *speaker;
};

static void on_connected(void *opaque, int result)
{
    struct arrival *arrival = opaque;
    struct vwl_bridge *bridge = arrival->bridge;

    if (result >= 0) {
        vwl_client_new(bridge, arrival->speaker, result, arrival->fd);
        bridge->again = true;
    } else {
        close(arrival->fd);
    }
    g_ptr_array_remove_fast(bridge->arrivals, arrival);
    g_free(arrival);
}

static int start_connecting(const struct listener *listener, int fd)
{
    struct vwl_bridge *bridge = listener->bridge;
    struct arrival *arrival = g_new(struct arrival, 1);
    int ctx = -1, r;

    *arrival = (struct arrival){
        .bridge = bridge,
        .fd = fd,
        .speaker = listener->name != NULL ? &vwl_socket_speaker
                                          : &vwl_relay_speaker,
    };
    r = vwl_transport_new_ctx_async(bridge->transport, listener->name,
                                    on_connected, arrival);
    if (r == 0) {
        g_ptr_array_add(bridge->arrivals, arrival);
        return 0;
    }
    if (r == -ENOSYS) {
        r = vwl_transport_new_ctx(bridge->transport, listener->name, &ctx);
        if (r == 0) {
            vwl_client_new(bridge, arrival->speaker, ctx, fd);
        }
    }
    g_free(arrival);
    return r;
}

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data)
{
    struct listener *listener = data;
    struct vwl_bridge *bridge = listener->bridge;
    int connection = -1;

    if (vwl_client_has_room(bridge) && vwl_limit_has_room(bridge, fd)) {
        connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (connection < 0 &&
            (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)) {
            return G_SOURCE_CONTINUE;
        }
    }
    if (connection < 0) {
        listener->watch = 0;
        listener->pause = g_timeout_add(ACCEPT_PAUSE_MS, after_pause, listener);
        return G_SOURCE_REMOVE;
    }
    if (start_connecting(listener, connection) < 0) {
        close(connection);
    }
    return G_SOURCE_CONTINUE;
}

void vwl_bridge_listen(struct vwl_bridge *bridge, int fd, const char *name)
{
    struct listener *listener = g_new0(struct listener, 1);

    listener->bridge = bridge;
    listener->fd = fd;
    listener->name = g_strdup(name);
    g_ptr_array_add(bridge->listeners, listener);
    listen_again(listener);
}

void vwl_bridge_free(struct vwl_bridge *bridge)
{
    if (bridge == NULL) {
        return;
    }
    vwl_transport_notify(bridge->transport, NULL, NULL);
    for (guint i = 0; i < bridge->listeners->len; i++) {
        listener_free(bridge->listeners->pdata[i]);
    }
    g_ptr_array_unref(bridge->listeners);
    vwl_gpu_finish(bridge);
    for (guint i = 0; i < bridge->transfers->len; i++) {
        vwl_transfer_free(bridge->transfers->pdata[i]);
    }
    for (guint i = 0; i < bridge->clients->len; i++) {
        vwl_client_free(bridge->clients->pdata[i]);
    }
    for (guint i = 0; i < bridge->arrivals->len; i++) {
        struct arrival *arrival = bridge->arrivals->pdata[i];

        close(arrival->fd);
        g_free(arrival);
    }
    g_ptr_array_unref(bridge->arrivals);
    g_ptr_array_unref(bridge->transfers);
    g_clear_pointer(&bridge->spare, g_byte_array_unref);
    g_ptr_array_unref(bridge->clients);
    g_source_destroy(bridge->source);
    g_source_unref(bridge->source);
    g_free(bridge);
}
