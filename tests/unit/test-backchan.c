/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/backchan.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "socket.h"

struct bed {
    struct vwl_log log;
    struct vwl_backchan *chan;
    int front;
    GString *done; /* "cookie:err " of every callback */
    unsigned int lines;
    unsigned int fds_before;
};

static void sink(void *opaque, enum vwl_log_level level, const char *line)
{
    ((struct bed *)opaque)->lines++;
}

static void on_done(void *opaque, uint64_t cookie, int err)
{
    g_string_append_printf(((struct bed *)opaque)->done, "%u:%d ",
                           (unsigned int)cookie, err);
}

static void bed_connect(struct bed *b)
{
    int pair[2];

    make_pair(pair);
    b->front = pair[0];
    vwl_backchan_set_fd(b->chan, &pair[1]);
    g_assert_cmpint(pair[1], ==, -1);
}

static void bed_init(struct bed *b, enum vwl_shm_dialect dialect, bool ack)
{
    memset(b, 0, sizeof *b);
    b->fds_before = count_fds();
    vwl_log_init(&b->log, sink, b);
    b->done = g_string_new(NULL);
    b->chan = vwl_backchan_create(&b->log);
    vwl_backchan_configure(b->chan, dialect, ack);
    bed_connect(b);
}

static void bed_finish(struct bed *b)
{
    vwl_backchan_destroy(b->chan);
    if (b->front >= 0) {
        close(b->front);
    }
    g_string_free(b->done, TRUE);
    g_assert_cmpuint(count_fds(), ==, b->fds_before);
}

static void expect_done(struct bed *b, const char *text)
{
    g_assert_cmpstr(b->done->str, ==, text);
    g_string_truncate(b->done, 0);
}

static int map(struct bed *b, int fd, unsigned int cookie, bool writable)
{
    return vwl_backchan_shmem_map(b->chan, 0, fd, 0x3000, 0x123456000, 0x2000,
                                  writable, on_done, b, cookie);
}

static int unmap(struct bed *b, unsigned int cookie)
{
    return vwl_backchan_shmem_unmap(b->chan, 0, 0x123456000, 0x2000, on_done, b,
                                    cookie);
}

static void expect_fd(struct bed *b, const char *text, int file)
{
    int fd = expect_hex(b->front, text);

    if (file < 0) {
        g_assert_cmpint(fd, ==, -1);
    } else {
        g_assert_true(same_file(fd, file));
        close(fd);
    }
    expect_silence(b->front);
}

static void reply(struct bed *b, const char *text)
{
    send_hex(b->front, text, NULL, 0);
    g_assert_cmpint(vwl_backchan_dispatch(b->chan), ==, 0);
}

static void test_standard(void)
{
    int file = make_memfd(0x10000);
    struct bed b;

    bed_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(map(&b, file, 7, true), ==, 0);
    expect_fd(&b,
              "09000000 09000000 28000000 0000000000000000"
              "0030000000000000 0060452301000000 0020000000000000"
              "0100000000000000",
              file);
    expect_done(&b, "");
    g_assert_cmpuint(vwl_backchan_pending(b.chan), ==, 1);
    reply(&b, "09000000 05000000 08000000 0000000000000000");
    expect_done(&b, "7:0 ");
    g_assert_cmpint(map(&b, file, 8, false), ==, 0);
    expect_fd(&b,
              "09000000 09000000 28000000 0000000000000000"
              "0030000000000000 0060452301000000 0020000000000000"
              "0000000000000000",
              file);
    reply(&b, "09000000 05000000 08000000 0100000000000000");
    expect_done(&b, "8:-5 ");
    g_assert_cmpint(unmap(&b, 9), ==, 0);
    expect_fd(&b,
              "0a000000 09000000 28000000 0000000000000000"
              "0000000000000000 0060452301000000 0020000000000000"
              "0000000000000000",
              -1);
    /* the number of an errno, as crosvm answers */
    reply(&b, "0a000000 05000000 08000000 eaffffffffffffff");
    expect_done(&b, "9:-22 ");
    g_assert_cmpuint(vwl_backchan_pending(b.chan), ==, 0);
    bed_finish(&b);
    close(file);
}

