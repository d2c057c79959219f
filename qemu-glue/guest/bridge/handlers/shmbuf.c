/* SPDX-License-Identifier: BSD-3-Clause */
#include "shmbuf.h"
#include "part.h"

#include "wayland/interfaces.h"

enum { SHM_CREATE_POOL = 0 };
enum { POOL_CREATE_BUFFER = 0, POOL_DESTROY = 1 };
enum { BUFFER_DESTROY = 0, BUFFER_RELEASE = 0 };

#define MAX_IDLE 8u
#define MAX_IDLE_BYTES ((size_t)64 << 20)

/* Of each client. */
struct shmbufs {
    GPtrArray *all; /* of struct vwl_shmbuf */
    GQueue idle;    /* of struct vwl_memory */
    size_t idle_bytes, memory_bytes;
};

static void shmbufs_begin(void *part)
{
    struct shmbufs *bufs = part;

    bufs->all = g_ptr_array_new();
    g_queue_init(&bufs->idle);
}

static void shmbufs_finish(struct vwl_client *client, void *part);

static const struct vwl_part shmbufs_part = {
    .size = sizeof(struct shmbufs),
    .begin = shmbufs_begin,
    .finish = shmbufs_finish,
};

static struct shmbufs *shmbufs_of(struct vwl_client *client)
{
    return vwl_part_of(client, &shmbufs_part);
}

GPtrArray *vwl_shmbuf_all(struct vwl_client *client)
{
    return shmbufs_of(client)->all;
}

struct vwl_shmbuf *vwl_shmbuf_of(const struct vwl_object *object)
{
    return vwl_handles(&vwl_handle_buffer, object) ? object->data : NULL;
}

/* ---- memory of the host's ---- */

static void memory_free(struct vwl_client *client, struct vwl_memory *memory)
{
    struct vwl_transport *t = client->bridge->transport;

    if (!client->dead) {
        memory->pool->in_use = false;
        vwl_uplink_request(&client->uplink, memory->pool->host_id, POOL_DESTROY,
                           NULL, 0, -1);
    }
    shmbufs_of(client)->memory_bytes -= memory->mem.size;
    client->n_fds--;
    vwl_transport_unmap(t, &memory->mem);
    vwl_uplink_close(&client->uplink, memory->mem.vfd);
    g_free(memory);
}

static void memory_rest(struct vwl_client *client, struct vwl_memory *memory)
{
    if (client->dead) {
        memory_free(client, memory);
        return;
    }
    g_queue_push_tail(&shmbufs_of(client)->idle, memory);
    shmbufs_of(client)->idle_bytes += memory->mem.size;
    while (shmbufs_of(client)->idle.length > MAX_IDLE ||
           (shmbufs_of(client)->idle_bytes > MAX_IDLE_BYTES &&
            shmbufs_of(client)->idle.length > 1)) {
        memory = g_queue_pop_head(&shmbufs_of(client)->idle);
        shmbufs_of(client)->idle_bytes -= memory->mem.size;
        memory_free(client, memory);
    }
}

static struct vwl_memory *memory_reuse(struct vwl_client *client, size_t size)
{
    for (GList *l = shmbufs_of(client)->idle.tail; l != NULL; l = l->prev) {
        struct vwl_memory *memory = l->data;

        if (memory->mem.size >= size &&
            memory->mem.size / 2 <= MAX(size, 4096)) {
            g_queue_delete_link(&shmbufs_of(client)->idle, l);
            shmbufs_of(client)->idle_bytes -= memory->mem.size;
            return memory;
        }
    }
    return NULL;
}

static struct vwl_memory *memory_new(struct vwl_client *client, size_t size,
                                     uint32_t host_shm)
{
    uint64_t max = (uint64_t)vwl_limit_of(client, VWL_LIMIT_MEMORY) << 20;
    struct vwl_transport_mem mem;
    struct vwl_memory *memory;
    struct vwl_object *pool;
    uint32_t args[2];

    if (shmbufs_of(client)->memory_bytes + (uint64_t)size > max) {
        vwl_limit_reached(client->bridge, client, VWL_LIMIT_MEMORY);
        return NULL;
    }
    pool = vwl_objects_new(&client->objects, &wl_shm_pool_interface, 1, 0,
                           true);
    if (pool == NULL) {
        return NULL;
    }
    if (vwl_transport_alloc(client->bridge->transport, size, &mem) < 0) {
        vwl_objects_drop_host(&client->objects, pool);
        return NULL;
    }
    memory = g_new0(struct vwl_memory, 1);
    memory->mem = mem;
    memory->pool = pool;
    pool->in_use = true;
    shmbufs_of(client)->memory_bytes += mem.size;
    client->n_fds++;
    args[0] = pool->host_id;
    args[1] = (uint32_t)MIN(mem.size, INT32_MAX);
    vwl_uplink_request(&client->uplink, host_shm, SHM_CREATE_POOL, args, 2,
                       mem.vfd);
    return memory;
}

