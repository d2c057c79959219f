/* SPDX-License-Identifier: BSD-3-Clause */
/* The channel itself: what waits, replies that are wrong or come in pieces, a
 * channel in place of another, a front-end that reads nothing or is gone. */
#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "back.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

static void test_hold(void)
{
    int file = make_memfd(0x10000);
    unsigned int before;
    struct back b;

    back_init(&b, VWL_SHM_STANDARD, true);
    vwl_backchan_hold(b.chan, true);
    before = count_fds();
    g_assert_cmpint(back_map(&b, file, 1, true), ==, -EINPROGRESS);
    g_assert_cmpint(back_unmap(&b, 2), ==, -EINPROGRESS);
    g_assert_cmpuint(count_fds(), ==, before + 1);
    close(file);
    expect_silence(b.front);
    g_assert_false(vwl_backchan_wants_write(b.chan));
    vwl_backchan_hold(b.chan, false);
    close(expect_hex(b.front,
                     "09000000 09000000 28000000 0000000000000000"
                     "0030000000000000 0060452301000000 0020000000000000"
                     "0100000000000000"));
    back_expect(&b,
                "0a000000 09000000 28000000 0000000000000000"
                "0000000000000000 0060452301000000 0020000000000000"
                "0000000000000000",
                -1);
    g_assert_cmpuint(count_fds(), ==, before - 1);
    b.fds_before--; /* file */
    back_finish(&b);
}

/* Wrong replies end the channel, and with it whatever was asked. */
static void test_bad_replies(void)
{
    static const char *const rows[] = {
        "0a000000 05000000 08000000 0000000000000000", /* number */
        "09000000 01000000 08000000 0000000000000000", /* flags */
        "09000000 0d000000 08000000 0000000000000000",
        "09000000 05000000 04000000 00000000", /* size */
        "09000000 05000000 00000000",
        "09000000 05000000 0c000000 000000000000000000000000",
        "09000000 06000000 08000000 0000000000000000", /* version */
        "ffffffff ffffffff ffffffff ffffffff",
    };
    int file = make_memfd(0x10000);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct back b;

        back_init(&b, VWL_SHM_STANDARD, true);
        g_assert_cmpint(back_map(&b, file, 1, true), ==, -EINPROGRESS);
        g_assert_cmpint(back_map(&b, file, 2, true), ==, -EINPROGRESS);
        send_hex(b.front, rows[i], NULL, 0);
        g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, -ECONNRESET);
        back_expect_done(&b, "1:-104 2:-104 ");
        g_assert_cmpint(vwl_backchan_socket(b.chan)->fd, ==, -1);
        g_assert_cmpuint(b.lines, ==, 1);
        back_finish(&b);
    }
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        struct back b;

        back_init(&b, VWL_SHM_STANDARD, true);
        if (with_fd) {
            g_assert_cmpint(back_unmap(&b, 1), ==, -EINPROGRESS);
        }
        send_hex(b.front, "0a000000 05000000 08000000 0000000000000000", &file,
                 (size_t)with_fd); /* else: nobody waits for it */
        g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, -ECONNRESET);
        back_expect_done(&b, with_fd ? "1:-104 " : "");
        back_finish(&b);
    }
    close(file);
}

static void test_bytewise_reply(void)
{
    GByteArray *bytes = unhex("0a000000 05000000 08000000 0000000000000000");
    struct back b;

    back_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(back_unmap(&b, 4), ==, -EINPROGRESS);
    for (guint i = 0; i < bytes->len; i++) {
        back_expect_done(&b, "");
        socket_send(b.front, bytes->data + i, 1, NULL, 0);
        g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, 0);
    }
    back_expect_done(&b, "4:0 ");
    g_byte_array_unref(bytes);
    back_finish(&b);
}

