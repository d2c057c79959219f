/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy/filter.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "policy/filter_priv.h"

/* How many descriptors may have come before their messages. libwayland sends
 * up to 28 with one message; other compositors as many as a socket takes. */
static const guint fds_ahead[] = {
    [VWL_TO_HOST] = 28,
    [VWL_TO_GUEST] = 253,
};

/* ---- what passes -------------------------------------------------------- */

void filter_emit(struct vwl_filter *filter, enum vwl_way way, const void *data,
                 size_t len, unsigned int n_fds)
{
    struct stream *stream = &filter->stream[way];

    for (unsigned int i = 0; i < n_fds; i++) {
        struct vwl_passed_fd passed = { stream->out->len,
                                        filter_take_fd(filter, way) };

        g_array_append_val(stream->out_fds, passed);
    }
    g_byte_array_append(stream->out, data, (guint)len);
}

void filter_emit_fd(struct vwl_filter *filter, enum vwl_way way,
                    const void *data, size_t len, int fd)
{
    struct stream *stream = &filter->stream[way];
    struct vwl_passed_fd passed = { stream->out->len, fd };

    g_array_append_val(stream->out_fds, passed);
    g_byte_array_append(stream->out, data, (guint)len);
}

static void emit_header(struct vwl_filter *filter, enum vwl_way way,
                        uint32_t object, uint16_t opcode, size_t size)
{
    uint8_t header[VWL_WIRE_HEADER];

    vwl_wire_put(header, 0, object);
    vwl_wire_put(header, 4, (uint32_t)size << 16 | opcode);
    filter_emit(filter, way, header, sizeof header, 0);
}

void filter_emit_empty(struct vwl_filter *filter, enum vwl_way way,
                       uint32_t object, uint16_t opcode)
{
    emit_header(filter, way, object, opcode, VWL_WIRE_HEADER);
}

static void emit_string(struct vwl_filter *filter, enum vwl_way way,
                        const char *text)
{
    static const uint8_t zeros[4];
    uint32_t len = (uint32_t)strlen(text) + 1;

    filter_emit(filter, way, &len, sizeof len, 0);
    filter_emit(filter, way, text, len, 0);
    filter_emit(filter, way, zeros, -len & 3, 0);
}

static size_t string_bytes(const char *text)
{
    return 4 + ((strlen(text) + 1 + 3) & ~(size_t)3);
}

void filter_emit_text(struct vwl_filter *filter, enum vwl_way way,
                      uint32_t object, uint16_t opcode, const char *text)
{
    emit_header(filter, way, object, opcode,
                VWL_WIRE_HEADER + string_bytes(text));
    emit_string(filter, way, text);
}

int filter_take_fd(struct vwl_filter *filter, enum vwl_way way)
{
    GArray *fds = filter->stream[way].fds;
    int fd = g_array_index(fds, int, 0);

    g_array_remove_index(fds, 0);
    return fd;
}

static void close_fds(struct vwl_filter *filter, const int *fds, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        filter->ops->close_fd(filter->opaque, fds[i]);
    }
}

void filter_drop_fds(struct vwl_filter *filter, enum vwl_way way,
                     unsigned int n)
{
    while (n-- > 0) {
        filter->ops->close_fd(filter->opaque, filter_take_fd(filter, way));
    }
}

/* ---- its end ------------------------------------------------------------ */

static void end(struct vwl_filter *filter, int err)
{
    filter->over = err;
    for (int way = 0; way < VWL_N_WAYS; way++) {
        GArray *fds = filter->stream[way].fds;

        close_fds(filter, (const int *)(void *)fds->data, fds->len);
        g_array_set_size(fds, 0);
    }
    transfer_finish(filter);
}

enum verdict filter_refuse(struct vwl_filter *filter, uint32_t object,
                           uint32_t code, const char *format, ...)
{
    uint32_t fields[2] = { object, code };
    va_list args;

    va_start(args, format);
    g_vsnprintf(filter->why, sizeof filter->why, format, args);
    va_end(args);
    emit_header(filter, VWL_TO_GUEST, DISPLAY_ID, 0,
                VWL_WIRE_HEADER + sizeof fields + string_bytes(filter->why));
    filter_emit(filter, VWL_TO_GUEST, fields, sizeof fields, 0);
    emit_string(filter, VWL_TO_GUEST, filter->why);
    end(filter, -EPROTO);
    return VERDICT_OVER;
}

enum verdict filter_break(struct vwl_filter *filter, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_vsnprintf(filter->why, sizeof filter->why, format, args);
    va_end(args);
    end(filter, -EBADMSG);
    return VERDICT_OVER;
}

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

/* Makes the part that long, or as long as it gets. Returns how much it took. */
static size_t fill_part(GByteArray *part, size_t size, const uint8_t *data,
                        size_t len)
{
    size_t lacks = size > part->len ? size - part->len : 0;
    size_t some = MIN(lacks, len);

    g_byte_array_append(part, data, (guint)some);
    return some;
}

/* Goes on with a message that began earlier. Returns how much it took. */
static size_t complete_part(struct vwl_filter *filter, enum vwl_way way,
                            const uint8_t *data, size_t len)
{
    GByteArray *part = filter->stream[way].part;
    size_t took = fill_part(part, VWL_WIRE_HEADER, data, len);
    size_t size;

    if (part->len < VWL_WIRE_HEADER) {
        return took;
    }
    size = message_bytes(filter, way, part->data);
    if (size == 0) {
        return took;
    }
    took += fill_part(part, size, data + took, len - took);
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

int vwl_filter_push(struct vwl_filter *filter, enum vwl_way way,
                    const void *data, size_t len, const int *fds,
                    unsigned int n_fds)
{
    struct stream *stream = &filter->stream[way];
    const uint8_t *at = data;

    if (filter->over) {
        close_fds(filter, fds, n_fds);
        return filter->over;
    }
    g_array_append_vals(stream->fds, fds, n_fds);
    while (len > 0 && !filter->over) {
        size_t took = stream->part->len ? complete_part(filter, way, at, len)
                                        : next_message(filter, way, at, len);

        at += took;
        len -= took;
    }
    if (!filter->over && stream->fds->len > fds_ahead[way]) {
        if (way == VWL_TO_HOST) {
            filter_refuse(filter, DISPLAY_ID, ERROR_IMPLEMENTATION,
                          "%u descriptors that belong to no message",
                          stream->fds->len);
        } else {
            filter_break(filter, "%u descriptors that belong to no message",
                         stream->fds->len);
        }
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
    vwl_ids_init(&filter->ids, rules->max_objects);
    for (int way = 0; way < VWL_N_WAYS; way++) {
        struct stream *stream = &filter->stream[way];

        stream->part = g_byte_array_new();
        stream->fds = g_array_new(FALSE, FALSE, sizeof(int));
        stream->out = g_byte_array_new();
        stream->out_fds = g_array_new(FALSE, FALSE,
                                      sizeof(struct vwl_passed_fd));
    }
    return filter;
}

void vwl_filter_destroy(struct vwl_filter *filter)
{
    if (!filter) {
        return;
    }
    transfer_finish(filter);
    for (int way = 0; way < VWL_N_WAYS; way++) {
        struct stream *stream = &filter->stream[way];

        filter_drop_fds(filter, (enum vwl_way)way, stream->fds->len);
        for (guint i = 0; i < stream->out_fds->len; i++) {
            close_fds(
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

const struct vwl_table_row *vwl_filter_refused(const struct vwl_filter *filter)
{
    return filter->refused;
}