static void shmbufs_finish(struct vwl_client *client, void *part)
{
    struct shmbufs *bufs = part;
    struct vwl_memory *memory;

    while ((memory = g_queue_pop_head(&bufs->idle)) != NULL) {
        memory_free(client, memory);
    }
    g_ptr_array_unref(bufs->all);
}

/* ---- buffers ---- */

struct vwl_shmbuf *vwl_shmbuf_new(struct vwl_client *client,
                                  const struct vwl_shmbuf *like,
                                  const struct vwl_wire_arg *arg)
{
    struct vwl_object *object = vwl_objects_new(&client->objects, arg->iface, 1,
                                                arg->value, false);
    struct vwl_shmbuf *buffer;

    if (object == NULL) {
        vwl_client_bad_id(client, arg->value);
        return NULL;
    }
    buffer = g_memdup2(like, sizeof *like);
    buffer->object = object;
    buffer->pool->refs++;
    object->data = buffer;
    g_ptr_array_add(vwl_shmbuf_all(client), buffer);
    return buffer;
}

void vwl_shmbuf_settle(struct vwl_client *client, struct vwl_shmbuf *buffer)
{
    struct vwl_object *object = buffer->object;

    if (client->dead || !buffer->destroyed || buffer->busy ||
        buffer->pending != 0) {
        return;
    }
    if (object->host_id != 0) {
        vwl_uplink_request(&client->uplink, object->host_id, BUFFER_DESTROY,
                           NULL, 0, -1);
    }
    object->in_use = false;
    object->data = NULL;
    g_ptr_array_remove_fast(vwl_shmbuf_all(client), buffer);
    if (buffer->memory != NULL) {
        memory_rest(client, buffer->memory);
    }
    vwl_pool_unref(client, buffer->pool);
    g_free(buffer);
}

/* It gets an id of the host's, and memory. */
static enum vwl_outcome buffer_named(struct vwl_client *client,
                                     struct vwl_object *object)
{
    struct vwl_shmbuf *buffer = object->data;
    uint32_t args[6];

    if (buffer == NULL || object->host_id != 0) {
        return VWL_PASS;
    }
    buffer->memory = memory_reuse(client, buffer->extent);
    if (buffer->memory == NULL) {
        buffer->memory = memory_new(client, buffer->extent,
                                    buffer->pool->host_shm);
    }
    if (buffer->memory == NULL ||
        !vwl_objects_add_host(&client->objects, object)) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY,
                         "no memory for a buffer of %zu bytes", buffer->extent);
        return VWL_FAILED;
    }
    object->in_use = true;
    args[0] = object->host_id;
    args[1] = 0;
    args[2] = (uint32_t)buffer->width;
    args[3] = (uint32_t)buffer->height;
    args[4] = (uint32_t)buffer->host_stride;
    args[5] = buffer->format;
    vwl_uplink_request(&client->uplink, buffer->memory->pool->host_id,
                       POOL_CREATE_BUFFER, args, 6, -1);
    return VWL_PASS;
}

static enum vwl_outcome buffer_request(struct vwl_client *client,
                                       struct vwl_object *object,
                                       const struct vwl_wire_message *msg,
                                       void *data)
{
    struct vwl_shmbuf *buffer = object->data;
    uint32_t id = object->client_id;

    if (buffer == NULL) {
        return VWL_PASS; /* of another protocol's, or of a shared pool */
    }
    buffer->destroyed = true;
    vwl_client_delete_id(client, id);
    vwl_shmbuf_settle(client, buffer);
    vwl_objects_drop_client(&client->objects, object);
    return VWL_DONE;
}

static enum vwl_outcome buffer_event(struct vwl_client *client,
                                     struct vwl_object *object,
                                     const struct vwl_wire_message *msg,
                                     void *data)
{
    struct vwl_shmbuf *buffer = object->data;

    if (msg->opcode == BUFFER_RELEASE && buffer != NULL) {
        buffer->busy = false;
        vwl_shmbuf_settle(client, buffer);
    }
    return VWL_PASS;
}

static void buffer_freed(struct vwl_client *client, struct vwl_object *object)
{
    struct vwl_shmbuf *buffer = object->data;

    if (buffer == NULL) {
        return;
    }
    g_ptr_array_remove_fast(vwl_shmbuf_all(client), buffer);
    if (buffer->memory != NULL) {
        g_queue_push_tail(&shmbufs_of(client)->idle, buffer->memory);
    }
    vwl_pool_unref(client, buffer->pool);
    g_free(buffer);
}

const struct vwl_handler vwl_handle_buffer = {
    .request = buffer_request,
    .named = buffer_named,
    .event = buffer_event,
    .freed = buffer_freed,
};