static void test_standard_unanswered(void)
{
    int file = make_memfd(0x10000);
    struct bed b;

    bed_init(&b, VWL_SHM_STANDARD, false);
    g_assert_cmpint(map(&b, file, 1, true), ==, 0);
    expect_fd(&b,
              "09000000 01000000 28000000 0000000000000000"
              "0030000000000000 0060452301000000 0020000000000000"
              "0100000000000000",
              file);
    expect_done(&b, "1:0 ");
    g_assert_cmpuint(vwl_backchan_pending(b.chan), ==, 0);
    bed_finish(&b);
    close(file);
}

static void test_private(void)
{
    int file = make_memfd(0x10000);
    struct bed b;

    for (int ack = 0; ack < 2; ack++) {
        bed_init(&b, VWL_SHM_PRIVATE, ack);
        g_assert_cmpint(map(&b, file, 1, true), ==, 0);
        expect_fd(&b,
                  ack ? "e8030000 09000000 20000000 0300000000000000"
                        "0060452301000000 0030000000000000 0020000000000000"
                      : "e8030000 01000000 20000000 0300000000000000"
                        "0060452301000000 0030000000000000 0020000000000000",
                  file);
        expect_done(&b, ""); /* answered always */
        g_assert_cmpint(map(&b, file, 2, false), ==, 0);
        close(expect_hex(b.front,
                         ack ? "e8030000 09000000 20000000 0100000000000000"
                               "0060452301000000 0030000000000000"
                               "0020000000000000"
                             : "e8030000 01000000 20000000 0100000000000000"
                               "0060452301000000 0030000000000000"
                               "0020000000000000"));
        g_assert_cmpint(unmap(&b, 3), ==, 0);
        expect_fd(&b,
                  ack ? "e9030000 09000000 18000000 0000000000000000"
                        "0060452301000000 0020000000000000"
                      : "e9030000 01000000 18000000 0000000000000000"
                        "0060452301000000 0020000000000000",
                  -1);
        reply(&b, "e8030000 05000000 08000000 0000000000000000"
                  "e8030000 05000000 08000000 efffffffffffffff");
        expect_done(&b, "1:0 2:-17 ");
        reply(&b, "e9030000 05000000 08000000 0000000000000000");
        expect_done(&b, "3:0 ");
        bed_finish(&b);
    }
    close(file);
}

static void test_vring_and_iotlb(void)
{
    struct vhost_user_iotlb miss = {
        .iova = 0x1122334455667788,
        .permission = 3,
        .type = 1,
    };
    struct bed b;

    bed_init(&b, VWL_SHM_NONE, true);
    g_assert_cmpint(vwl_backchan_iotlb(b.chan, &miss, on_done, &b, 1), ==, 0);
    expect_fd(&b,
              "01000000 09000000 20000000 8877665544332211"
              "0000000000000000 0000000000000000 0301000000000000",
              -1);
    g_assert_cmpint(vwl_backchan_config_change(b.chan, on_done, &b, 2), ==, 0);
    expect_fd(&b, "02000000 09000000 00000000", -1);
    g_assert_cmpint(vwl_backchan_vring_call(b.chan, 1), ==, 0);
    expect_fd(&b, "04000000 09000000 08000000 01000000 00000000", -1);
    g_assert_cmpint(vwl_backchan_vring_err(b.chan, 1), ==, 0);
    expect_fd(&b, "05000000 09000000 08000000 01000000 00000000", -1);
    reply(&b, "01000000 05000000 08000000 0000000000000000"
              "02000000 05000000 08000000 0000000000000000"
              "04000000 05000000 08000000 0000000000000000"
              "05000000 05000000 08000000 0100000000000000");
    expect_done(&b, "1:0 2:0 ");
    g_assert_cmpuint(vwl_backchan_pending(b.chan), ==, 0);
    bed_finish(&b);
}

