/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "socket.h"
#include "vhu/backchan_priv.h"
#include "vhu/session_private.h"

struct pair {
    int front, back;
    struct vwl_vhu_reader reader;
    struct vwl_vhu_msg msg;
    const char *why;
    unsigned int fds_before;
};

static void pair_init(struct pair *p)
{
    int pair[2];

    p->fds_before = count_fds();
    make_pair(pair);
    p->front = pair[0];
    p->back = pair[1];
    vwl_vhu_reader_init(&p->reader);
    vwl_vhu_msg_init(&p->msg);
    p->why = NULL;
}

static void pair_finish(struct pair *p)
{
    vwl_vhu_msg_finish(&p->msg);
    vwl_vhu_reader_finish(&p->reader);
    if (p->front >= 0) {
        close(p->front);
    }
    close(p->back);
    g_assert_cmpuint(count_fds(), ==, p->fds_before);
}

static int read_one(struct pair *p)
{
    return vwl_vhu_read(&p->reader, p->back, &p->msg, &p->why);
}

static void test_whole(void)
{
    struct pair p;

    pair_init(&p);
    g_assert_cmpint(read_one(&p), ==, 0);
    /* two messages in one piece */
    send_hex(p.front,
             "02000000 09000000 08000000 0e00006001000000"
             "01000000 01000000 00000000",
             NULL, 0);
    g_assert_cmpint(read_one(&p), ==, 1);
    g_assert_cmpuint(p.msg.request, ==, 2);
    g_assert_cmpuint(p.msg.flags, ==, 9);
    g_assert_cmpuint(p.msg.size, ==, 8);
    g_assert_cmpuint(p.msg.n_fds, ==, 0);
    g_assert_cmpint(memcmp(p.msg.payload, "\x0e\0\0\x60\1\0\0\0", 8), ==, 0);
    g_assert_cmpint(read_one(&p), ==, 1);
    g_assert_cmpuint(p.msg.request, ==, 1);
    g_assert_cmpuint(p.msg.size, ==, 0);
    g_assert_cmpint(read_one(&p), ==, 0);
    pair_finish(&p);
}

static void test_bytewise(void)
{
    struct pair p;
    GByteArray *bytes = unhex("0c000000 09000000 08000000 0100000000000000");
    int fd = make_memfd(1);

    pair_init(&p);
    for (guint i = 0; i < bytes->len; i++) {
        g_assert_cmpint(read_one(&p), ==, 0);
        socket_send(p.front, bytes->data + i, 1, &fd, i == 0);
    }
    g_assert_cmpint(read_one(&p), ==, 1);
    g_assert_cmpuint(p.msg.request, ==, 12);
    g_assert_cmpuint(p.msg.n_fds, ==, 1);
    g_assert_true(same_file(p.msg.fds[0], fd));
    g_assert_true(fcntl(p.msg.fds[0], F_GETFD) & FD_CLOEXEC);
    g_byte_array_unref(bytes);
    pair_finish(&p);
    close(fd);
}

/* Where payloads have a known length header and payload come by one read: in
 * two parts of any length all the same, and two messages in one piece. */
static void test_with_payload(void)
{
    GByteArray *bytes = unhex("06000000 05000000 08000000 0100000000000000"
                              "07000000 05000000 0c000000 0200000000000000"
                              "03000000");

    for (guint at = 0; at <= bytes->len; at++) {
        struct pair p;
        int got;

        pair_init(&p);
        p.reader.least = 8;
        socket_send(p.front, bytes->data, MAX(at, 1), NULL, 0);
        got = read_one(&p);
        g_assert_cmpint(got, ==, at >= 20);
        if (got) {
            g_assert_cmpuint(p.msg.request, ==, 6);
            g_assert_cmpint(read_one(&p), ==, at == bytes->len);
        }
        if (MAX(at, 1) < bytes->len) {
            socket_send(p.front, bytes->data + MAX(at, 1),
                        bytes->len - MAX(at, 1), NULL, 0);
            if (!got) {
                g_assert_cmpint(read_one(&p), ==, 1);
                g_assert_cmpuint(p.msg.request, ==, 6);
                g_assert_cmpuint(p.msg.size, ==, 8);
                g_assert_cmpmem(p.msg.payload, 8, "\1\0\0\0\0\0\0\0", 8);
            }
            g_assert_cmpint(read_one(&p), ==, 1);
        }
        g_assert_cmpuint(p.msg.request, ==, 7);
        g_assert_cmpuint(p.msg.size, ==, 12);
        g_assert_cmpmem(p.msg.payload, 12, "\2\0\0\0\0\0\0\0\3\0\0\0", 12);
        g_assert_cmpint(read_one(&p), ==, 0);
        send_hex(p.front, "06000000 05000000 04000000 01000000", NULL, 0);
        g_assert_cmpint(read_one(&p), ==, -EPROTO);
        g_assert_cmpstr(p.why, ==, "payload too short");
        pair_finish(&p);
    }
    g_byte_array_unref(bytes);
}

