/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bridge from within. Its public face is bridge.h; this page explains the
 * rest.
 *
 *   bridge.c     listeners, the transport's place in the main loop, the life
 *                of clients and transfers
 *   client.c     one client's two connections: bytes and descriptors in and
 *                out, no matter what they mean
 *   uplink.c     what waits to be sent to the host; queue.c: any such bytes
 *   speaker.h    what a connection's bytes mean: relay.c (Wayland) and
 *                socket.c (anything else, unread)
 *   handler.h    what relay.c does not do for all messages alike: one handler
 *                for each interface that needs treatment, in handlers/, by the
 *                table handlers/table.c
 *   transfer.c   pipes between the guest and the host (clipboard, drags)
 *   part.c       what a handler or speaker keeps for a client
 *   limit.c      how much of what a program may have, and what all may
 *   guard.c      reading memory that a program may take away
 *   trace.c, watch.c   helpers
 *
 * Who holds what. The bridge holds clients and transfers; a transfer outlives
 * its client. A client holds its descriptor, its context's VFD, its uplink and
 * the objects of its connection; what a handler keeps for a client is a part
 * of it (part.h), what it keeps for an object is the object's data.
 * The transport is the caller's.
 *
 * How a client ends. vwl_client_fail sets failed: nothing more is relayed, and
 * what was said to the client is still sent. The next flush sets dead; the
 * bridge then closes the context, which ends a send that is under way, and
 * frees the client when none is. One thread; nothing waits.
 */
#ifndef VWL_BRIDGE_CLIENT_H
#define VWL_BRIDGE_CLIENT_H

#include <glib.h>
#include <stdbool.h>

#include "../transport.h"
#include "bridge.h"
#include "queue.h"
#include "speaker.h"
#include "uplink.h"
#include "wayland/objects.h"
#include "wayland/wire.h"

/* Bytes on their way beyond which the sender is not read. */
#define VWL_HIGH_WATER (1u << 20)

#define WL_ERROR_INVALID_OBJECT 0u
#define WL_ERROR_INVALID_METHOD 1u
#define WL_ERROR_NO_MEMORY 2u

struct vwl_bridge {
    struct vwl_transport *transport;
    struct vwl_bridge_options options;
    GSource *source;
    GPtrArray *clients;   /* of struct vwl_client */
    GPtrArray *transfers; /* of struct vwl_transfer */
    GByteArray *spare;    /* NULL, or for the next one: its pages are there */
    GPtrArray *arrivals;
    GPtrArray *listeners;
    unsigned int counter;
    struct vwl_transport_gpu gpu; /* gpu.c */
    bool gpu_known;
    bool no_pages; /* the host does not take programs' pages as they are */
    unsigned int n_pages_refused; /* one after the other */
    gint64 gpu_pause;
    struct vwl_gpu_question *gpu_question;
    unsigned int fds_max, fds_low;     /* limit.c: of the process */
    bool limits_said[VWL_LIMITS_SAID]; /* by enum vwl_limit */
    /* What the host has said, and what follows of it. */
    void (*hear)(struct vwl_bridge *bridge);
    bool again; /* more to receive than one round takes */
    bool gone;
};

struct vwl_client {
    struct vwl_bridge *bridge;
    const struct vwl_speaker *speaker;
    unsigned int number;
    int fd;
    guint in_watch, out_watch;
    struct vwl_queue from_client, to_client; /* with descriptors */
    struct vwl_queue from_host;              /* with VFDs */
    struct vwl_uplink uplink;
    int ctx; /* VFD; -1: hung up */
    bool sending;
    bool host_gone; /* nothing can be sent */
    bool host_eof;  /* nothing will come */
    bool eof, deaf; /* the client's end: said all, hears nothing */
    bool full;      /* to_client: the host is not read meanwhile */
    bool later;     /* from_host: its first message cannot be dealt with yet */
    bool failed, dead;
    int hold; /* nothing is sent before it is readable; -1: none */
    guint hold_watch;
    unsigned int n_transfers;
    unsigned int n_fds; /* of the process, that are held for it */
    struct vwl_objects objects;
    GArray *parts; /* part.c */
};

/* Ends what a program's words began, and deals with what follows of it, where
 * the device runs on this thread. Nothing is freed meanwhile. */
static inline void vwl_bridge_settle(struct vwl_bridge *bridge)
{
    if (!bridge->gone && vwl_transport_settle(bridge->transport) == 1) {
        bridge->hear(bridge);
    }
}

/* Whether there may be one more. */
bool vwl_client_has_room(struct vwl_bridge *bridge);

/* Takes both its ends, and a place among the bridge's clients. */
struct vwl_client *vwl_client_new(struct vwl_bridge *bridge,
                                  const struct vwl_speaker *speaker, int ctx,
                                  int fd);
/* Ends the connection to the host, and sends under way with it. */
void vwl_client_hang_up(struct vwl_client *client);
void vwl_client_free(struct vwl_client *client);

/* Receives what the host has said, and sends what can be sent. */
void vwl_client_from_host(struct vwl_client *client);
void vwl_client_flush(struct vwl_client *client);
/* Nothing is sent to the host until fd is readable. Takes it. */
void vwl_client_hold(struct vwl_client *client, int fd);

/* Ends the client without a word to it; why is for the trace. */
void vwl_client_fail(struct vwl_client *client, const char *why);
/* The same with wl_display.error; object is a client id. */
void vwl_client_error(struct vwl_client *client, uint32_t object, uint32_t code,
                      const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Because of an id that it may not give to a new object. */
void vwl_client_bad_id(struct vwl_client *client, uint32_t id);
/* wl_display.delete_id. */
void vwl_client_delete_id(struct vwl_client *client, uint32_t id);
/* An event without arguments, but for a descriptor or -1. */
void vwl_client_event(struct vwl_client *client, uint32_t object,
                      unsigned int opcode, int fd);

/* The object that the argument of a request asks for, on both sides; its host
 * id is written into the request. NULL: the client failed. */
struct vwl_object *vwl_client_new_object(struct vwl_client *client,
                                         const struct wl_interface *iface,
                                         uint32_t version,
                                         const struct vwl_wire_arg *arg,
                                         void *data);

#endif
