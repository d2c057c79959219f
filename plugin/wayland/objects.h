/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The objects of one Wayland connection that is relayed, each with an id on
 * either side: towards the client and towards the host. The two numberings may
 * differ: whoever relays can keep objects of its own on the host's side
 * (client id 0) and answer for some of the client's alone (host id 0). Objects
 * that the host makes (0xff000000 and up) have one id on both sides.
 *
 * Objects are the table's; a pointer is good until the object's last id is
 * dropped. One thread.
 */
#ifndef VWL_WAYLAND_OBJECTS_H
#define VWL_WAYLAND_OBJECTS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

#define VWL_SERVER_IDS 0xff000000u
#define VWL_MAX_OBJECTS 65536u /* unless the owner sets another max */

struct vwl_object {
    const struct wl_interface *iface;
    const void *role; /* the owner's, of the interface; see below */
    uint32_t version;
    uint32_t client_id, host_id; /* 0: none */
    bool in_use;                 /* the relay's own, not destroyed yet */
    void *data;                  /* the owner's, of this object */
};

/* What the owner of the objects says of them. */
struct vwl_objects_ops {
    /* What each object of an interface gets as its role. May be NULL. */
    const void *(*role)(const struct wl_interface *iface);
    /* Before an object goes: its data is to be freed. */
    void (*freed)(void *opaque, struct vwl_object *object);
};

struct vwl_objects {
    GPtrArray *client, *host, *server; /* of struct vwl_object, by id */
    GArray *free_ids;                  /* of the host's side */
    uint32_t max;                      /* ids of the client's */
    const struct vwl_objects_ops *ops;
    void *opaque;
};

/* Makes the display, 1 on both sides. ops is borrowed. */
void vwl_objects_init(struct vwl_objects *objects,
                      const struct vwl_objects_ops *ops, void *opaque);
/* Frees all that are left. */
void vwl_objects_finish(struct vwl_objects *objects);

/* NULL: no such object. */
struct vwl_object *vwl_objects_client(struct vwl_objects *objects, uint32_t id);
struct vwl_object *vwl_objects_host(struct vwl_objects *objects, uint32_t id);

/* Whether a client may give this id to a new object. */
bool vwl_objects_may_use(struct vwl_objects *objects, uint32_t client_id);

/* client_id 0: of the relay's own. on_host: with a fresh id there. NULL: too
 * many, or the id cannot be used. */
struct vwl_object *vwl_objects_new(struct vwl_objects *objects,
                                   const struct wl_interface *iface,
                                   uint32_t version, uint32_t client_id,
                                   bool on_host);
/* One that the host made; it replaces what had the id before. */
struct vwl_object *vwl_objects_new_server(struct vwl_objects *objects,
                                          const struct wl_interface *iface,
                                          uint32_t version, uint32_t id);
/* Gives it an id on the host's side; false: too many. */
bool vwl_objects_add_host(struct vwl_objects *objects,
                          struct vwl_object *object);

/* Both have one on the host's side: each gets the other's. */
void vwl_objects_swap_host(struct vwl_objects *objects, struct vwl_object *a,
                           struct vwl_object *b);

/* An id is free again. The object goes with its last one. */
void vwl_objects_drop_client(struct vwl_objects *objects,
                             struct vwl_object *object);
void vwl_objects_drop_host(struct vwl_objects *objects,
                           struct vwl_object *object);

#endif
