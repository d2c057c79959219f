/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client and a sound server against the filter between them. What passes is
 * read again by a checker that knows less: whole frames alone pass to the
 * server, of commands that guests may give, without properties that are not
 * theirs; a recording only of what the server has called a source that is no
 * monitor; no descriptor passes; nothing passes after the end; and bytes pass
 * alike in pieces of any size.
 */
#include <errno.h>
#include <glib.h>

#include "fuzz.h"
#include "policy/pulse/pulse.h"

#define MAX_OPS 64
#define N_TAGS 16u
#define N_DEVICES 8u

struct pulse_world {
    struct fuzz_input in;
    struct vwl_log log;
    struct vwl_rules *rules;
    struct vwl_filter *filter, *twin;
    GByteArray *passed[VWL_N_WAYS]; /* and not checked yet */
    unsigned int n_fds, n_closed;
    bool over;
};

static uint64_t file_bytes(void *opaque, int fd)
{
    return 0;
}

static void close_fd(void *opaque, int fd)
{
    struct pulse_world *world = opaque;

    world->n_closed++;
}

static void close_twin(void *opaque, int fd)
{
}

static void refused(void *opaque, const void *what, const char *text)
{
    fuzz_check(what && g_str_has_prefix(text, "sound: "));
}

static const struct vwl_filter_ops ops = {
    .file_bytes = file_bytes,
    .close_fd = close_fd,
    .refused = refused,
};
static const struct vwl_filter_ops twin_ops = {
    .file_bytes = file_bytes,
    .close_fd = close_twin,
};

/* ---- the checker -------------------------------------------------------- */

/* The fuzzer's sources: even ones are monitors. */
static bool is_monitor(uint32_t index)
{
    return index % 2 == 0;
}

static void check_record(const struct pulse_walk *walk, const uint8_t *data)
{
    fuzz_check(walk->items[ITEM_DEVICE_NAME].tag == 'N');
    fuzz_check(data[walk->items[ITEM_NO_MOVE].at] == '1');
    fuzz_check(walk->items[ITEM_DIRECT_ON_INPUT].value == PULSE_NO_INDEX);
    fuzz_check(!is_monitor(walk->items[ITEM_DEVICE_INDEX].value));
}

static void check_request(struct pulse_world *world, const uint8_t *data,
                          size_t len)
{
    const struct pulse_command *row;
    struct pulse_walk walk;
    GByteArray *copy;
    uint32_t number;

    fuzz_check(pulse_walk(data, len, &walk));
    number = walk.items[ITEM_COMMAND].value;
    row = pulse_command(number);
    fuzz_check(row && row->rule != PULSE_REFUSED && row->rule != PULSE_IGNORED);
    fuzz_check(!row->records || world->rules->may_record);
    copy = g_byte_array_new();
    pulse_copy(copy, data, len);
    fuzz_check(copy->len == len && memcmp(copy->data, data, len) == 0);
    g_byte_array_unref(copy);
    if (number == PULSE_CREATE_RECORD) {
        check_record(&walk, data);
    }
    if (number == PULSE_AUTH) {
        fuzz_check(walk.items[ITEM_FIRST].value >= PULSE_OLDEST &&
                   walk.items[ITEM_FIRST].value <= PULSE_NEWEST);
    }
}

/* Whole frames, of which the last one may be audio that goes on. */
static void check_frames(struct pulse_world *world, enum vwl_way way)
{
    GByteArray *all = world->passed[way];
    size_t at = 0, size;

    for (; all->len - at >= PULSE_HEAD_BYTES; at += size) {
        const uint8_t *head = all->data + at;

        size = PULSE_HEAD_BYTES + (size_t)pulse_get(head);
        fuzz_check((pulse_get(head + 16) & ~0xffu) == 0);
        if (size > all->len - at) {
            fuzz_check(pulse_get(head + 4) != PULSE_COMMANDS);
            break;
        }
        if (pulse_get(head + 4) == PULSE_COMMANDS && way == VWL_TO_HOST) {
            check_request(world, head + PULSE_HEAD_BYTES,
                          size - PULSE_HEAD_BYTES);
        }
    }
    g_byte_array_remove_range(all, 0, (guint)at);
}

