/* SPDX-License-Identifier: BSD-3-Clause */
/* One message: its ids are exchanged, its descriptors too, and what the
 * bridge must know of it is learnt. */
#include "client.h"
#include "clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Opcodes. */
#define DISPLAY_GET_REGISTRY 1
#define DISPLAY_ERROR 0
#define DISPLAY_DELETE_ID 1
#define REGISTRY_BIND 0
#define REGISTRY_GLOBAL 0
#define REGISTRY_GLOBAL_REMOVE 1
#define BUFFER_RELEASE 0
#define KEYBOARD_KEYMAP 0
#define VIEWPORTER_GET_VIEWPORT 1
#define DMABUF_FORMAT_TABLE 1
#define MAX_COPY (16u << 20) /* keymaps, tables of formats */
#define MAX_MESSAGE 65532u

static void invalid_object(struct vwl_client *client, uint32_t id)
{
    vwl_client_error(client, 1, WL_ERROR_INVALID_OBJECT, "invalid object %u",
                     id);
}

static bool same(const struct wl_interface *a, const struct wl_interface *b)
{
    return a == b || strcmp(a->name, b->name) == 0;
}

/* What a request makes: its interface, and the version. NULL: the client
 * failed. */
static const struct wl_interface *made(struct vwl_client *client,
                                       const struct vwl_object *object,
                                       const struct vwl_wire_message *msg,
                                       const struct vwl_wire_arg *arg,
                                       const void *data, uint32_t *version)
{
    const struct vwl_table_row *offered;
    const char *name;

    *version = object->version;
    if (arg->iface != NULL) {
        return arg->iface;
    }
    if (vwl_kind_of(object) != VWL_KIND_REGISTRY ||
        msg->opcode != REGISTRY_BIND || msg->args[1].value == 0) {
        invalid_object(client, msg->object);
        return NULL;
    }
    name = (const char *)data + msg->args[1].at;
    *version = msg->args[2].value;
    offered = g_hash_table_lookup(client->globals,
                                  GUINT_TO_POINTER(msg->args[0].value));
    if (offered == NULL || strcmp(offered->iface->name, name) != 0 ||
        *version == 0 || *version > vwl_table_version(offered)) {
        vwl_client_error(client, object->client_id, WL_ERROR_INVALID_OBJECT,
                         "invalid global %.64s (%u), version %u", name,
                         msg->args[0].value, *version);
        return NULL;
    }
    return offered->iface;
}

/* NULL: the client failed. */
static struct vwl_object *take_id(struct vwl_client *client,
                                  const struct vwl_object *object,
                                  const struct vwl_wire_message *msg,
                                  const struct vwl_wire_arg *arg, void *data)
{
    uint32_t version;
    const struct wl_interface *iface = made(client, object, msg, arg, data,
                                            &version);
    struct vwl_object *new;

    if (iface == NULL) {
        return NULL;
    }
    if (!vwl_objects_may_use(&client->objects, arg->value)) {
        vwl_client_error(client, 1, WL_ERROR_INVALID_OBJECT,
                         "invalid new id %u", arg->value);
        return NULL;
    }
    new = vwl_objects_new(&client->objects, iface, version, arg->value, true);
    if (new == NULL) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "too many objects");
        return NULL;
    }
    vwl_wire_put(data, arg->at, new->host_id);
    return new;
}

static bool take_object(struct vwl_client *client,
                        const struct vwl_wire_arg *arg, void *data)
{
    struct vwl_object *named;

    if (arg->value == 0) {
        return true;
    }
    named = vwl_objects_client(&client->objects, arg->value);
    if (named == NULL ||
        (arg->iface != NULL && !same(arg->iface, named->iface))) {
        invalid_object(client, arg->value);
        return false;
    }
    if (!vwl_shm_materialize(client, named)) {
        return false;
    }
    if (named->host_id == 0) {
        invalid_object(client, arg->value);
        return false;
    }
    vwl_wire_put(data, arg->at, named->host_id);
    return true;
}

int vwl_client_take_fd(struct vwl_client *client)
{
    GArray *fds = client->from_client.fds;
    int fd = g_array_index(fds, struct vwl_attached, 0).fd;

    g_array_remove_index(fds, 0);
    return fd;
}

static int take_pipe(struct vwl_client *client)
{
    int fd = vwl_client_take_fd(client);
    int vfd = vwl_pipe_from_client(client, &fd);

    if (fd >= 0) {
        close(fd);
    }
    if (vfd < 0) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "no pipe: %s",
                         g_strerror(-vfd));
    }
    return vfd;
}

