/* SPDX-License-Identifier: BSD-3-Clause */
/* A side that breaks the rules of the channel: every way, and what is said of
 * it. */
#include <errno.h>
#include <string.h>

#include "channel/parser.h"
#include "fds.h"

static void put_head(GByteArray *out, uint32_t len, uint16_t type, uint16_t job)
{
    guint8 head[8] = { (guint8)len,         (guint8)(len >> 8),
                       (guint8)(len >> 16), (guint8)(len >> 24),
                       (guint8)type,        (guint8)(type >> 8),
                       (guint8)job,         (guint8)(job >> 8) };

    g_byte_array_append(out, head, sizeof head);
}

static void put(GByteArray *out, uint16_t type, uint16_t job, const char *data,
                size_t len)
{
    put_head(out, (uint32_t)len, type, job);
    g_byte_array_append(out, (const guint8 *)data, (guint)len);
}

static const char hello[] = "1\0g 1\0me\0/home/me";

static void feed(struct vwl_parser *parser, GByteArray *bytes)
{
    vwl_parser_feed(parser, bytes->data, bytes->len, NULL, 0);
    g_byte_array_set_size(bytes, 0);
}

static void expect_end(struct vwl_parser *parser, const char *why)
{
    struct vwl_frame frame;
    int status;

    while ((status = vwl_parser_next(parser, &frame)) > 0) {
    }
    g_assert_cmpint(status, ==, -EPROTO);
    g_assert_cmpstr(vwl_parser_why(parser), ==, why);
    /* for ever */
    vwl_parser_feed(parser, "\0\0\0\0\2\0\0\0", 8, NULL, 0);
    g_assert_cmpint(vwl_parser_next(parser, &frame), ==, -EPROTO);
    vwl_parser_destroy(parser);
}

static struct vwl_parser *guest(GByteArray *bytes)
{
    struct vwl_parser *parser = vwl_parser_create(VWL_SIDE_GUEST);

    put(bytes, VWL_FRAME_HELLO, 0, hello, sizeof hello);
    feed(parser, bytes);
    return parser;
}

/* After HELLO. */
static void refuse(uint16_t type, uint16_t job, const char *data, size_t len,
                   const char *why)
{
    GByteArray *bytes = g_byte_array_new();
    struct vwl_parser *parser = guest(bytes);

    put(bytes, type, job, data, len);
    feed(parser, bytes);
    expect_end(parser, why);
    g_byte_array_unref(bytes);
}

#define REFUSE(type, job, data, why) \
    refuse((type), (job), (data), sizeof(data) - 1, (why))

static void test_order(void)
{
    GByteArray *bytes = g_byte_array_new();
    struct vwl_parser *parser = vwl_parser_create(VWL_SIDE_GUEST);

    put(bytes, VWL_FRAME_DONE, 0, "0", 2);
    feed(parser, bytes);
    expect_end(parser, "DONE: before HELLO");
    REFUSE(VWL_FRAME_HELLO, 0, "1\0g 1\0me\0/home/me\0",
           "HELLO: a second time");
    g_byte_array_unref(bytes);
}

/* Refused as soon as the length is there. */
static void test_length(void)
{
    static const struct {
        uint32_t len;
        uint16_t type;
        const char *why;
    } rows[] = {
        { UINT32_MAX, VWL_FRAME_ICON, "ICON: too long" },
        { VWL_MAX_FRAME_BYTES + 1, VWL_FRAME_ICON, "ICON: too long" },
        { VWL_MAX_APP_BYTES + 1, VWL_FRAME_APP, "APP: too long" },
        { VWL_MAX_OPEN_BYTES + 1, VWL_FRAME_OPEN, "OPEN: too long" },
        { VWL_MAX_NOTIFY_BYTES + 1, VWL_FRAME_NOTIFY, "NOTIFY: too long" },
        { 0, 0, "?: a type that this side does not send" },
        { 0, 14, "?: a type that this side does not send" },
        { 0, 0xffff, "?: a type that this side does not send" },
        { 0, VWL_FRAME_LIST, "LIST: a type that this side does not send" },
        { 0, VWL_FRAME_EXEC, "EXEC: a type that this side does not send" },
    };

    for (unsigned int i = 0; i < G_N_ELEMENTS(rows); i++) {
        GByteArray *bytes = g_byte_array_new();
        struct vwl_parser *parser = guest(bytes);

        put_head(bytes, rows[i].len, rows[i].type, 0);
        feed(parser, bytes);
        expect_end(parser, rows[i].why);
        g_byte_array_unref(bytes);
    }
}

