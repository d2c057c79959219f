/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests one by one: answers, refusals, negotiation. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "front.h"
#include "socket.h"

#define Z_1 U64_0
#define Z_4 Z_1 Z_1 Z_1 Z_1
#define Z_16 Z_4 Z_4 Z_4 Z_4
#define Z_64 Z_16 Z_16 Z_16 Z_16
/* 255 sizes that are zero */
#define NO_SIZES Z_64 Z_64 Z_64 Z_16 Z_16 Z_16 Z_4 Z_4 Z_4 Z_1 Z_1 Z_1
#define SHMEM_CONFIG "01000000 00000000 0000000001000000" NO_SIZES
#define SHMEM_NONE "00000000 00000000 0000000000000000" NO_SIZES

enum fd_kind { NO_FD, EVENT, MEMORY, SOCKET, BUFFER, STATE };
enum when { ASKED, ALWAYS };

/* What a good request says and gets; `bad` is the answer to one that has a
 * wrong length or number of descriptors. */
static const struct row {
    uint32_t request;
    const char *payload;
    enum fd_kind fd;
    enum when when;
    const char *good, *bad;
} rows[] = {
    { VHOST_USER_GET_FEATURES, "", NO_FD, ALWAYS, "0e00007407000000", U64_0 },
    { VHOST_USER_SET_FEATURES, "0e00006001000000", NO_FD, ASKED, U64_0, U64_1 },
    { VHOST_USER_SET_OWNER, "", NO_FD, ASKED, U64_0, U64_1 },
    { VHOST_USER_RESET_OWNER, "", NO_FD, ASKED, U64_0, U64_1 },
    { VHOST_USER_SET_MEM_TABLE, TABLE_ONE, MEMORY, ASKED, U64_0, U64_1 },
    { VHOST_USER_SET_LOG_BASE, "0010000000000000 0000000000000000", MEMORY,
      ALWAYS, U64_0, U64_1 },
    { VHOST_USER_SET_LOG_FD, "", EVENT, ASKED, U64_0, U64_1 },
    { VHOST_USER_SET_VRING_NUM, "00000000 00010000", NO_FD, ASKED, U64_0,
      U64_1 },
    { VHOST_USER_SET_VRING_ADDR, ADDR_0, NO_FD, ASKED, U64_0, U64_1 },
    { VHOST_USER_SET_VRING_BASE, "00000000 05000000", NO_FD, ASKED, U64_0,
      U64_1 },
    { VHOST_USER_GET_VRING_BASE, "00000000 00000000", NO_FD, ALWAYS,
      "00000000 00000000", "" },
    { VHOST_USER_SET_VRING_KICK, U64_0, EVENT, ASKED, U64_0, U64_1 },
    { VHOST_USER_SET_VRING_CALL, U64_0, EVENT, ASKED, U64_0, U64_1 },
    { VHOST_USER_SET_VRING_ERR, U64_0, EVENT, ASKED, U64_0, U64_1 },
    { VHOST_USER_GET_PROTOCOL_FEATURES, "", NO_FD, ALWAYS, "2bf6418000000000",
      U64_0 },
    { VHOST_USER_SET_PROTOCOL_FEATURES, "2bf6418000000000", NO_FD, ASKED, U64_0,
      U64_1 },
    { VHOST_USER_GET_QUEUE_NUM, "", NO_FD, ALWAYS, "0200000000000000", U64_0 },
    { VHOST_USER_SET_VRING_ENABLE, "01000000 01000000", NO_FD, ASKED, U64_0,
      U64_1 },
    { VHOST_USER_SET_BACKEND_REQ_FD, "", SOCKET, ASKED, U64_0, U64_1 },
    { VHOST_USER_IOTLB_MSG,
      "0000000000000000 0000000000000000 0000000000000000 0003"
      "000000000000",
      NO_FD, ALWAYS, U64_1, U64_1 }, /* no ACCESS_PLATFORM */
    { VHOST_USER_GET_CONFIG, "00000000 00000000 00000000", NO_FD, ALWAYS,
      "00000000 00000000 00000000", "" },
    { VHOST_USER_SET_CONFIG, "00000000 00000000 00000000", NO_FD, ASKED, U64_1,
      U64_1 },
    { VHOST_USER_GET_INFLIGHT_FD,
      "0000000000000000 0000000000000000 0200 0001 00000000", NO_FD, ALWAYS,
      "8020000000000000 0000000000000000 0200 0001 00000000", "" },
    { VHOST_USER_SET_INFLIGHT_FD,
      "8020000000000000 0000000000000000 0200 0001 00000000", BUFFER, ASKED,
      U64_0, U64_1 },
    { VHOST_USER_RESET_DEVICE, "", NO_FD, ASKED, U64_0, U64_1 },
    { VHOST_USER_VRING_KICK, "01000000 00000000", NO_FD, ASKED, U64_0, U64_1 },
    { VHOST_USER_GET_MAX_MEM_SLOTS, "", NO_FD, ALWAYS, "fd01000000000000",
      U64_0 },
    { VHOST_USER_ADD_MEM_REG, U64_0 TABLE_RAM, MEMORY, ASKED, U64_0, U64_1 },
    { VHOST_USER_SET_STATUS, "0f00000000000000", NO_FD, ASKED, U64_0, U64_1 },
    { VHOST_USER_GET_STATUS, "", NO_FD, ALWAYS, U64_0, U64_0 },
    { VHOST_USER_SET_DEVICE_STATE_FD, "00000000 00000000", STATE, ALWAYS,
      "0101000000000000", "0101000000000000" },
    { VHOST_USER_CHECK_DEVICE_STATE, "", NO_FD, ALWAYS, U64_1, U64_1 },
    { VHOST_USER_GET_SHMEM_CONFIG, "", NO_FD, ALWAYS, SHMEM_CONFIG, "" },
    { VHOST_USER_GET_SHARED_MEMORY_REGIONS, "", NO_FD, ALWAYS,
      "0100000000000000 0000000000000000"
      "0000000001000000",
      "" },
    /* known elsewhere, unknown at all: an error if asked */
    { VHOST_USER_SEND_RARP, U64_0, NO_FD, ASKED, U64_1, U64_1 },
    { VHOST_USER_NET_SET_MTU, U64_0, NO_FD, ASKED, U64_1, U64_1 },
    { VHOST_USER_SET_VRING_ENDIAN, U64_0, NO_FD, ASKED, U64_1, U64_1 },
    { VHOST_USER_POSTCOPY_ADVISE, "", NO_FD, ASKED, U64_1, U64_1 },
    { VHOST_USER_GPU_SET_SOCKET, "", SOCKET, ASKED, U64_1, U64_1 },
    { VHOST_USER_GET_SHARED_OBJECT, U64_0 U64_0, NO_FD, ASKED, U64_1, U64_1 },
    { 45, U64_0, NO_FD, ASKED, U64_1, U64_1 },
    { 0, U64_0, NO_FD, ASKED, U64_1, U64_1 },
    { 99, U64_0, MEMORY, ASKED, U64_1, U64_1 },
    { 0xffffffff, "", NO_FD, ASKED, U64_1, U64_1 },
};

