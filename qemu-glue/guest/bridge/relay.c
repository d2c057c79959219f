/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Wayland, one message at a time: its ids are exchanged, its descriptors too.
 * Interfaces that need more than that have handlers; none is named here.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "handler.h"
#include "trace.h"
#include "transfer.h"

#define MAX_COPY (16u << 20) /* keymaps, tables of formats */

static void invalid_object(struct vwl_client *client, uint32_t id)
{
    vwl_client_error(client, 1, WL_ERROR_INVALID_OBJECT, "invalid object %u",
                     id);
}

static bool is_same(const struct wl_interface *a, const struct wl_interface *b)
{
    return a == b || strcmp(a->name, b->name) == 0;
}

/* ---- requests ---- */

/* false: the client failed. */
static bool request_object(struct vwl_client *client,
                           const struct vwl_wire_arg *arg, void *data)
{
    const struct vwl_handler *handler;
    struct vwl_object *named;

    if (arg->value == 0) {
        return true;
    }
    named = vwl_objects_client(&client->objects, arg->value);
    if (named == NULL ||
        (arg->iface != NULL && !is_same(arg->iface, named->iface))) {
        invalid_object(client, arg->value);
        return false;
    }
    handler = named->role;
    if (handler != NULL && handler->named != NULL &&
        handler->named(client, named) != VWL_PASS) {
        return false;
    }
    if (named->host_id == 0) {
        invalid_object(client, arg->value);
        return false;
    }
    vwl_wire_put(data, arg->at, named->host_id);
    return true;
}

/* What cannot be passed is one transfer that both sides see the end of: *shut,
 * the VFD is closed once it was sent. -errno: the message cannot go. */
static int request_pipe(struct vwl_client *client, bool *shut)
{
    int fd = vwl_queue_take(&client->from_client);
    int vfd = vwl_transfer_from_client(client, &fd);

    *shut = vfd < 0;
    if (vfd < 0 && client->bridge->options.trace) {
        fprintf(stderr, "[%u] no pipe: %s\n", client->number, g_strerror(-vfd));
    }
    if (vfd < 0) {
        vfd = vwl_transfer_shut(client, fd);
    }
    if (fd >= 0) {
        close(fd);
    }
    return vfd;
}

static bool makes_objects(const struct vwl_wire_message *msg)
{
    for (unsigned int i = 0; i < msg->n_args; i++) {
        if (msg->args[i].type == 'n') {
            return true;
        }
    }
    return false;
}

/* Which interface a new object has, only a handler knows if the message does
 * not say it. */
static struct vwl_object *request_new(struct vwl_client *client,
                                      const struct vwl_object *maker,
                                      const struct vwl_wire_arg *arg,
                                      void *data)
{
    if (arg->iface == NULL) {
        invalid_object(client, maker->client_id);
        return NULL;
    }
    return vwl_client_new_object(client, arg->iface, maker->version, arg, data);
}

/* No row of the table has a message with more than one descriptor. */
static void request_pass(struct vwl_client *client, struct vwl_object *object,
                         const struct vwl_wire_message *msg, void *data)
{
    const struct vwl_handler *handler;
    struct vwl_object *new = NULL;
    bool shut = false;
    int vfd = -1;

    for (unsigned int i = 0; i < msg->n_args; i++) {
        const struct vwl_wire_arg *arg = &msg->args[i];

        if (arg->type == 'o' && !request_object(client, arg, data)) {
            return;
        }
    }
    if (msg->n_fds != 0) {
        vfd = request_pipe(client, &shut);
        if (vfd < 0 && makes_objects(msg)) {
            vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "no pipe: %s",
                             g_strerror(-vfd));
        }
        if (vfd < 0) {
            return;
        }
    }
    for (unsigned int i = 0; i < msg->n_args; i++) {
        const struct vwl_wire_arg *arg = &msg->args[i];

        if (arg->type == 'n') {
            new = request_new(client, object, arg, data);
            if (new == NULL) {
                return;
            }
        }
    }
    vwl_wire_put(data, 0, object->host_id);
    vwl_uplink_put(&client->uplink, data, msg->size, vfd);
    if (shut) {
        vwl_uplink_close(&client->uplink, vfd);
    }
    handler = new != NULL ? new->role : NULL;
    if (handler != NULL && handler->made != NULL) {
        handler->made(client, object, new, msg);
    }
}

