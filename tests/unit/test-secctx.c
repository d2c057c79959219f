/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages that make a security context, byte for byte, and a compositor's
 * answers cut everywhere, wrong in every field, or early.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>

#include "secctx/secctx.h"
#include "secctx/talk.h"

static const struct vwl_talk_names names = { "e", "app", "inst" };

/* Words in the machine's order, and the strings as words of text. */
static uint32_t four(const char text[4])
{
    uint32_t value;

    memcpy(&value, text, 4);
    return value;
}

static void expect_sent(struct vwl_talk *talk, const uint32_t *words, size_t n)
{
    size_t len;
    const void *data = vwl_talk_to_send(talk, &len);

    g_assert_cmpmem(data, len, words, n * 4);
    vwl_talk_sent(talk, 1); /* a socket may take less */
    g_assert_false(talk->fds_due);
    data = vwl_talk_to_send(talk, &len);
    g_assert_cmpmem(data, len, (const char *)words + 1, n * 4 - 1);
    vwl_talk_sent(talk, len);
    g_assert_null(vwl_talk_to_send(talk, &len));
}

static void expect_hello(struct vwl_talk *talk)
{
    const uint32_t hello[] = { 1, 12u << 16 | 1, 2, 1, 12u << 16, 3 };

    expect_sent(talk, hello, G_N_ELEMENTS(hello));
}

static GByteArray *event(uint32_t object, uint32_t opcode)
{
    GByteArray *out = g_byte_array_new();
    uint32_t head[2] = { object, opcode };

    g_byte_array_append(out, (const guint8 *)head, sizeof head);
    return out;
}

static GByteArray *add(GByteArray *out, uint32_t value)
{
    uint32_t size;

    g_byte_array_append(out, (const guint8 *)&value, sizeof value);
    memcpy(&size, out->data + 4, 4);
    size = (size & 0xffff) | out->len << 16;
    memcpy(out->data + 4, &size, 4);
    return out;
}

static GByteArray *global(uint32_t name, const char *interface)
{
    GByteArray *out = add(event(2, 0), name);
    size_t len = strlen(interface) + 1;
    char padded[256] = { 0 };

    g_strlcpy(padded, interface, sizeof padded);
    add(out, (uint32_t)len);
    for (size_t i = 0; i < len; i += 4) {
        add(out, four(padded + i));
    }
    return add(out, 1);
}

static void append(GByteArray *to, GByteArray *from)
{
    g_byte_array_append(to, from->data, from->len);
    g_byte_array_unref(from);
}

/* As a compositor lists its globals. */
static GByteArray *listing(bool with)
{
    GByteArray *all = g_byte_array_new();

    append(all, global(1, "wl_compositor"));
    append(all, global(2, "wp_security_context_manager_v1x"));
    append(all, global(3, "wp_security_context_manager_v"));
    if (with) {
        append(all, global(40, "wp_security_context_manager_v1"));
    }
    append(all, add(event(3, 0), 77));
    return all;
}

static void expect_context(struct vwl_talk *talk)
{
    const uint32_t asked[] = {
        2,
        56u << 16,
        40,
        31,
        four("wp_s"),
        four("ecur"),
        four("ity_"),
        four("cont"),
        four("ext_"),
        four("mana"),
        four("ger_"),
        four("v1\0\0"),
        1,
        4,
        4,
        12u << 16 | 1,
        5,
        5,
        16u << 16 | 1,
        2,
        four("e\0\0\0"),
        5,
        16u << 16 | 2,
        4,
        four("app\0"),
        5,
        20u << 16 | 3,
        5,
        four("inst"),
        four("\0\0\0\0"),
        5,
        8u << 16 | 4,
        5,
        8u << 16,
        4,
        8u << 16,
        1,
        12u << 16,
        6,
    };

    g_assert_true(talk->fds_due);
    expect_sent(talk, asked, G_N_ELEMENTS(asked));
}