static int make_fd(struct front *f, enum fd_kind kind)
{
    int pair[2];

    switch (kind) {
    case EVENT:
        return eventfd(0, EFD_CLOEXEC);
    case SOCKET:
        make_pair(pair);
        close(pair[0]);
        return pair[1];
    case MEMORY:
    case STATE:
        return dup(f->ram_fd);
    case BUFFER:
        return make_memfd(0x2080);
    default:
        return -1;
    }
}

static void check_answer(struct front *f, const struct row *row, bool asked,
                         const char *text)
{
    if (row->when == ASKED && !asked) {
        expect_silence(f->sock);
    } else {
        int fd = answered(f, row->request, text);

        g_assert_cmpint(fd >= 0, ==,
                        row->request == VHOST_USER_GET_INFLIGHT_FD &&
                            text == row->good);
        if (fd >= 0) {
            close(fd);
        }
    }
    /* still in step */
    quiet(f, VHOST_USER_RESET_OWNER, "");
    say(f, VHOST_USER_GET_QUEUE_NUM, PLAIN, "");
    answered(f, VHOST_USER_GET_QUEUE_NUM, "0200000000000000");
}

static void front_all(struct front *f)
{
    front_init(f, FEATURES_ALL, PROTOCOL_ALL);
    handshake(f, PROTOCOL_ALL);
}

