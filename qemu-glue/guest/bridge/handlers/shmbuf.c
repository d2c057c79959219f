/* SPDX-License-Identifier: BSD-3-Clause */
#include "shmbuf.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "part.h"

#include "wayland/interfaces.h"

enum { SHM_CREATE_POOL = 0 };
enum { POOL_CREATE_BUFFER = 0, POOL_DESTROY = 1 };
enum { BUFFER_DESTROY = 0, BUFFER_RELEASE = 0 };

#define MAX_IDLE 8u
#define MAX_IDLE_BYTES ((size_t)64 << 20)

/* Joining, pinning and mapping pages costs as much as ten copies of them. */
#define PLACE_COPIES 10u
#define PLACE_MIN_BYTES ((size_t)256 << 10)
/* A host that refused so many one after the other is not asked again. */
#define PLACE_REFUSALS 8u

/* A client's pages, until the host has let go of their pool. */
struct leaving {
    const struct vwl_object *pool;
    int vfd;
};

/* Of each client. */
struct shmbufs {
    GArray *leaving; /* of struct leaving */
    GPtrArray *all;  /* of struct vwl_shmbuf */
    GQueue idle;     /* of struct vwl_memory */
    size_t idle_bytes, memory_bytes;
    unsigned int n_placed; /* buffers, so far */
    uint64_t copied_bytes; /* of all that are gone */
};

