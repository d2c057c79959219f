/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loaded into cage (LD_PRELOAD) by virtio-wl-x11: the part of the X11 programs'
 * clipboard that speaks with the host's desktop.
 *
 * A compositor gives selections to the client that has the keyboard, by its own
 * connection: that is cage's, whose window it is, and cage does nothing with
 * them. So this binds, on the connection that cage makes, a data device of its
 * own. Its events come with cage's, on cage's thread. What the X server's side
 * says is read by another: cage's loop is not ours to watch sockets with.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wayland-client.h>

#include "message.h"
#include "primary_selection.h"
#include "seat.h"

#define EXPORT __attribute__((visibility("default")))

/* Something that the desktop offers: the clipboard, the primary selection, or
 * what is dragged over cage's window, which nobody here takes. */
struct offer {
    enum vwl_board board;
    struct wl_proxy *proxy;
    struct vwl_types types;
};

struct board {
    struct wl_proxy *manager, *device;
    struct offer *offered;   /* the desktop's */
    struct wl_proxy *source; /* ours, while the desktop has it */
    struct wl_callback *set; /* until it has heard of that */
    struct vwl_types types;  /* what the X11 programs have */
    bool taken;              /* the desktop took what they have */
    bool waits;              /* for the user to do something here, for that */
};

static struct {
    pthread_mutex_t lock; /* the programs' thread beside cage's */
    int socket;           /* to the X server's side */
    struct wl_display *display;
    struct wl_seat *seat;
    struct offer *dragged;
    uint32_t serial; /* of the last thing that the user did here */
    bool focused;
    char mark[48]; /* a type that our sources have beside the others */
    struct board boards[VWL_BOARDS];
} us = { .lock = PTHREAD_MUTEX_INITIALIZER, .socket = -1 };

/* Requests that both protocols have, by the same numbers in the same order. */
enum {
    MANAGER_SOURCE = WL_DATA_DEVICE_MANAGER_CREATE_DATA_SOURCE,
    MANAGER_DEVICE = WL_DATA_DEVICE_MANAGER_GET_DATA_DEVICE,
    SOURCE_OFFER = WL_DATA_SOURCE_OFFER,
    SOURCE_DESTROY = WL_DATA_SOURCE_DESTROY,
};
_Static_assert(
    (int)MANAGER_SOURCE ==
            (int)ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_CREATE_SOURCE &&
        (int)MANAGER_DEVICE ==
            (int)ZWP_PRIMARY_SELECTION_DEVICE_MANAGER_V1_GET_DEVICE &&
        (int)SOURCE_OFFER == (int)ZWP_PRIMARY_SELECTION_SOURCE_V1_OFFER &&
        (int)SOURCE_DESTROY == (int)ZWP_PRIMARY_SELECTION_SOURCE_V1_DESTROY,
    "as the code below has it");

static void say_has(enum vwl_board board, const struct vwl_types *types)
{
    struct vwl_selection s = { .kind = VWL_SELECTION_HAS,
                               .board = board,
                               .fd = -1 };
    if (types)
        s.types = *types;
    vwl_selection_send(us.socket, &s);
}

static void offer_free(struct offer *offer)
{
    if (!offer)
        return;
    if (offer->board == VWL_PRIMARY)
        zwp_primary_selection_offer_v1_destroy((void *)offer->proxy);
    else
        wl_data_offer_destroy((void *)offer->proxy);
    free(offer);
}

static void source_free(struct board *board)
{
    if (!board->source)
        return;
    wl_proxy_marshal(board->source, SOURCE_DESTROY);
    wl_proxy_destroy(board->source);
    board->source = NULL;
}

/* ---- what the X11 programs have ---- */

static void source_send(enum vwl_board board, const char *type, int fd)
{
    struct vwl_selection s = { .kind = VWL_SELECTION_WANT,
                               .board = board,
                               .fd = fd };
    vwl_types_add(&s.types, type);
    vwl_selection_send(us.socket, &s);
}

static void source_cancelled(enum vwl_board board, void *source)
{
    pthread_mutex_lock(&us.lock);
    if (us.boards[board].source == source)
        source_free(&us.boards[board]);
    pthread_mutex_unlock(&us.lock);
}

