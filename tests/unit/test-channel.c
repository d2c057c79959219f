/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames of the channel, as bytes and as what they mean. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "channel/parser.h"
#include "fds.h"

#define HOST VWL_SIDE_HOST
#define GUEST VWL_SIDE_GUEST

static const char host_hello[] = "\x10\0\0\0\1\0\0\0"
                                 "1\0vwl 9\0de:en\0"
                                 "7";
static const char guest_hello[] = "\x12\0\0\0\1\0\0\0"
                                  "1\0g 1\0me\0/home/me";

static void expect_bytes(GByteArray *got, const char *want, size_t len)
{
    g_assert_cmpmem(got->data, got->len, want, len);
    g_byte_array_set_size(got, 0);
}

#define EXPECT_BYTES(got, text) expect_bytes((got), (text), sizeof(text))

static void test_bytes(void)
{
    GByteArray *out = g_byte_array_new();

    g_assert_true(vwl_frame_put(out, HOST, VWL_FRAME_HELLO, 0, "1", "vwl 9",
                                "de:en", "7", NULL));
    EXPECT_BYTES(out, host_hello);
    g_assert_true(vwl_frame_put(out, GUEST, VWL_FRAME_HELLO, 0, "1", "g 1",
                                "me", "/home/me", NULL));
    EXPECT_BYTES(out, guest_hello);
    g_assert_true(vwl_frame_put(out, HOST, VWL_FRAME_LIST, 0, NULL));
    expect_bytes(out, "\0\0\0\0\2\0\0\0", 8);
    g_assert_true(
        vwl_frame_put(out, HOST, VWL_FRAME_LAUNCH, 0x1234, "foot", "", NULL));
    EXPECT_BYTES(out, "\6\0\0\0\6\0\x34\x12"
                      "foot\0");
    g_assert_true(
        vwl_frame_put(out, GUEST, VWL_FRAME_ANSWER, 1, "127", "none", NULL));
    EXPECT_BYTES(out, "\x09\0\0\0\x0a\0\1\0"
                      "127\0none");
    g_byte_array_unref(out);
}

static struct vwl_parser *greeted(enum vwl_side from)
{
    struct vwl_parser *parser = vwl_parser_create(from);
    struct vwl_frame frame;

    if (from == HOST) {
        vwl_parser_feed(parser, host_hello, sizeof host_hello, NULL, 0);
    } else {
        vwl_parser_feed(parser, guest_hello, sizeof guest_hello, NULL, 0);
    }
    g_assert_cmpint(vwl_parser_next(parser, &frame), ==, 1);
    g_assert_cmpint(frame.type, ==, VWL_FRAME_HELLO);
    g_assert_cmpint(vwl_parser_next(parser, &frame), ==, 0);
    return parser;
}

/* A byte at a time, and two frames in one piece. */
static void test_pieces(void)
{
    struct vwl_parser *parser = vwl_parser_create(GUEST);
    struct vwl_frame frame;
    GByteArray *out = g_byte_array_new();

    for (size_t i = 0; i < sizeof guest_hello; i++) {
        g_assert_cmpint(vwl_parser_next(parser, &frame), ==, 0);
        vwl_parser_feed(parser, guest_hello + i, 1, NULL, 0);
    }
    g_assert_cmpint(vwl_parser_next(parser, &frame), ==, 1);
    g_assert_cmpuint(frame.n_strings, ==, 4);
    g_assert_cmpstr(frame.strings[VWL_HELLO_USER], ==, "me");
    g_assert_cmpstr(frame.strings[VWL_HELLO_HOME], ==, "/home/me");
    vwl_frame_put(out, GUEST, VWL_FRAME_DONE, 0, "0", NULL);
    vwl_frame_put(out, GUEST, VWL_FRAME_OPEN, 0, "https://a.example/", NULL);
    vwl_parser_feed(parser, out->data, out->len, NULL, 0);
    g_assert_cmpint(vwl_parser_next(parser, &frame), ==, 1);
    g_assert_cmpint(frame.type, ==, VWL_FRAME_DONE);
    g_assert_cmpint(vwl_parser_next(parser, &frame), ==, 1);
    g_assert_cmpstr(frame.strings[0], ==, "https://a.example/");
    g_assert_cmpint(vwl_parser_next(parser, &frame), ==, 0);
    g_byte_array_unref(out);
    vwl_parser_destroy(parser);
}

static void test_icon(void)
{
    struct vwl_parser *parser = greeted(GUEST);
    guint8 *pixels = g_malloc(64 * 64 * 4);
    const char *strings[] = { "foot", "64", "64" };
    struct vwl_frame frame = { .type = VWL_FRAME_ICON,
                               .strings = strings,
                               .n_strings = 3,
                               .pixels = pixels,
                               .n_pixel_bytes = 64 * 64 * 4 };
    GByteArray *out = g_byte_array_new();

    for (unsigned int i = 0; i < frame.n_pixel_bytes; i++) {
        pixels[i] = (guint8)(i * 7); /* NULs among them */
    }
    g_assert_true(vwl_frame_encode(out, GUEST, &frame));
    vwl_parser_feed(parser, out->data, out->len, NULL, 0);
    g_assert_cmpint(vwl_parser_next(parser, &frame), ==, 1);
    g_assert_cmpuint(vwl_frame_number(&frame, VWL_ICON_WIDTH), ==, 64);
    g_assert_cmpmem(frame.pixels, frame.n_pixel_bytes, pixels, 64 * 64 * 4);
    g_byte_array_unref(out);
    g_free(pixels);
    vwl_parser_destroy(parser);
}