static void shmbufs_begin(void *part)
{
    struct shmbufs *bufs = part;

    bufs->all = g_ptr_array_new();
    bufs->leaving = g_array_new(FALSE, FALSE, sizeof(struct leaving));
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

static void pages_close(struct vwl_client *client, int vfd)
{
    client->n_fds--;
    vwl_uplink_close(&client->uplink, vfd);
}

void vwl_shmbuf_pool_gone(struct vwl_client *client,
                          const struct vwl_object *pool)
{
    GArray *leaving = shmbufs_of(client)->leaving;

    for (guint i = 0; i < leaving->len; i++) {
        struct leaving one = g_array_index(leaving, struct leaving, i);

        if (one.pool == pool) {
            g_array_remove_index_fast(leaving, i);
            pages_close(client, one.vfd);
            return;
        }
    }
}

static void memory_free(struct vwl_client *client, struct vwl_memory *memory)
{
    struct vwl_transport *t = client->bridge->transport;
    struct leaving leaving = { memory->pool, memory->mem.vfd };

    if (!client->dead) {
        memory->pool->in_use = false;
        vwl_uplink_request(&client->uplink, memory->pool->host_id, POOL_DESTROY,
                           NULL, 0, -1);
    }
    shmbufs_of(client)->memory_bytes -= memory->mem.size;
    if (memory->in_place && !client->dead) {
        /* the host may read them until it says that the pool is gone */
        g_array_append_val(shmbufs_of(client)->leaving, leaving);
    } else {
        vwl_transport_unmap(t, &memory->mem);
        pages_close(client, memory->mem.vfd);
    }
    g_free(memory);
}

static void memory_rest(struct vwl_client *client, struct vwl_memory *memory)
{
    if (client->dead || memory->in_place) {
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

#define PAGE_MASK ((uint64_t)4095)

/* -ENOTTY: there is no such thing; -ENODEV: the host does not take these. */
static void pages_learn(struct vwl_bridge *bridge, int r)
{
    if (r == -ENODEV) {
        bridge->no_pages |= ++bridge->n_pages_refused >= PLACE_REFUSALS;
    } else if (r == -ENOTTY) {
        bridge->no_pages = true;
    } else if (r == 0) {
        bridge->n_pages_refused = 0;
    }
}

/* The buffer's own pages, of which the file has all. */
static int memory_pages(struct vwl_client *client,
                        const struct vwl_shmbuf *buffer,
                        struct vwl_transport_mem *mem)
{
    uint64_t begin = (uint64_t)buffer->offset & ~PAGE_MASK;
    uint64_t end = (uint64_t)buffer->offset +
                   (uint64_t)buffer->stride * (uint64_t)buffer->height;
    struct stat st;
    int r;

    if (fstat(buffer->pool->fd, &st) < 0 || (uint64_t)st.st_size < end) {
        return -EINVAL;
    }
    end = (end + PAGE_MASK) & ~PAGE_MASK;
    r = vwl_transport_pages(client->bridge->transport, buffer->pool->fd, begin,
                            (size_t)(end - begin), mem);
    pages_learn(client->bridge, r);
    return r;
}

static int memory_get(struct vwl_client *client, size_t size,
                      const struct vwl_shmbuf *buffer,
                      struct vwl_transport_mem *mem)
{
    return buffer != NULL
               ? memory_pages(client, buffer, mem)
               : vwl_transport_alloc(client->bridge->transport, size, mem);
}

/* buffer NULL: fresh memory of so many bytes; else its own pages, for which
 * there may be no limit to reach. */
static struct vwl_memory *memory_new(struct vwl_client *client, size_t size,
                                     const struct vwl_shmbuf *buffer,
                                     uint32_t host_shm)
{
    uint64_t max = (uint64_t)vwl_limit_of(client, VWL_LIMIT_MEMORY) << 20;
    struct vwl_transport_mem mem;
    struct vwl_memory *memory;
    struct vwl_object *pool;
    uint32_t args[2];

    if (shmbufs_of(client)->memory_bytes + (uint64_t)size > max) {
        if (buffer == NULL) {
            vwl_limit_reached(client->bridge, client, VWL_LIMIT_MEMORY);
        }
        return NULL;
    }
    pool = vwl_objects_new(&client->objects, &wl_shm_pool_interface, 1, 0,
                           true);
    if (pool == NULL) {
        return NULL;
    }
    if (memory_get(client, size, buffer, &mem) < 0) {
        vwl_objects_drop_host(&client->objects, pool);
        return NULL;
    }
    memory = g_new0(struct vwl_memory, 1);
    memory->mem = mem;
    memory->pool = pool;
    memory->in_place = buffer != NULL;
    pool->in_use = true;
    shmbufs_of(client)->memory_bytes += mem.size;
    client->n_fds++;
    args[0] = pool->host_id;
    args[1] = (uint32_t)MIN(mem.size, INT32_MAX);
    vwl_uplink_request(&client->uplink, host_shm, SHM_CREATE_POOL, args, 2,
                       mem.vfd);
    return memory;
}

/* For copies of it. */
static struct vwl_memory *memory_of_host(struct vwl_client *client,
                                         const struct vwl_shmbuf *buffer)
{
    struct vwl_memory *memory = memory_reuse(client, buffer->extent);

    return memory != NULL ? memory
                          : memory_new(client, buffer->extent, NULL,
                                       buffer->pool->host_shm);
}

static void shmbufs_finish(struct vwl_client *client, void *part)
{
    struct shmbufs *bufs = part;
    struct vwl_memory *memory;

    if (client->bridge->options.trace) {
        fprintf(stderr,
                "[%u] copied %" G_GUINT64_FORMAT " bytes, %u buffers "
                "were in place\n",
                client->number, bufs->copied_bytes, bufs->n_placed);
    }
    while ((memory = g_queue_pop_head(&bufs->idle)) != NULL) {
        memory_free(client, memory);
    }
    for (guint i = 0; i < bufs->leaving->len; i++) {
        pages_close(client,
                    g_array_index(bufs->leaving, struct leaving, i).vfd);
    }
    g_array_unref(bufs->leaving);
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

static void buffers_forget(struct vwl_client *client, struct vwl_shmbuf *buffer)
{
    shmbufs_of(client)->copied_bytes += buffer->copied;
    g_ptr_array_remove_fast(vwl_shmbuf_all(client), buffer);
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
    buffers_forget(client, buffer);
    if (buffer->memory != NULL) {
        memory_rest(client, buffer->memory);
    }
    vwl_pool_unref(client, buffer->pool);
    g_free(buffer);
}

static void buffer_say(struct vwl_client *client,
                       const struct vwl_shmbuf *buffer)
{
    bool in_place = buffer->memory->in_place;
    const uint32_t args[6] = {
        buffer->object->host_id,
        in_place ? (uint32_t)((uint32_t)buffer->offset & PAGE_MASK) : 0,
        (uint32_t)buffer->width,
        (uint32_t)buffer->height,
        (uint32_t)(in_place ? buffer->stride : buffer->host_stride),
        buffer->format,
    };

    vwl_uplink_request(&client->uplink, buffer->memory->pool->host_id,
                       POOL_CREATE_BUFFER, args, 6, -1);
}

/* It gets an id of the host's, and memory. */
static enum vwl_outcome buffer_named(struct vwl_client *client,
                                     struct vwl_object *object)
{
    struct vwl_shmbuf *buffer = object->data;

    if (buffer == NULL || object->host_id != 0) {
        return VWL_PASS;
    }
    buffer->memory = memory_of_host(client, buffer);
    if (buffer->memory == NULL ||
        !vwl_objects_add_host(&client->objects, object)) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY,
                         "no memory for a buffer of %zu bytes", buffer->extent);
        return VWL_FAILED;
    }
    object->in_use = true;
    buffer_say(client, buffer);
    return VWL_PASS;
}

/* The host knows it by another id from then on, so that what it had is gone for
 * it as for anybody. Takes the memory. */
static bool buffer_move(struct vwl_client *client, struct vwl_shmbuf *buffer,
                        struct vwl_memory *memory)
{
    struct vwl_object *object = buffer->object, *old;

    old = vwl_objects_new(&client->objects, object->iface, 1, 0, true);
    if (old == NULL) {
        memory_free(client, memory);
        return false;
    }
    vwl_objects_swap_host(&client->objects, object, old);
    vwl_uplink_request(&client->uplink, old->host_id, BUFFER_DESTROY, NULL, 0,
                       -1);
    memory_rest(client, buffer->memory);
    buffer->memory = memory;
    buffer->stale.all = true;
    buffer->busy = false;
    buffer_say(client, buffer);
    return true;
}

static bool is_worth_it(const struct vwl_client *client,
                        const struct vwl_shmbuf *buffer)
{
    bool at_once = client->bridge->options.place_at_once;
    size_t min = at_once ? 1 : PLACE_MIN_BYTES;
    unsigned int copies = at_once ? 1 : PLACE_COPIES;

    return !client->bridge->no_pages && !buffer->settled && !buffer->busy &&
           buffer->pending == 0 && buffer->extent >= min &&
           buffer->copied / copies >= buffer->extent;
}

static void buffer_into_place(struct vwl_client *client,
                              struct vwl_shmbuf *buffer)
{
    struct vwl_memory *memory;

    buffer->settled = true;
    memory = memory_new(client, buffer->extent, buffer, buffer->pool->host_shm);
    if (memory != NULL && buffer_move(client, buffer, memory)) {
        shmbufs_of(client)->n_placed++;
    }
}

static void buffer_out_of_place(struct vwl_client *client,
                                struct vwl_shmbuf *buffer)
{
    struct vwl_memory *memory = NULL;

    /* another surface has it, too, and the host would miss it there */
    if (buffer->pending == 0) {
        memory = memory_of_host(client, buffer);
    }
    if (memory == NULL || !buffer_move(client, buffer, memory)) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY,
                         "no memory for a buffer of %zu bytes", buffer->extent);
    }
}

void vwl_shmbuf_place(struct vwl_client *client, struct vwl_shmbuf *buffer)
{
    if (buffer->memory == NULL) {
        return;
    }
    if (!buffer->memory->in_place) {
        if (is_worth_it(client, buffer)) {
            buffer_into_place(client, buffer);
        }
    } else if (vwl_transport_pages_intact(client->bridge->transport,
                                          buffer->memory->mem.vfd) < 0) {
        buffer_out_of_place(client, buffer);
    }
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
    buffers_forget(client, buffer);
    if (buffer->memory != NULL && buffer->memory->in_place) {
        memory_free(client, buffer->memory);
    } else if (buffer->memory != NULL) {
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