static void source_set(void *data, struct wl_callback *callback,
                       uint32_t serial)
{
    struct board *board = data;

    pthread_mutex_lock(&us.lock);
    if (board->set == callback) {
        board->set = NULL;
        board->waits = !board->taken;
    }
    wl_callback_destroy(callback);
    pthread_mutex_unlock(&us.lock);
}

static const struct wl_callback_listener set_listener = { .done = source_set };

static void data_target(void *data, struct wl_data_source *source,
                        const char *type)
{
}

static void data_send(void *data, struct wl_data_source *source,
                      const char *type, int fd)
{
    source_send(VWL_CLIPBOARD, type, fd);
}

static void data_cancelled(void *data, struct wl_data_source *source)
{
    source_cancelled(VWL_CLIPBOARD, source);
}

static const struct wl_data_source_listener data_source_listener = {
    .target = data_target, .send = data_send, .cancelled = data_cancelled
};

static void primary_send(void *data,
                         struct zwp_primary_selection_source_v1 *source,
                         const char *type, int fd)
{
    source_send(VWL_PRIMARY, type, fd);
}

static void primary_cancelled(void *data,
                              struct zwp_primary_selection_source_v1 *source)
{
    source_cancelled(VWL_PRIMARY, source);
}

static const struct zwp_primary_selection_source_v1_listener
    primary_source_listener = { .send = primary_send,
                                .cancelled = primary_cancelled };

/* Gives the desktop what the X11 programs have, once cage has the keyboard:
 * compositors take it from nobody else, and some only for what the user did
 * after the last copy of somebody else. Called with the lock. */
static void claim(enum vwl_board index)
{
    struct board *board = &us.boards[index];

    if (!board->device || !us.focused) {
        board->waits = true;
        return;
    }
    board->waits = board->taken = false;
    source_free(board);
    if (index == VWL_PRIMARY) {
        struct zwp_primary_selection_source_v1
            *source = zwp_primary_selection_device_manager_v1_create_source(
                (void *)board->manager);
        zwp_primary_selection_source_v1_add_listener(source,
                                                     &primary_source_listener,
                                                     NULL);
        board->source = (void *)source;
    } else {
        struct wl_data_source *source =
            wl_data_device_manager_create_data_source((void *)board->manager);
        wl_data_source_add_listener(source, &data_source_listener, NULL);
        board->source = (void *)source;
    }
    for (const char *t = NULL; (t = vwl_types_next(&board->types, t));)
        wl_proxy_marshal(board->source, SOURCE_OFFER, t);
    wl_proxy_marshal(board->source, SOURCE_OFFER, us.mark);
    if (index == VWL_PRIMARY)
        zwp_primary_selection_device_v1_set_selection((void *)board->device,
                                                      (void *)board->source,
                                                      us.serial);
    else
        wl_data_device_set_selection((void *)board->device,
                                     (void *)board->source, us.serial);
    board->set = wl_display_sync(us.display);
    wl_callback_add_listener(board->set, &set_listener, board);
    wl_display_flush(us.display);
}

static void programs_have(const struct vwl_selection *s)
{
    struct board *board = &us.boards[s->board];

    board->types = s->types;
    if (s->types.length) {
        claim(s->board);
    } else {
        board->waits = false;
        source_free(board);
        wl_display_flush(us.display);
    }
}

static void programs_want(const struct vwl_selection *s)
{
    struct offer *offer = us.boards[s->board].offered;

    if (offer) {
        if (s->board == VWL_PRIMARY)
            zwp_primary_selection_offer_v1_receive((void *)offer->proxy,
                                                   s->types.text, s->fd);
        else
            wl_data_offer_receive((void *)offer->proxy, s->types.text, s->fd);
        wl_display_flush(us.display);
    }
    close(s->fd);
}

static void *listen_to_programs(void *data)
{
    struct vwl_selection s;
    while (vwl_selection_read(us.socket, &s)) {
        pthread_mutex_lock(&us.lock);
        if (s.kind == VWL_SELECTION_HAS)
            programs_have(&s);
        else
            programs_want(&s);
        pthread_mutex_unlock(&us.lock);
    }
    return NULL;
}

