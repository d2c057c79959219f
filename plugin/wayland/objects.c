/* SPDX-License-Identifier: BSD-3-Clause */
#include "wayland/objects.h"

#include "wayland/interfaces.h"

static struct vwl_object *at(GPtrArray *array, uint32_t index)
{
    return index < array->len ? array->pdata[index] : NULL;
}

static void set(GPtrArray *array, uint32_t index, struct vwl_object *object)
{
    if (index >= array->len) {
        g_ptr_array_set_size(array, (gint)index + 1);
    }
    array->pdata[index] = object;
}

static struct vwl_object *make(const struct vwl_objects *objects,
                               const struct wl_interface *iface,
                               uint32_t version)
{
    struct vwl_object *object = g_new0(struct vwl_object, 1);

    object->iface = iface;
    if (objects->ops->role != NULL) {
        object->role = objects->ops->role(iface);
    }
    object->version = version;
    return object;
}

static void release(struct vwl_objects *objects, struct vwl_object *object)
{
    if (object->client_id == 0 && object->host_id == 0) {
        objects->ops->freed(objects->opaque, object);
        g_free(object);
    }
}

void vwl_objects_init(struct vwl_objects *objects,
                      const struct vwl_objects_ops *ops, void *opaque)
{
    struct vwl_object *display;

    objects->max = VWL_MAX_OBJECTS;
    objects->ops = ops;
    objects->opaque = opaque;
    objects->client = g_ptr_array_new();
    objects->host = g_ptr_array_new();
    objects->server = g_ptr_array_new();
    objects->free_ids = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    display = make(objects, &wl_display_interface, 1);
    display->client_id = display->host_id = 1;
    set(objects->client, 1, display);
    set(objects->host, 1, display);
}

void vwl_objects_finish(struct vwl_objects *objects)
{
    for (guint i = 0; i < objects->client->len; i++) {
        struct vwl_object *object = objects->client->pdata[i];

        if (object != NULL) {
            vwl_objects_drop_client(objects, object);
        }
    }
    for (guint i = 0; i < objects->host->len; i++) {
        struct vwl_object *object = objects->host->pdata[i];

        if (object != NULL) {
            vwl_objects_drop_host(objects, object);
        }
    }
    for (guint i = 0; i < objects->server->len; i++) {
        struct vwl_object *object = objects->server->pdata[i];

        if (object != NULL) {
            vwl_objects_drop_host(objects, object);
        }
    }
    g_ptr_array_unref(objects->client);
    g_ptr_array_unref(objects->host);
    g_ptr_array_unref(objects->server);
    g_array_unref(objects->free_ids);
}

struct vwl_object *vwl_objects_client(struct vwl_objects *objects, uint32_t id)
{
    return id >= VWL_SERVER_IDS ? at(objects->server, id - VWL_SERVER_IDS)
                                : at(objects->client, id);
}

struct vwl_object *vwl_objects_host(struct vwl_objects *objects, uint32_t id)
{
    return id >= VWL_SERVER_IDS ? at(objects->server, id - VWL_SERVER_IDS)
                                : at(objects->host, id);
}

bool vwl_objects_may_use(struct vwl_objects *objects, uint32_t client_id)
{
    return client_id > 1 && client_id < objects->max &&
           client_id <= objects->client->len &&
           at(objects->client, client_id) == NULL;
}

bool vwl_objects_add_host(struct vwl_objects *objects,
                          struct vwl_object *object)
{
    GArray *ids = objects->free_ids;
    uint32_t id = objects->host->len;

    if (ids->len != 0) {
        id = g_array_index(ids, uint32_t, ids->len - 1);
        g_array_set_size(ids, ids->len - 1);
    } else if (id >= 2 * objects->max) {
        return false;
    }
    set(objects->host, id, object);
    object->host_id = id;
    return true;
}

void vwl_objects_swap_host(struct vwl_objects *objects, struct vwl_object *a,
                           struct vwl_object *b)
{
    uint32_t id = a->host_id;

    a->host_id = b->host_id;
    b->host_id = id;
    set(objects->host, a->host_id, a);
    set(objects->host, b->host_id, b);
}

struct vwl_object *vwl_objects_new(struct vwl_objects *objects,
                                   const struct wl_interface *iface,
                                   uint32_t version, uint32_t client_id,
                                   bool on_host)
{
    struct vwl_object *object;

    if (client_id != 0 && !vwl_objects_may_use(objects, client_id)) {
        return NULL;
    }
    object = make(objects, iface, version);
    if (on_host && !vwl_objects_add_host(objects, object)) {
        g_free(object);
        return NULL;
    }
    if (client_id != 0) {
        set(objects->client, client_id, object);
        object->client_id = client_id;
    }
    return object;
}

struct vwl_object *vwl_objects_new_server(struct vwl_objects *objects,
                                          const struct wl_interface *iface,
                                          uint32_t version, uint32_t id)
{
    struct vwl_object *object, *old;

    if (id < VWL_SERVER_IDS || id - VWL_SERVER_IDS >= objects->max ||
        id - VWL_SERVER_IDS > objects->server->len) {
        return NULL;
    }
    old = at(objects->server, id - VWL_SERVER_IDS);
    if (old != NULL) {
        vwl_objects_drop_host(objects, old);
    }
    object = make(objects, iface, version);
    object->client_id = object->host_id = id;
    set(objects->server, id - VWL_SERVER_IDS, object);
    return object;
}

void vwl_objects_drop_client(struct vwl_objects *objects,
                             struct vwl_object *object)
{
    objects->client->pdata[object->client_id] = NULL;
    object->client_id = 0;
    release(objects, object);
}

void vwl_objects_drop_host(struct vwl_objects *objects,
                           struct vwl_object *object)
{
    uint32_t id = object->host_id;

    if (id >= VWL_SERVER_IDS) {
        objects->server->pdata[id - VWL_SERVER_IDS] = NULL;
        object->client_id = 0;
    } else {
        objects->host->pdata[id] = NULL;
        g_array_append_val(objects->free_ids, id);
    }
    object->host_id = 0;
    release(objects, object);
}