/* Each of both: whether the message is dealt with. */
static bool relay_request(struct vwl_client *client, void *data, size_t size)
{
    const struct vwl_handler *handler;
    const struct wl_message *proto;
    struct vwl_wire_message msg;
    struct vwl_object *object;
    uint16_t opcode;
    uint32_t id;

    vwl_wire_header(data, &id, &opcode);
    object = vwl_objects_client(&client->objects, id);
    if (object == NULL) {
        invalid_object(client, id);
        return true;
    }
    proto = opcode < object->iface->method_count
                ? &object->iface->methods[opcode]
                : NULL;
    if (proto == NULL || vwl_wire_since(proto) > object->version ||
        vwl_wire_walk(proto, data, size, &msg) < 0 ||
        msg.n_fds > client->from_client.fds->len) {
        vwl_client_error(client, 1, WL_ERROR_INVALID_METHOD,
                         "invalid request %s#%u.%s (opcode %u)",
                         object->iface->name, id,
                         proto != NULL ? proto->name : "?", opcode);
        return true;
    }
    if (client->bridge->options.trace) {
        vwl_trace_message(client, "->", object, proto, &msg, data);
    }
    handler = object->role;
    if (handler != NULL && handler->request != NULL &&
        handler->request(client, object, &msg, data) != VWL_PASS) {
        return true;
    }
    if (!client->failed) {
        request_pass(client, object, &msg, data);
    }
    return true;
}

/* ---- events ---- */

/* false: this event is not the client's. */
static bool event_object(struct vwl_client *client,
                         const struct vwl_wire_arg *arg, void *data)
{
    struct vwl_object *named;

    if (arg->value == 0) {
        return true;
    }
    named = vwl_objects_host(&client->objects, arg->value);
    if (named == NULL || named->client_id == 0) {
        return false;
    }
    vwl_wire_put(data, arg->at, named->client_id);
    return true;
}

static int event_fd(struct vwl_client *client, const struct vwl_object *object,
                    const struct vwl_wire_message *msg)
{
    const struct vwl_handler *handler = object->role;
    int vfd = vwl_queue_take(&client->from_host), fd;

    if (handler != NULL && msg->opcode < 32 &&
        (handler->memory_events & 1u << msg->opcode) != 0) {
        fd = vwl_transfer_copy_memory(client, &vfd,
                                      MIN(msg->args[msg->n_args - 1].value,
                                          MAX_COPY));
    } else {
        fd = vwl_transfer_from_host(client, &vfd);
    }
    if (vfd >= 0) {
        vwl_transport_close(client->bridge->transport, vfd);
    }
    return fd;
}

static void event_drop(struct vwl_client *client,
                       const struct vwl_wire_message *msg)
{
    for (unsigned int i = 0; i < msg->n_fds; i++) {
        vwl_transport_close(client->bridge->transport,
                            vwl_queue_take(&client->from_host));
    }
}

static void event_pass(struct vwl_client *client,
                       const struct vwl_object *object,
                       const struct vwl_wire_message *msg, void *data)
{
    int fd = -1;

    if (msg->n_fds != 0) {
        fd = event_fd(client, object, msg);
        if (fd < 0 && !makes_objects(msg)) {
            return; /* to the host, the end of a transfer */
        }
    }
    for (unsigned int i = 0; i < msg->n_args; i++) {
        const struct vwl_wire_arg *arg = &msg->args[i];

        if (arg->type == 'n' &&
            (arg->iface == NULL ||
             vwl_objects_new_server(&client->objects, arg->iface,
                                    object->version, arg->value) == NULL)) {
            vwl_client_fail(client, "the host made an object with an id or of "
                                    "an interface that cannot be used");
        }
        if (arg->type == 'o' && !event_object(client, arg, data)) {
            if (fd >= 0) {
                close(fd);
            }
            return;
        }
    }
    if (msg->n_fds != 0 && fd < 0) {
        vwl_client_fail(client, "a descriptor of the host could not be passed");
        return;
    }
    vwl_wire_put(data, 0, object->client_id);
    vwl_queue_put(&client->to_client, data, msg->size, fd);
}