/* ---- what the desktop has ---- */

static void offer_type(void *data, struct wl_data_offer *proxy,
                       const char *type)
{
    struct offer *offer = data;
    vwl_types_add(&offer->types, type);
}

static const struct wl_data_offer_listener data_offer_listener = {
    .offer = offer_type
};

static void primary_type(void *data,
                         struct zwp_primary_selection_offer_v1 *proxy,
                         const char *type)
{
    struct offer *offer = data;
    vwl_types_add(&offer->types, type);
}

static const struct zwp_primary_selection_offer_v1_listener
    primary_offer_listener = { .offer = primary_type };

static struct offer *offer_new(enum vwl_board board, void *proxy)
{
    struct offer *offer = calloc(1, sizeof *offer);
    if (!offer)
        abort(); // as libwayland does
    offer->board = board;
    offer->proxy = proxy;
    return offer;
}

/* Now it is @offer, or nothing: said to the X11 programs, unless it is what
 * they gave, or comes from before the desktop knew of that. Otherwise the
 * desktop has something newer. */
static void selected(enum vwl_board index, struct offer *offer)
{
    struct board *board = &us.boards[index];

    pthread_mutex_lock(&us.lock);
    if (offer != board->offered)
        offer_free(board->offered);
    board->offered = offer;
    bool ours = offer && vwl_types_have(&offer->types, us.mark);
    bool older = board->set || (board->waits && !us.focused);
    if (ours)
        board->taken = true;
    if (!ours && !older) {
        board->waits = false;
        source_free(board);
        say_has(index, offer ? &offer->types : NULL);
    }
    pthread_mutex_unlock(&us.lock);
}

static void device_offer(void *data, struct wl_data_device *device,
                         struct wl_data_offer *proxy)
{
    struct offer *offer = offer_new(VWL_CLIPBOARD, proxy);
    wl_data_offer_add_listener(proxy, &data_offer_listener, offer);
}

static void device_selection(void *data, struct wl_data_device *device,
                             struct wl_data_offer *proxy)
{
    selected(VWL_CLIPBOARD, proxy ? wl_data_offer_get_user_data(proxy) : NULL);
}

static void device_enter(void *data, struct wl_data_device *device,
                         uint32_t serial, struct wl_surface *surface,
                         wl_fixed_t x, wl_fixed_t y,
                         struct wl_data_offer *proxy)
{
    us.dragged = proxy ? wl_data_offer_get_user_data(proxy) : NULL;
}

static void device_leave(void *data, struct wl_data_device *device)
{
    offer_free(us.dragged);
    us.dragged = NULL;
}

static void device_motion(void *data, struct wl_data_device *device,
                          uint32_t time, wl_fixed_t x, wl_fixed_t y)
{
}

static const struct wl_data_device_listener device_listener = {
    .data_offer = device_offer,
    .enter = device_enter,
    .leave = device_leave,
    .motion = device_motion,
    .drop = device_leave,
    .selection = device_selection
};

static void primary_offer(void *data,
                          struct zwp_primary_selection_device_v1 *device,
                          struct zwp_primary_selection_offer_v1 *proxy)
{
    struct offer *offer = offer_new(VWL_PRIMARY, proxy);
    zwp_primary_selection_offer_v1_add_listener(proxy, &primary_offer_listener,
                                                offer);
}

static void primary_selection(void *data,
                              struct zwp_primary_selection_device_v1 *device,
                              struct zwp_primary_selection_offer_v1 *proxy)
{
    selected(VWL_PRIMARY,
             proxy ? zwp_primary_selection_offer_v1_get_user_data(proxy)
                   : NULL);
}

static const struct zwp_primary_selection_device_v1_listener
    primary_listener = { .data_offer = primary_offer,
                         .selection = primary_selection };

/* ---- what the user does, for its serials ---- */

static void user_acted(uint32_t serial, bool focused)
{
    pthread_mutex_lock(&us.lock);
    us.serial = serial;
    us.focused = focused;
    for (int board = 0; focused && board < VWL_BOARDS; board++)
        if (us.boards[board].waits)
            claim(board);
    pthread_mutex_unlock(&us.lock);
}

