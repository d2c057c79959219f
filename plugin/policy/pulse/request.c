/* SPDX-License-Identifier: BSD-3-Clause */
#include "policy/pulse/pulse.h"

/* Of SUBSCRIBE. */
enum {
    MASK_SINK = 0x1,
    MASK_SOURCE = 0x2,
    MASK_SINK_INPUT = 0x4,
    MASK_SOURCE_OUTPUT = 0x8,
    MASK_SERVER = 0x80,
};

struct request {
    const uint8_t *data;
    size_t len;
    struct pulse_walk walk;
    uint32_t number, tag;
    const struct pulse_command *command;
};

static uint32_t word_of(const struct request *request, unsigned int item)
{
    return request->walk.items[item].value;
}

static const struct pulse_command too_many_streams = {
    .name = "a stream",
    .why = "there are 64, or too much is asked at once",
};

/* ---- what passes -------------------------------------------------------- */

static struct pulse_pending *pass_bytes(struct pulse *pulse,
                                        const struct request *request,
                                        const uint8_t *data, size_t len)
{
    pulse_send(pulse, VWL_TO_HOST, data, len);
    return pulse_pending_add(pulse, request->tag, request->number);
}

static GByteArray *copy_of(const struct request *request)
{
    GByteArray *copy = g_byte_array_sized_new((guint)request->len);

    pulse_copy(copy, request->data, request->len);
    return copy;
}

static void pass(struct pulse *pulse, const struct request *request)
{
    GByteArray *copy;

    if (!request->walk.has_properties) {
        pass_bytes(pulse, request, request->data, request->len);
        return;
    }
    copy = copy_of(request);
    pass_bytes(pulse, request, copy->data, copy->len);
    g_byte_array_unref(copy);
}

/* With another number in the place of one of its items, before which there are
 * no properties. */
static void pass_with(struct pulse *pulse, const struct request *request,
                      unsigned int item, uint32_t value)
{
    GByteArray *copy = copy_of(request);

    pulse_put(copy->data + request->walk.items[item].at + 1, value);
    pass_bytes(pulse, request, copy->data, copy->len);
    g_byte_array_unref(copy);
}

/* ---- commands ----------------------------------------------------------- */

static void authenticate(struct pulse *pulse, const struct request *request)
{
    uint32_t version = word_of(request, ITEM_FIRST) & PULSE_VERSION_MASK;

    if (pulse->authenticates) {
        pulse_refuse(pulse, request->command, request->tag);
    } else if (version < PULSE_OLDEST) {
        pulse_fault(pulse,
                    "version %u of PulseAudio's protocol; %u is the "
                    "oldest that is understood",
                    version, PULSE_OLDEST);
    } else {
        pulse->authenticates = true;
        pass_with(pulse, request, ITEM_FIRST, MIN(version, PULSE_NEWEST));
    }
}

/* Of what a guest may not know of, it is told no changes. */
static void subscribe(struct pulse *pulse, const struct request *request)
{
    uint32_t mask = MASK_SINK | MASK_SINK_INPUT | MASK_SERVER;

    if (pulse->filter->rules->may_record) {
        mask |= MASK_SOURCE | MASK_SOURCE_OUTPUT;
    }
    pass_with(pulse, request, ITEM_FIRST, word_of(request, ITEM_FIRST) & mask);
}

static void ask_for_device(struct pulse *pulse, const struct request *request)
{
    const struct pulse_item *name = &request->walk.items[ITEM_DEVICE_NAME];
    uint32_t index = word_of(request, ITEM_DEVICE_INDEX);
    bool records = request->command->records;
    GByteArray *ask = g_byte_array_new();
    struct pulse_pending *pending;

    pulse_put_word(ask, records ? PULSE_GET_SOURCE_INFO : PULSE_GET_SINK_INFO);
    pulse_put_word(ask, request->tag);
    pulse_put_word(ask, index);
    if (index != PULSE_NO_INDEX) {
        pulse_put_text(ask, NULL);
    } else if (name->tag == 't') {
        g_byte_array_append(ask, request->data + name->at, (guint)name->len);
    } else {
        pulse_put_text(ask, "@DEFAULT_SOURCE@");
    }
    pending = pass_bytes(pulse, request, ask->data, ask->len);
    pending->create = copy_of(request);
    pulse->held_bytes += pending->create->len;
    g_byte_array_unref(ask);
}