static void test_words(void)
{
    struct vwl_talk talk;
    GByteArray *list = listing(true), *end = add(event(6, 0), 1);

    g_assert_cmpint(vwl_talk_init(&talk, &names), ==, 0);
    expect_hello(&talk);
    g_assert_cmpint(vwl_talk_feed(&talk, list->data, list->len), ==,
                    -EINPROGRESS);
    expect_context(&talk);
    g_assert_cmpint(vwl_talk_feed(&talk, end->data, end->len), ==, 0);
    /* and it stays so */
    g_assert_cmpint(vwl_talk_feed(&talk, "\1", 1), ==, 0);
    g_byte_array_unref(list);
    g_byte_array_unref(end);
}

static void test_cut(void)
{
    GByteArray *list = listing(true);
    struct vwl_talk bytewise;

    for (guint at = 0; at <= list->len; at++) {
        struct vwl_talk talk;

        g_assert_cmpint(vwl_talk_init(&talk, &names), ==, 0);
        expect_hello(&talk);
        vwl_talk_feed(&talk, list->data, at);
        if (at < list->len) {
            g_assert_false(talk.asked);
        }
        g_assert_cmpint(vwl_talk_feed(&talk, list->data + at, list->len - at),
                        ==, -EINPROGRESS);
        expect_context(&talk);
    }
    vwl_talk_init(&bytewise, &names);
    expect_hello(&bytewise);
    for (guint i = 0; i < list->len; i++) {
        vwl_talk_feed(&bytewise, list->data + i, 1);
    }
    expect_context(&bytewise);
    g_byte_array_unref(list);
}

static int fed(GByteArray *bytes)
{
    struct vwl_talk talk;
    int result;

    g_assert_cmpint(vwl_talk_init(&talk, &names), ==, 0);
    expect_hello(&talk);
    result = vwl_talk_feed(&talk, bytes->data, bytes->len);
    g_byte_array_unref(bytes);
    return result;
}

static GByteArray *sized(GByteArray *bytes, uint32_t size)
{
    uint32_t word;

    memcpy(&word, bytes->data + 4, 4);
    word = (word & 0xffff) | size << 16;
    memcpy(bytes->data + 4, &word, 4);
    return bytes;
}

static void test_answers(void)
{
    static const uint32_t sizes[] = { 0, 4, 7, 9, 10, 11, 13, 4100, 65532 };
    GByteArray *bytes;
    struct vwl_talk talk;

    g_assert_cmpint(fed(listing(false)), ==, -EOPNOTSUPP);
    /* an error, whatever it says */
    g_assert_cmpint(fed(add(add(event(1, 0), 1), 3)), ==, -EPROTO);
    g_assert_cmpint(fed(sized(event(1, 0), 8)), ==, -EPROTO);
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        bytes = sized(event(9, 9), sizes[i]);
        g_assert_cmpint(fed(bytes), ==, -EBADMSG);
    }
    /* the longest that is taken */
    bytes = g_byte_array_new();
    g_byte_array_set_size(bytes, 4096);
    memset(bytes->data, 0, bytes->len);
    append(sized(bytes, 4096), listing(true));
    g_assert_cmpint(fed(bytes), ==, -EINPROGRESS);
    /* a global's string that is longer or shorter than its message */
    for (uint32_t len = 0; len < 100; len++) {
        bytes = global(1, "wp_security_context_manager_v1");
        memcpy(bytes->data + 12, &len, 4);
        g_assert_cmpint(fed(bytes), ==,
                        len >= 29 && len <= 32 ? -EINPROGRESS : -EBADMSG);
    }
    bytes = global(1, "x");
    memset(bytes->data + 12, 0xff, 4);
    g_assert_cmpint(fed(bytes), ==, -EBADMSG);
    g_assert_cmpint(fed(add(event(2, 0), 1)), ==, -EBADMSG);
    /* the answer to what was not sent yet */
    vwl_talk_init(&talk, &names);
    expect_hello(&talk);
    bytes = listing(true);
    append(bytes, add(event(6, 0), 1));
    g_assert_cmpint(vwl_talk_feed(&talk, bytes->data, bytes->len), ==,
                    -EBADMSG);
    g_byte_array_unref(bytes);
    g_assert_cmpint(fed(add(event(6, 0), 1)), ==, -EBADMSG);
}