static void put_exec(GByteArray *out, const struct vwl_exec *exec)
{
    g_assert_true(vwl_frame_put_exec(out, 5, exec));
}

static void test_exec(void)
{
    static const char *const argv[] = { "sh", "-c", "" }, *env[] = { "A=B=C" };
    const struct vwl_exec said = { .tty = true,
                                   .rows = 24,
                                   .columns = 80,
                                   .user = "",
                                   .folder = "/tmp",
                                   .argv = argv,
                                   .argc = 3,
                                   .env = env,
                                   .n_env = 1 };
    struct vwl_parser *parser = greeted(HOST);
    unsigned int n_open = count_fds();
    GByteArray *out = g_byte_array_new();
    struct vwl_exec heard;
    struct vwl_frame frame;
    int fds[] = { make_memfd(1), make_memfd(1), make_memfd(1), make_memfd(1) };

    put_exec(out, &said);
    EXPECT_BYTES(out, "\x1f\0\0\0\7\0\5\0"
                      "1\0"
                      "24\0"
                      "80\0"
                      "\0"
                      "/tmp\0"
                      "3\0sh\0-c\0\0"
                      "1\0A=B=C");
    put_exec(out, &said);
    vwl_parser_feed(parser, out->data, 1, fds, 3);
    vwl_parser_feed(parser, out->data + 1, out->len - 1, fds + 3, 1);
    g_assert_cmpint(vwl_parser_next(parser, &frame), ==, 1);
    g_assert_cmpint(frame.job, ==, 5);
    g_assert_cmpmem(frame.fds, sizeof frame.fds, fds, 3 * sizeof fds[0]);
    g_assert_true(vwl_frame_exec(&frame, &heard));
    g_assert_true(heard.tty);
    g_assert_cmpuint(heard.rows, ==, 24);
    g_assert_cmpuint(heard.columns, ==, 80);
    g_assert_cmpuint(heard.argc, ==, 3);
    g_assert_cmpstr(heard.argv[1], ==, "-c");
    g_assert_cmpuint(heard.n_env, ==, 1);
    g_assert_cmpstr(heard.env[0], ==, "A=B=C");
    for (unsigned int i = 0; i < 3; i++) {
        close(frame.fds[i]);
    }
    vwl_parser_destroy(parser); /* the fourth goes with it */
    g_assert_cmpuint(count_fds(), ==, n_open);
    g_byte_array_unref(out);
}

/* What the other side would refuse is not said. */
static void test_encoder_refuses(void)
{
    GByteArray *out = g_byte_array_new();
    char *large = g_strnfill(VWL_MAX_OPEN_BYTES, 'a');
    const struct vwl_exec nothing = { .folder = "" };

#define REFUSE(...) g_assert_false(vwl_frame_put(out, __VA_ARGS__, NULL))
    REFUSE(GUEST, VWL_FRAME_LIST, 0);
    REFUSE(HOST, VWL_FRAME_DONE, 0, "1");
    REFUSE(HOST, VWL_FRAME_LIST, 1);
    REFUSE(HOST, VWL_FRAME_LAUNCH, 0, "foot", "");
    REFUSE(HOST, VWL_FRAME_LAUNCH, 1, "../foot", "");
    REFUSE(HOST, VWL_FRAME_LAUNCH, 1, "foot");
    REFUSE(HOST, VWL_FRAME_SIGNAL, 1, "19"); /* STOP */
    REFUSE(GUEST, VWL_FRAME_OPEN, 0, large);
    REFUSE(GUEST, VWL_FRAME_OPEN, 0, "http://\xff");
    REFUSE(GUEST, VWL_FRAME_ANSWER, 1, "256", "");
    REFUSE(GUEST, VWL_FRAME_NOTIFY, 0, "1", "a", "b", "3");
    REFUSE(GUEST, VWL_FRAME_HELLO, 0, "2", "g", "me", "/home/me");
    g_assert_false(vwl_frame_put_exec(out, 1, &nothing));
    g_assert_cmpuint(out->len, ==, 0);
    large[VWL_MAX_OPEN_BYTES - 1] = '\0';
    g_assert_true(vwl_frame_put(out, GUEST, VWL_FRAME_OPEN, 0, large, NULL));
    g_free(large);
    g_byte_array_unref(out);
}

static void test_ids(void)
{
    static const char *const good[] = { "foot", "org.gnome.Calculator", "a_b-c",
                                        "-", "0" };
    static const char *const bad[] = { "",         ".x",  "../../x",
                                       "a/b",      "a b", "a..b",
                                       "\xc3\xa4", "a\n", "a:b" };
    char *longest = g_strnfill(VWL_MAX_ID_CHARS + 1, 'a');

    for (unsigned int i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(vwl_frame_is_id(good[i]));
    }
    for (unsigned int i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(vwl_frame_is_id(bad[i]));
    }
    g_assert_false(vwl_frame_is_id(longest));
    longest[VWL_MAX_ID_CHARS] = '\0';
    g_assert_true(vwl_frame_is_id(longest));
    g_free(longest);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/channel/bytes", test_bytes);
    g_test_add_func("/channel/pieces", test_pieces);
    g_test_add_func("/channel/icon", test_icon);
    g_test_add_func("/channel/exec", test_exec);
    g_test_add_func("/channel/encoder-refuses", test_encoder_refuses);
    g_test_add_func("/channel/ids", test_ids);
    return g_test_run();
}
