/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy/pulse/pulse.h"

static const uint32_t most_of_commands[] = {
    [VWL_TO_HOST] = PULSE_MAX_REQUEST_BYTES,
    [VWL_TO_GUEST] = PULSE_MAX_ANSWER_BYTES,
};

static const uint32_t most_of_audio[] = {
    [VWL_TO_HOST] = PULSE_MAX_PLAYED_BYTES,
    [VWL_TO_GUEST] = PULSE_MAX_RECORDED_BYTES,
};

/* How audio is to be placed; the other flags are of shared memory. */
#define AUDIO_FLAGS 0xffu

static void blame(struct vwl_filter *filter, enum vwl_way way, const char *what,
                  uint32_t number)
{
    if (way == VWL_TO_HOST) {
        pulse_fault(filter->pulse, "%s (%u)", what, number);
    } else {
        filter_break(filter, "%s (%u)", what, number);
    }
}

/* ---- frames ------------------------------------------------------------- */

/* Audio for a stream that is not there (any more) is lost: the server would
 * not play it, either. */
static bool audio_passes(struct pulse *pulse, enum vwl_way way,
                         uint32_t channel)
{
    return pulse_stream_find(pulse, way == VWL_TO_GUEST, channel);
}

static void begin_audio(struct vwl_filter *filter, enum vwl_way way,
                        const uint8_t *head)
{
    struct pulse_flow *flow = &filter->pulse->flow[way];
    uint32_t len = pulse_get(head), flags = pulse_get(head + 16);

    if (flags & ~AUDIO_FLAGS) {
        blame(filter, way, "shared memory, which was not agreed on", flags);
    } else if (len == 0 || len > most_of_audio[way]) {
        blame(filter, way, "audio of too many bytes at once, or of none", len);
    } else {
        flow->left = len;
        flow->passes = audio_passes(filter->pulse, way, pulse_get(head + 4));
        if (flow->passes) {
            filter_emit(filter, way, head, PULSE_HEAD_BYTES, 0);
        }
    }
    g_byte_array_set_size(filter->stream[way].part, 0);
}

static size_t take_audio(struct vwl_filter *filter, enum vwl_way way,
                         const uint8_t *data, size_t len)
{
    struct pulse_flow *flow = &filter->pulse->flow[way];
    size_t some = MIN(len, flow->left);

    if (flow->passes) {
        filter_emit(filter, way, data, some, 0);
    }
    flow->left -= (uint32_t)some;
    if (flow->left == 0 && flow->later->len > 0) {
        filter_emit(filter, way, flow->later->data, flow->later->len, 0);
        g_byte_array_set_size(flow->later, 0);
    }
    return some;
}

/* A head is there, and perhaps some of its command. */
static size_t take_command(struct vwl_filter *filter, enum vwl_way way,
                           const uint8_t *data, size_t len)
{
    GByteArray *part = filter->stream[way].part;
    uint32_t bytes = pulse_get(part->data);
    uint32_t flags = pulse_get(part->data + 16);
    size_t took;

    if (flags != 0) {
        blame(filter, way, "shared memory, which was not agreed on", flags);
        return 0;
    }
    if (bytes == 0 || bytes > most_of_commands[way]) {
        blame(filter, way, "a command of too many bytes, or of none", bytes);
        return 0;
    }
    took = filter_fill(part, PULSE_HEAD_BYTES + bytes, data, len);
    if (part->len == PULSE_HEAD_BYTES + bytes) {
        if (way == VWL_TO_HOST) {
            pulse_request(filter->pulse, part->data + PULSE_HEAD_BYTES, bytes);
        } else {
            pulse_answer(filter->pulse, part->data + PULSE_HEAD_BYTES, bytes);
        }
        g_byte_array_set_size(part, 0);
    }
    return took;
}

size_t pulse_take(struct pulse *pulse, enum vwl_way way, const uint8_t *data,
                  size_t len)
{
    struct vwl_filter *filter = pulse->filter;
    GByteArray *part = filter->stream[way].part;
    size_t took;

    if (pulse->flow[way].left > 0) {
        return take_audio(filter, way, data, len);
    }
    took = filter_fill(part, PULSE_HEAD_BYTES, data, len);
    if (part->len < PULSE_HEAD_BYTES) {
        return took;
    }
    if (pulse_get(part->data + 4) != PULSE_COMMANDS) {
        begin_audio(filter, way, part->data);
        return took;
    }
    return took + take_command(filter, way, data + took, len - took);
}

void pulse_check_fds(struct pulse *pulse, enum vwl_way way)
{
    guint n = pulse->filter->stream[way].fds->len;

    if (n > 0) {
        blame(pulse->filter, way, "descriptors, which sound has no use for", n);
    }
}

/* ---- life --------------------------------------------------------------- */

struct pulse *pulse_create(struct vwl_filter *filter)
{
    struct pulse *pulse = g_new0(struct pulse, 1);

    pulse->filter = filter;
    pulse->streams = g_array_new(FALSE, FALSE, sizeof(struct pulse_stream));
    pulse->pending = g_hash_table_new_full(NULL, NULL, NULL,
                                           pulse_pending_free);
    for (int way = 0; way < VWL_N_WAYS; way++) {
        pulse->flow[way].later = g_byte_array_new();
    }
    return pulse;
}

void pulse_destroy(struct pulse *pulse)
{
    g_array_unref(pulse->streams);
    g_hash_table_unref(pulse->pending);
    for (int way = 0; way < VWL_N_WAYS; way++) {
        g_byte_array_unref(pulse->flow[way].later);
    }
    g_free(pulse);
}
