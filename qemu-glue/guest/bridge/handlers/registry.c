/* SPDX-License-Identifier: BSD-3-Clause */
/* wl_display and wl_registry: what clients are offered and what they bind. */
#include <string.h>

#include "handler.h"
#include "part.h"
#include "wayland/table.h"

enum { DISPLAY_ERROR = 0, DISPLAY_DELETE_ID = 1 };
enum { BIND = 0 };
enum { GLOBAL = 0, GLOBAL_REMOVE = 1 };

/* Of each client: the table's row of each global that it was offered, by the
 * global's name, which is a number. */
struct registry {
    GHashTable *globals;
};

static void registry_begin(void *part)
{
    ((struct registry *)part)->globals = g_hash_table_new(NULL, NULL);
}

static void registry_finish(struct vwl_client *client, void *part)
{
    g_hash_table_unref(((struct registry *)part)->globals);
}

static const struct vwl_part registry_part = {
    .size = sizeof(struct registry),
    .begin = registry_begin,
    .finish = registry_finish,
};

static GHashTable *globals_of(struct vwl_client *client)
{
    struct registry *registry = vwl_part_of(client, &registry_part);

    return registry->globals;
}

static const struct vwl_table_row *global_find(struct vwl_client *client,
                                               uint32_t name)
{
    return g_hash_table_lookup(globals_of(client), GUINT_TO_POINTER(name));
}

/* ---- wl_display ---- */

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
    const struct vwl_handler *handler;
    uint32_t id;

    if (object == NULL || host_id == 1) {
        return;
    }
    if (object->in_use) {
        vwl_client_fail(client, "the host deleted an object that is in use");
        return;
    }
    handler = object->role;
    id = handler != NULL && handler->delete_id != NULL &&
                 handler->delete_id(client, object) != VWL_PASS
             ? 0
             : object->client_id;
    vwl_objects_drop_host(&client->objects, object);
    if (id != 0) {
        vwl_objects_drop_client(&client->objects, object);
        vwl_client_delete_id(client, id);
    }
}

static enum vwl_outcome display_event(struct vwl_client *client,
                                      struct vwl_object *display,
                                      const struct vwl_wire_message *msg,
                                      void *data)
{
    if (msg->opcode == DISPLAY_ERROR) {
        on_error(client, msg, data);
    } else if (msg->opcode == DISPLAY_DELETE_ID) {
        on_delete_id(client, msg->args[0].value);
    }
    return VWL_DONE;
}

const struct vwl_handler vwl_handle_display = {
    .event = display_event,
};

/* ---- wl_registry ---- */

static enum vwl_outcome registry_request(struct vwl_client *client,
                                         struct vwl_object *registry,
                                         const struct vwl_wire_message *msg,
                                         void *data)
{
    uint32_t name = msg->args[0].value, version = msg->args[2].value;
    const struct vwl_table_row *row = global_find(client, name);
    const char *interface = (const char *)data + msg->args[1].at;

    if (msg->opcode != BIND) {
        return VWL_PASS;
    }
    if (row == NULL || strcmp(row->iface->name, interface) != 0 ||
        version == 0 || version > vwl_table_version(row)) {
        vwl_client_error(client, registry->client_id, WL_ERROR_INVALID_OBJECT,
                         "invalid global %.64s (%u), version %u", interface,
                         name, version);
        return VWL_FAILED;
    }
    if (vwl_client_new_object(client, row->iface, version, &msg->args[3],
                              data) == NULL) {
        return VWL_FAILED;
    }
    vwl_wire_put(data, 0, registry->host_id);
    vwl_uplink_put(&client->uplink, data, msg->size, -1);
    return VWL_DONE;
}

/* Clips the version. */
static enum vwl_outcome on_global(struct vwl_client *client,
                                  const struct vwl_wire_message *msg,
                                  void *data)
{
    const struct vwl_table_row *row = NULL;
    const struct vwl_handler *handler;
    uint32_t version;

    if (msg->args[1].value != 0) {
        row = vwl_table_global((const char *)data + msg->args[1].at);
    }
    if (row == NULL) {
        return VWL_DROP;
    }
    version = MIN(msg->args[2].value, vwl_table_version(row));
    handler = client->objects.ops->role(row->iface);
    if (handler != NULL && handler->offers != NULL) {
        enum vwl_outcome verdict = handler->offers(client, &version);

        if (verdict != VWL_PASS) {
            return verdict;
        }
    }
    g_hash_table_insert(globals_of(client),
                        GUINT_TO_POINTER(msg->args[0].value),
                        (void *)(uintptr_t)row);
    vwl_wire_put(data, msg->args[2].at, version);
    return VWL_PASS;
}

static enum vwl_outcome registry_event(struct vwl_client *client,
                                       struct vwl_object *registry,
                                       const struct vwl_wire_message *msg,
                                       void *data)
{
    if (msg->opcode == GLOBAL) {
        return on_global(client, msg, data);
    }
    return msg->opcode == GLOBAL_REMOVE &&
                   global_find(client, msg->args[0].value) == NULL
               ? VWL_DROP
               : VWL_PASS;
}

const struct vwl_handler vwl_handle_registry = {
    .request = registry_request,
    .event = registry_event,
};