static void test_good(gconstpointer data)
{
    const struct row *row = data;

    for (int asked = 0; asked < 2; asked++) {
        struct front f;
        int fd;

        front_all(&f);
        fd = make_fd(&f, row->fd);
        say_fds(&f, row->request, asked ? NEED_REPLY : PLAIN, row->payload, &fd,
                row->fd != NO_FD);
        if (fd >= 0) {
            close(fd);
        }
        check_answer(&f, row, asked, row->good);
        front_finish(&f);
    }
}

static void test_lengths(gconstpointer data)
{
    const struct row *row = data;
    GByteArray *bytes = unhex(row->payload);

    g_byte_array_set_size(bytes, bytes->len + 1);
    bytes->data[bytes->len - 1] = 0;
    for (guint len = 0; len <= bytes->len; len++) {
        char *text = tohex(bytes->data, len);
        struct front f;
        int fd;

        if (len == bytes->len - 1 ||
            (row->request == VHOST_USER_GET_INFLIGHT_FD && len == 20) ||
            (row->request == VHOST_USER_SET_INFLIGHT_FD && len == 20)) {
            g_free(text);
            continue;
        }
        front_all(&f);
        fd = make_fd(&f, row->fd);
        say_fds(&f, row->request, NEED_REPLY, text, &fd, row->fd != NO_FD);
        if (fd >= 0) {
            close(fd);
        }
        check_answer(&f, row, true, row->bad);
        front_finish(&f);
        g_free(text);
    }
    g_byte_array_unref(bytes);
}

static void test_descriptors(gconstpointer data)
{
    const struct row *row = data;

    for (size_t n = 0; n < 4; n++) {
        struct front f;
        int fds[3];

        if (n == (row->fd != NO_FD)) {
            continue;
        }
        front_all(&f);
        for (int i = 0; i < 3; i++) {
            fds[i] = make_fd(&f, row->fd == NO_FD ? MEMORY : row->fd);
        }
        say_fds(&f, row->request, NEED_REPLY, row->payload, fds, n);
        for (int i = 0; i < 3; i++) {
            close(fds[i]);
        }
        check_answer(&f, row, true, row->bad);
        expect_trace(&f, "");
        front_finish(&f);
    }
}

/* REPLY_ACK makes the difference, and at once. */
static void test_reply_ack(void)
{
    struct front f;

    front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
    say(&f, VHOST_USER_SET_OWNER, NEED_REPLY, "");
    expect_silence(f.sock);
    say(&f, 99, NEED_REPLY, "");
    expect_silence(f.sock);
    say(&f, VHOST_USER_SET_PROTOCOL_FEATURES, NEED_REPLY, "2000400000000000");
    expect_silence(f.sock);
    tell(&f, VHOST_USER_SET_PROTOCOL_FEATURES, "2800400000000000");
    say(&f, 99, NEED_REPLY, "");
    answered(&f, 99, U64_1);
    /* a bit that was not offered: refused, nothing changes */
    say(&f, VHOST_USER_SET_PROTOCOL_FEATURES, NEED_REPLY, "0000200000000000");
    answered(&f, VHOST_USER_SET_PROTOCOL_FEATURES, U64_1);
    say(&f, 99, NEED_REPLY, "");
    answered(&f, 99, U64_1);
    front_finish(&f);
}

static void test_features(void)
{
    struct front f;

    front_init(&f, FEATURES_QEMU & ~BIT(VHOST_USER_F_PROTOCOL_FEATURES),
               PROTOCOL_QEMU);
    handshake(&f, PROTOCOL_QEMU);
    say(&f, VHOST_USER_GET_FEATURES, PLAIN, "");
    answered(&f, VHOST_USER_GET_FEATURES, "0e00006001000000");
    expect_trace(&f, "");
    set_features(&f, FEATURES_QEMU);
    expect_trace(&f, "F16000000e ");
    say(&f, VHOST_USER_SET_FEATURES, NEED_REPLY,
        "0e00006005000000"); /* 34 was not offered */
    answered(&f, VHOST_USER_SET_FEATURES, U64_1);
    expect_trace(&f, "");
    g_assert_nonnull(strstr(f.lines->str, "SET_FEATURES"));
    front_finish(&f);
}

#define REPLY_ACK BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK)
#define ASKABLE (REPLY_ACK | BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ))
#define SHMEM BIT(VHOST_USER_PROTOCOL_F_SHMEM)
#define REGIONS BIT(VHOST_USER_PROTOCOL_F_SHARED_MEMORY_REGIONS)