static void check_way(struct pulse_world *world, enum vwl_way way)
{
    struct vwl_passed passed = vwl_filter_passed(world->filter, way);
    struct vwl_passed twin = vwl_filter_passed(world->twin, way);

    fuzz_check(passed.n_fds == 0 && twin.n_fds == 0);
    fuzz_check(passed.len == twin.len);
    fuzz_check(!passed.len || memcmp(passed.data, twin.data, passed.len) == 0);
    fuzz_check(!world->over || passed.len == 0);
    g_byte_array_append(world->passed[way], passed.data, (guint)passed.len);
    check_frames(world, way);
    vwl_filter_taken(world->filter, way);
    vwl_filter_taken(world->twin, way);
}

static void check(struct pulse_world *world)
{
    const struct pulse *pulse = world->filter->pulse;

    check_way(world, VWL_TO_HOST);
    check_way(world, VWL_TO_GUEST);
    fuzz_check(world->filter->over == world->twin->over);
    fuzz_check(pulse->streams->len <= PULSE_MAX_STREAMS);
    fuzz_check(pulse->held_bytes <= PULSE_MAX_HELD_BYTES);
    fuzz_check(g_hash_table_size(pulse->pending) <= PULSE_MAX_PENDING);
    world->over = world->filter->over != 0;
}

/* ---- what comes --------------------------------------------------------- */

static void push(struct pulse_world *world, enum vwl_way way,
                 const uint8_t *data, size_t len, unsigned int n_fds)
{
    static const int fds[] = { 5, 6, 7 };
    size_t piece = n_fds ? len : 1 + pick(&world->in, 64);

    world->n_fds += n_fds;
    vwl_filter_push(world->filter, way, data, len, fds, n_fds);
    for (size_t at = 0; at < len || (at == 0 && n_fds); at += piece) {
        vwl_filter_push(world->twin, way, data + at, MIN(piece, len - at), fds,
                        at == 0 ? n_fds : 0);
        if (piece == 0) {
            break;
        }
    }
    check(world);
}

static void put_property(GByteArray *out, const char *key, const char *value)
{
    uint8_t len[4];

    pulse_put_text(out, key);
    pulse_put_word(out, (uint32_t)strlen(value) + 1);
    pulse_put(len, (uint32_t)strlen(value) + 1);
    g_byte_array_append(out, (const guint8 *)"x", 1);
    g_byte_array_append(out, len, sizeof len);
    g_byte_array_append(out, (const guint8 *)value, (guint)strlen(value) + 1);
}

static void put_properties(struct pulse_world *world, GByteArray *out)
{
    static const char *const keys[] = {
        "media.name",
        "media.role",
        "target.object",
        "filter.want",
        "format.rate",
        "media.class",
        "",
    };
    static const char *const values[] = { "music", "phone", "x", "" };
    unsigned int n = pick(&world->in, 4);

    g_byte_array_append(out, (const guint8 *)"P", 1);
    while (n-- > 0) {
        const char *key = keys[pick(&world->in, G_N_ELEMENTS(keys))];

        put_property(out, key, values[pick(&world->in, G_N_ELEMENTS(values))]);
    }
    g_byte_array_append(out, (const guint8 *)"N", 1);
}

static uint32_t some_word(struct pulse_world *world)
{
    uint8_t choice = take8(&world->in);

    return choice >= 0xf0   ? take32(&world->in)
           : choice >= 0xa0 ? UINT32_MAX
                            : choice % N_DEVICES;
}