/* No table row has a message with more than one descriptor. */
static void pass_request(struct vwl_client *client, struct vwl_object *object,
                         const struct vwl_wire_message *msg, void *data)
{
    struct vwl_object *new = NULL;
    int vfd = -1;

    for (unsigned int i = 0; i < msg->n_args; i++) {
        const struct vwl_wire_arg *arg = &msg->args[i];

        if (arg->type == 'o' && !take_object(client, arg, data)) {
            return;
        }
    }
    if (msg->n_fds != 0) {
        vfd = take_pipe(client);
        if (vfd < 0) {
            return;
        }
    }
    for (unsigned int i = 0; i < msg->n_args; i++) {
        const struct vwl_wire_arg *arg = &msg->args[i];

        if (arg->type == 'n') {
            new = take_id(client, object, msg, arg, data);
            if (new == NULL) {
                return;
            }
        }
    }
    vwl_wire_put(data, 0, object->host_id);
    vwl_client_to_host(client, data, msg->size, vfd);
    if (new != NULL && vwl_kind_of(new) == VWL_KIND_TOPLEVEL) {
        vwl_names_begin(client, new);
    } else if (new != NULL && vwl_kind_of(new) == VWL_KIND_FEEDBACK) {
        vwl_clock_asked(object, new);
    } else if (new != NULL && vwl_kind_of(new) == VWL_KIND_SYNC) {
        vwl_sync_made(client, new, msg->args[1].value);
    }
}

static bool hook_request(struct vwl_client *client, struct vwl_object *object,
                         const struct vwl_wire_message *msg, const void *data)
{
    struct vwl_object *surface;

    switch (vwl_kind_of(object)) {
    case VWL_KIND_SHM:
    case VWL_KIND_POOL:
        return vwl_shm_request(client, object, msg, data);
    case VWL_KIND_BUFFER:
        return vwl_shm_request(client, object, msg, data);
    case VWL_KIND_VIEWPORTER:
        surface = msg->opcode != VIEWPORTER_GET_VIEWPORT
                      ? NULL
                      : vwl_objects_client(&client->objects,
                                           msg->args[1].value);
        if (surface != NULL) {
            vwl_surface_has_viewport(surface);
        }
        return false;
    case VWL_KIND_TOPLEVEL:
        return vwl_names_request(client, object, msg, data);
    case VWL_KIND_DMABUF_PARAMS:
        return vwl_dmabuf_request(client, object, msg);
    case VWL_KIND_SYNC_FACTORY:
    case VWL_KIND_SYNC:
        return vwl_sync_request(client, object, msg);
    default:
        return false;
    }
}

void vwl_relay_request(struct vwl_client *client, void *data, size_t size)
{
    const struct wl_message *proto;
    struct vwl_wire_message msg;
    struct vwl_object *object;
    uint16_t opcode;
    uint32_t id;

    vwl_wire_header(data, &id, &opcode);
    object = vwl_objects_client(&client->objects, id);
    if (object == NULL) {
        invalid_object(client, id);
        return;
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
        return;
    }
    if (client->bridge->options.trace) {
        vwl_trace(client, "->", object, proto, &msg, data);
    }
    if (hook_request(client, object, &msg, data) || client->failed) {
        return;
    }
    if (vwl_kind_of(object) == VWL_KIND_SURFACE) {
        /* before the arguments become the host's */
        vwl_surface_request(client, object, &msg);
        if (client->failed) {
            return;
        }
    }
    pass_request(client, object, &msg, data);
}

