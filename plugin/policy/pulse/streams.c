/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy/pulse/pulse.h"

struct pulse_stream *pulse_stream_find(struct pulse *pulse, bool records,
                                       uint32_t channel)
{
    for (guint i = 0; i < pulse->streams->len; i++) {
        struct pulse_stream *stream = &g_array_index(pulse->streams,
                                                     struct pulse_stream, i);

        if (stream->records == records && stream->channel == channel) {
            return stream;
        }
    }
    return NULL;
}

bool pulse_stream_is_own(struct pulse *pulse, bool records, uint32_t index)
{
    for (guint i = 0; i < pulse->streams->len; i++) {
        const struct pulse_stream *stream = &g_array_index(pulse->streams,
                                                           struct pulse_stream,
                                                           i);

        if (stream->records == records && stream->index == index) {
            return true;
        }
    }
    return false;
}

void pulse_stream_remove(struct pulse *pulse, bool records, uint32_t channel)
{
    const struct pulse_stream *stream = pulse_stream_find(pulse, records,
                                                          channel);

    if (stream) {
        g_array_remove_index_fast(
            pulse->streams,
            (guint)(stream - (const struct pulse_stream *)(const void *)
                                 pulse->streams->data));
    }
}

struct pulse_pending *pulse_pending_add(struct pulse *pulse, uint32_t tag,
                                        uint32_t number)
{
    struct pulse_pending *pending = g_new0(struct pulse_pending, 1);

    pending->number = number;
    pending->device = PULSE_NO_INDEX;
    if (number == PULSE_CREATE_PLAYBACK || number == PULSE_CREATE_RECORD) {
        pulse->n_creating++;
    }
    g_hash_table_insert(pulse->pending, GUINT_TO_POINTER(tag), pending);
    return pending;
}

void pulse_pending_remove(struct pulse *pulse, uint32_t tag)
{
    const struct pulse_pending *pending = g_hash_table_lookup(pulse->pending,
                                                              GUINT_TO_POINTER(
                                                                  tag));

    if (pending->number == PULSE_CREATE_PLAYBACK ||
        pending->number == PULSE_CREATE_RECORD) {
        pulse->n_creating--;
    }
    if (pending->create) {
        pulse->held_bytes -= pending->create->len;
    }
    g_hash_table_remove(pulse->pending, GUINT_TO_POINTER(tag));
}

void pulse_pending_free(void *data)
{
    struct pulse_pending *pending = data;

    if (pending->create) {
        g_byte_array_unref(pending->create);
    }
    g_free(pending);
}
