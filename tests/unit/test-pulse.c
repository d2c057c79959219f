/* SPDX-License-Identifier: BSD-3-Clause */
/* PulseAudio's protocol through its filter: what passes, unchanged or changed,
 * what is refused, and what ends the connection. */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "pulse_rig.h"

enum {
    SET_CLIENT_NAME = 9,
    GET_SERVER_INFO = 20,
    GET_SINK_INPUT_INFO = 29,
    SUBSCRIBE = 35,
    SET_SINK_INPUT_VOLUME = 37,
    KILL_SINK_INPUT = 49,
    LOAD_MODULE = 51,
    REQUEST = 61,
    MOVE_SINK_INPUT = 67,
    REMOVE_CLIENT_PROPLIST = 85,
};

static void test_plays(void)
{
    struct policy_rig rig;

    begin(&rig, &play);
    passes(&rig, VWL_TO_HOST, command("LL", (uint32_t)GET_SERVER_INFO, 1u));
    passes(&rig, VWL_TO_GUEST, command("LLtttt", 2u, 1u, "a", "b", "c", "d"));
    play_to_default(&rig, 2, 0);
    passes(&rig, VWL_TO_HOST, audio(0, 1000, 1));
    passes(&rig, VWL_TO_GUEST,
           command("LLLL", (uint32_t)REQUEST, NONE, 0u, 4096u));
    passes(&rig, VWL_TO_HOST,
           command("LLLv", (uint32_t)SET_SINK_INPUT_VOLUME, 3u, 40u));
    passes(&rig, VWL_TO_GUEST, command("LL", 2u, 3u));
    passes(&rig, VWL_TO_HOST, command("LLL", 4u, 4u, 0u)); /* deleted */
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST, audio(0, 100, 0), NULL, 0), ==,
                    0);
    expect_nothing(&rig, VWL_TO_HOST);
    is_refused(&rig, command("LLL", (uint32_t)KILL_SINK_INPUT, 5u, 40u), 5);
    rig_finish(&rig);
}

/* The same in one piece, and byte by byte. */
static void test_pieces(void)
{
    GByteArray *all = g_byte_array_new();
    GByteArray *parts[] = {
        command("LL", (uint32_t)GET_SERVER_INFO, 9u),
        audio(0, 77, 0),
        command("LLL", (uint32_t)LOAD_MODULE, 10u, 1u),
        audio(7, 5, 0), /* no such stream */
        command("LLL", 12u, 11u, 0u),
    };
    struct policy_rig rig;

    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        put(all, parts[i]->data, parts[i]->len);
    }
    for (size_t piece = 1; piece <= all->len; piece += all->len - 1) {
        begin(&rig, &play);
        play_to_default(&rig, 2, 0);
        for (size_t at = 0; at < all->len; at += piece) {
            g_assert_cmpint(vwl_filter_push(rig.filter, VWL_TO_HOST,
                                            all->data + at,
                                            MIN(piece, all->len - at), NULL, 0),
                            ==, 0);
        }
        put(parts[0], parts[1]->data, parts[1]->len);
        put(parts[0], parts[4]->data, parts[4]->len);
        expect_bytes(&rig, VWL_TO_HOST, g_byte_array_ref(parts[0]));
        g_byte_array_set_size(parts[0],
                              parts[0]->len - parts[1]->len - parts[4]->len);
        hear(&rig, VWL_TO_GUEST, "LLL", 0u, 10u, 1u);
        rig_finish(&rig);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_byte_array_unref(parts[i]);
    }
    g_byte_array_unref(all);
}

/* All that is refused to those who may play, and to all. */
static void test_table(void)
{
    struct policy_rig rig;

    for (int records = 0; records < 2; records++) {
        begin(&rig, records ? &record : &play);
        for (uint32_t number = 3; number < 300; number++) {
            const struct pulse_command *row = pulse_command(number);

            if (!row || row->rule == PULSE_REFUSED ||
                (row->records && !records) || row->rule == PULSE_OWN) {
                const char *args = !row || row->rule != PULSE_OWN ? "LL"
                                   : strcmp(row->args, "Lv") == 0 ? "LLLv"
                                   : strcmp(row->args, "L?") == 0 ? "LLL0"
                                                                  : "LLL";

                is_refused(&rig, command(args, number, number, 7u), number);
                g_assert_cmpuint(refusals, >, 0);
            }
            g_assert_true(!row || (row->name && row->why));
            g_assert_true(!row || row->rule == PULSE_REFUSED ||
                          row->rule == PULSE_IGNORED || row->args);
            refusals = 0;
        }
        rig_finish(&rig);
    }
}