static void test_new_channel(void)
{
    int old;
    struct back b;

    back_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(back_unmap(&b, 1), ==, -EINPROGRESS);
    vwl_backchan_hold(b.chan, true);
    g_assert_cmpint(back_unmap(&b, 2), ==, -EINPROGRESS);
    vwl_backchan_hold(b.chan, false);
    g_assert_cmpint(back_unmap(&b, 3), ==, -EINPROGRESS);
    old = b.front;
    /* half a reply of the old one must not confuse the new */
    send_hex(old, "0a000000 0500", NULL, 0);
    g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, 0);
    back_connect(&b);
    back_expect_done(&b, "1:-104 2:-104 3:-104 ");
    close(old);
    g_assert_cmpint(back_unmap(&b, 5), ==, -EINPROGRESS);
    close(dup(b.front));
    expect_hex(b.front, "0a000000 09000000 28000000 0000000000000000"
                        "0000000000000000 0060452301000000 0020000000000000"
                        "0000000000000000");
    back_reply(&b, "0a000000 05000000 08000000 0000000000000000");
    back_expect_done(&b, "5:0 ");
    back_finish(&b);
}

static void test_forget(void)
{
    struct back b;

    back_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(back_unmap(&b, 1), ==, -EINPROGRESS);
    vwl_backchan_forget(b.chan, &b);
    g_assert_cmpint(back_unmap(&b, 2), ==, -EINPROGRESS);
    back_reply(&b, "0a000000 05000000 08000000 0000000000000000"
                   "0a000000 05000000 08000000 0000000000000000");
    back_expect_done(&b, "2:0 ");
    back_finish(&b);
}

/* A front-end that reads nothing: bounded, in order, nothing lost. */
static void test_flood(void)
{
    unsigned int asked = 0, seen = 0;
    int file = make_memfd(0x10000);
    struct back b;
    int err;

    back_init(&b, VWL_SHM_STANDARD, true);
    while ((err = back_unmap(&b, asked)) == -EINPROGRESS) {
        asked++;
    }
    g_assert_cmpint(err, ==, -ENOBUFS);
    g_assert_cmpuint(asked, ==, VWL_BACKCHAN_MAX_PENDING);
    g_assert_true(vwl_backchan_wants_write(b.chan));
    g_assert_cmpint(back_map(&b, file, 0, true), ==, -ENOBUFS);
    while (seen < asked) {
        guint8 bytes[52];

        if (socket_receive(b.front, bytes, sizeof bytes, NULL, NULL) == -1) {
            g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, 0);
            continue;
        }
        g_assert_cmpuint(bytes[0], ==, 10);
        seen++;
        send_hex(b.front, "0a000000 05000000 08000000 0000000000000000", NULL,
                 0);
        g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, 0);
    }
    g_assert_cmpuint(vwl_backchan_pending(b.chan), ==, 0);
    g_assert_true(g_str_has_suffix(b.done->str, "32766:0 32767:0 "));
    g_string_truncate(b.done, 0);
    /* those with a descriptor have a bound of their own */
    vwl_backchan_hold(b.chan, true);
    for (asked = 0; (err = back_map(&b, file, asked, true)) == -EINPROGRESS;
         asked++) {
    }
    g_assert_cmpint(err, ==, -ENOBUFS);
    g_assert_cmpuint(asked, ==, VWL_BACKCHAN_MAX_WAITING_FDS);
    back_finish(&b);
    close(file);
}

static void test_dead_peer(void)
{
    struct back b;

    back_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(back_unmap(&b, 1), ==, -EINPROGRESS);
    close(b.front);
    b.front = -1;
    g_assert_cmpint(back_unmap(&b, 2), ==, -ENOTCONN);
    back_expect_done(&b, ""); /* never from inside another request */
    g_assert_true(vwl_backchan_wants_write(b.chan));
    g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, -ECONNRESET);
    back_expect_done(&b, "1:-104 ");
    back_finish(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backchan-flow/hold", test_hold);
    g_test_add_func("/backchan-flow/bad-replies", test_bad_replies);
    g_test_add_func("/backchan-flow/bytewise-reply", test_bytewise_reply);
    g_test_add_func("/backchan-flow/new-channel", test_new_channel);
    g_test_add_func("/backchan-flow/forget", test_forget);
    g_test_add_func("/backchan-flow/flood", test_flood);
    g_test_add_func("/backchan-flow/dead-peer", test_dead_peer);
    return g_test_run();
}
