/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy/filter.h"

#include "policy/filter_priv.h"
#include "policy/pulse/pulse.h"

/* How many descriptors may have come before their messages. libwayland sends
 * up to 28 with one message; other compositors as many as a socket takes. */
static const guint fds_ahead[] = {
    [VWL_TO_HOST] = 28,
    [VWL_TO_GUEST] = 253,
};

/* ---- framing ------------------------------------------------------------ */

/* The size that a header announces; 0: the connection is over. */
static size_t message_bytes(struct vwl_filter *filter, enum vwl_way way,
                            const uint8_t *header)
{
    size_t size = vwl_wire_get(header, 4) >> 16;

    if (size >= VWL_WIRE_HEADER && size % 4 == 0 &&
        (way == VWL_TO_GUEST || size <= filter->rules->max_message_bytes)) {
        return size;
    }
    if (way == VWL_TO_GUEST) {
        filter_break(filter, "a message of %zu bytes", size);
    } else {
        filter_refuse(filter, DISPLAY_ID, ERROR_INVALID_METHOD,
                      "a message of %zu bytes; 8 to %u, a multiple of 4, "
                      "may be sent",
                      size, filter->rules->max_message_bytes);
    }
    return 0;
}

static void judge(struct vwl_filter *filter, enum vwl_way way,
                  const uint8_t *data, size_t size)
{
    if (way == VWL_TO_HOST) {
        filter_request(filter, data, size);
    } else {
        filter_event(filter, data, size);
    }
}

/* Goes on with a message that began earlier. Returns how much it took. */
static size_t complete_part(struct vwl_filter *filter, enum vwl_way way,
                            const uint8_t *data, size_t len)
{
    GByteArray *part = filter->stream[way].part;
    size_t took = filter_fill(part, VWL_WIRE_HEADER, data, len);
    size_t size;

    if (part->len < VWL_WIRE_HEADER) {
        return took;
    }
    size = message_bytes(filter, way, part->data);
    if (size == 0) {
        return took;
    }
    took += filter_fill(part, size, data + took, len - took);
    if (part->len == size) {
        judge(filter, way, part->data, size);
        g_byte_array_set_size(part, 0);
    }
    return took;
}

/* The first message of data, or what there is of it. */
static size_t next_message(struct vwl_filter *filter, enum vwl_way way,
                           const uint8_t *data, size_t len)
{
    size_t size = len;

    if (len >= VWL_WIRE_HEADER) {
        size = message_bytes(filter, way, data);
        if (size == 0) {
            return 0;
        }
        if (size <= len) {
            judge(filter, way, data, size);
            return size;
        }
    }
    g_byte_array_append(filter->stream[way].part, data, (guint)len);
    return len;
}

static size_t take(struct vwl_filter *filter, enum vwl_way way,
                   const uint8_t *data, size_t len)
{
    return filter->pulse ? pulse_take(filter->pulse, way, data, len)
           : filter->stream[way].part->len
               ? complete_part(filter, way, data, len)
               : next_message(filter, way, data, len);
}

/* After bytes that came with these descriptors, or before them. */
static void check_fds(struct vwl_filter *filter, enum vwl_way way)
{
    guint n = filter->stream[way].fds->len;

    if (filter->pulse) {
        pulse_check_fds(filter->pulse, way);
    } else if (n > fds_ahead[way] && way == VWL_TO_HOST) {
        filter_refuse(filter, DISPLAY_ID, ERROR_IMPLEMENTATION,
                      "%u descriptors that belong to no message", n);
    } else if (n > fds_ahead[way]) {
        filter_break(filter, "%u descriptors that belong to no message", n);
    }
}

int vwl_filter_push(struct vwl_filter *filter, enum vwl_way way,
                    const void *data, size_t len, const int *fds,
                    unsigned int n_fds)
{
    const uint8_t *at = data;

    if (filter->over) {
        filter_close_fds(filter, fds, n_fds);
        return filter->over;
    }
    g_array_append_vals(filter->stream[way].fds, fds, n_fds);
    while (len > 0 && !filter->over) {
        size_t took = take(filter, way, at, len);

        at += took;
        len -= took;
    }
    if (!filter->over) {
        check_fds(filter, way);
    }
    if (filter->over) {
        transfer_finish(filter);
        pools_finish(filter);
        windows_finish(filter);
    }
    return filter->over;
}

/* ---- life --------------------------------------------------------------- */

struct vwl_filter *vwl_filter_create(const struct vwl_rules *rules,
                                     const struct vwl_filter_ops *ops,
                                     void *opaque)
{
    struct vwl_filter *filter = g_new0(struct vwl_filter, 1);

    filter->rules = rules;
    filter->ops = ops;
    filter->opaque = opaque;
    filter->announced = g_array_new(FALSE, FALSE, sizeof(struct announced));
    vwl_ids_init(&filter->ids, rules->max_objects, ops->charge, opaque);
    for (int way = 0; way < VWL_N_WAYS; way++) {
        struct stream *stream = &filter->stream[way];

        stream->part = g_byte_array_new();
        stream->fds = g_array_new(FALSE, FALSE, sizeof(int));
        stream->out = g_byte_array_new();
        stream->out_fds = g_array_new(FALSE, FALSE,
                                      sizeof(struct vwl_passed_fd));
    }
    if (rules->kind == VWL_POLICY_PULSE) {
        filter->pulse = pulse_create(filter);
    }
    return filter;
}

void vwl_filter_destroy(struct vwl_filter *filter)
{
    if (!filter) {
        return;
    }
    transfer_finish(filter);
    pools_finish(filter);
    windows_finish(filter);
    g_clear_pointer(&filter->pulse, pulse_destroy);
    for (int way = 0; way < VWL_N_WAYS; way++) {
        struct stream *stream = &filter->stream[way];

        filter_drop_fds(filter, (enum vwl_way)way, stream->fds->len);
        for (guint i = 0; i < stream->out_fds->len; i++) {
            filter_close_fds(
                filter,
                &g_array_index(stream->out_fds, struct vwl_passed_fd, i).fd, 1);
        }
        g_byte_array_unref(stream->part);
        g_array_unref(stream->fds);
        g_byte_array_unref(stream->out);
        g_array_unref(stream->out_fds);
    }
    vwl_ids_finish(&filter->ids);
    g_array_unref(filter->announced);
    g_free(filter);
}

struct vwl_passed vwl_filter_passed(const struct vwl_filter *filter,
                                    enum vwl_way way)
{
    const struct stream *stream = &filter->stream[way];

    return (struct vwl_passed){
        .data = stream->out->data,
        .len = stream->out->len,
        .fds = (const struct vwl_passed_fd *)(void *)stream->out_fds->data,
        .n_fds = stream->out_fds->len,
    };
}

void vwl_filter_taken(struct vwl_filter *filter, enum vwl_way way)
{
    g_byte_array_set_size(filter->stream[way].out, 0);
    g_array_set_size(filter->stream[way].out_fds, 0);
}

const char *vwl_filter_why(const struct vwl_filter *filter)
{
    return filter->why;
}

const void *vwl_filter_refused(const struct vwl_filter *filter)
{
    return filter->refused;
}
