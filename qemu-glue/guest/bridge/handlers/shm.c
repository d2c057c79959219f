/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wl_shm and its pools, answered by the bridge: a pool is the client's file and
 * never crosses (but with share_pools: then the host has it if its file is
 * sealed against shrinking, and all that was checked here).
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "part.h"
#include "shmbuf.h"

enum { SHM_CREATE_POOL = 0, SHM_RELEASE = 1 };
enum { POOL_CREATE_BUFFER = 0, POOL_DESTROY = 1, POOL_RESIZE = 2 };
enum { INVALID_FORMAT = 0, INVALID_STRIDE = 1, INVALID_FD = 2 };

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

/* ---- how rows stand at the host ---- */

/* KWin up to Plasma 5 takes the width for the stride, and shows rows with gaps
 * between them askew. Every compositor that gains by gaps is so new that it has
 * wp_fifo_manager_v1. */
struct layout {
    bool may_have_gaps;
};

static const struct vwl_part layout_part = { .size = sizeof(struct layout) };

static enum vwl_outcome fifo_offers(struct vwl_client *client,
                                    uint32_t *version)
{
    struct layout *layout = vwl_part_of(client, &layout_part);

    layout->may_have_gaps = true;
    return VWL_PASS;
}

const struct vwl_handler vwl_handle_fifo_manager = {
    .offers = fifo_offers,
};

/* What pixman and QImage ask for. */
#define LEAST_ALIGN 4
/* Aligned rows may be half empty; where they are more than that, or too long
 * for a pool, the client's stride is as good. */
#define MAX_PADDED_BYTES (64 << 10)

/* How a buffer of so many bytes in its pool is laid out at the host. */
static void lay_out(struct vwl_client *client, struct vwl_shmbuf *buffer,
                    int64_t bytes)
{
    const struct layout *layout = vwl_part_of(client, &layout_part);
    int64_t align = layout->may_have_gaps ? VWL_HOST_ALIGN : LEAST_ALIGN;
    int64_t row = (int64_t)buffer->width * buffer->bytes_per_pixel;
    int64_t stride = (row + align - 1) & -align;
    int64_t aligned = stride * buffer->height;

    buffer->host_stride = buffer->stride;
    buffer->extent = (size_t)bytes;
    if (buffer->bytes_per_pixel == 0) {
        /* planes may follow the first */
        buffer->extent = (size_t)MIN(bytes * 3,
                                     buffer->pool->size - buffer->offset);
    } else if (aligned <= MAX(bytes * 2, MAX_PADDED_BYTES) &&
               aligned <= INT32_MAX) {
        buffer->host_stride = (int32_t)stride;
        buffer->extent = (size_t)aligned;
    }
}

/* What is shown as it is must be as every compositor can read it. */
static bool can_be_in_place(struct vwl_client *client,
                            const struct vwl_shmbuf *buffer)
{
    const struct layout *layout = vwl_part_of(client, &layout_part);

    return buffer->bytes_per_pixel != 0 && buffer->offset % LEAST_ALIGN == 0 &&
           buffer->stride % LEAST_ALIGN == 0 &&
           (layout->may_have_gaps || buffer->stride == buffer->host_stride);
}

/* ---- pools ---- */

static void pool_refused(struct vwl_client *client, struct vwl_object *object,
                         struct vwl_lone *lone)
{
    vwl_client_error(client, 1, WL_ERROR_NO_MEMORY,
                     "the host cannot use this pool");
}

static enum vwl_outcome create_buffer(struct vwl_client *client,
                                      struct vwl_pool *pool,
                                      const struct vwl_wire_message *msg)
{
    struct vwl_shmbuf b = {
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
        return VWL_FAILED;
    }
    if (pool->shared) {
        return VWL_PASS;
    }
    lay_out(client, &b, bytes);
    b.settled = !can_be_in_place(client, &b);
    return vwl_shmbuf_new(client, &b, &msg->args[0]) != NULL ? VWL_DONE
                                                             : VWL_FAILED;
}

static enum vwl_outcome resize_pool(struct vwl_client *client,
                                    struct vwl_pool *pool, int32_t size)
{
    if (size < pool->size) {
        vwl_client_error(client, pool->shm, INVALID_FD,
                         "shrinking pool invalid");
    } else if (pool->shared && !vwl_pool_file_stays(pool->fd, size)) {
        vwl_client_error(client, pool->shm, INVALID_FD,
                         "pool is larger than its file");
    } else {
        pool->size = size;
        if (pool->shared) {
            return VWL_PASS;
        }
        vwl_pool_map(client, pool);
    }
    return VWL_DONE;
}

