/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pools of shared memory: one that is longer than its file is a fault for
 * whoever reads it. Clients make a file longer and then tell of it, so a file
 * that can grow is kept, to be measured again; most of what comes from guests
 * cannot. Buffers of dmabufs, of which the server numbers some: those that it
 * will make count as well.
 */
#include "policy/filter_priv.h"

enum {
    PARAMS_CREATE = 2,
    PARAMS_CREATE_IMMED = 3,
    WL_SHM_CREATE_POOL = 0,
    WL_SHM_POOL_CREATE_BUFFER = 0,
    WL_SHM_POOL_DESTROY = 1,
    WL_SHM_POOL_RESIZE = 2,
};

/* Of one connection; further pools keep the length that they began with. */
#define MAX_KEPT 64u

void pools_finish(struct vwl_filter *filter)
{
    for (guint i = 0; filter->kept && i < filter->kept->len; i++) {
        filter->ops->close_fd(filter->opaque,
                              g_array_index(filter->kept, struct kept, i).fd);
    }
    g_clear_pointer(&filter->kept, g_array_unref);
}

static void keep(struct vwl_filter *filter, uint32_t pool, int fd)
{
    struct kept kept = { .pool = pool };

    if (!filter->kept) {
        filter->kept = g_array_new(FALSE, FALSE, sizeof kept);
    }
    if (!filter->ops->keep_file || filter->kept->len == MAX_KEPT) {
        return;
    }
    kept.fd = filter->ops->keep_file(filter->opaque, fd);
    if (kept.fd >= 0) {
        g_array_append_val(filter->kept, kept);
    }
}

void pools_forget(struct vwl_filter *filter, uint32_t pool)
{
    for (guint i = 0; filter->kept && i < filter->kept->len; i++) {
        const struct kept *kept = &g_array_index(filter->kept, struct kept, i);

        if (kept->pool == pool) {
            filter->ops->close_fd(filter->opaque, kept->fd);
            g_array_remove_index_fast(filter->kept, i);
            return;
        }
    }
}

static void measure(struct vwl_filter *filter, struct vwl_id *pool, uint32_t id)
{
    for (guint i = 0; filter->kept && i < filter->kept->len; i++) {
        const struct kept *kept = &g_array_index(filter->kept, struct kept, i);

        if (kept->pool == id) {
            pool->bytes = filter->ops->file_bytes(filter->opaque, kept->fd);
        }
    }
}

static enum verdict refuse(struct vwl_filter *filter, uint32_t object)
{
    return filter_refuse(filter, object, ERROR_IMPLEMENTATION,
                         "a pool that is longer than its file");
}

static enum verdict create(struct vwl_filter *filter,
                           const struct vwl_wire_message *message)
{
    int fd = g_array_index(filter->stream[VWL_TO_HOST].fds, int, 0);
    uint64_t bytes = filter->ops->file_bytes(filter->opaque, fd);
    int32_t size = (int32_t)message->args[2].value;

    if (size <= 0 || (uint64_t)size > bytes) {
        return refuse(filter, message->object);
    }
    vwl_ids_find(&filter->ids, message->args[0].value)->bytes = bytes;
    keep(filter, message->args[0].value, fd);
    return VERDICT_PASS;
}

static enum verdict resize(struct vwl_filter *filter,
                           const struct vwl_wire_message *message)
{
    struct vwl_id *pool = vwl_ids_find(&filter->ids, message->object);
    int32_t size = (int32_t)message->args[0].value;

    if (size > 0 && (uint64_t)size > pool->bytes) {
        measure(filter, pool, message->object);
    }
    return size <= 0 || (uint64_t)size > pool->bytes
               ? refuse(filter, message->object)
               : VERDICT_PASS;
}

/* A picture of this width (an argument) and the height after it. */
static enum verdict check_sides(struct vwl_filter *filter,
                                const struct vwl_wire_message *message,
                                unsigned int width)
{
    uint32_t most = filter->rules->max_buffer_side;

    if (message->args[width].value > most ||
        message->args[width + 1].value > most) {
        return filter_refuse(filter, message->object, ERROR_IMPLEMENTATION,
                             "a picture that is larger than allowed");
    }
    return VERDICT_PASS;
}

static enum verdict creating(struct vwl_filter *filter, uint32_t params)
{
    struct vwl_id *object = vwl_ids_find(&filter->ids, params);
    uint32_t most = filter->rules->max_buffers;

    if (object->marks & VWL_MARK_CREATING) {
        return VERDICT_PASS; /* an error, which the server tells */
    }
    if (filter->ids.live[VWL_OBJECT_BUFFER] + filter->n_creating >= most) {
        return filter_refuse(filter, DISPLAY_ID, ERROR_NO_MEMORY,
                             "more than %u objects wl_buffer", most);
    }
    object->marks |= VWL_MARK_CREATING;
    filter->n_creating++;
    return VERDICT_PASS;
}

enum verdict pools_params_request(struct vwl_filter *filter,
                                  const struct vwl_wire_message *message)
{
    enum verdict verdict;

    switch (message->opcode) {
    case PARAMS_CREATE:
        verdict = check_sides(filter, message, 0);
        return verdict == VERDICT_PASS ? creating(filter, message->object)
                                       : verdict;
    case PARAMS_CREATE_IMMED:
        return check_sides(filter, message, 1);
    default:
        return VERDICT_PASS;
    }
}

void pools_params_done(struct vwl_filter *filter, uint32_t params)
{
    struct vwl_id *object = vwl_ids_find(&filter->ids, params);

    if (object && (object->marks & VWL_MARK_CREATING) &&
        object->kind == VWL_OBJECT_PARAMS) {
        object->marks &= (uint8_t)~VWL_MARK_CREATING;
        filter->n_creating--;
    }
}

enum verdict pools_request(struct vwl_filter *filter,
                           const struct vwl_wire_message *message, uint8_t kind)
{
    if (kind == VWL_OBJECT_SHM) {
        return message->opcode == WL_SHM_CREATE_POOL ? create(filter, message)
                                                     : VERDICT_PASS;
    }
    switch (message->opcode) {
    case WL_SHM_POOL_CREATE_BUFFER:
        return check_sides(filter, message, 2);
    case WL_SHM_POOL_DESTROY:
        pools_forget(filter, message->object);
        return VERDICT_PASS;
    case WL_SHM_POOL_RESIZE:
        return resize(filter, message);
    default:
        return VERDICT_PASS;
    }
}