static void test_late_descriptor(void)
{
    int fd = make_memfd(1);

    for (unsigned int at = 1; at < 20; at++) {
        GByteArray *bytes = unhex("0c000000 09000000 08000000"
                                  "0100000000000000");
        struct pair p;

        pair_init(&p);
        socket_send(p.front, bytes->data, at, NULL, 0);
        g_assert_cmpint(read_one(&p), ==, 0);
        socket_send(p.front, bytes->data + at, bytes->len - at, &fd, 1);
        g_assert_cmpint(read_one(&p), ==, -EPROTO);
        g_assert_cmpstr(p.why, ==, "descriptors in the middle of a message");
        g_byte_array_unref(bytes);
        pair_finish(&p);
    }
    close(fd);
}

static void test_malformed(void)
{
    static const struct {
        const char *bytes, *why;
    } rows[] = {
        { "01000000 00000000 00000000", "not version 1" },
        { "01000000 02000000 00000000", "not version 1" },
        { "01000000 03000000 00000000", "not version 1" },
        { "01000000 01000000 01100000", "payload too long" },
        { "01000000 01000000 ffffffff", "payload too long" },
        { "474554202f20485454502f31", "not version 1" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct pair p;

        pair_init(&p);
        send_hex(p.front, rows[i].bytes, NULL, 0);
        g_assert_cmpint(read_one(&p), ==, -EPROTO);
        g_assert_cmpstr(p.why, ==, rows[i].why);
        pair_finish(&p);
    }
}

static void test_longest(void)
{
    guint8 bytes[12 + 4096] = { 1, 0, 0, 0, 1, 0, 0, 0, 0, 0x10, 0, 0 };
    struct pair p;

    pair_init(&p);
    bytes[12 + 4095] = 0xa5;
    socket_send(p.front, bytes, sizeof bytes, NULL, 0);
    g_assert_cmpint(read_one(&p), ==, 1);
    g_assert_cmpuint(p.msg.size, ==, 4096);
    g_assert_cmpuint(p.msg.payload[4095], ==, 0xa5);
    pair_finish(&p);
}

static void test_many_descriptors(void)
{
    int fds[40];
    struct pair p;

    for (size_t i = 0; i < 40; i++) {
        fds[i] = make_memfd(1);
    }
    pair_init(&p);
    send_hex(p.front, "05000000 01000000 00000000", fds, 32);
    g_assert_cmpint(read_one(&p), ==, 1);
    g_assert_cmpuint(p.msg.n_fds, ==, 32);
    for (size_t i = 0; i < 32; i++) {
        g_assert_true(same_file(p.msg.fds[i], fds[i]));
    }
    vwl_vhu_msg_finish(&p.msg);
    send_hex(p.front, "05000000 01000000 00000000", fds, 33);
    g_assert_cmpint(read_one(&p), ==, -EPROTO);
    g_assert_cmpstr(p.why, ==, "too many descriptors");
    pair_finish(&p);
    for (size_t i = 0; i < 40; i++) {
        close(fds[i]);
    }
}

static void test_end(void)
{
    struct pair p;

    pair_init(&p);
    send_hex(p.front, "05000000 0100", NULL, 0);
    close(p.front);
    p.front = -1;
    g_assert_cmpint(read_one(&p), ==, -ECONNRESET);
    pair_finish(&p);
}

static void test_write(void)
{
    struct vwl_vhu_writer *writer = vwl_vhu_writer_create();
    int file = make_memfd(1);
    struct pair p;
    int fd;

    pair_init(&p);
    g_assert_cmpint(vwl_vhu_write(writer, p.back, 31, 5, "abcdefgh", 8, file),
                    ==, 0);
    g_assert_false(vwl_vhu_writer_pending(writer));
    fd = expect_hex(p.front, "1f000000 05000000 08000000 6162636465666768");
    g_assert_true(same_file(fd, file));
    close(fd);
    expect_silence(p.front);
    pair_finish(&p);
    close(file);
    vwl_vhu_writer_destroy(writer);
}

/* A full socket: messages wait, in order and bounded, each whole. */
static void test_write_full(void)
{
    static guint8 payload[4096];
    struct vwl_vhu_writer *writer = vwl_vhu_writer_create();
    unsigned int sent = 0, got = 0;
    int file = make_memfd(1);
    int small = 1;
    struct pair p;
    int err;

    pair_init(&p);
    setsockopt(p.back, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    while ((err = vwl_vhu_write(writer, p.back, sent, 5, payload,
                                sizeof payload, file)) == 0) {
        sent++;
        g_assert_cmpuint(sent, <, 1000);
    }
    g_assert_cmpint(err, ==, -ENOBUFS);
    g_assert_true(vwl_vhu_writer_pending(writer));
    close(file); /* those that wait have their own */
    while (got < sent) {
        int n = vwl_vhu_read(&p.reader, p.front, &p.msg, &p.why);

        g_assert_cmpint(n, >=, 0);
        if (n == 1) {
            g_assert_cmpuint(p.msg.request, ==, got);
            g_assert_cmpuint(p.msg.n_fds, ==, 1);
            vwl_vhu_msg_finish(&p.msg);
            got++;
        } else {
            g_assert_cmpint(vwl_vhu_flush(writer, p.back), ==, 0);
        }
    }
    g_assert_false(vwl_vhu_writer_pending(writer));
    vwl_vhu_writer_destroy(writer);
    p.fds_before--; /* file */
    pair_finish(&p);
}

static void test_write_dead(void)
{
    struct vwl_vhu_writer *writer = vwl_vhu_writer_create();
    struct pair p;

    pair_init(&p);
    close(p.front);
    p.front = -1;
    g_assert_cmpint(vwl_vhu_write(writer, p.back, 1, 5, NULL, 0, -1), ==,
                    -ECONNRESET);
    vwl_vhu_writer_destroy(writer);
    pair_finish(&p);
}

static void test_rows(void)
{
    static const uint32_t backend[] = {
        1, 2, 3, 4, 5, 9, 10, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007,
    };
    static const uint16_t sizes[] = {
        32, 0, 24, 8, 8, 40, 40, 32, 24, 256, 256, 256, 256, 64, 32,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(backend); i++) {
        const struct vwl_vhu_row *row = vwl_backchan_row(backend[i]);

        g_assert_nonnull(row);
        g_assert_cmpuint(row->min_size, ==, sizes[i]);
        g_assert_cmpuint(row->max_size, ==, sizes[i]);
    }
    g_assert_null(vwl_backchan_row(0));
    g_assert_null(vwl_backchan_row(6));
    g_assert_null(vwl_backchan_row(1008));
    g_assert_cmpstr(vwl_session_row(1)->shape.name, ==, "GET_FEATURES");
    g_assert_cmpstr(vwl_session_row(44)->shape.name, ==, "GET_SHMEM_CONFIG");
    g_assert_cmpstr(vwl_session_row(1004)->shape.name, ==,
                    "GET_SHARED_MEMORY_REGIONS");
    g_assert_null(vwl_session_row(0));
    g_assert_null(vwl_session_row(45));
    g_assert_null(vwl_session_row(0xffffffff));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/msg/whole", test_whole);
    g_test_add_func("/msg/bytewise", test_bytewise);
    g_test_add_func("/msg/with-payload", test_with_payload);
    g_test_add_func("/msg/late-descriptor", test_late_descriptor);
    g_test_add_func("/msg/malformed", test_malformed);
    g_test_add_func("/msg/longest", test_longest);
    g_test_add_func("/msg/many-descriptors", test_many_descriptors);
    g_test_add_func("/msg/end", test_end);
    g_test_add_func("/msg/write", test_write);
    g_test_add_func("/msg/write-full", test_write_full);
    g_test_add_func("/msg/write-dead", test_write_dead);
    g_test_add_func("/msg/rows", test_rows);
    return g_test_run();
}