static bool relay_event(struct vwl_client *client, void *data, size_t size)
{
    enum vwl_outcome verdict = VWL_PASS;
    const struct vwl_handler *handler;
    const struct wl_message *proto;
    struct vwl_wire_message msg;
    struct vwl_object *object;
    uint16_t opcode;
    uint32_t id;
    bool ours;

    vwl_wire_header(data, &id, &opcode);
    object = vwl_objects_host(&client->objects, id);
    if (object == NULL) {
        return true; /* destroyed while this was on its way */
    }
    proto = opcode < object->iface->event_count ? &object->iface->events[opcode]
                                                : NULL;
    if (proto == NULL || vwl_wire_walk(proto, data, size, &msg) < 0 ||
        msg.n_fds > client->from_host.fds->len) {
        vwl_client_fail(client, "the host sent an invalid event");
        return true;
    }
    if (client->bridge->options.trace && !client->later) {
        vwl_trace_message(client, "<-", object, proto, &msg, data);
    }
    handler = object->role;
    ours = object->client_id == 0;
    if (handler != NULL && handler->event != NULL) {
        verdict = handler->event(client, object, &msg, data);
    }
    client->later = verdict == VWL_LATER;
    if (verdict == VWL_PASS && !ours) {
        event_pass(client, object, &msg, data);
    } else if (verdict == VWL_DROP || verdict == VWL_PASS) {
        event_drop(client, &msg);
    }
    return !client->later;
}

/* ---- the speaker ---- */

static void relay_all(struct vwl_client *client, struct vwl_queue *queue,
                      bool (*one)(struct vwl_client *, void *, size_t))
{
    GByteArray *bytes = queue->bytes;
    size_t at = 0;

    while (!client->failed && !client->dead) {
        int size = vwl_wire_size(bytes->data + at, bytes->len - at);

        if (size < 0) {
            vwl_client_error(client, 1, WL_ERROR_INVALID_METHOD,
                             "invalid message size");
        }
        if (size <= 0 || !one(client, bytes->data + at, (size_t)size)) {
            break;
        }
        at += (size_t)size;
    }
    if (at != 0) {
        g_byte_array_remove_range(bytes, 0, (guint)at);
    }
}

static void on_client_bytes(struct vwl_client *client)
{
    relay_all(client, &client->from_client, relay_request);
}

static void on_host_bytes(struct vwl_client *client)
{
    relay_all(client, &client->from_host, relay_event);
}

static void on_host_left(struct vwl_client *client)
{
    client->host_gone = true;
    vwl_client_fail(client, "the host hung up");
}

static void on_refused(struct vwl_client *client, struct vwl_lone *lone)
{
    struct vwl_object *object = vwl_objects_host(&client->objects,
                                                 lone->object);
    const struct vwl_handler *handler = object != NULL ? object->role : NULL;

    if (handler != NULL && handler->refused != NULL) {
        handler->refused(client, object, lone);
    }
}

static bool is_over(struct vwl_client *client)
{
    return client->eof && !client->sending &&
           (client->host_gone || vwl_uplink_len(&client->uplink) == 0);
}

static void on_freed(void *opaque, struct vwl_object *object)
{
    const struct vwl_handler *handler = object->role;

    if (handler != NULL && handler->freed != NULL) {
        handler->freed(opaque, object);
    }
}

static void begin(struct vwl_client *client)
{
    static const struct vwl_objects_ops ops = {
        .role = vwl_handler_of,
        .freed = on_freed,
    };

    vwl_objects_init(&client->objects, &ops, client);
    client->objects.max = vwl_limit_of(client, VWL_LIMIT_OBJECTS);
}

static void end(struct vwl_client *client)
{
    vwl_objects_finish(&client->objects);
}

const struct vwl_speaker vwl_relay_speaker = {
    .begin = begin,
    .end = end,
    .from_client = on_client_bytes,
    .from_host = on_host_bytes,
    .host_left = on_host_left,
    .refused = on_refused,
    .is_over = is_over,
};
