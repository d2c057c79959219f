/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the bridge does with the messages of one interface, beside passing them
 * on. An interface without a handler is plain: ids are exchanged, a descriptor
 * is a pipe, and that is all. A protocol that needs treatment is a handler in
 * one file of handlers/, a constant `vwl_handle_NAME`, and a line of `handled`
 * in meson.build.
 *
 * A handler is the role of each object of its interface (wayland/objects.h).
 * Each function may be NULL.
 */
#ifndef VWL_BRIDGE_HANDLER_H
#define VWL_BRIDGE_HANDLER_H

#include "client.h"

enum vwl_outcome {
    VWL_PASS,   /* as if there were no handler */
    VWL_DROP,   /* the other side is not to hear of it; descriptors go */
    VWL_DONE,   /* the handler has dealt with it, and with its descriptors */
    VWL_FAILED, /* the client has come to its end (vwl_client_error) */
    VWL_LATER,  /* of offers and event: nothing was done, the same in a while;
                   a dispatch will follow */
};

struct vwl_handler {
    /* A global of this interface: PASS, DROP or LATER. The version may be
     * lowered. */
    enum vwl_outcome (*offers)(struct vwl_client *client, uint32_t *version);
    /* A request of the client's, checked against the interface; ids in msg
     * and data are the client's. A PASS that failed the client does not go. */
    enum vwl_outcome (*request)(struct vwl_client *client,
                                struct vwl_object *object,
                                const struct vwl_wire_message *msg, void *data);
    /* Before a request goes on that names this object, which may have no host
     * id yet: PASS or FAILED. */
    enum vwl_outcome (*named)(struct vwl_client *client,
                              struct vwl_object *object);
    /* A request that made this object was passed on; ids in msg are the
     * client's. */
    void (*made)(struct vwl_client *client, struct vwl_object *maker,
                 struct vwl_object *object, const struct vwl_wire_message *msg);
    /* An event; ids in msg and data are the host's, data may be rewritten. */
    enum vwl_outcome (*event)(struct vwl_client *client,
                              struct vwl_object *object,
                              const struct vwl_wire_message *msg, void *data);
    /* The host cannot use what was sent alone for this object. */
    void (*refused)(struct vwl_client *client, struct vwl_object *object,
                    struct vwl_lone *lone);
    /* The host is done with its id. PASS: then so is the client; DONE: the
     * handler will tell it. */
    enum vwl_outcome (*delete_id)(struct vwl_client *client,
                                  struct vwl_object *object);
    /* Both ids are gone: what data points at is to be freed. */
    void (*freed)(struct vwl_client *client, struct vwl_object *object);
    /* Bit n: the descriptor of event n is memory, of as many bytes as the last
     * argument says, and not a pipe. */
    uint32_t memory_events;
};

/* The handler of an interface; NULL: plain. */
const void *vwl_handler_of(const struct wl_interface *iface);

/* Whether it is an object that this handler deals with; NULL is none. */
static inline bool vwl_handles(const struct vwl_handler *handler,
                               const struct vwl_object *object)
{
    return object != NULL && object->role == handler;
}

#endif
