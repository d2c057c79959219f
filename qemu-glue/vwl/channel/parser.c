/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "parser.h"

/* Descriptors may arrive before the end of the frame before theirs. */
#define MAX_FDS (VWL_EXEC_FDS * VWL_MAX_JOBS)

struct vwl_parser {
    enum vwl_side from;
    GByteArray *bytes;
    size_t at; /* of them are dealt with */
    GPtrArray *strings;
    GArray *fds;
    bool greeted;
    char *why; /* not NULL: it is over */
};

struct vwl_parser *vwl_parser_create(enum vwl_side from)
{
    struct vwl_parser *parser = g_new0(struct vwl_parser, 1);

    parser->from = from;
    parser->bytes = g_byte_array_sized_new(4096);
    parser->strings = g_ptr_array_new();
    parser->fds = g_array_new(FALSE, FALSE, sizeof(int));
    return parser;
}

void vwl_parser_destroy(struct vwl_parser *parser)
{
    if (!parser) {
        return;
    }
    for (guint i = 0; i < parser->fds->len; i++) {
        close(g_array_index(parser->fds, int, i));
    }
    g_array_unref(parser->fds);
    g_ptr_array_unref(parser->strings);
    g_byte_array_unref(parser->bytes);
    g_free(parser->why);
    g_free(parser);
}

const char *vwl_parser_why(const struct vwl_parser *parser)
{
    return parser->why ? parser->why : "";
}

static int refuse(struct vwl_parser *parser, unsigned int type,
                  const char *what)
{
    if (!parser->why) {
        parser->why = g_strdup_printf("%s: %s", vwl_frame_name(type), what);
    }
    return -EPROTO;
}

void vwl_parser_feed(struct vwl_parser *parser, const void *data, size_t len,
                     const int *fds, size_t n_fds)
{
    if (n_fds != 0) {
        g_array_append_vals(parser->fds, fds, (guint)n_fds);
    }
    if (parser->from == VWL_SIDE_GUEST ? n_fds != 0
                                       : parser->fds->len > MAX_FDS) {
        refuse(parser, 0, "more descriptors than it may send");
    }
    if (parser->why) {
        return;
    }
    if (parser->at != 0) {
        g_byte_array_remove_range(parser->bytes, 0, (guint)parser->at);
        parser->at = 0;
    }
    g_byte_array_append(parser->bytes, data, (guint)len);
}

static uint32_t get(const guint8 *from, unsigned int n)
{
    uint32_t value = 0;

    while (n-- > 0) {
        value = value << 8 | from[n];
    }
    return value;
}

/* How many strings this type has; what follows them is pixels. */
static size_t strings_before(unsigned int type)
{
    return type == VWL_FRAME_ICON ? VWL_ICON_HEIGHT + 1 : SIZE_MAX;
}

static const char *split(struct vwl_parser *parser, struct vwl_frame *frame,
                         const guint8 *payload, size_t len)
{
    size_t at = 0, n = strings_before(frame->type);

    g_ptr_array_set_size(parser->strings, 0);
    while (at < len && parser->strings->len < n) {
        const guint8 *end = memchr(payload + at, '\0', len - at);

        if (!end) {
            return "a string without an end";
        }
        if (parser->strings->len == VWL_MAX_STRINGS) {
            return "too many strings";
        }
        g_ptr_array_add(parser->strings, (gpointer)(payload + at));
        if (!g_utf8_validate((const char *)payload + at, -1, NULL)) {
            return "a string that is not UTF-8";
        }
        at = (size_t)(end - payload) + 1;
    }
    frame->strings = (const char *const *)parser->strings->pdata;
    frame->n_strings = parser->strings->len;
    frame->pixels = payload + at;
    frame->n_pixel_bytes = len - at;
    return vwl_frame_wrong(parser->from, frame);
}

static const char *take_fds(struct vwl_parser *parser, struct vwl_frame *frame)
{
    for (unsigned int i = 0; i < VWL_EXEC_FDS; i++) {
        frame->fds[i] = -1;
    }
    if (frame->type != VWL_FRAME_EXEC) {
        return NULL;
    }
    if (parser->fds->len < VWL_EXEC_FDS) {
        return "without its descriptors";
    }
    memcpy(frame->fds, parser->fds->data, sizeof frame->fds);
    g_array_remove_range(parser->fds, 0, VWL_EXEC_FDS);
    return NULL;
}

int vwl_parser_next(struct vwl_parser *parser, struct vwl_frame *frame)
{
    const guint8 *head = parser->bytes->data + parser->at;
    size_t left = parser->bytes->len - parser->at, len, cap = 0;
    unsigned int type;
    const char *wrong;

    if (parser->why) {
        return -EPROTO;
    }
    if (left < VWL_FRAME_HEAD_BYTES) {
        return 0;
    }
    len = get(head, 4);
    type = get(head + 4, 2);
    wrong = vwl_frame_cap(parser->from, type, &cap);
    if (wrong || len > cap) {
        return refuse(parser, type, wrong ? wrong : "too long");
    }
    /* before the rest has come: nobody is made to wait for what is wrong */
    if (parser->greeted == (type == VWL_FRAME_HELLO)) {
        return refuse(parser, type,
                      parser->greeted ? "a second time" : "before HELLO");
    }
    if (left - VWL_FRAME_HEAD_BYTES < len) {
        return 0;
    }
    *frame = (struct vwl_frame){ .type = (enum vwl_frame_type)type,
                                 .job = (uint16_t)get(head + 6, 2) };
    wrong = split(parser, frame, head + VWL_FRAME_HEAD_BYTES, len);
    if (!wrong) {
        wrong = take_fds(parser, frame);
    }
    if (wrong) {
        return refuse(parser, type, wrong);
    }
    parser->greeted = true;
    parser->at += VWL_FRAME_HEAD_BYTES + len;
    return 1;
}