/* Nothing comes before AUTH, and that comes once. */
static void test_order(void)
{
    struct policy_rig rig;

    rig_init(&rig, &play);
    is_refused(&rig, command("LL", (uint32_t)GET_SERVER_INFO, 1u), 1);
    is_over(&rig, command("LLLx", 8u, 2u, 12u), VWL_TO_HOST, "version 12");
    rig_finish(&rig);
    begin(&rig, &play);
    is_refused(&rig, command("LLLx", 8u, 1u, 13u), 1);
    /* answers, when it was asked nothing, and one that nobody waits for */
    g_assert_cmpint(say(&rig, VWL_TO_HOST, "LL", 2u, 1u), ==, 0);
    expect_nothing(&rig, VWL_TO_HOST);
    g_assert_cmpint(say(&rig, VWL_TO_GUEST, "LL", 2u, 5u), ==, 0);
    expect_nothing(&rig, VWL_TO_GUEST);
    rig_finish(&rig);
}

static void test_other_streams(void)
{
    struct policy_rig rig;

    begin(&rig, &play);
    play_to_default(&rig, 1, 3);
    is_refused(&rig, command("LLL", (uint32_t)KILL_SINK_INPUT, 2u, 44u), 2);
    is_refused(&rig, command("LLL", (uint32_t)GET_SINK_INPUT_INFO, 3u, 3u), 3);
    is_refused(&rig, command("LLLL", (uint32_t)MOVE_SINK_INPUT, 4u, 43u, 0u),
               4);
    passes(&rig, VWL_TO_HOST,
           command("LLL", (uint32_t)GET_SINK_INPUT_INFO, 5u, 43u));
    /* the server ended it: the number may be another's */
    passes(&rig, VWL_TO_GUEST, command("LLL", 64u, NONE, 3u));
    is_refused(&rig, command("LLL", (uint32_t)KILL_SINK_INPUT, 6u, 43u), 6);
    rig_finish(&rig);
}

/* A sink that is named is asked for, so that nothing else is meant. */
static void test_named_sink(void)
{
    struct policy_rig rig;

    begin(&rig, &play);
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST,
                             create_playback(1, NONE, "speakers"), NULL, 0),
                    ==, 0);
    hear(&rig, VWL_TO_HOST, "LLLt", 21u, 1u, NONE, "speakers");
    g_assert_cmpint(push_fds(&rig, VWL_TO_GUEST, device(1, 6, "speakers", 7),
                             NULL, 0),
                    ==, 0);
    expect_nothing(&rig, VWL_TO_GUEST);
    expect_bytes(&rig, VWL_TO_HOST, create_playback(1, 6, NULL));
    passes(&rig, VWL_TO_GUEST, command("LLLL", 2u, 1u, 0u, 40u));
    passes(&rig, VWL_TO_HOST, audio(0, 10, 0));
    /* by number, and what is no sink */
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST, create_playback(2, 99, NULL),
                             NULL, 0),
                    ==, 0);
    hear(&rig, VWL_TO_HOST, "LLLt", 21u, 2u, 99u, NULL);
    passes(&rig, VWL_TO_GUEST, command("LLL", 0u, 2u, 5u));
    expect_nothing(&rig, VWL_TO_HOST);
    rig_finish(&rig);
}

static void ask_source(struct policy_rig *rig, uint32_t tag, uint32_t source,
                       const char *name, const char *asked)
{
    g_assert_cmpint(push_fds(rig, VWL_TO_HOST,
                             create_record(tag, source, name, true, NONE), NULL,
                             0),
                    ==, 0);
    hear(rig, VWL_TO_HOST, "LLLt", 23u, tag, source, asked);
}

static void test_records(void)
{
    struct policy_rig rig;

    begin(&rig, &record);
    ask_source(&rig, 1, NONE, NULL, "@DEFAULT_SOURCE@");
    g_assert_cmpint(push_fds(&rig, VWL_TO_GUEST, device(1, 6, "mic", NONE),
                             NULL, 0),
                    ==, 0);
    /* by its number, and it stays there */
    expect_bytes(&rig, VWL_TO_HOST, create_record(1, 6, NULL, false, NONE));
    g_assert_cmpint(push_fds(&rig, VWL_TO_GUEST, audio(0, 9, 0), NULL, 0), ==,
                    0);
    expect_nothing(&rig, VWL_TO_GUEST);
    passes(&rig, VWL_TO_GUEST, created_record(1, 0, 6, "mic"));
    passes(&rig, VWL_TO_GUEST, audio(0, 9, 0));
    passes(&rig, VWL_TO_GUEST, command("LLLLt0", 79u, NONE, 0u, 6u, "mic"));
    is_over(&rig, command("LLLLt0", 79u, NONE, 0u, 7u, "other"), VWL_TO_GUEST,
            "another source");
    rig_finish(&rig);
}