/* A call that nobody answered yet makes no second one; the answer does. */
static void test_calls_merge(void)
{
    struct bed b;

    bed_init(&b, VWL_SHM_NONE, true);
    for (int i = 0; i < 100000; i++) {
        g_assert_cmpint(vwl_backchan_vring_call(b.chan, 0), ==, 0);
    }
    expect_fd(&b, "04000000 09000000 08000000 00000000 00000000", -1);
    reply(&b, "04000000 05000000 08000000 0000000000000000");
    expect_fd(&b, "04000000 09000000 08000000 00000000 00000000", -1);
    reply(&b, "04000000 05000000 08000000 0000000000000000");
    expect_silence(b.front);
    g_assert_cmpint(vwl_backchan_vring_call(b.chan, 0), ==, 0);
    expect_fd(&b, "04000000 09000000 08000000 00000000 00000000", -1);
    g_assert_cmpint(vwl_backchan_vring_call(b.chan, 256), ==, -EINVAL);
    bed_finish(&b);
    bed_init(&b, VWL_SHM_NONE, false);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(vwl_backchan_vring_call(b.chan, 1), ==, 0);
        expect_fd(&b, "04000000 01000000 08000000 01000000 00000000", -1);
    }
    bed_finish(&b);
}

static void test_host_notifier(void)
{
    struct vhost_user_vring_area area = { 1, 0x1000, 0x2000 };
    struct vhost_user_vring_area none = { 0x101, 0, 0 };
    int file = make_memfd(0x4000);
    struct bed b;

    bed_init(&b, VWL_SHM_NONE, true);
    g_assert_cmpint(vwl_backchan_vring_host_notifier(b.chan, &area, file,
                                                     on_done, &b, 1),
                    ==, 0);
    expect_fd(&b,
              "03000000 09000000 18000000 0100000000000000"
              "0010000000000000 0020000000000000",
              file);
    g_assert_cmpint(vwl_backchan_vring_host_notifier(b.chan, &none, -1, on_done,
                                                     &b, 2),
                    ==, 0);
    expect_fd(&b,
              "03000000 09000000 18000000 0101000000000000"
              "0000000000000000 0000000000000000",
              -1);
    g_assert_cmpint(vwl_backchan_vring_host_notifier(b.chan, &area, -1, on_done,
                                                     &b, 2),
                    ==, -EINVAL);
    bed_finish(&b);
    close(file);
}

static void test_gpu_and_external(void)
{
    struct vhost_user_gpu_map gpu = {
        .shmid = 2,
        .shm_offset = 0x1000,
        .len = 0x2000,
        .memory_idx = 3,
        .handle_type = 4,
    };
    struct vhost_user_external_map external = {
        .shmid = 5,
        .shm_offset = 0x1000,
        .len = 0x2000,
        .ptr = 0x7f0011223344,
    };
    int file = make_memfd(0x4000);
    struct bed b;

    for (unsigned int i = 0; i < 16; i++) {
        gpu.device_uuid[i] = (uint8_t)i;
        gpu.driver_uuid[i] = (uint8_t)(0xf0 + i);
    }
    bed_init(&b, VWL_SHM_PRIVATE, false);
    g_assert_cmpint(vwl_backchan_gpu_map(b.chan, &gpu, file, on_done, &b, 1),
                    ==, 0);
    expect_fd(&b,
              "ee030000 01000000 40000000 0200000000000000"
              "0010000000000000 0020000000000000 03000000 04000000"
              "000102030405060708090a0b0c0d0e0f"
              "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
              file);
    g_assert_cmpint(vwl_backchan_external_map(b.chan, &external, on_done, &b,
                                              2),
                    ==, 0);
    expect_fd(&b,
              "ef030000 01000000 20000000 0500000000000000"
              "0010000000000000 0020000000000000 4433221100 7f0000",
              -1);
    expect_done(&b, "");
    reply(&b, "ee030000 05000000 08000000 0000000000000000"
              "ef030000 05000000 08000000 0000000000000000");
    expect_done(&b, "1:0 2:0 ");
    g_assert_cmpint(vwl_backchan_gpu_map(b.chan, &gpu, -1, on_done, &b, 1), ==,
                    -EINVAL);
    bed_finish(&b);
    bed_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(vwl_backchan_gpu_map(b.chan, &gpu, file, on_done, &b, 1),
                    ==, -EOPNOTSUPP);
    g_assert_cmpint(vwl_backchan_external_map(b.chan, &external, on_done, &b,
                                              2),
                    ==, -EOPNOTSUPP);
    expect_silence(b.front);
    bed_finish(&b);
    close(file);
}

