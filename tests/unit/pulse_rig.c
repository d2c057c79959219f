/* SPDX-License-Identifier: BSD-3-Clause */
#include "pulse_rig.h"

#include <stdarg.h>

#define COOKIE 256u

const struct vwl_socket_policy play = {
    .size = sizeof play,
    .kind = VWL_POLICY_PULSE,
};

const struct vwl_socket_policy record = {
    .size = sizeof record,
    .kind = VWL_POLICY_PULSE,
    .flags = VWL_POLICY_MAY_RECORD,
};

unsigned int refusals;

/* ---- messages ----------------------------------------------------------- */

void put(GByteArray *out, const void *data, size_t len)
{
    g_byte_array_append(out, data, (guint)len);
}

void put_be(GByteArray *out, uint32_t word)
{
    uint8_t bytes[4];

    pulse_put(bytes, word);
    put(out, bytes, sizeof bytes);
}

static void put_property(GByteArray *out, const char *key, const char *value)
{
    pulse_put_text(out, key);
    pulse_put_word(out, (uint32_t)strlen(value) + 1);
    put(out, "x", 1);
    put_be(out, (uint32_t)strlen(value) + 1);
    put(out, value, strlen(value) + 1);
}

static GByteArray *command_v(const char *args, va_list list)
{
    GByteArray *out = g_byte_array_new();

    for (int i = 0; i < (int)PULSE_HEAD_BYTES; i++) {
        put(out, i >= 4 && i < 8 ? "\xff" : "\0", 1);
    }
    for (; *args; args++) {
        if (*args == 'L') {
            pulse_put_word(out, va_arg(list, uint32_t));
        } else if (*args == 't') {
            pulse_put_text(out, va_arg(list, const char *));
        } else if (*args == 'P') {
            const char *const *pairs = va_arg(list, const char *const *);

            put(out, "P", 1);
            for (; *pairs; pairs += 2) {
                put_property(out, pairs[0], pairs[1]);
            }
            put(out, "N", 1);
        } else if (*args == 'a') {
            put(out, "a\3\2\0\0\xbb\x80", 7);
        } else if (*args == 'm') {
            put(out, "m\2\1\2", 4);
        } else if (*args == 'v') {
            put(out, "v\2\0\1\0\0\0\1\0\0", 10);
        } else if (*args == 'U') {
            put(out, "U\0\0\0\0\0\0\0\1", 9);
        } else if (*args == 'x') {
            static const uint8_t cookie[COOKIE];

            put(out, "x\0\0\1\0", 5);
            put(out, cookie, sizeof cookie);
        } else {
            put(out, args, 1);
        }
    }
    pulse_put(out->data, out->len - PULSE_HEAD_BYTES);
    return out;
}

GByteArray *command(const char *args, ...)
{
    GByteArray *out;
    va_list list;

    va_start(list, args);
    out = command_v(args, list);
    va_end(list);
    return out;
}

GByteArray *audio(uint32_t channel, uint32_t len, uint32_t flags)
{
    GByteArray *out = g_byte_array_new();

    put_be(out, len);
    put_be(out, channel);
    put_be(out, 0);
    put_be(out, 0);
    put_be(out, flags);
    for (uint32_t i = 0; i < len && len < 4096; i++) {
        put(out, "s", 1);
    }
    return out;
}

/* ---- what is said ------------------------------------------------------- */

int say(struct policy_rig *rig, enum vwl_way way, const char *args, ...)
{
    GByteArray *data;
    va_list list;

    va_start(list, args);
    data = command_v(args, list);
    va_end(list);
    return push_fds(rig, way, data, NULL, 0);
}

void hear(struct policy_rig *rig, enum vwl_way way, const char *args, ...)
{
    GByteArray *data;
    va_list list;

    va_start(list, args);
    data = command_v(args, list);
    va_end(list);
    expect_bytes(rig, way, data);
}

void passes(struct policy_rig *rig, enum vwl_way way, GByteArray *data)
{
    g_byte_array_ref(data);
    g_assert_cmpint(push_fds(rig, way, data, NULL, 0), ==, 0);
    expect_bytes(rig, way, data);
}

void is_refused(struct policy_rig *rig, GByteArray *data, uint32_t tag)
{
    g_assert_cmpint(push_fds(rig, VWL_TO_HOST, data, NULL, 0), ==, 0);
    expect_nothing(rig, VWL_TO_HOST);
    hear(rig, VWL_TO_GUEST, "LLL", 0u, tag, 1u);
}

void is_over(struct policy_rig *rig, GByteArray *data, enum vwl_way way,
             const char *why)
{
    g_assert_cmpint(push_fds(rig, way, data, NULL, 0), ==,
                    way == VWL_TO_HOST ? -EPROTO : -EBADMSG);
    g_assert_nonnull(strstr(vwl_filter_why(rig->filter), why));
    expect_nothing(rig, VWL_TO_HOST);
    expect_nothing(rig, VWL_TO_GUEST);
}

static void count_refusal(void *opaque, const void *what, const char *text)
{
    g_assert_nonnull(what);
    g_assert_true(g_str_has_prefix(text, "sound: "));
    refusals++;
}

void begin(struct policy_rig *rig, const struct vwl_socket_policy *policy)
{
    static struct vwl_filter_ops ops;

    rig_init(rig, policy);
    ops = *rig->filter->ops;
    ops.refused = count_refusal;
    rig->filter->ops = &ops;
    refusals = 0;
    /* memory is not shared, whatever both can */
    g_assert_cmpint(say(rig, VWL_TO_HOST, "LLLx", 8u, 0u, 0xc0000023u), ==, 0);
    hear(rig, VWL_TO_HOST, "LLLx", 8u, 0u, 0x23u);
    g_assert_cmpint(say(rig, VWL_TO_GUEST, "LLL", 2u, 0u, 0xc0000024u), ==, 0);
    hear(rig, VWL_TO_GUEST, "LLL", 2u, 0u, 0x23u);
}

const char *const nothing[] = { NULL };

GByteArray *create_playback(uint32_t tag, uint32_t sink, const char *name)
{
    return command("LLamLtL0LLLLv000000000P", 3u, tag, sink, name, NONE, NONE,
                   NONE, NONE, NONE, nothing);
}

GByteArray *create_record(uint32_t tag, uint32_t source, const char *name,
                          bool moves, uint32_t direct)
{
    return command(moves ? "LLamLtL0L000000000PL" : "LLamLtL0L000001000PL", 5u,
                   tag, source, name, NONE, NONE, nothing, direct);
}

GByteArray *device(uint32_t tag, uint32_t index, const char *name,
                   uint32_t monitor_of)
{
    return command("LLLttamLv0LtUtLP", 2u, tag, index, name, "A device", NONE,
                   monitor_of, NULL, "driver", 0u, nothing);
}

GByteArray *created_record(uint32_t tag, uint32_t channel, uint32_t source,
                           const char *name)
{
    return command("LLLLLLamLt0", 2u, tag, channel, 50 + channel, 4096u, 1024u,
                   source, name);
}

void play_to_default(struct policy_rig *rig, uint32_t tag, uint32_t channel)
{
    passes(rig, VWL_TO_HOST, create_playback(tag, NONE, NULL));
    passes(rig, VWL_TO_GUEST,
           command("LLLLLLLLLamLt0", 2u, tag, channel, 40 + channel, 0u, 1u, 2u,
                   3u, 4u, 0u, "speakers"));
}