static void refuse_monitor(struct policy_rig *rig, uint32_t tag,
                           GByteArray *answer)
{
    g_assert_cmpint(push_fds(rig, VWL_TO_GUEST, answer, NULL, 0), ==, 0);
    expect_nothing(rig, VWL_TO_HOST);
    hear(rig, VWL_TO_GUEST, "LLL", 0u, tag, 1u);
    g_assert_cmpuint(refusals, >, 0);
    refusals = 0;
}

/* However it is called. */
static void test_monitors(void)
{
    struct policy_rig rig;

    begin(&rig, &record);
    ask_source(&rig, 1, NONE, NULL, "@DEFAULT_SOURCE@");
    refuse_monitor(&rig, 1, device(1, 6, "speakers.monitor", 0));
    ask_source(&rig, 1, NONE, "@DEFAULT_MONITOR@", "@DEFAULT_MONITOR@");
    refuse_monitor(&rig, 1, device(1, 6, "hidden", 0));
    ask_source(&rig, 2, 6, "mic", NULL);
    refuse_monitor(&rig, 2, device(2, 6, "any.monitor", NONE));
    /* what the server makes of it counts, too */
    ask_source(&rig, 3, 5, NULL, NULL);
    g_assert_cmpint(push_fds(&rig, VWL_TO_GUEST, device(3, 5, "mic", NONE),
                             NULL, 0),
                    ==, 0);
    expect_bytes(&rig, VWL_TO_HOST, create_record(3, 5, NULL, false, NONE));
    is_refused(&rig, create_record(4, NONE, NULL, true, 40), 4);
    is_over(&rig, created_record(3, 0, 6, "speakers.monitor"), VWL_TO_GUEST,
            "another source");
    rig_finish(&rig);
}

static void test_subscribes(void)
{
    struct policy_rig rig;

    begin(&rig, &play);
    play_to_default(&rig, 1, 0);
    g_assert_cmpint(say(&rig, VWL_TO_HOST, "LLL", (uint32_t)SUBSCRIBE, 2u,
                        0x2ffu),
                    ==, 0);
    hear(&rig, VWL_TO_HOST, "LLL", (uint32_t)SUBSCRIBE, 2u, 0x85u);
    for (uint32_t facility = 0; facility < 16; facility++) {
        for (uint32_t index = 40; index < 42; index++) {
            GByteArray *event = command("LLLL", 66u, NONE, 0x10 | facility,
                                        index);

            if (facility == 0 || facility == 7 ||
                (facility == 2 && index == 40)) {
                passes(&rig, VWL_TO_GUEST, event);
            } else {
                g_assert_cmpint(push_fds(&rig, VWL_TO_GUEST, event, NULL, 0),
                                ==, 0);
                expect_nothing(&rig, VWL_TO_GUEST);
            }
        }
    }
    rig_finish(&rig);
}

/* A guest names its streams, and nothing else. */
static void test_properties(void)
{
    static const char *const said[] = {
        "media.role",
        "phone",
        "target.object",
        "spy",
        "application.name",
        "a player",
        "stream.capture.sink",
        "true",
        "filter.want",
        "echo-cancel",
        "media.role",
        "music",
        "media.class",
        "Audio/Source",
        NULL,
    };
    static const char *const heard[] = {
        "application.name", "a player", "media.role", "music", NULL,
    };
    struct policy_rig rig;

    begin(&rig, &play);
    g_assert_cmpint(say(&rig, VWL_TO_HOST, "LLP", (uint32_t)SET_CLIENT_NAME, 1u,
                        said),
                    ==, 0);
    hear(&rig, VWL_TO_HOST, "LLP", (uint32_t)SET_CLIENT_NAME, 1u, heard);
    passes(&rig, VWL_TO_HOST,
           command("LLtN", (uint32_t)REMOVE_CLIENT_PROPLIST, 2u, "media.name"));
    is_refused(&rig,
               command("LLttN", (uint32_t)REMOVE_CLIENT_PROPLIST, 3u,
                       "media.name", "target.object"),
               3);
    rig_finish(&rig);
}

/* An answer of our own does not fall into audio. */
static void test_later(void)
{
    struct policy_rig rig;
    GByteArray *sound = audio(0, 100, 0), *expected;

    begin(&rig, &record);
    ask_source(&rig, 1, 6, NULL, NULL);
    g_assert_cmpint(push_fds(&rig, VWL_TO_GUEST, device(1, 6, "mic", NONE),
                             NULL, 0),
                    ==, 0);
    g_byte_array_unref(take(&rig, VWL_TO_HOST));
    passes(&rig, VWL_TO_GUEST, created_record(1, 0, 6, "mic"));
    g_assert_cmpint(vwl_filter_push(rig.filter, VWL_TO_GUEST, sound->data, 60,
                                    NULL, 0),
                    ==, 0);
    g_assert_cmpint(say(&rig, VWL_TO_HOST, "LL", (uint32_t)LOAD_MODULE, 2u), ==,
                    0);
    g_assert_cmpint(vwl_filter_push(rig.filter, VWL_TO_GUEST, sound->data + 60,
                                    60, NULL, 0),
                    ==, 0);
    expected = command("LLL", 0u, 2u, 1u);
    put(sound, expected->data, expected->len);
    g_byte_array_unref(expected);
    expect_bytes(&rig, VWL_TO_GUEST, sound);
    rig_finish(&rig);
}