/* false: this event is not the client's. */
static bool give_object(struct vwl_client *client,
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

static int give_fd(struct vwl_client *client, const struct vwl_object *object,
                   const struct vwl_wire_message *msg)
{
    GArray *vfds = client->from_host.fds;
    int vfd = g_array_index(vfds, struct vwl_attached, 0).fd, fd;

    g_array_remove_index(vfds, 0);
    if ((vwl_kind_of(object) == VWL_KIND_KEYBOARD &&
         msg->opcode == KEYBOARD_KEYMAP) ||
        (vwl_kind_of(object) == VWL_KIND_DMABUF_FEEDBACK &&
         msg->opcode == DMABUF_FORMAT_TABLE)) {
        fd = vwl_pipe_copy_memory(client, &vfd,
                                  MIN(msg->args[msg->n_args - 1].value,
                                      MAX_COPY));
    } else {
        fd = vwl_pipe_from_host(client, &vfd);
    }
    if (vfd >= 0) {
        vwl_transport_close(client->bridge->transport, vfd);
    }
    return fd;
}

static void pass_event(struct vwl_client *client,
                       const struct vwl_object *object,
                       const struct vwl_wire_message *msg, void *data)
{
    int fd = -1;

    if (msg->n_fds != 0) {
        fd = give_fd(client, object, msg);
    }
    for (unsigned int i = 0; i < msg->n_args; i++) {
        const struct vwl_wire_arg *arg = &msg->args[i];

        if (arg->type == 'n' &&
            (arg->iface == NULL ||
             vwl_objects_new_server(&client->objects, arg->iface,
                                    object->version, arg->value) == NULL)) {
            vwl_client_fail(client, "the host made an object in vain");
        }
        if (arg->type == 'o' && !give_object(client, arg, data)) {
            if (fd >= 0) {
                close(fd);
            }
            return;
        }
    }
    if (msg->n_fds != 0 && fd < 0) {
        vwl_client_fail(client, "a descriptor of the host is of no use");
        return;
    }
    vwl_wire_put(data, 0, object->client_id);
    if (fd >= 0) {
        struct vwl_attached entry = { fd, client->to_client.bytes->len };

        g_array_append_val(client->to_client.fds, entry);
    }
    g_byte_array_append(client->to_client.bytes, data, (guint)msg->size);
}

static void on_error(struct vwl_client *client,
                     const struct vwl_wire_message *msg, const void *data)
{
    struct vwl_object *named = vwl_objects_host(&client->objects,
                                                msg->args[0].value);
    uint32_t id = named != NULL && named->client_id != 0 ? named->client_id : 1;

    vwl_client_error(client, id, msg->args[1].value, "%s",
                     msg->args[2].value != 0
                         ? (const char *)data + msg->args[2].at
                         : "");
}

static void on_delete_id(struct vwl_client *client, uint32_t host_id)
{
    struct vwl_object *object = host_id >= VWL_SERVER_IDS
                                    ? NULL
                                    : vwl_objects_host(&client->objects,
                                                       host_id);
    uint32_t id;

    if (object == NULL || host_id == 1) {
        return;
    }
    if (object->in_use) {
        vwl_client_fail(client, "the host deleted what is in use");
        return;
    }
    id = vwl_sync_delete_id(client, object) ? 0 : object->client_id;
    vwl_objects_drop_host(&client->objects, object);
    if (id != 0) {
        vwl_objects_drop_client(&client->objects, object);
        vwl_client_delete_id(client, id);
    }
}

/* A global event: the version is clipped. true: the client is not to see
 * it. */
static bool on_global(struct vwl_client *client,
                      const struct vwl_wire_message *msg, void *data)
{
    const struct vwl_table_row *row = NULL;
    uint32_t version;

    if (msg->args[1].value != 0) {
        row = vwl_table_global((const char *)data + msg->args[1].at);
    }
    version = MIN(msg->args[2].value, row != NULL ? vwl_table_version(row) : 0);
    if (row == NULL || !vwl_dmabuf_offers(client, row->iface, &version)) {
        return true;
    }
    g_hash_table_insert(client->globals, GUINT_TO_POINTER(msg->args[0].value),
                        (void *)(uintptr_t)row);
    vwl_wire_put(data, msg->args[2].at, version);
    return false;
}

static bool hook_event(struct vwl_client *client, struct vwl_object *object,
                       const struct vwl_wire_message *msg, void *data)
{
    switch (vwl_kind_of(object)) {
    case VWL_KIND_DISPLAY:
        if (msg->opcode == DISPLAY_ERROR) {
            on_error(client, msg, data);
        } else if (msg->opcode == DISPLAY_DELETE_ID) {
            on_delete_id(client, msg->args[0].value);
        }
        return true;
    case VWL_KIND_REGISTRY:
        if (msg->opcode == REGISTRY_GLOBAL) {
            return on_global(client, msg, data);
        }
        return msg->opcode == REGISTRY_GLOBAL_REMOVE &&
               g_hash_table_lookup(client->globals,
                                   GUINT_TO_POINTER(msg->args[0].value)) ==
                   NULL;
    case VWL_KIND_PRESENTATION:
        vwl_clock_id(object, msg);
        return false;
    case VWL_KIND_FEEDBACK:
        vwl_clock_presented(object, msg, data);
        return false;
    case VWL_KIND_DMABUF_FEEDBACK:
        vwl_dmabuf_feedback(client, msg, data);
        return false;
    case VWL_KIND_BUFFER_RELEASE:
        return vwl_sync_released(client, object, msg);
    case VWL_KIND_BUFFER:
        if (msg->opcode == BUFFER_RELEASE) {
            bool ours = object->client_id == 0;

            vwl_shm_released(client, object);
            return ours;
        }
        return false;
    default:
        return object->client_id == 0;
    }
}

void vwl_relay_event(struct vwl_client *client, void *data, size_t size)
{
    const struct wl_message *proto;
    struct vwl_wire_message msg;
    struct vwl_object *object;
    uint16_t opcode;
    uint32_t id;

    vwl_wire_header(data, &id, &opcode);
    object = vwl_objects_host(&client->objects, id);
    if (object == NULL) {
        return; /* destroyed while this was on its way */
    }
    proto = opcode < object->iface->event_count ? &object->iface->events[opcode]
                                                : NULL;
    if (proto == NULL || vwl_wire_walk(proto, data, size, &msg) < 0 ||
        msg.n_fds > client->from_host.fds->len) {
        vwl_client_fail(client, "the host sent what is no event");
        return;
    }
    if (client->bridge->options.trace) {
        vwl_trace(client, "<-", object, proto, &msg, data);
    }
    if (!hook_event(client, object, &msg, data)) {
        pass_event(client, object, &msg, data);
    }
}