static void test_fs(void)
{
    static const char *const heads[] = {
        "ea030000 09000000 00010000",
        "eb030000 09000000 00010000",
        "ec030000 09000000 00010000",
        "ed030000 09000000 00010000",
    };
    struct vhost_user_fs_backend msg = { { 0 } };
    int file = make_memfd(0x4000);
    struct bed b;

    msg.fd_offset[0] = 0x11;
    msg.cache_offset[1] = 0x22;
    msg.len[2] = 0x33;
    msg.flags[7] = 0x44;
    bed_init(&b, VWL_SHM_PRIVATE, true);
    for (unsigned int i = 0; i < 4; i++) {
        bool with_fd = i == 0 || i == 3;
        int other = with_fd ? -1 : file;
        GString *text = g_string_new(heads[i]);

        for (unsigned int j = 0; j < 32; j++) {
            g_string_append(text, j == 0    ? "1100000000000000"
                                  : j == 9  ? "2200000000000000"
                                  : j == 18 ? "3300000000000000"
                                  : j == 31 ? "4400000000000000"
                                            : "0000000000000000");
        }
        g_assert_cmpint(vwl_backchan_fs(b.chan, 1002 + i, &msg, other, on_done,
                                        &b, i),
                        ==, -EINVAL);
        g_assert_cmpint(vwl_backchan_fs(b.chan, 1002 + i, &msg,
                                        with_fd ? file : -1, on_done, &b, i),
                        ==, 0);
        expect_fd(&b, text->str, with_fd ? file : -1);
        g_string_free(text, TRUE);
    }
    reply(&b, "ea030000 05000000 08000000 0000000000000000"
              "eb030000 05000000 08000000 0000000000000000"
              "ec030000 05000000 08000000 0000000000000000"
              "ed030000 05000000 08000000 0000000000000000");
    expect_done(&b, "0:0 1:0 2:0 3:0 ");
    g_assert_cmpint(vwl_backchan_fs(b.chan, 1001, &msg, -1, on_done, &b, 0), ==,
                    -EINVAL);
    g_assert_cmpint(vwl_backchan_fs(b.chan, 1006, &msg, file, on_done, &b, 0),
                    ==, -EINVAL);
    bed_finish(&b);
    close(file);
}

