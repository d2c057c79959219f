/* SPDX-License-Identifier: BSD-3-Clause */
/* Somebody who knows the format. */
#include "snapshot_stream.h"

static uint32_t take_edge(struct world *world, const GByteArray *stream,
                          const struct layout *layout, uint32_t old)
{
    unsigned int how = take8(&world->in);
    static const uint32_t edges[] = {
        0, 1, 2, 0x40000000, 0xc0000000, UINT32_MAX, 4096, 0x10000,
    };

    if (how < 64) {
        return edges[how & 7];
    }
    if (how < 128 && layout->n_vfds) {
        return get32(stream->data + layout->vfd[how % layout->n_vfds]);
    }
    if (how < 192) {
        return old ^ 1u << (how & 31);
    }
    if (how >= 240 && how < 250 && layout->n_vfds) { /* where another is */
        return get32(stream->data + layout->vfd[how % layout->n_vfds] + 32);
    }
    return how < 224   ? old + (how & 15) - 8
           : how < 254 ? how & 31
                       : take32(&world->in);
}

static void edit32(struct world *world, GByteArray *stream,
                   const struct layout *layout, size_t at)
{
    if (at + 4 <= stream->len) {
        put32(stream->data + at,
              take_edge(world, stream, layout, get32(stream->data + at)));
    }
}

/* A VFD or a message more or less; everything else says so. */
static void edit_count(struct world *world, GByteArray *stream,
                       const struct layout *layout)
{
    unsigned int how = take8(&world->in);
    bool is_vfd = how & 1;
    uint32_t n = is_vfd ? layout->n_vfds : layout->n_messages;
    const size_t *parts = is_vfd ? layout->vfd : layout->message;
    size_t count = HEADER + (is_vfd ? 28 : 32), at, len;
    uint32_t i;

    if (n == 0) {
        return;
    }
    i = (how >> 2) % n;
    at = parts[i];
    len = (i + 1 < n                      ? parts[i + 1]
           : is_vfd && layout->n_messages ? layout->message[0]
                                          : layout->end) -
          at;
    if (how & 2) {
        g_autofree uint8_t *copy = g_memdup2(stream->data + at, len);
        guint tail = stream->len - (guint)at;

        g_byte_array_set_size(stream, stream->len + (guint)len);
        memmove(stream->data + at + len, stream->data + at, tail);
        memcpy(stream->data + at, copy, len);
        put32(stream->data + count, n + 1);
        put64(stream->data + 16, get64(stream->data + 16) + len);
    } else {
        g_byte_array_remove_range(stream, (guint)at, (guint)len);
        put32(stream->data + count, n - 1);
        put64(stream->data + 16, get64(stream->data + 16) - len);
    }
}

/* Those that keep every part in its place. */
static void edit_field(struct world *world, GByteArray *stream,
                       const struct layout *layout)
{
    unsigned int how = take8(&world->in), which = take8(&world->in);
    size_t at = HEADER;

    switch (how & 7) {
    case 0:
    case 1:
    case 2:
        if (layout->n_vfds) {
            at = layout->vfd[which % layout->n_vfds] + (how >> 3) % 10 * 4;
        }
        edit32(world, stream, layout, at);
        break;
    case 3:
    case 4:
        if (layout->n_messages) {
            at = layout->message[which % layout->n_messages] +
                 (how >> 3) % 6 * 4; /* two of its ids, too */
        }
        edit32(world, stream, layout, at);
        break;
    case 5:
        edit32(world, stream, layout, HEADER + which % 10 * 4);
        break;
    case 6:
        edit32(world, stream, layout, which % 6 * 4);
        break;
    default:
        at = (which | (size_t)(how >> 3) << 8) * (how & 64 ? 7 : 1);
        stream->data[at % stream->len] ^= take8(&world->in);
        break;
    }
}

void stream_change(struct world *world, GByteArray *stream, unsigned int n)
{
    struct layout layout;
    unsigned int how;

    stream_read(stream, &layout);
    for (unsigned int i = 0; i < n; i++) {
        edit_field(world, stream, &layout);
    }
    how = take8(&world->in);
    if ((how & 3) == 3) {
        edit_count(world, stream, &layout);
    }
    if ((how & 0x1c) != 0x1c) {
        stream_sum_up(stream);
    }
    if (how >> 5 == 7) {
        g_byte_array_set_size(stream, take16(&world->in) % stream->len + 1);
    } else if (how >> 5 == 6) {
        g_byte_array_append(stream, (const uint8_t[16]){ 0 }, 1 + (how & 15));
    }
}
