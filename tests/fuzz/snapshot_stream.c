/* SPDX-License-Identifier: BSD-3-Clause */
#include "snapshot_stream.h"

void stream_read(const GByteArray *stream, struct layout *layout)
{
    const uint8_t *bytes = stream->data;
    size_t at = HEADER + STATE + get32(bytes + HEADER + 36);

    fuzz_check(memcmp(bytes, "VWLstate\1\0\0\0\0\0\0\0", 16) == 0);
    layout->n_vfds = get32(bytes + HEADER + 28);
    layout->n_messages = get32(bytes + HEADER + 32);
    layout->end = HEADER + get64(bytes + 16);
    fuzz_check(layout->end + SUM <= stream->len);
    fuzz_check(layout->n_vfds <= world_limits.max_vfds);
    for (uint32_t i = 0; i < layout->n_vfds; i++) {
        layout->vfd[i] = at;
        at += VFD + get32(bytes + at + 20);
        fuzz_check(at <= layout->end);
    }
    for (uint32_t i = 0; i < layout->n_messages; i++) {
        if (i < MAX_PARTS) {
            layout->message[i] = at;
        }
        if (get32(bytes + at) == M_RECV) {
            at += 4 * (size_t)get32(bytes + at + 8);
        }
        at += MESSAGE +
              get32(bytes + layout->message[MIN(i, MAX_PARTS - 1)] + 12);
        fuzz_check(i < MAX_PARTS - 1 && at <= layout->end);
    }
    fuzz_check(at == layout->end);
}

void stream_sum_up(GByteArray *stream)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize len = SUM;

    g_checksum_update(sum, stream->data, (gssize)stream->len - SUM);
    g_checksum_get_digest(sum, stream->data + stream->len - SUM, &len);
    g_checksum_free(sum);
}

static void put_message(GByteArray *to, uint32_t kind, uint32_t owner,
                        const uint8_t *data, uint32_t len)
{
    uint8_t head[MESSAGE] = { 0 };

    put32(head, kind);
    put32(head + 4, owner);
    put32(head + 12, len);
    g_byte_array_append(to, head, sizeof head);
    g_byte_array_append(to, data, len);
}

/* Connections are over: what they had for the guest, then their end. */
static uint32_t hang_up(const uint8_t *vfd, GByteArray *messages)
{
    uint32_t len = get32(vfd + 20), n = 0;

    for (uint32_t done = 0; done < len; n++) {
        uint32_t part = MIN(len - done, 3968u);

        put_message(messages, M_RECV, get32(vfd), vfd + VFD + done, part);
        done += part;
    }
    if (!(get32(vfd + 8) & HUNG)) {
        put_message(messages, M_HUP, get32(vfd), NULL, 0);
        n++;
    }
    return n;
}

GByteArray *stream_expected(const GByteArray *stream)
{
    GByteArray *state = g_byte_array_new(), *ends = g_byte_array_new();
    const uint8_t *bytes = stream->data;
    struct layout layout;
    uint32_t more = 0;
    size_t messages;

    stream_read(stream, &layout);
    messages = layout.n_messages ? layout.message[0] : layout.end;
    g_byte_array_append(state, bytes, layout.n_vfds ? layout.vfd[0] : messages);
    for (uint32_t i = 0; i < layout.n_vfds; i++) {
        const uint8_t *vfd = bytes + layout.vfd[i];
        uint32_t bits = get32(vfd + 8), len = get32(vfd + 20);
        guint at = state->len;

        g_byte_array_append(state, vfd, VFD);
        if (bits & UNSENT || get32(vfd + 4) >= SHM) {
            g_byte_array_append(state, vfd + VFD, len);
            continue;
        }
        more += hang_up(vfd, ends);
        put32(state->data + at + 8, bits | HUNG);
        put32(state->data + at + 20, 0);
    }
    g_byte_array_append(state, bytes + messages, layout.end - messages);
    g_byte_array_append(state, ends->data, ends->len);
    put32(state->data + HEADER + 32, layout.n_messages + more);
    put64(state->data + 16, state->len - HEADER);
    g_byte_array_append(state, bytes + layout.end, stream->len - layout.end);
    stream_sum_up(state);
    g_byte_array_unref(ends);
    return state;
}