static void test_refused(void)
{
    int file = make_memfd(0x10000);
    struct bed b;

    bed_init(&b, VWL_SHM_STANDARD, true);
    static const uint64_t bad[][3] = {
        /* fd offset, shm offset, length */
        { 0, 0, 0 },
        { 1, 0, 0x1000 },
        { 0, 1, 0x1000 },
        { 0, 0, 0x1001 },
        { 0, 0xfffffffffffff000, 0x2000 },
        { 0xfffffffffffff000, 0, 0x2000 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(vwl_backchan_shmem_map(b.chan, 0, file, bad[i][0],
                                               bad[i][1], bad[i][2], true,
                                               on_done, &b, 1),
                        ==, -EINVAL);
    }
    g_assert_cmpint(map(&b, -1, 1, true), ==, -EINVAL);
    expect_silence(b.front);
    vwl_backchan_configure(b.chan, VWL_SHM_NONE, true);
    g_assert_cmpint(map(&b, file, 1, true), ==, -EOPNOTSUPP);
    g_assert_cmpint(unmap(&b, 1), ==, -EOPNOTSUPP);
    close(b.front);
    b.front = -1;
    g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, -ECONNRESET);
    g_assert_cmpint(vwl_backchan_fd(b.chan), ==, -1);
    vwl_backchan_configure(b.chan, VWL_SHM_STANDARD, true);
    g_assert_cmpint(map(&b, file, 1, true), ==, -ENOTCONN);
    expect_done(&b, "");
    bed_finish(&b);
    close(file);
}

static void test_hold(void)
{
    int file = make_memfd(0x10000);
    unsigned int before;
    struct bed b;

    bed_init(&b, VWL_SHM_STANDARD, true);
    vwl_backchan_hold(b.chan, true);
    before = count_fds();
    g_assert_cmpint(map(&b, file, 1, true), ==, 0);
    g_assert_cmpint(unmap(&b, 2), ==, 0);
    g_assert_cmpuint(count_fds(), ==, before + 1);
    close(file);
    expect_silence(b.front);
    g_assert_false(vwl_backchan_wants_write(b.chan));
    vwl_backchan_hold(b.chan, false);
    close(expect_hex(b.front,
                     "09000000 09000000 28000000 0000000000000000"
                     "0030000000000000 0060452301000000 0020000000000000"
                     "0100000000000000"));
    expect_fd(&b,
              "0a000000 09000000 28000000 0000000000000000"
              "0000000000000000 0060452301000000 0020000000000000"
              "0000000000000000",
              -1);
    g_assert_cmpuint(count_fds(), ==, before - 1);
    b.fds_before--; /* file */
    bed_finish(&b);
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
        struct bed b;

        bed_init(&b, VWL_SHM_STANDARD, true);
        g_assert_cmpint(map(&b, file, 1, true), ==, 0);
        g_assert_cmpint(map(&b, file, 2, true), ==, 0);
        send_hex(b.front, rows[i], NULL, 0);
        g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, -ECONNRESET);
        expect_done(&b, "1:-104 2:-104 ");
        g_assert_cmpint(vwl_backchan_fd(b.chan), ==, -1);
        g_assert_cmpuint(b.lines, ==, 1);
        bed_finish(&b);
    }
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        struct bed b;

        bed_init(&b, VWL_SHM_STANDARD, true);
        if (with_fd) {
            g_assert_cmpint(unmap(&b, 1), ==, 0);
        }
        send_hex(b.front, "0a000000 05000000 08000000 0000000000000000", &file,
                 (size_t)with_fd); /* else: nobody waits for it */
        g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, -ECONNRESET);
        expect_done(&b, with_fd ? "1:-104 " : "");
        bed_finish(&b);
    }
    close(file);
}

static void test_bytewise_reply(void)
{
    GByteArray *bytes = unhex("0a000000 05000000 08000000 0000000000000000");
    struct bed b;

    bed_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(unmap(&b, 4), ==, 0);
    for (guint i = 0; i < bytes->len; i++) {
        expect_done(&b, "");
        socket_send(b.front, bytes->data + i, 1, NULL, 0);
        g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, 0);
    }
    expect_done(&b, "4:0 ");
    g_byte_array_unref(bytes);
    bed_finish(&b);
}

