/* SPDX-License-Identifier: BSD-3-Clause */
#include "shm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "wayland/interfaces.h"

enum { SHM_CREATE_POOL = 0 };
enum { POOL_CREATE_BUFFER = 0, POOL_DESTROY = 1, POOL_RESIZE = 2 };
enum { BUFFER_DESTROY = 0 };
enum { INVALID_FORMAT = 0, INVALID_STRIDE = 1, INVALID_FD = 2 };

#define MAX_POOLS 4096u
#define MAX_MEMORY ((size_t)1 << 30) /* of the host's, for one client */
#define MAX_IDLE 8u
#define MAX_IDLE_BYTES ((size_t)64 << 20)

#define FOURCC(a, b, c, d)                                      \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | \
     (uint32_t)(d) << 24)

/* Formats of one plane whose pixels have this many bytes. */
static unsigned int bytes_per_pixel(uint32_t format)
{
    static const char *const four[] = {
        "XB24", "AB24", "RX24", "RA24", "BX24", "BA24", "XR30",
        "AR30", "XB30", "AB30", "RX30", "RA30", "BX30", "BA30",
    };
    static const char *const two[] = {
        "XR12", "XB12", "RX12", "BX12", "AR12", "AB12", "RA12", "BA12", "XR15",
        "XB15", "RX15", "BX15", "AR15", "AB15", "RA15", "BA15", "RG16", "BG16",
    };
    static const char *const eight[] = { "XR4H", "AR4H", "XB4H", "AB4H",
                                         "XR48", "AR48", "XB48", "AB48" };

    if (format <= 1) { /* argb8888 and xrgb8888 */
        return 4;
    }
    for (unsigned int i = 0; i < G_N_ELEMENTS(four); i++) {
        if (memcmp(four[i], &format, 4) == 0) {
            return 4;
        }
    }
    for (unsigned int i = 0; i < G_N_ELEMENTS(two); i++) {
        if (memcmp(two[i], &format, 4) == 0) {
            return 2;
        }
    }
    for (unsigned int i = 0; i < G_N_ELEMENTS(eight); i++) {
        if (memcmp(eight[i], &format, 4) == 0) {
            return 8;
        }
    }
    if (format == FOURCC('R', 'G', '2', '4') ||
        format == FOURCC('B', 'G', '2', '4')) {
        return 3;
    }
    return 0;
}

static void pool_unref(struct vwl_client *client, struct vwl_pool *pool)
{
    if (--pool->refs == 0) {
        vwl_pool_unmap(client, pool);
        close(pool->fd);
        g_free(pool);
        client->n_pools--;
    }
}

static void memory_free(struct vwl_client *client, struct vwl_memory *memory)
{
    struct vwl_transport *t = client->bridge->transport;

    if (!client->dead) {
        memory->pool->in_use = false;
        vwl_client_request(client, memory->pool->host_id, POOL_DESTROY, NULL, 0,
                           -1);
    }
    client->memory_bytes -= memory->mem.size;
    vwl_transport_unmap(t, &memory->mem);
    vwl_client_close_vfd(client, memory->mem.vfd);
    g_free(memory);
}

static void memory_rest(struct vwl_client *client, struct vwl_memory *memory)
{
    if (client->dead) {
        memory_free(client, memory);
        return;
    }
    g_queue_push_tail(&client->idle, memory);
    client->idle_bytes += memory->mem.size;
    while (client->idle.length > MAX_IDLE ||
           (client->idle_bytes > MAX_IDLE_BYTES && client->idle.length > 1)) {
        memory = g_queue_pop_head(&client->idle);
        client->idle_bytes -= memory->mem.size;
        memory_free(client, memory);
    }
}

static struct vwl_memory *memory_reuse(struct vwl_client *client, size_t size)
{
    for (GList *l = client->idle.tail; l != NULL; l = l->prev) {
        struct vwl_memory *memory = l->data;

        if (memory->mem.size >= size &&
            memory->mem.size / 2 <= MAX(size, 4096)) {
            g_queue_delete_link(&client->idle, l);
            client->idle_bytes -= memory->mem.size;
            return memory;
        }
    }
    return NULL;
}

