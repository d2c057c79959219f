/* SPDX-License-Identifier: BSD-3-Clause */
/* What a surface's requests say about its buffers. */
#include "shm.h"

enum {
    DESTROY = 0,
    ATTACH = 1,
    DAMAGE = 2,
    COMMIT = 6,
    SET_TRANSFORM = 7,
    SET_SCALE = 8,
    DAMAGE_BUFFER = 9,
};

#define SHM_ERROR_INVALID_FD 2u

struct vwl_surface *vwl_surface_of(struct vwl_object *object)
{
    if (object->data == NULL) {
        struct vwl_surface *surface = g_new0(struct vwl_surface, 1);

        surface->scale = 1;
        object->data = surface;
    }
    return object->data;
}

void vwl_surface_has_viewport(struct vwl_object *surface)
{
    if (vwl_kind_of(surface) == VWL_KIND_SURFACE) {
        vwl_surface_of(surface)->viewport = true;
    }
}

static void detach(struct vwl_client *client, struct vwl_surface *surface)
{
    struct vwl_buffer *buffer = surface->attached;

    surface->attached = NULL;
    if (buffer != NULL) {
        buffer->pending--;
        vwl_buffer_settle(client, buffer);
    }
}

static void forget(struct vwl_client *client, struct vwl_surface *surface)
{
    for (guint i = 0; i < client->buffers->len; i++) {
        struct vwl_buffer *buffer = client->buffers->pdata[i];

        if (buffer->surface == surface) {
            buffer->surface = NULL;
        }
    }
    detach(client, surface);
    vwl_sync_surface_gone(client, surface->sync);
}

static void attach(struct vwl_client *client, struct vwl_surface *surface,
                   uint32_t id)
{
    struct vwl_object *object = id == 0
                                    ? NULL
                                    : vwl_objects_client(&client->objects, id);
    struct vwl_buffer *buffer = object != NULL &&
                                        vwl_kind_of(object) == VWL_KIND_BUFFER
                                    ? object->data
                                    : NULL;

    if (buffer != NULL) {
        buffer->pending++;
    }
    detach(client, surface);
    surface->attached = buffer;
    surface->attach = true;
}

/* All buffers that this surface has shown are behind by this much. */
static void spread(struct vwl_client *client, struct vwl_surface *surface,
                   const struct vwl_damage *damage)
{
    for (guint i = 0; i < client->buffers->len; i++) {
        struct vwl_buffer *buffer = client->buffers->pdata[i];

        if (buffer->surface == surface) {
            vwl_damage_merge(&buffer->stale, damage, 1);
        }
    }
}

static void show(struct vwl_client *client, struct vwl_surface *surface,
                 struct vwl_buffer *buffer)
{
    if (buffer->surface != surface) {
        buffer->surface = surface;
        buffer->stale.all = true;
    }
    if (vwl_buffer_copy(buffer) < 0) {
        vwl_client_error(client, buffer->pool->shm, SHM_ERROR_INVALID_FD,
                         "error accessing SHM buffer");
    }
    buffer->busy = true;
}

static void commit(struct vwl_client *client, struct vwl_surface *surface)
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
    spread(client, surface, &damage);
    if (surface->attached != NULL) {
        show(client, surface, surface->attached);
    }
    surface->attach = surface->fenced = surface->released = false;
    surface->damage.n = surface->buffer_damage.n = 0;
    detach(client, surface);
}

void vwl_surface_request(struct vwl_client *client, struct vwl_object *object,
                         const struct vwl_wire_message *msg)
{
    struct vwl_surface *surface = vwl_surface_of(object);
    const struct vwl_wire_arg *args = msg->args;
    struct vwl_rect rect;

    switch (msg->opcode) {
    case DESTROY:
        forget(client, surface);
        break;
    case ATTACH:
        attach(client, surface, args[0].value);
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
        commit(client, surface);
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
}