static enum vwl_outcome pool_request(struct vwl_client *client,
                                     struct vwl_object *object,
                                     const struct vwl_wire_message *msg,
                                     void *data)
{
    struct vwl_pool *pool = object->data;
    uint32_t id = object->client_id;

    switch (msg->opcode) {
    case POOL_CREATE_BUFFER:
        return create_buffer(client, pool, msg);
    case POOL_DESTROY:
        if (pool->shared) {
            return VWL_PASS;
        }
        vwl_objects_drop_client(&client->objects, object);
        vwl_client_delete_id(client, id);
        return VWL_DONE;
    case POOL_RESIZE:
        return resize_pool(client, pool, (int32_t)msg->args[0].value);
    default:
        return VWL_DONE;
    }
}

static void pool_freed(struct vwl_client *client, struct vwl_object *object)
{
    if (object->data != NULL) {
        vwl_pool_unref(client, object->data);
    } else {
        vwl_shmbuf_pool_gone(client, object);
    }
}

const struct vwl_handler vwl_handle_pool = {
    .request = pool_request,
    .refused = pool_refused,
    .freed = pool_freed,
};

/* ---- wl_shm ---- */

/* Where guest and host are one machine, the host can have the file itself: one
 * that stays as it is, and that compositors can map as they do. */
static bool can_be_shared(const struct vwl_client *client, int fd, int size)
{
    int seals = fcntl(fd, F_GET_SEALS);

    return client->bridge->options.share_pools &&
           vwl_pool_file_stays(fd, size) &&
           (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) == 0 &&
           (fcntl(fd, F_GETFL) & (O_ACCMODE | O_PATH)) == O_RDWR;
}

/* The file goes to the host, and all that is said of it. */
static void pool_hand_over(struct vwl_client *client,
                           const struct vwl_object *shm,
                           struct vwl_object *object,
                           const struct vwl_pool *pool)
{
    struct vwl_lone lone = {
        .begin = vwl_uplink_len(&client->uplink),
        .n = 1,
        .spare = -1,
    };
    uint32_t args[2] = { object->host_id, (uint32_t)pool->size };
    int fd = fcntl(pool->fd, F_DUPFD_CLOEXEC, 3);

    if (fd < 0 || vwl_transport_import(client->bridge->transport, false, &fd,
                                       &lone.handles[0]) < 0) {
        if (fd >= 0) {
            close(fd);
        }
        pool_refused(client, object, NULL);
        return;
    }
    vwl_uplink_request(&client->uplink, shm->host_id, SHM_CREATE_POOL, args, 2,
                       lone.handles[0]);
    vwl_uplink_alone(&client->uplink, object->host_id, &lone);
}

static void create_pool(struct vwl_client *client, const struct vwl_object *shm,
                        const struct vwl_wire_message *msg)
{
    int fd = vwl_queue_take(&client->from_client);
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
    } else if (!vwl_pool_has_room(client)) {
        vwl_client_error(client, 1, WL_ERROR_NO_MEMORY, "too many pools");
    }
    object = client->failed
                 ? NULL
                 : vwl_objects_new(&client->objects, msg->args[0].iface,
                                   shm->version, msg->args[0].value, shared);
    if (object == NULL) {
        close(fd);
        vwl_client_bad_id(client, msg->args[0].value);
        return;
    }
    pool = vwl_pool_new(client, fd, size);
    pool->shared = shared;
    pool->shm = shm->client_id;
    pool->host_shm = shm->host_id;
    object->data = pool;
    if (shared) {
        pool_hand_over(client, shm, object, pool);
    } else {
        vwl_pool_map(client, pool);
    }
}

static enum vwl_outcome shm_request(struct vwl_client *client,
                                    struct vwl_object *shm,
                                    const struct vwl_wire_message *msg,
                                    void *data)
{
    uint32_t id = shm->client_id;

    if (msg->opcode == SHM_CREATE_POOL) {
        create_pool(client, shm, msg);
    } else if (msg->opcode == SHM_RELEASE) {
        /* the host's stays: buffers that live on are given memory by it */
        vwl_objects_drop_client(&client->objects, shm);
        vwl_client_delete_id(client, id);
    }
    return VWL_DONE;
}

const struct vwl_handler vwl_handle_shm = {
    .request = shm_request,
};