static struct vwl_memory *memory_new(struct vwl_client *client, size_t size,
                                     uint32_t host_shm)
{
    struct vwl_transport_mem mem;
    struct vwl_memory *memory;
    struct vwl_object *pool;
    uint32_t args[2];

    if (size > MAX_MEMORY || client->memory_bytes > MAX_MEMORY - size) {
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
    client->memory_bytes += mem.size;
    args[0] = pool->host_id;
    args[1] = (uint32_t)mem.size;
    vwl_client_request(client, host_shm, SHM_CREATE_POOL, args, 2, mem.vfd);
    return memory;
}

bool vwl_shm_materialize(struct vwl_client *client, struct vwl_object *object)
{
    struct vwl_buffer *buffer = object->data;
    uint32_t args[6];

    if (vwl_kind_of(object) != VWL_KIND_BUFFER || object->host_id != 0 ||
        buffer == NULL) {
        return true;
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
        return false;
    }
    object->in_use = true;
    args[0] = object->host_id;
    args[1] = 0;
    args[2] = (uint32_t)buffer->width;
    args[3] = (uint32_t)buffer->height;
    args[4] = (uint32_t)buffer->stride;
    args[5] = buffer->format;
    vwl_client_request(client, buffer->memory->pool->host_id,
                       POOL_CREATE_BUFFER, args, 6, -1);
    return true;
}

void vwl_shm_refused(struct vwl_client *client)
{
    vwl_client_error(client, 1, WL_ERROR_NO_MEMORY,
                     "the host cannot use this pool");
}

/* Where guest and host are one machine, the host can have the file itself: one
 * that stays as it is, and that compositors can map as they do. */
static bool can_be_shared(const struct vwl_client *client, int fd, int size)
{
    int seals = fcntl(fd, F_GET_SEALS);

    return client->bridge->options.share_pools && vwl_file_stays(fd, size) &&
           (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) == 0 &&
           (fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH)) == O_RDWR;
}

/* The file goes to the host, and all that is said of it. */
static void hand_over(struct vwl_client *client, const struct vwl_object *shm,
                      struct vwl_object *object, const struct vwl_pool *pool)
{
    struct vwl_lone lone = {
        .begin = client->to_host.bytes->len,
        .n = 1,
        .fence = -1,
    };
    uint32_t args[2] = { object->host_id, (uint32_t)pool->size };
    int fd = fcntl(pool->fd, F_DUPFD_CLOEXEC, 3);

    if (fd < 0 || vwl_transport_import(client->bridge->transport, false, &fd,
                                       &lone.handles[0]) < 0) {
        if (fd >= 0) {
            close(fd);
        }
        vwl_shm_refused(client);
        return;
    }
    vwl_client_request(client, shm->host_id, SHM_CREATE_POOL, args, 2,
                       lone.handles[0]);
    vwl_client_alone(client, object, &lone);
}

static void create_pool(struct vwl_client *client, const struct vwl_object *shm,
                        const struct vwl_wire_message *msg)
{
    int fd = vwl_client_take_fd(client);
    int32_t size = (int32_t)msg->args[2].value;
    bool shared = can_be_shared(client, fd, size);
    struct vwl_object *object;
    struct vwl_pool *pool;
    struct statfs fs;
    struct stat st;

    if (size <= 0) {
        vwl_client_error(client, shm->client_id, INVALID_STRIDE,
                         "invalid size (%d)", size);
    } else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
               fstatfs(fd, &fs) < 0 || fs.f_type == FUSE_SUPER_MAGIC) {
        /* a file whose reads may wait would make everybody wait */
        vwl_client_error(client, shm->client_id, INVALID_FD,
                         "not a file of shared memory");
    } else if (client->n_pools >= MAX_POOLS) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "too many pools");
    }
    object = client->failed
                 ? NULL
                 : vwl_objects_new(&client->objects, msg->args[0].iface,
                                   shm->version, msg->args[0].value, shared);
    if (object == NULL) {
        close(fd);
        vwl_client_error(client, 1, WL_ERROR_INVALID_OBJECT,
                         "invalid new id %u", msg->args[0].value);
        return;
    }
    pool = g_new0(struct vwl_pool, 1);
    pool->refs = 1;
    pool->shared = shared;
    pool->fd = fd;
    pool->size = size;
    pool->shm = shm->client_id;
    pool->host_shm = shm->host_id;
    object->data = pool;
    client->n_pools++;
    if (shared) {
        hand_over(client, shm, object, pool);
    } else {
        vwl_pool_map(client, pool);
    }
}

/* These return what vwl_shm_request does. */
static bool create_buffer(struct vwl_client *client, struct vwl_pool *pool,
                          const struct vwl_wire_message *msg)
{
    struct vwl_buffer b = {
        .pool = pool,
        .offset = (int32_t)msg->args[1].value,
        .width = (int32_t)msg->args[2].value,
        .height = (int32_t)msg->args[3].value,
        .stride = (int32_t)msg->args[4].value,
        .format = msg->args[5].value,
        .stale.all = true,
    };
    int64_t bytes = (int64_t)b.stride * b.height;

    b.bytes_per_pixel = bytes_per_pixel(b.format);
    if (b.offset < 0 || b.width <= 0 || b.height <= 0 || b.stride <= 0 ||
        b.stride < (int64_t)b.width * MAX(b.bytes_per_pixel, 1) ||
        bytes > pool->size || b.offset > pool->size - bytes) {
        vwl_client_error(client, pool->shm, INVALID_STRIDE,
                         "invalid width, height or stride (%dx%d, %d)", b.width,
                         b.height, b.stride);
        return true;
    }
    if (pool->shared) {
        return false;
    }
    b.extent = (size_t)bytes;
    if (b.bytes_per_pixel == 0) {
        /* planes may follow the first */
        b.extent = (size_t)MIN(bytes * 3, pool->size - b.offset);
    }
    b.object = vwl_objects_new(&client->objects, msg->args[0].iface, 1,
                               msg->args[0].value, false);
    if (b.object == NULL) {
        vwl_client_error(client, 1, WL_ERROR_INVALID_OBJECT,
                         "invalid new id %u", msg->args[0].value);
        return true;
    }
    pool->refs++;
    b.object->data = g_memdup2(&b, sizeof b);
    g_ptr_array_add(client->buffers, b.object->data);
    return true;
}