static void put_value(struct pulse_world *world, GByteArray *out, char tag)
{
    static const char *const names[] = { "null.monitor", "mic", "3",
                                         "@DEFAULT_MONITOR@", "media.name" };
    static const uint8_t zeros[256];
    uint8_t format[] = { 'f', 'B', 1 };

    switch (tag) {
    case 'L':
        pulse_put_word(out, some_word(world));
        break;
    case 't':
        pulse_put_text(out, take8(&world->in) & 1
                                ? NULL
                                : names[pick(&world->in, G_N_ELEMENTS(names))]);
        break;
    case '?':
        g_byte_array_append(out, (const guint8 *)"01" + pick(&world->in, 2), 1);
        break;
    case 'P':
        put_properties(world, out);
        break;
    case 'f':
        g_byte_array_append(out, format, sizeof format);
        put_properties(world, out);
        break;
    case 'a':
        g_byte_array_append(out, (const guint8 *)"a\3\2\0\0\xbb\x80", 7);
        break;
    case 'm':
        g_byte_array_append(out, (const guint8 *)"m\2\1\2", 4);
        break;
    case 'v':
        g_byte_array_append(out, (const guint8 *)"v\1\0\1\0\0", 6);
        break;
    case 'x':
        g_byte_array_append(out, (const guint8 *)"x\0\0\1", 4);
        g_byte_array_append(out, zeros, 1);
        g_byte_array_append(out, zeros, 256);
        break;
    default: /* T, U and the like */
        g_byte_array_append(out, (const guint8 *)&tag, 1);
        g_byte_array_append(out, zeros, 8);
        break;
    }
}

static GByteArray *begin(uint32_t number, uint32_t tag)
{
    GByteArray *out = g_byte_array_new();
    uint8_t head[PULSE_HEAD_BYTES] = { 0 };

    pulse_put(head + 4, PULSE_COMMANDS);
    g_byte_array_append(out, head, sizeof head);
    pulse_put_word(out, number);
    pulse_put_word(out, tag);
    return out;
}

static void say(struct pulse_world *world, enum vwl_way way, GByteArray *out)
{
    unsigned int n_fds = take8(&world->in) >= 0xfc ? pick(&world->in, 3) : 0;

    pulse_put(out->data, out->len - PULSE_HEAD_BYTES);
    push(world, way, out->data, out->len, n_fds);
    g_byte_array_unref(out);
}

static void put_all(struct pulse_world *world, GByteArray *out,
                    const char *args)
{
    for (; *args; args++) {
        put_value(world, out, *args);
    }
}

/* As its table has it, now and then with something else behind. */
static void op_request(struct pulse_world *world)
{
    uint32_t number = pick(&world->in, 110);
    const struct pulse_command *row;
    GByteArray *out;

    if (take8(&world->in) & 1) {
        number = take8(&world->in) & 1 ? PULSE_CREATE_RECORD
                                       : PULSE_CREATE_PLAYBACK;
    }
    row = pulse_command(number);
    out = begin(number, take8(&world->in) % N_TAGS);
    put_all(world, out, row && row->args ? row->args : "L");
    if (take8(&world->in) >= 0xe0) {
        put_all(world, out, "tfv?");
    }
    say(world, VWL_TO_HOST, out);
}

static void op_device(struct pulse_world *world, uint32_t tag)
{
    uint32_t index = pick(&world->in, N_DEVICES);
    GByteArray *out = begin(PULSE_REPLY, tag);

    pulse_put_word(out, index);
    pulse_put_text(out, "a device");
    put_all(world, out, "tamLv?");
    pulse_put_word(out, is_monitor(index) ? 0 : PULSE_NO_INDEX);
    put_all(world, out, "tUtL");
    say(world, VWL_TO_GUEST, out);
}

static void op_created(struct pulse_world *world, uint32_t tag)
{
    GByteArray *out = begin(PULSE_REPLY, tag);

    put_all(world, out, take8(&world->in) & 1 ? "LLLLamLt?" : "LLL");
    say(world, VWL_TO_GUEST, out);
}

