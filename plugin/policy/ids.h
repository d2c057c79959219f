/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which interface each id of a connection has: those that the client numbers
 * (from 1, without gaps), and those that the server does (from 0xff000000).
 * An id of the client's is taken until the server says that it is free. One of
 * the server's keeps its interface until the server gives it away again, as
 * events may be on their way; but the client may not use it after it destroyed
 * it: by then the server may have given it to something else.
 */
#ifndef VWL_POLICY_IDS_H
#define VWL_POLICY_IDS_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

#define VWL_FIRST_SERVER_ID 0xff000000u

/* Interfaces in whose messages the filter takes part. */
enum vwl_object_kind {
    VWL_OBJECT_PLAIN,
    VWL_OBJECT_DISPLAY,
    VWL_OBJECT_REGISTRY,
    VWL_OBJECT_SURFACE,
    VWL_OBJECT_BUFFER,
    VWL_OBJECT_SHM,
    VWL_OBJECT_POOL,
    VWL_OBJECT_PARAMS,
    VWL_OBJECT_DEVICE,
    VWL_OBJECT_SOURCE,
    VWL_OBJECT_OFFER,
    VWL_OBJECT_PRIMARY_DEVICE,
    VWL_OBJECT_PRIMARY_SOURCE,
    VWL_OBJECT_PRIMARY_OFFER,
    VWL_OBJECT_XDG_SURFACE,
    VWL_OBJECT_TOPLEVEL,
    VWL_OBJECT_TOKEN,
    VWL_N_OBJECT_KINDS,
};

/* What a source or an offer was used for. */
enum vwl_mark {
    VWL_MARK_SELECTION = 1 << 0,
    VWL_MARK_DRAG = 1 << 1,
    VWL_MARK_CREATING = 1 << 2, /* params: the server will make a buffer */
};

struct vwl_id {
    const struct wl_interface *iface; /* NULL: free */
    uint64_t bytes;                   /* of a pool: of its file */
    uint32_t version;
    uint8_t kind;
    uint8_t marks;
    bool ended; /* of the server's: the client destroyed it */
};

/* Asks for bytes of memory, or gives them back (below 0). False: there are no
 * more. */
typedef bool (*vwl_ids_charge)(void *opaque, int64_t bytes);

struct vwl_ids {
    struct vwl_id *client, *server;
    uint32_t n_client, n_server; /* slots in use so far */
    uint32_t cap_client, cap_server;
    uint32_t live[VWL_N_OBJECT_KINDS]; /* of both */
    uint32_t max;
    vwl_ids_charge charge;
    void *opaque;
};

/* With the display. max: how many ids of either kind there may be. charge:
 * NULL if nobody counts. */
void vwl_ids_init(struct vwl_ids *ids, uint32_t max, vwl_ids_charge charge,
                  void *opaque);
void vwl_ids_finish(struct vwl_ids *ids);

/* NULL: there is no such object. Valid until the next one is added. */
struct vwl_id *vwl_ids_find(const struct vwl_ids *ids, uint32_t id);

/* NULL: the client may not use this id now, or there are too many. */
struct vwl_id *vwl_ids_add_client(struct vwl_ids *ids, uint32_t id,
                                  const struct wl_interface *iface,
                                  uint32_t version);
/* Replaces what had the id. NULL: the server may not use it. */
struct vwl_id *vwl_ids_add_server(struct vwl_ids *ids, uint32_t id,
                                  const struct wl_interface *iface,
                                  uint32_t version);
/* The server told that the client's id is free. */
void vwl_ids_remove(struct vwl_ids *ids, uint32_t id);
/* The client destroyed what the server has made. */
void vwl_ids_end(struct vwl_ids *ids, uint32_t id);

#endif