static void end_by(GByteArray *data, enum vwl_way way, const char *why)
{
    struct policy_rig rig;

    begin(&rig, &record);
    play_to_default(&rig, 1, 0);
    passes(&rig, VWL_TO_HOST, command("LLL", 12u, 77u, 0u));
    is_over(&rig, data, way, why);
    rig_finish(&rig);
}

static GByteArray *head(uint32_t len, uint32_t channel, uint32_t flags)
{
    GByteArray *out = audio(channel, 0, flags);

    pulse_put(out->data, len);
    return out;
}

static void test_faults(void)
{
    const int fds[] = { 5 };
    struct policy_rig rig;

    for (int way = 0; way < VWL_N_WAYS; way++) {
        end_by(head(UINT32_MAX, 0, 0), (enum vwl_way)way, "too many bytes");
        end_by(head(0, 0, 0), (enum vwl_way)way, "too many bytes");
        end_by(head(0x1000001, NONE, 0), (enum vwl_way)way, "too many bytes");
        end_by(head(0, NONE, 0), (enum vwl_way)way, "too many bytes");
        end_by(head(16, 0, 0x80000000), (enum vwl_way)way, "shared memory");
        end_by(head(0, NONE, 0x40000000), (enum vwl_way)way, "shared memory");
        end_by(command("L", 2u), (enum vwl_way)way, "cannot be read");
        end_by(command("LLZ", 20u, 5u), (enum vwl_way)way, "cannot be read");
        end_by(command("tL", "x", 1u), (enum vwl_way)way, "cannot be read");
    }
    end_by(command("LLt", 12u, 2u, "x"), VWL_TO_HOST, "as they must be");
    end_by(command("LL", 12u, 2u), VWL_TO_HOST, "as they must be");
    end_by(command("LLL", 12u, 77u, 0u), VWL_TO_HOST, "is not free");
    end_by(command("LLL", 12u, NONE, 0u), VWL_TO_HOST, "is not free");
    begin(&rig, &play);
    g_assert_cmpint(push_fds(&rig, VWL_TO_HOST,
                             command("LL", (uint32_t)GET_SERVER_INFO, 1u), fds,
                             1),
                    ==, -EPROTO);
    g_assert_nonnull(strstr(vwl_filter_why(rig.filter), "descriptors"));
    g_assert_cmpuint(rig.closed->len, ==, 1);
    rig_finish(&rig);
}

static void test_limits(void)
{
    struct policy_rig rig;
    uint32_t tag = 1;

    begin(&rig, &play);
    for (; tag <= PULSE_MAX_STREAMS; tag++) {
        play_to_default(&rig, tag, tag);
    }
    is_refused(&rig, create_playback(tag, NONE, NULL), tag);
    for (uint32_t i = 0; i < PULSE_MAX_PENDING; i++) {
        passes(&rig, VWL_TO_HOST, command("LLL", 12u, 1000 + i, 1u));
    }
    is_over(&rig, command("LLL", 12u, 1u, 1u), VWL_TO_HOST, "more than 1024");
    rig_finish(&rig);
    /* what is held while devices are asked for */
    begin(&rig, &play);
    for (tag = 1; refusals == 0; tag++) {
        g_assert_cmpuint(tag, <=, PULSE_MAX_STREAMS + 1);
        g_assert_cmpint(push_fds(&rig, VWL_TO_HOST,
                                 create_playback(tag, 3, NULL), NULL, 0),
                        ==, 0);
    }
    g_assert_cmpuint(rig.filter->pulse->held_bytes, <=, PULSE_MAX_HELD_BYTES);
    rig_finish(&rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pulse/plays", test_plays);
    g_test_add_func("/pulse/pieces", test_pieces);
    g_test_add_func("/pulse/table", test_table);
    g_test_add_func("/pulse/order", test_order);
    g_test_add_func("/pulse/other-streams", test_other_streams);
    g_test_add_func("/pulse/named-sink", test_named_sink);
    g_test_add_func("/pulse/records", test_records);
    g_test_add_func("/pulse/monitors", test_monitors);
    g_test_add_func("/pulse/subscribes", test_subscribes);
    g_test_add_func("/pulse/properties", test_properties);
    g_test_add_func("/pulse/later", test_later);
    g_test_add_func("/pulse/faults", test_faults);
    g_test_add_func("/pulse/limits", test_limits);
    return g_test_run();
}