static void drop_client(struct vwl_client *client, struct vwl_object *object)
{
    uint32_t id = object->client_id;

    vwl_objects_drop_client(&client->objects, object);
    vwl_client_delete_id(client, id);
}

static bool resize_pool(struct vwl_client *client, struct vwl_pool *pool,
                        int32_t size)
{
    if (size < pool->size) {
        vwl_client_error(client, pool->shm, INVALID_FD,
                         "shrinking pool invalid");
    } else if (pool->shared && !vwl_file_stays(pool->fd, size)) {
        vwl_client_error(client, pool->shm, INVALID_FD,
                         "pool is larger than its file");
    } else {
        pool->size = size;
        if (pool->shared) {
            return false;
        }
        vwl_pool_map(client, pool);
    }
    return true;
}

static bool pool_request(struct vwl_client *client, struct vwl_object *object,
                         const struct vwl_wire_message *msg)
{
    struct vwl_pool *pool = object->data;

    switch (msg->opcode) {
    case POOL_CREATE_BUFFER:
        return create_buffer(client, pool, msg);
    case POOL_DESTROY:
        if (pool->shared) {
            return false;
        }
        drop_client(client, object);
        return true;
    case POOL_RESIZE:
        return resize_pool(client, pool, (int32_t)msg->args[0].value);
    default:
        return true;
    }
}

void vwl_buffer_settle(struct vwl_client *client, struct vwl_buffer *buffer)
{
    struct vwl_object *object = buffer->object;

    if (client->dead || object->client_id != 0 || buffer->busy ||
        buffer->pending != 0) {
        return;
    }
    if (object->host_id != 0) {
        vwl_client_request(client, object->host_id, BUFFER_DESTROY, NULL, 0,
                           -1);
    }
    object->in_use = false;
    object->data = NULL;
    g_ptr_array_remove_fast(client->buffers, buffer);
    if (buffer->memory != NULL) {
        memory_rest(client, buffer->memory);
    }
    pool_unref(client, buffer->pool);
    g_free(buffer);
}

static void destroy_buffer(struct vwl_client *client, struct vwl_object *object)
{
    struct vwl_buffer *buffer = object->data;
    uint32_t id = object->client_id;

    client->objects.client->pdata[id] = NULL;
    object->client_id = 0;
    vwl_client_delete_id(client, id);
    vwl_buffer_settle(client, buffer);
    if (object->data == NULL && object->host_id == 0) {
        g_free(object);
    }
}

bool vwl_shm_request(struct vwl_client *client, struct vwl_object *object,
                     const struct vwl_wire_message *msg, const void *data)
{
    switch (vwl_kind_of(object)) {
    case VWL_KIND_SHM:
        if (msg->opcode != SHM_CREATE_POOL) {
            return false;
        }
        create_pool(client, object, msg);
        return true;
    case VWL_KIND_POOL:
        return pool_request(client, object, msg);
    case VWL_KIND_BUFFER:
        if (object->data == NULL) {
            return false; /* of another protocol's, or of a shared pool */
        }
        destroy_buffer(client, object);
        return true;
    default:
        return false;
    }
}

void vwl_shm_released(struct vwl_client *client, struct vwl_object *object)
{
    struct vwl_buffer *buffer = object->data;

    if (buffer != NULL) {
        buffer->busy = false;
        vwl_buffer_settle(client, buffer);
    }
}

/* Both ids are gone. */
void vwl_shm_object_freed(struct vwl_client *client, struct vwl_object *object)
{
    struct vwl_buffer *buffer;

    if (object->data == NULL) {
        return;
    }
    switch (vwl_kind_of(object)) {
    case VWL_KIND_POOL:
        pool_unref(client, object->data);
        break;
    case VWL_KIND_BUFFER:
        buffer = object->data;
        g_ptr_array_remove_fast(client->buffers, buffer);
        if (buffer->memory != NULL) {
            g_queue_push_tail(&client->idle, buffer->memory);
        }
        pool_unref(client, buffer->pool);
        g_free(buffer);
        break;
    case VWL_KIND_SURFACE:
        g_free(object->data);
        break;
    default:
        break;
    }
}

void vwl_shm_finish(struct vwl_client *client)
{
    struct vwl_memory *memory;

    while ((memory = g_queue_pop_head(&client->idle)) != NULL) {
        memory_free(client, memory);
    }
}
