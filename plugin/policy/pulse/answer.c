/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "policy/pulse/pulse.h"

/* Of SUBSCRIBE_EVENT. */
enum {
    FACILITY_MASK = 0xf,
    FACILITY_SINK = 0,
    FACILITY_SOURCE = 1,
    FACILITY_SINK_INPUT = 2,
    FACILITY_SOURCE_OUTPUT = 3,
    FACILITY_SERVER = 7,
};

struct answer {
    const uint8_t *data;
    size_t len;
    struct pulse_walk walk;
    uint32_t number, tag;
};

static uint32_t word_of(const struct answer *answer, unsigned int item)
{
    return answer->walk.items[item].value;
}

static void pass(struct pulse *pulse, const struct answer *answer)
{
    pulse_send(pulse, VWL_TO_GUEST, answer->data, answer->len);
}

/* ---- sources ------------------------------------------------------------ */

/* Both servers call the monitor of a sink like that. */
static bool is_monitor_name(const struct answer *answer, unsigned int item)
{
    return answer->walk.items[item].tag == 't' &&
           g_str_has_suffix((const char *)answer->data +
                                answer->walk.items[item].at + 1,
                            ".monitor");
}

/* Whether the stream has the source that was found for it, or none. */
static bool source_is(const struct answer *answer, unsigned int item,
                      uint32_t source)
{
    return (word_of(answer, item) == source ||
            word_of(answer, item) == PULSE_NO_INDEX) &&
           !is_monitor_name(answer, item + 1);
}

/* What the guest wanted, with the device by its number, and not to be moved to
 * another one when that goes. */
static void create_with(struct pulse *pulse, GByteArray *create,
                        uint32_t device, bool records)
{
    GByteArray *out = g_byte_array_sized_new(create->len);
    const struct pulse_item *items;
    struct pulse_walk walk;

    pulse_walk(create->data, create->len, &walk);
    items = walk.items;
    if (records) {
        create->data[items[ITEM_NO_MOVE].at] = '1';
    }
    g_byte_array_append(out, create->data, (guint)items[ITEM_DEVICE_INDEX].at);
    pulse_put_word(out, device);
    pulse_put_text(out, NULL);
    g_byte_array_append(out, create->data + items[ITEM_DEVICE_NAME + 1].at,
                        create->len - (guint)items[ITEM_DEVICE_NAME + 1].at);
    pulse_send(pulse, VWL_TO_HOST, out->data, out->len);
    g_byte_array_unref(out);
}

static const struct pulse_command monitor = {
    .name = "CREATE_RECORD_STREAM of a monitor",
    .why = "hears what the host plays",
};

static void on_device(struct pulse *pulse, const struct answer *answer,
                      struct pulse_pending *pending)
{
    bool records = pending->number == PULSE_CREATE_RECORD;
    GByteArray *create = pending->create;
    uint32_t device = word_of(answer, ITEM_INFO_INDEX);

    if (!pulse_is(&answer->walk, "LttamLv?Lt") || device == PULSE_NO_INDEX) {
        filter_break(pulse->filter, "a device that cannot be read");
        return;
    }
    if (records && (word_of(answer, ITEM_INFO_MONITOR_OF) != PULSE_NO_INDEX ||
                    is_monitor_name(answer, ITEM_INFO_NAME))) {
        pulse_pending_remove(pulse, answer->tag);
        pulse_refuse(pulse, &monitor, answer->tag);
        return;
    }
    pending->create = NULL;
    pending->device = device;
    pulse->held_bytes -= create->len;
    create_with(pulse, create, device, records);
    g_byte_array_unref(create);
}

/* ---- replies ------------------------------------------------------------ */

static void on_authenticated(struct pulse *pulse, const struct answer *answer)
{
    GByteArray *copy;
    uint32_t version;

    if (!pulse_is(&answer->walk, "L")) {
        filter_break(pulse->filter, "a version that cannot be read");
        return;
    }
    copy = g_byte_array_new();
    version = word_of(answer, ITEM_FIRST) & PULSE_VERSION_MASK;
    g_byte_array_append(copy, answer->data, (guint)answer->len);
    pulse_put(copy->data + answer->walk.items[ITEM_FIRST].at + 1,
              MIN(version, PULSE_NEWEST));
    pulse_send(pulse, VWL_TO_GUEST, copy->data, copy->len);
    g_byte_array_unref(copy);
}