static void test_dialects(void)
{
    static const struct {
        uint64_t bits;
        enum vwl_shm_dialect dialect;
    } cases[] = {
        { ASKABLE, VWL_SHM_NONE },
        { ASKABLE | SHMEM, VWL_SHM_STANDARD },
        { ASKABLE | REGIONS, VWL_SHM_PRIVATE },
        { ASKABLE | SHMEM | REGIONS, VWL_SHM_STANDARD },
        { REPLY_ACK | SHMEM, VWL_SHM_NONE }, /* no channel to ask on */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct front f;

        front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
        handshake(&f, cases[i].bits);
        g_assert_cmpint(vwl_backchan_dialect(vwl_session_backchan(f.session)),
                        ==, cases[i].dialect);
        say(&f, VHOST_USER_GET_FEATURES, PLAIN, "");
        answered(&f, VHOST_USER_GET_FEATURES,
                 cases[i].dialect == VWL_SHM_NONE ? "0600007407000000"
                                                  : "0e00007407000000");
        front_finish(&f);
    }
}

/* USE_SHMEM, bit 3, is not offered before it is known that the front-end can
 * map; to one that owns the device and has said nothing of it, it is. */
static void test_shm_known(void)
{
    struct front f;

    front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
    for (int round = 0; round < 2; round++) {
        say(&f, VHOST_USER_GET_FEATURES, PLAIN, "");
        answered(&f, VHOST_USER_GET_FEATURES, "0600007407000000");
    }
    quiet(&f, VHOST_USER_SET_OWNER, ""); /* as crosvm begins */
    say(&f, VHOST_USER_GET_FEATURES, PLAIN, "");
    answered(&f, VHOST_USER_GET_FEATURES, "0e00007407000000");
    handshake(&f, REPLY_ACK); /* no channel to ask on */
    say(&f, VHOST_USER_GET_FEATURES, PLAIN, "");
    answered(&f, VHOST_USER_GET_FEATURES, "0600007407000000");
    handshake(&f, ASKABLE | SHMEM);
    say(&f, VHOST_USER_GET_FEATURES, PLAIN, "");
    answered(&f, VHOST_USER_GET_FEATURES, "0e00007407000000");
    front_finish(&f);

    /* QEMU's device: a dialect, and then the owner */
    front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
    say(&f, VHOST_USER_SET_PROTOCOL_FEATURES, PLAIN, "2800400000000000");
    say(&f, VHOST_USER_GET_FEATURES, PLAIN, "");
    answered(&f, VHOST_USER_GET_FEATURES, "0e00007407000000");
    front_finish(&f);
}

/* Without the offer there is no region. */
static void test_no_shm(void)
{
    struct front f;

    front_init(&f, FEATURES_ALL, ASKABLE);
    handshake(&f, ASKABLE);
    say(&f, VHOST_USER_GET_SHMEM_CONFIG, PLAIN, "");
    answered(&f, VHOST_USER_GET_SHMEM_CONFIG, SHMEM_NONE);
    say(&f, VHOST_USER_GET_SHARED_MEMORY_REGIONS, PLAIN, "");
    answered(&f, VHOST_USER_GET_SHARED_MEMORY_REGIONS, U64_0);
    say(&f, VHOST_USER_GET_MAX_MEM_SLOTS, PLAIN, "");
    answered(&f, VHOST_USER_GET_MAX_MEM_SLOTS, U64_0);
    say_fds(&f, VHOST_USER_ADD_MEM_REG, NEED_REPLY, U64_0 TABLE_RAM, &f.ram_fd,
            1);
    answered(&f, VHOST_USER_ADD_MEM_REG, U64_1);
    say(&f, VHOST_USER_REM_MEM_REG, NEED_REPLY, U64_0 TABLE_RAM);
    answered(&f, VHOST_USER_REM_MEM_REG, U64_1);
    say(&f, VHOST_USER_GET_INFLIGHT_FD, PLAIN,
        "0000000000000000 0000000000000000 0200 0001 00000000");
    g_assert_cmpint(answered(&f, VHOST_USER_GET_INFLIGHT_FD,
                             "0000000000000000 0000000000000000"
                             "0200 0001 00000000"),
                    ==, -1);
    front_finish(&f);
}