/* ---- the connection ---- */

static void make_devices(void)
{
    struct board *clipboard = &us.boards[VWL_CLIPBOARD];
    struct board *primary = &us.boards[VWL_PRIMARY];

    if (us.seat && clipboard->manager && !clipboard->device) {
        struct wl_data_device *device = wl_data_device_manager_get_data_device(
            (void *)clipboard->manager, us.seat);
        wl_data_device_add_listener(device, &device_listener, NULL);
        clipboard->device = (void *)device;
    }
    if (us.seat && primary->manager && !primary->device) {
        struct zwp_primary_selection_device_v1
            *device = zwp_primary_selection_device_manager_v1_get_device(
                (void *)primary->manager, us.seat);
        zwp_primary_selection_device_v1_add_listener(device, &primary_listener,
                                                     NULL);
        primary->device = (void *)device;
    }
}

static void global_add(void *data, struct wl_registry *registry, uint32_t name,
                       const char *interface, uint32_t version)
{
    struct board *clipboard = &us.boards[VWL_CLIPBOARD];
    struct board *primary = &us.boards[VWL_PRIMARY];

    if (!strcmp(interface, wl_seat_interface.name) && !us.seat) {
        us.seat = wl_registry_bind(registry, name, &wl_seat_interface, 1);
        vwl_seat_begin(us.seat, user_acted);
    } else if (!strcmp(interface, wl_data_device_manager_interface.name) &&
               !clipboard->manager) {
        clipboard->manager = wl_registry_bind(registry, name,
                                              &wl_data_device_manager_interface,
                                              1);
    } else if (!strcmp(
                   interface,
                   zwp_primary_selection_device_manager_v1_interface.name) &&
               !primary->manager) {
        primary->manager = wl_registry_bind(
            registry, name, &zwp_primary_selection_device_manager_v1_interface,
            1);
    }
    pthread_mutex_lock(&us.lock);
    make_devices();
    pthread_mutex_unlock(&us.lock);
}

static void global_remove(void *data, struct wl_registry *registry,
                          uint32_t name)
{
}

static const struct wl_registry_listener registry_listener = {
    .global = global_add, .global_remove = global_remove
};

static void begin(struct wl_display *display)
{
    pthread_t thread;
    struct wl_registry *registry = wl_display_get_registry(display);

    us.display = display;
    wl_registry_add_listener(registry, &registry_listener, NULL);
    if (pthread_create(&thread, NULL, listen_to_programs, NULL))
        fprintf(stderr, "virtio-wl-x11: no thread, so no copy and paste\n");
    else
        pthread_detach(thread);
}

/* cage's first connection is that to the desktop. */
EXPORT struct wl_display *wl_display_connect(const char *name)
{
    static bool begun;
    struct wl_display *(*next)(const char *) = (struct wl_display *
                                                (*)(const char *))
        dlsym(RTLD_NEXT, "wl_display_connect");
    struct wl_display *display = next ? next(name) : NULL;

    if (display && us.socket >= 0 && !begun) {
        begun = true;
        begin(display);
    }
    return display;
}

/* Before cage's main(): no thread of it, nor a child, is there yet. The other
 * end is for its children, which are not to load this. */
__attribute__((constructor)) static void prepare(void)
{
    int pair[2];
    char number[16];
    unsigned long long random = 0;
    const char *rest = getenv("VWL_X11_PRELOAD");

    if (rest && *rest)
        setenv("LD_PRELOAD", rest, 1);
    else
        unsetenv("LD_PRELOAD");
    unsetenv("VWL_X11_PRELOAD");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
        return;
    fcntl(pair[0], F_SETFD, FD_CLOEXEC);
    us.socket = pair[0];
    getrandom(&random, sizeof random, 0);
    snprintf(us.mark, sizeof us.mark, "application/x-virtio-wl-x11.%016llx",
             random);
    snprintf(number, sizeof number, "%d", pair[1]);
    setenv(VWL_SELECTION_ENV, number, 1);
}
