/* SPDX-License-Identifier: BSD-3-Clause */
/* wl_surface: what its requests say about its buffers. */
#include "surface.h"

enum {
    DESTROY = 0,
    ATTACH = 1,
    DAMAGE = 2,
    COMMIT = 6,
    SET_TRANSFORM = 7,
    SET_SCALE = 8,
    DAMAGE_BUFFER = 9,
};

enum { VIEWPORTER_GET_VIEWPORT = 1 };

#define SHM_ERROR_INVALID_FD 2u

static struct vwl_surface *surface_of(struct vwl_object *object)
{
    if (object->data == NULL) {
        struct vwl_surface *surface = g_new0(struct vwl_surface, 1);

        surface->scale = 1;
        object->data = surface;
    }
    return object->data;
}

extern const struct vwl_handler vwl_handle_surface;

struct vwl_surface *vwl_surface_find(struct vwl_client *client, uint32_t id)
{
    struct vwl_object *object = vwl_objects_client(&client->objects, id);

    return vwl_handles(&vwl_handle_surface, object) ? surface_of(object) : NULL;
}

static void surface_detach(struct vwl_client *client,
                           struct vwl_surface *surface)
{
    struct vwl_shmbuf *buffer = surface->attached;

    surface->attached = NULL;
    if (buffer != NULL) {
        buffer->pending--;
        vwl_shmbuf_settle(client, buffer);
    }
}

static void surface_forget(struct vwl_client *client,
                           struct vwl_surface *surface)
{
    GPtrArray *buffers = vwl_shmbuf_all(client);

    for (guint i = 0; i < buffers->len; i++) {
        struct vwl_shmbuf *buffer = buffers->pdata[i];

        if (buffer->surface == surface) {
            buffer->surface = NULL;
        }
    }
    surface_detach(client, surface);
    if (surface->sync != 0) {
        surface->sync_orphan(client, surface->sync);
    }
}

static void surface_attach(struct vwl_client *client,
                           struct vwl_surface *surface, uint32_t id)
{
    struct vwl_object *object = id == 0
                                    ? NULL
                                    : vwl_objects_client(&client->objects, id);
    struct vwl_shmbuf *buffer = vwl_shmbuf_of(object);

    if (buffer != NULL) {
        vwl_shmbuf_place(client, buffer);
        buffer->pending++;
    }
    surface_detach(client, surface);
    surface->attached = buffer;
    surface->attach = true;
}

/* All buffers that this surface has shown are behind by this much. */
static void surface_spread(struct vwl_client *client,
                           struct vwl_surface *surface,
                           const struct vwl_damage *damage)
{
    GPtrArray *buffers = vwl_shmbuf_all(client);

    for (guint i = 0; i < buffers->len; i++) {
        struct vwl_shmbuf *buffer = buffers->pdata[i];

        if (buffer->surface == surface) {
            vwl_damage_merge(&buffer->stale, damage, 1);
        }
    }
}

static void surface_show(struct vwl_client *client, struct vwl_surface *surface,
                         struct vwl_shmbuf *buffer)
{
    if (buffer->surface != surface) {
        buffer->surface = surface;
        buffer->stale.all = true;
    }
    if (vwl_copy_stale(client, buffer) < 0) {
        vwl_client_error(client, buffer->pool->shm, SHM_ERROR_INVALID_FD,
                         "error accessing SHM buffer");
    }
    buffer->busy = true;
}

static void surface_commit(struct vwl_client *client,
                           struct vwl_surface *surface)
{
    struct vwl_damage damage = surface->buffer_damage;

    if (surface->damage.n != 0 && (surface->viewport || surface->transformed)) {
        damage.all = true;
    } else {
        vwl_damage_merge(&damage, &surface->damage, surface->scale);
    }
    if (surface->attach && surface->attached == NULL) {
        damage.all = true;
    }
    surface_spread(client, surface, &damage);
    if (surface->attached != NULL) {
        surface_show(client, surface, surface->attached);
    }
    surface->attach = surface->fenced = surface->released = false;
    surface->damage.n = surface->buffer_damage.n = 0;
    surface_detach(client, surface);
}

static enum vwl_outcome surface_request(struct vwl_client *client,
                                        struct vwl_object *object,
                                        const struct vwl_wire_message *msg,
                                        void *data)
{
    struct vwl_surface *surface = surface_of(object);
    const struct vwl_wire_arg *args = msg->args;
    struct vwl_rect rect;

    switch (msg->opcode) {
    case DESTROY:
        surface_forget(client, surface);
        break;
    case ATTACH:
        surface_attach(client, surface, args[0].value);
        break;
    case DAMAGE:
    case DAMAGE_BUFFER:
        rect = (struct vwl_rect){
            (int32_t)args[0].value,
            (int32_t)args[1].value,
            (int32_t)args[2].value,
            (int32_t)args[3].value,
        };
        vwl_damage_add(msg->opcode == DAMAGE ? &surface->damage
                                             : &surface->buffer_damage,
                       rect);
        break;
    case COMMIT:
        surface_commit(client, surface);
        break;
    case SET_TRANSFORM:
        surface->transformed = args[0].value != 0;
        break;
    case SET_SCALE:
        surface->scale = (int32_t)CLAMP((int32_t)args[0].value, 1, 1 << 16);
        break;
    default:
        break;
    }
    return VWL_PASS;
}

static void surface_freed(struct vwl_client *client, struct vwl_object *object)
{
    g_free(object->data);
}

const struct vwl_handler vwl_handle_surface = {
    .request = surface_request,
    .freed = surface_freed,
};

/* ---- wp_viewporter ---- */

static enum vwl_outcome viewporter_request(struct vwl_client *client,
                                           struct vwl_object *viewporter,
                                           const struct vwl_wire_message *msg,
                                           void *data)
{
    struct vwl_surface *surface = NULL;

    if (msg->opcode == VIEWPORTER_GET_VIEWPORT) {
        surface = vwl_surface_find(client, msg->args[1].value);
    }
    if (surface != NULL) {
        surface->viewport = true;
    }
    return VWL_PASS;
}

const struct vwl_handler vwl_handle_viewporter = {
    .request = viewporter_request,
};