/* What the server may answer, and else. */
static void op_answer(struct pulse_world *world)
{
    uint32_t tag = take8(&world->in) % N_TAGS;
    const struct pulse_pending *pending = g_hash_table_lookup(
        world->filter->pulse->pending, GUINT_TO_POINTER(tag));
    GByteArray *out;

    if (pending && pending->create && take8(&world->in) >= 0x20) {
        op_device(world, tag);
    } else if (pending && take8(&world->in) >= 0x20) {
        op_created(world, tag);
    } else {
        out = begin(take8(&world->in) & 1 ? pick(&world->in, 110) : PULSE_ERROR,
                    take8(&world->in) & 1 ? PULSE_NO_TAG : tag);
        put_all(world, out, "LLt");
        say(world, VWL_TO_GUEST, out);
    }
}

static void op_audio(struct pulse_world *world)
{
    enum vwl_way way = (enum vwl_way)pick(&world->in, VWL_N_WAYS);
    uint8_t data[PULSE_HEAD_BYTES + 64] = { 0 };
    size_t len = pick(&world->in, 65);

    pulse_put(data,
              (uint32_t)(take8(&world->in) >= 0xf0 ? take32(&world->in) : len));
    pulse_put(data + 4, some_word(world));
    pulse_put(data + 16, take8(&world->in) >= 0xf8 ? take32(&world->in) : 0);
    push(world, way, data, PULSE_HEAD_BYTES + len, 0);
}

static void op_bytes(struct pulse_world *world)
{
    enum vwl_way way = (enum vwl_way)pick(&world->in, VWL_N_WAYS);
    uint8_t data[96];
    size_t len = take_bytes(&world->in, data, sizeof data);

    push(world, way, data, len, 0);
}

static void op_start(struct pulse_world *world)
{
    GByteArray *out = begin(PULSE_AUTH, 0);

    pulse_put_word(out, take8(&world->in) >= 0xf0 ? take32(&world->in)
                                                  : 0xc0000023u);
    put_value(world, out, 'x');
    say(world, VWL_TO_HOST, out);
    out = begin(PULSE_REPLY, 0);
    pulse_put_word(out, 0xc0000024u);
    say(world, VWL_TO_GUEST, out);
}

static void step(struct pulse_world *world)
{
    switch (pick(&world->in, 8)) {
    case 0:
        op_start(world);
        break;
    case 1:
    case 2:
    case 3:
        op_request(world);
        break;
    case 4:
    case 5:
        op_answer(world);
        break;
    case 6:
        op_audio(world);
        break;
    default:
        op_bytes(world);
        break;
    }
}

static void world_init(struct pulse_world *world, const uint8_t *data,
                       size_t size)
{
    struct vwl_socket_policy policy = { .size = sizeof policy,
                                        .kind = VWL_POLICY_PULSE };

    *world = (struct pulse_world){ .in = { data, size } };
    policy.flags = take8(&world->in) & VWL_POLICY_MAY_RECORD;
    vwl_log_init(&world->log, fuzz_log, NULL);
    fuzz_check(vwl_rules_create(&policy, &world->log, &world->rules) == 0);
    world->filter = vwl_filter_create(world->rules, &ops, world);
    world->twin = vwl_filter_create(world->rules, &twin_ops, world);
    for (int way = 0; way < VWL_N_WAYS; way++) {
        world->passed[way] = g_byte_array_new();
    }
    op_start(world);
}

static void world_finish(struct pulse_world *world)
{
    vwl_filter_destroy(world->filter);
    vwl_filter_destroy(world->twin);
    fuzz_check(world->n_closed == world->n_fds);
    for (int way = 0; way < VWL_N_WAYS; way++) {
        g_byte_array_unref(world->passed[way]);
    }
    vwl_rules_destroy(world->rules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pulse_world *world = g_new(struct pulse_world, 1);

    fuzz_begin();
    world_init(world, data, size);
    for (unsigned int i = 0; i < MAX_OPS && world->in.left > 0; i++) {
        step(world);
    }
    world_finish(world);
    fuzz_end();
    g_free(world);
    return 0;
}