static void test_new_channel(void)
{
    int old;
    struct bed b;

    bed_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(unmap(&b, 1), ==, 0);
    vwl_backchan_hold(b.chan, true);
    g_assert_cmpint(unmap(&b, 2), ==, 0);
    vwl_backchan_hold(b.chan, false);
    g_assert_cmpint(unmap(&b, 3), ==, 0);
    old = b.front;
    /* half a reply of the old one must not confuse the new */
    send_hex(old, "0a000000 0500", NULL, 0);
    g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, 0);
    bed_connect(&b);
    expect_done(&b, "1:-104 2:-104 3:-104 ");
    close(old);
    g_assert_cmpint(unmap(&b, 5), ==, 0);
    close(dup(b.front));
    expect_hex(b.front, "0a000000 09000000 28000000 0000000000000000"
                        "0000000000000000 0060452301000000 0020000000000000"
                        "0000000000000000");
    reply(&b, "0a000000 05000000 08000000 0000000000000000");
    expect_done(&b, "5:0 ");
    bed_finish(&b);
}

static void test_forget(void)
{
    struct bed b;

    bed_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(unmap(&b, 1), ==, 0);
    vwl_backchan_forget(b.chan, &b);
    g_assert_cmpint(unmap(&b, 2), ==, 0);
    reply(&b, "0a000000 05000000 08000000 0000000000000000"
              "0a000000 05000000 08000000 0000000000000000");
    expect_done(&b, "2:0 ");
    bed_finish(&b);
}

/* A front-end that reads nothing: bounded, in order, nothing lost. */
static void test_flood(void)
{
    unsigned int asked = 0, seen = 0;
    int file = make_memfd(0x10000);
    struct bed b;
    int err;

    bed_init(&b, VWL_SHM_STANDARD, true);
    while ((err = unmap(&b, asked)) == 0) {
        asked++;
    }
    g_assert_cmpint(err, ==, -ENOBUFS);
    g_assert_cmpuint(asked, ==, VWL_BACKCHAN_MAX_PENDING);
    g_assert_true(vwl_backchan_wants_write(b.chan));
    g_assert_cmpint(map(&b, file, 0, true), ==, -ENOBUFS);
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
    for (asked = 0; (err = map(&b, file, asked, true)) == 0; asked++) {
    }
    g_assert_cmpint(err, ==, -ENOBUFS);
    g_assert_cmpuint(asked, ==, VWL_BACKCHAN_MAX_WAITING_FDS);
    bed_finish(&b);
    close(file);
}

static void test_dead_peer(void)
{
    struct bed b;

    bed_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(unmap(&b, 1), ==, 0);
    close(b.front);
    b.front = -1;
    g_assert_cmpint(unmap(&b, 2), ==, -ENOTCONN);
    expect_done(&b, ""); /* never from inside another request */
    g_assert_true(vwl_backchan_wants_write(b.chan));
    g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, -ECONNRESET);
    expect_done(&b, "1:-104 ");
    bed_finish(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backchan/standard", test_standard);
    g_test_add_func("/backchan/standard-unanswered", test_standard_unanswered);
    g_test_add_func("/backchan/private", test_private);
    g_test_add_func("/backchan/vring-and-iotlb", test_vring_and_iotlb);
    g_test_add_func("/backchan/calls-merge", test_calls_merge);
    g_test_add_func("/backchan/host-notifier", test_host_notifier);
    g_test_add_func("/backchan/gpu-and-external", test_gpu_and_external);
    g_test_add_func("/backchan/fs", test_fs);
    g_test_add_func("/backchan/refused", test_refused);
    g_test_add_func("/backchan/hold", test_hold);
    g_test_add_func("/backchan/bad-replies", test_bad_replies);
    g_test_add_func("/backchan/bytewise-reply", test_bytewise_reply);
    g_test_add_func("/backchan/new-channel", test_new_channel);
    g_test_add_func("/backchan/forget", test_forget);
    g_test_add_func("/backchan/flood", test_flood);
    g_test_add_func("/backchan/dead-peer", test_dead_peer);
    return g_test_run();
}
