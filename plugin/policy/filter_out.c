/* SPDX-License-Identifier: BSD-3-Clause */
/* What a filter lets pass, and how it ends: what all that judge messages call.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "policy/filter_priv.h"

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

void filter_close_fds(struct vwl_filter *filter, const int *fds, unsigned int n)
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

void filter_end(struct vwl_filter *filter, int err)
{
    filter->over = err;
    for (int way = 0; way < VWL_N_WAYS; way++) {
        GArray *fds = filter->stream[way].fds;

        filter_close_fds(filter, (const int *)(void *)fds->data, fds->len);
        g_array_set_size(fds, 0);
    }
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
    filter_end(filter, -EPROTO);
    return VERDICT_OVER;
}

enum verdict filter_refuse_id(struct vwl_filter *filter, uint32_t object,
                              const char *name, uint32_t id)
{
    if (id && id == filter->ids.n_client) {
        return filter_refuse(filter, object, ERROR_NO_MEMORY,
                             "%s: %u objects are too many", name, id);
    }
    return filter_refuse(filter, object, ERROR_INVALID_OBJECT,
                         "%s: the id %u cannot be used now", name, id);
}

enum verdict filter_break(struct vwl_filter *filter, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_vsnprintf(filter->why, sizeof filter->why, format, args);
    va_end(args);
    filter_end(filter, -EBADMSG);
    return VERDICT_OVER;
}

size_t filter_fill(GByteArray *part, size_t size, const uint8_t *data,
                   size_t len)
{
    size_t lacks = size > part->len ? size - part->len : 0;
    size_t some = MIN(lacks, len);

    g_byte_array_append(part, data, (guint)some);
    return some;
}