static void test_names(void)
{
    struct vwl_talk_names bad = names;
    char longest[VWL_TALK_LONGEST_NAME + 2];
    struct vwl_secctx_names made;
    struct vwl_talk talk;
    GByteArray *list = listing(true);
    size_t len;

    bad.app_id = "";
    g_assert_cmpint(vwl_talk_init(&talk, &bad), ==, -EINVAL);
    bad.app_id = NULL;
    g_assert_cmpint(vwl_talk_init(&talk, &bad), ==, -EINVAL);
    memset(longest, 'a', sizeof longest);
    longest[sizeof longest - 1] = 0;
    bad.app_id = longest;
    g_assert_cmpint(vwl_talk_init(&talk, &bad), ==, -EINVAL);
    /* all three of the longest fit */
    longest[sizeof longest - 2] = 0;
    bad = (struct vwl_talk_names){ longest, longest, longest };
    g_assert_cmpint(vwl_talk_init(&talk, &bad), ==, 0);
    expect_hello(&talk);
    vwl_talk_feed(&talk, list->data, list->len);
    g_assert_nonnull(vwl_talk_to_send(&talk, &len));
    g_assert_cmpuint(len, ==, 56 + 12 + 3 * (12 + 256) + 8 + 8 + 8 + 12);
    g_byte_array_unref(list);

    vwl_secctx_name(&made, "a/b c\n\377.desktop", 7);
    g_assert_cmpstr(made.app_id, ==, "org.vhost_user_wl.vm.a_b_c__.desktop");
    g_assert_true(g_str_has_suffix(made.instance_id, "-00000007"));
    vwl_secctx_name(&made, NULL, 7);
    g_assert_cmpstr(made.app_id, ==, "org.vhost_user_wl.vm.unnamed");
    vwl_secctx_name(&made, "", 7);
    g_assert_cmpstr(made.app_id, ==, "org.vhost_user_wl.vm.unnamed");
    vwl_secctx_name(&made, longest, UINT32_MAX);
    g_assert_cmpuint(strlen(made.app_id), ==, sizeof made.app_id - 1);
}

static bool is_wanted(enum vwl_security_context mode, const char *name,
                      const char *path, enum vwl_secctx_bytes bytes)
{
    return vwl_secctx_is_wanted(mode, &(struct vwl_socket){ name, path },
                                bytes);
}

static void test_sockets(void)
{
    const enum vwl_security_context off = VWL_SECURITY_CONTEXT_OFF,
                                    any = VWL_SECURITY_CONTEXT_AUTO,
                                    must = VWL_SECURITY_CONTEXT_REQUIRE;

    g_assert_true(is_wanted(any, "", "/a/x", VWL_SECCTX_UNTOLD));
    g_assert_true(is_wanted(any, "n", "/a/wayland-3", VWL_SECCTX_UNTOLD));
    g_assert_true(is_wanted(any, "n", "wayland-3", VWL_SECCTX_UNTOLD));
    g_assert_false(is_wanted(any, "n", "/wayland-3/n", VWL_SECCTX_UNTOLD));
    g_assert_false(is_wanted(any, "sound", "/run/native", VWL_SECCTX_UNTOLD));
    g_assert_false(is_wanted(off, "", "/a/x", VWL_SECCTX_UNTOLD));
    g_assert_true(is_wanted(any, "n", "/a/x", VWL_SECCTX_WAYLAND));
    g_assert_false(is_wanted(off, "", "/a/x", VWL_SECCTX_WAYLAND));
    g_assert_false(is_wanted(any, "", "/a/wayland-3", VWL_SECCTX_OTHER));
    g_assert_true(is_wanted(must, "", "/a/x", VWL_SECCTX_OTHER));
    g_assert_true(is_wanted(must, "n", "/a/wayland-3", VWL_SECCTX_OTHER));
    g_assert_false(is_wanted(must, "sound", "/run/n", VWL_SECCTX_OTHER));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/secctx/words", test_words);
    g_test_add_func("/secctx/cut", test_cut);
    g_test_add_func("/secctx/answers", test_answers);
    g_test_add_func("/secctx/names", test_names);
    g_test_add_func("/secctx/sockets", test_sockets);
    return g_test_run();
}