static void test_strings(void)
{
    const char *count = "APP: a wrong number of strings";

    REFUSE(VWL_FRAME_APP, 0, "a\0\0\0\0\0", count);
    REFUSE(VWL_FRAME_APP, 0, "a\0\0\0\0\0\0\0", count);
    REFUSE(VWL_FRAME_APP, 0, "a\0\0\0\0\0x", "APP: a string without an end");
    REFUSE(VWL_FRAME_APP, 0, "a\0\xff\0\0\0\0\0",
           "APP: a string that is not UTF-8");
    REFUSE(VWL_FRAME_APP, 1, "a\0\0\0\0\0\0", "APP: a job");
    REFUSE(VWL_FRAME_ANSWER, 0, "0\0\0", "ANSWER: no job");
    REFUSE(VWL_FRAME_DONE, 0, "", "DONE: a wrong number of strings");
}

static void test_places(void)
{
    static const char *const ids[] = { "../../x", "a/b", ".x", "",
                                       "a\nExec=x" };
    char *large = g_strnfill(3000, 'a');

    for (unsigned int i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autoptr(GString) app = g_string_new(ids[i]);

        g_string_append_len(app, "\0\0\0\0\0\0", 6);
        refuse(VWL_FRAME_APP, 0, app->str, app->len,
               "APP: a string that is not what its place wants");
    }
    refuse(VWL_FRAME_CLOSE, 0, large, 20, "CLOSE: a string without an end");
    g_free(large);
#define PLACE " a string that is not what its place wants"
    REFUSE(VWL_FRAME_DONE, 0, "01\0", "DONE:" PLACE);
    REFUSE(VWL_FRAME_DONE, 0, "-1\0", "DONE:" PLACE);
    REFUSE(VWL_FRAME_DONE, 0, " 1\0", "DONE:" PLACE);
    REFUSE(VWL_FRAME_DONE, 0, "1x\0", "DONE:" PLACE);
    REFUSE(VWL_FRAME_DONE, 0, "4294967296\0", "DONE:" PLACE);
    REFUSE(VWL_FRAME_ANSWER, 1, "256\0\0", "ANSWER:" PLACE);
    REFUSE(VWL_FRAME_NOTIFY, 0,
           "1\0a\0b\0"
           "9\0",
           "NOTIFY:" PLACE);
}

static void test_icons(void)
{
    static const char side[] = "x\0"
                               "64\0"
                               "64\0";
    char *data = g_malloc0(sizeof side + 64 * 64 * 4 + 1);
    size_t exact = sizeof side - 1 + 64 * 64 * 4;

    memcpy(data, side, sizeof side);
    REFUSE(VWL_FRAME_ICON, 0,
           "x\0"
           "65535\0"
           "65535\0",
           "ICON:" PLACE);
    REFUSE(VWL_FRAME_ICON, 0,
           "x\0"
           "63\0"
           "63\0",
           "ICON:" PLACE);
    REFUSE(VWL_FRAME_ICON, 0,
           "x\0"
           "64\0"
           "128\0",
           "ICON: an icon that is no square");
    refuse(VWL_FRAME_ICON, 0, data, exact - 1,
           "ICON: more or fewer bytes than pixels");
    refuse(VWL_FRAME_ICON, 0, data, exact + 1,
           "ICON: more or fewer bytes than pixels");
    REFUSE(VWL_FRAME_ICON, 0,
           "x\0"
           "64\0",
           "ICON: a wrong number of strings");
    g_free(data);
}