static void on_created(struct pulse *pulse, const struct answer *answer,
                       bool records, uint32_t source)
{
    struct pulse_stream stream = {
        .records = records,
        .channel = word_of(answer, ITEM_FIRST),
        .index = word_of(answer, ITEM_SECOND),
        .source = source,
    };

    if (!pulse_is(&answer->walk, records ? "LLLLamLt" : "LL") ||
        stream.channel == PULSE_COMMANDS ||
        pulse_stream_find(pulse, records, stream.channel)) {
        filter_break(pulse->filter, "a stream that cannot be");
    } else if (records && !source_is(answer, ITEM_CREATED_SOURCE, source)) {
        filter_break(pulse->filter, "a stream of another source than asked");
    } else {
        g_array_append_val(pulse->streams, stream);
        pass(pulse, answer);
    }
}

static void on_answer(struct pulse *pulse, const struct answer *answer)
{
    struct pulse_pending *pending = g_hash_table_lookup(pulse->pending,
                                                        GUINT_TO_POINTER(
                                                            answer->tag));
    uint32_t number, device;

    if (!pending) {
        return; /* nobody waits for it (any more) */
    }
    if (pending->create && answer->number == PULSE_REPLY) {
        on_device(pulse, answer, pending);
        return;
    }
    number = pending->number;
    device = pending->device;
    pulse_pending_remove(pulse, answer->tag);
    if (answer->number == PULSE_ERROR) {
        pass(pulse, answer);
    } else if (number == PULSE_AUTH) {
        on_authenticated(pulse, answer);
    } else if (number == PULSE_CREATE_PLAYBACK ||
               number == PULSE_CREATE_RECORD) {
        on_created(pulse, answer, number == PULSE_CREATE_RECORD, device);
    } else {
        pass(pulse, answer);
    }
}

/* ---- events ------------------------------------------------------------- */

static bool event_passes(struct pulse *pulse, const struct answer *answer)
{
    bool may_record = pulse->filter->rules->may_record;

    if (!pulse_is(&answer->walk, "LL")) {
        return false;
    }
    switch (word_of(answer, ITEM_FIRST) & FACILITY_MASK) {
    case FACILITY_SINK:
    case FACILITY_SERVER:
        return true;
    case FACILITY_SOURCE:
        return may_record;
    case FACILITY_SINK_INPUT:
        return pulse_stream_is_own(pulse, false, word_of(answer, ITEM_SECOND));
    case FACILITY_SOURCE_OUTPUT:
        return pulse_stream_is_own(pulse, true, word_of(answer, ITEM_SECOND));
    default:
        return false;
    }
}

static bool moved_well(struct pulse *pulse, const struct answer *answer)
{
    const struct pulse_stream *stream = pulse_stream_find(pulse, true,
                                                          word_of(answer,
                                                                  ITEM_FIRST));

    return !stream || (pulse_is(&answer->walk, "LLt") &&
                       source_is(answer, ITEM_MOVED_SOURCE, stream->source));
}

static void on_event(struct pulse *pulse, const struct answer *answer)
{
    switch (answer->number) {
    case PULSE_PLAYBACK_KILLED:
    case PULSE_RECORD_KILLED:
        pulse_stream_remove(pulse, answer->number == PULSE_RECORD_KILLED,
                            word_of(answer, ITEM_FIRST));
        break;
    case PULSE_SUBSCRIBE_EVENT:
        if (!event_passes(pulse, answer)) {
            return;
        }
        break;
    case PULSE_RECORD_MOVED:
        if (!moved_well(pulse, answer)) {
            filter_break(pulse->filter, "a recording of another source");
            return;
        }
        break;
    default:
        if (!pulse_is_event(answer->number)) {
            return;
        }
        break;
    }
    pass(pulse, answer);
}

void pulse_answer(struct pulse *pulse, const uint8_t *data, size_t len)
{
    struct answer answer = { .data = data, .len = len };

    if (!pulse_walk(data, len, &answer.walk)) {
        filter_break(pulse->filter, "a command whose values cannot be read");
        return;
    }
    answer.number = word_of(&answer, ITEM_COMMAND);
    answer.tag = word_of(&answer, ITEM_TAG);
    if (answer.number == PULSE_REPLY || answer.number == PULSE_ERROR) {
        on_answer(pulse, &answer);
    } else {
        on_event(pulse, &answer);
    }
}