static void create(struct pulse *pulse, const struct request *request)
{
    bool records = request->command->records;

    if (records && word_of(request, ITEM_DIRECT_ON_INPUT) != PULSE_NO_INDEX) {
        static const struct pulse_command direct = {
            .name = "CREATE_RECORD_STREAM of a stream that plays",
            .why = "other programs' streams",
        };

        pulse_refuse(pulse, &direct, request->tag);
    } else if (pulse->streams->len + pulse->n_creating >= PULSE_MAX_STREAMS ||
               pulse->held_bytes + request->len > PULSE_MAX_HELD_BYTES) {
        pulse_refuse(pulse, &too_many_streams, request->tag);
    } else if (records ||
               word_of(request, ITEM_DEVICE_INDEX) != PULSE_NO_INDEX ||
               request->walk.items[ITEM_DEVICE_NAME].tag == 't') {
        ask_for_device(pulse, request);
    } else {
        pass(pulse, request);
    }
}

static void delete_stream(struct pulse *pulse, const struct request *request)
{
    pulse_stream_remove(pulse, request->command->records,
                        word_of(request, ITEM_FIRST));
    pass(pulse, request);
}

static void own(struct pulse *pulse, const struct request *request)
{
    if (pulse_stream_is_own(pulse, request->command->records,
                            word_of(request, ITEM_FIRST))) {
        pass(pulse, request);
    } else {
        pulse_refuse(pulse, request->command, request->tag);
    }
}

static void remove_properties(struct pulse *pulse,
                              const struct request *request)
{
    bool passes = request->walk.n <= PULSE_MAX_ITEMS;

    for (unsigned int i = ITEM_FIRST; passes && i < request->walk.n; i++) {
        const struct pulse_item *item = &request->walk.items[i];

        passes = item->tag == 'L' || item->tag == 'N' ||
                 (item->tag == 't' &&
                  pulse_may_set((const char *)request->data + item->at + 1));
    }
    if (passes) {
        pass(pulse, request);
    } else {
        pulse_refuse(pulse, request->command, request->tag);
    }
}

/* ---- all ---------------------------------------------------------------- */

static void judge(struct pulse *pulse, const struct request *request)
{
    switch (request->command->rule) {
    case PULSE_AUTHENTICATES:
        authenticate(pulse, request);
        break;
    case PULSE_SUBSCRIBES:
        subscribe(pulse, request);
        break;
    case PULSE_CREATES:
        create(pulse, request);
        break;
    case PULSE_DELETES:
        delete_stream(pulse, request);
        break;
    case PULSE_OWN:
        own(pulse, request);
        break;
    case PULSE_REMOVES:
        remove_properties(pulse, request);
        break;
    default:
        pass(pulse, request);
        break;
    }
}

static bool is_refused(struct pulse *pulse, const struct pulse_command *command)
{
    return !command || command->rule == PULSE_REFUSED ||
           (command->records && !pulse->filter->rules->may_record) ||
           (!pulse->authenticates && command->rule != PULSE_AUTHENTICATES);
}

void pulse_request(struct pulse *pulse, const uint8_t *data, size_t len)
{
    struct request request = { .data = data, .len = len };

    if (!pulse_walk(data, len, &request.walk)) {
        pulse_fault(pulse, "a command whose values cannot be read");
        return;
    }
    request.number = word_of(&request, ITEM_COMMAND);
    request.tag = word_of(&request, ITEM_TAG);
    request.command = pulse_command(request.number);
    if (request.command && request.command->rule == PULSE_IGNORED) {
        return;
    }
    if (is_refused(pulse, request.command)) {
        pulse_refuse(pulse, request.command, request.tag);
    } else if (!pulse_is(&request.walk, request.command->args)) {
        pulse_fault(pulse, "%s: its values are not as they must be",
                    request.command->name);
    } else if (request.tag == PULSE_NO_TAG ||
               g_hash_table_contains(pulse->pending,
                                     GUINT_TO_POINTER(request.tag))) {
        pulse_fault(pulse, "%s: its tag is not free", request.command->name);
    } else if (g_hash_table_size(pulse->pending) >= PULSE_MAX_PENDING) {
        pulse_fault(pulse, "more than %u commands that wait for an answer",
                    PULSE_MAX_PENDING);
    } else {
        judge(pulse, &request);
    }
}