static void test_descriptors(void)
{
    unsigned int n_open = count_fds();
    GByteArray *bytes = g_byte_array_new();
    struct vwl_parser *parser = guest(bytes);
    int fds[3];

    for (unsigned int i = 0; i < 3; i++) {
        fds[i] = make_memfd(1);
    }
    vwl_parser_feed(parser, "", 0, fds, 3);
    expect_end(parser, "?: more descriptors than it may send");
    g_assert_cmpuint(count_fds(), ==, n_open);
    g_byte_array_unref(bytes);
}

/* From the host, that is. */
static void refuse_exec(const char *data, size_t len, bool given,
                        const char *why)
{
    static const char host[] = "1\0vwl\0\0"
                               "0";
    unsigned int n_open = count_fds();
    GByteArray *bytes = g_byte_array_new();
    struct vwl_parser *parser = vwl_parser_create(VWL_SIDE_HOST);
    int fds[3];

    put(bytes, VWL_FRAME_HELLO, 0, host, sizeof host);
    put(bytes, VWL_FRAME_EXEC, 1, data, len);
    for (unsigned int i = 0; given && i < 3; i++) {
        fds[i] = make_memfd(1);
    }
    vwl_parser_feed(parser, bytes->data, bytes->len, fds, given ? 3 : 0);
    expect_end(parser, why);
    g_assert_cmpuint(count_fds(), ==, n_open);
    g_byte_array_unref(bytes);
}

static void test_exec(void)
{
    static const char *const lists[] = { "0", "2", "9", "1025", "4294967295" };
    char *many = g_malloc0(VWL_MAX_STRINGS + 1);
    const char *why = "EXEC: not a program to run";

#define EXEC(data, why) refuse_exec((data), sizeof(data) - 1, true, (why))
    for (unsigned int i = 0; i < G_N_ELEMENTS(lists); i++) {
        g_autoptr(GString) exec = g_string_new(NULL);

        g_string_append_len(exec,
                            "0\0"
                            "0\0"
                            "0\0\0\0",
                            8);
        g_string_append(exec, lists[i]);
        g_string_append_len(exec,
                            "\0sh\0"
                            "0\0",
                            6);
        refuse_exec(exec->str, exec->len, true, why);
    }
    EXEC("0\0"
         "0\0"
         "0\0\0\0"
         "1\0\0"
         "0\0",
         why);
    EXEC("2\0"
         "0\0"
         "0\0\0\0"
         "1\0a\0"
         "0\0",
         why);
    EXEC("0\0"
         "65536\0"
         "0\0\0\0"
         "1\0a\0"
         "0\0",
         why);
    EXEC("0\0"
         "0\0"
         "0\0\0\0"
         "1\0a\0"
         "1\0=x\0",
         why);
    EXEC("0\0"
         "0\0"
         "0\0\0\0"
         "1\0a\0"
         "1\0x\0",
         why);
    EXEC("0\0"
         "0\0"
         "0\0\0\0"
         "1\0a\0"
         "0\0x\0",
         why);
    EXEC("0\0", why);
    refuse_exec(many, VWL_MAX_STRINGS + 1, true, "EXEC: too many strings");
    refuse_exec("0\0"
                "0\0"
                "0\0\0\0"
                "1\0a\0"
                "0",
                14, false, "EXEC: without its descriptors");
    g_free(many);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/channel-hostile/order", test_order);
    g_test_add_func("/channel-hostile/length", test_length);
    g_test_add_func("/channel-hostile/strings", test_strings);
    g_test_add_func("/channel-hostile/places", test_places);
    g_test_add_func("/channel-hostile/icons", test_icons);
    g_test_add_func("/channel-hostile/descriptors", test_descriptors);
    g_test_add_func("/channel-hostile/exec", test_exec);
    return g_test_run();
}