static void test_inband_needs(void)
{
    static const char *const bits[] = {
        "0040000000000000",
        "0840000000000000",
        "2040000000000000",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bits); i++) {
        char *text = frame(16, 1, bits[i]);
        struct front f;

        front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
        send_hex(f.sock, text, NULL, 0);
        g_assert_cmpint(vwl_session_dispatch(f.session), ==, -EPROTO);
        g_assert_cmpint(vwl_session_dispatch(f.session), ==, -EPROTO);
        front_finish(&f);
        g_free(text);
    }
}

static const char *zeros(size_t bytes)
{
    static char text[2 * VHOST_USER_MAX_CONFIG_SIZE + 1];

    memset(text, '0', 2 * bytes);
    text[2 * bytes] = '\0';
    return text;
}

/* There is none, and reading it gives zeros: some front-ends do, and end at
 * an answer that is shorter than what they asked for. */
static void test_config(void)
{
    struct front f;
    char *longest = g_strconcat("00000000 00010000 00000000",
                                zeros(VHOST_USER_MAX_CONFIG_SIZE), NULL);

    front_all(&f);
    say(&f, VHOST_USER_GET_CONFIG, PLAIN,
        "00000000 04000000 00000000 ffffffff");
    answered(&f, VHOST_USER_GET_CONFIG, "00000000 04000000 00000000 00000000");
    say(&f, VHOST_USER_GET_CONFIG, PLAIN, "08000000 02000000 00000000 0000");
    answered(&f, VHOST_USER_GET_CONFIG, "08000000 02000000 00000000 0000");
    say(&f, VHOST_USER_GET_CONFIG, PLAIN, longest);
    answered(&f, VHOST_USER_GET_CONFIG, longest);
    say(&f, VHOST_USER_GET_CONFIG, PLAIN, "01000000 00010000 00000000");
    answered(&f, VHOST_USER_GET_CONFIG, "");
    say(&f, VHOST_USER_GET_CONFIG, PLAIN, "ffffffff ffffffff 00000000");
    answered(&f, VHOST_USER_GET_CONFIG, "");
    g_free(longest);
    say(&f, VHOST_USER_SET_CONFIG, NEED_REPLY,
        "00000000 04000000 00000000 01020304");
    answered(&f, VHOST_USER_SET_CONFIG, U64_1);
    front_finish(&f);
}

static void test_status(void)
{
    struct front f;

    front_all(&f);
    expect_trace(&f, "");
    tell(&f, VHOST_USER_SET_STATUS, "0f00000000000000");
    say(&f, VHOST_USER_GET_STATUS, PLAIN, "");
    answered(&f, VHOST_USER_GET_STATUS, "0f00000000000000");
    tell(&f, VHOST_USER_SET_STATUS, "0b01000000000000"); /* low 8 bits */
    say(&f, VHOST_USER_GET_STATUS, PLAIN, "");
    answered(&f, VHOST_USER_GET_STATUS, "0b00000000000000");
    expect_trace(&f, "");
    tell(&f, VHOST_USER_SET_STATUS, U64_0);
    expect_trace(&f, "R0 ");
    tell(&f, VHOST_USER_RESET_DEVICE, "");
    expect_trace(&f, "R1 ");
    /* negotiation stays */
    say(&f, 99, NEED_REPLY, "");
    answered(&f, 99, U64_1);
    front_finish(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        char *path = g_strdup_printf("/session/good/%u", rows[i].request);

        g_test_add_data_func(path, &rows[i], test_good);
        g_free(path);
        path = g_strdup_printf("/session/lengths/%u", rows[i].request);
        g_test_add_data_func(path, &rows[i], test_lengths);
        g_free(path);
        path = g_strdup_printf("/session/descriptors/%u", rows[i].request);
        g_test_add_data_func(path, &rows[i], test_descriptors);
        g_free(path);
    }
    g_test_add_func("/session/reply-ack", test_reply_ack);
    g_test_add_func("/session/features", test_features);
    g_test_add_func("/session/dialects", test_dialects);
    g_test_add_func("/session/shm-known", test_shm_known);
    g_test_add_func("/session/no-shm", test_no_shm);
    g_test_add_func("/session/inband-needs", test_inband_needs);
    g_test_add_func("/session/config", test_config);
    g_test_add_func("/session/status", test_status);
    return g_test_run();
}
