/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests one by one: answers, refusals, negotiation. */
#include "front.h"

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
    { 1, "", NO_FD, ALWAYS, "0e00007407000000", U64_0 },
    { 2, "0e00006001000000", NO_FD, ASKED, U64_0, U64_1 },
    { 3, "", NO_FD, ASKED, U64_0, U64_1 },
    { 4, "", NO_FD, ASKED, U64_0, U64_1 },
    { 5, TABLE_ONE, MEMORY, ASKED, U64_0, U64_1 },
    { 6, "0010000000000000 0000000000000000", MEMORY, ALWAYS, U64_0, U64_1 },
    { 7, "", EVENT, ASKED, U64_0, U64_1 },
    { 8, "00000000 00010000", NO_FD, ASKED, U64_0, U64_1 },
    { 9, ADDR_0, NO_FD, ASKED, U64_0, U64_1 },
    { 10, "00000000 05000000", NO_FD, ASKED, U64_0, U64_1 },
    { 11, "00000000 00000000", NO_FD, ALWAYS, "00000000 00000000", "" },
    { 12, U64_0, EVENT, ASKED, U64_0, U64_1 },
    { 13, U64_0, EVENT, ASKED, U64_0, U64_1 },
    { 14, U64_0, EVENT, ASKED, U64_0, U64_1 },
    { 15, "", NO_FD, ALWAYS, "2bf6418000000000", U64_0 },
    { 16, "2bf6418000000000", NO_FD, ASKED, U64_0, U64_1 },
    { 17, "", NO_FD, ALWAYS, "0200000000000000", U64_0 },
    { 18, "01000000 01000000", NO_FD, ASKED, U64_0, U64_1 },
    { 21, "", SOCKET, ASKED, U64_0, U64_1 },
    { 22,
      "0000000000000000 0000000000000000 0000000000000000 0003"
      "000000000000",
      NO_FD, ALWAYS, U64_1, U64_1 }, /* no ACCESS_PLATFORM */
    { 24, "00000000 00000000 00000000", NO_FD, ALWAYS,
      "00000000 00000000 00000000", "" },
    { 25, "00000000 00000000 00000000", NO_FD, ASKED, U64_1, U64_1 },
    { 31, "0000000000000000 0000000000000000 0200 0001 00000000", NO_FD, ALWAYS,
      "8020000000000000 0000000000000000 0200 0001 00000000", "" },
    { 32, "8020000000000000 0000000000000000 0200 0001 00000000", BUFFER, ASKED,
      U64_0, U64_1 },
    { 34, "", NO_FD, ASKED, U64_0, U64_1 },
    { 35, "01000000 00000000", NO_FD, ASKED, U64_0, U64_1 },
    { 36, "", NO_FD, ALWAYS, "fd01000000000000", U64_0 },
    { 37, U64_0 TABLE_RAM, MEMORY, ASKED, U64_0, U64_1 },
    { 39, "0f00000000000000", NO_FD, ASKED, U64_0, U64_1 },
    { 40, "", NO_FD, ALWAYS, U64_0, U64_0 },
    { 42, "00000000 00000000", STATE, ALWAYS, "0101000000000000",
      "0101000000000000" },
    { 43, "", NO_FD, ALWAYS, U64_1, U64_1 },
    { 44, "", NO_FD, ALWAYS, SHMEM_CONFIG, "" },
    { 1004, "", NO_FD, ALWAYS,
      "0100000000000000 0000000000000000"
      "0000000001000000",
      "" },
    /* known elsewhere, unknown at all: an error if asked */
    { 19, U64_0, NO_FD, ASKED, U64_1, U64_1 },
    { 20, U64_0, NO_FD, ASKED, U64_1, U64_1 },
    { 23, U64_0, NO_FD, ASKED, U64_1, U64_1 },
    { 28, "", NO_FD, ASKED, U64_1, U64_1 },
    { 33, "", SOCKET, ASKED, U64_1, U64_1 },
    { 41, U64_0 U64_0, NO_FD, ASKED, U64_1, U64_1 },
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

        g_assert_cmpint(fd >= 0, ==, row->request == 31 && text == row->good);
        if (fd >= 0) {
            close(fd);
        }
    }
    /* still in step */
    quiet(f, 4, "");
    say(f, 17, 1, "");
    answered(f, 17, "0200000000000000");
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
        say_fds(&f, row->request, asked ? 9 : 1, row->payload, &fd,
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

        if (len == bytes->len - 1 || (row->request == 31 && len == 20) ||
            (row->request == 32 && len == 20)) {
            g_free(text);
            continue;
        }
        front_all(&f);
        fd = make_fd(&f, row->fd);
        say_fds(&f, row->request, 9, text, &fd, row->fd != NO_FD);
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
        say_fds(&f, row->request, 9, row->payload, fds, n);
        for (int i = 0; i < 3; i++) {
            close(fds[i]);
        }
        check_answer(&f, row, true, row->bad);
        expect_trace(&f, "X ");
        front_finish(&f);
    }
}

/* REPLY_ACK makes the difference, and at once. */
static void test_reply_ack(void)
{
    struct front f;

    front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
    say(&f, 3, 9, "");
    expect_silence(f.sock);
    say(&f, 99, 9, "");
    expect_silence(f.sock);
    say(&f, 16, 9, "2000400000000000");
    expect_silence(f.sock);
    tell(&f, 16, "2800400000000000");
    say(&f, 99, 9, "");
    answered(&f, 99, U64_1);
    /* a bit that was not offered: refused, nothing changes */
    say(&f, 16, 9, "0000200000000000");
    answered(&f, 16, U64_1);
    say(&f, 99, 9, "");
    answered(&f, 99, U64_1);
    front_finish(&f);
}

static void test_features(void)
{
    struct front f;

    front_init(&f, FEATURES_QEMU & ~(1ull << 30), PROTOCOL_QEMU);
    say(&f, 1, 1, "");
    answered(&f, 1, "0e00006001000000");
    handshake(&f, PROTOCOL_QEMU);
    expect_trace(&f, "X ");
    set_features(&f, 0x16000000e);
    expect_trace(&f, "F16000000e ");
    g_assert_cmphex(vwl_session_features(f.session), ==, 0x16000000e);
    say(&f, 2, 9, "0e00006005000000"); /* 34 was not offered */
    answered(&f, 2, U64_1);
    expect_trace(&f, "");
    g_assert_cmphex(vwl_session_features(f.session), ==, 0x16000000e);
    g_assert_nonnull(strstr(f.lines->str, "SET_FEATURES"));
    front_finish(&f);
}

static void test_dialects(void)
{
    static const struct {
        uint64_t bits;
        enum vwl_shm_dialect dialect;
    } cases[] = {
        { 0x28, VWL_SHM_NONE },          { 0x400028, VWL_SHM_STANDARD },
        { 0x80000028, VWL_SHM_PRIVATE }, { 0x80400028, VWL_SHM_STANDARD },
        { 0x400008, VWL_SHM_NONE }, /* no channel to ask on */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct front f;

        front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
        handshake(&f, cases[i].bits);
        g_assert_cmpint(vwl_backchan_dialect(vwl_session_backchan(f.session)),
                        ==, cases[i].dialect);
        say(&f, 1, 1, "");
        answered(&f, 1,
                 cases[i].dialect == VWL_SHM_NONE ? "0600007407000000"
                                                  : "0e00007407000000");
        front_finish(&f);
    }
}

/* Without the offer there is no region. */
static void test_no_shm(void)
{
    struct front f;

    front_init(&f, FEATURES_ALL, 0x28);
    handshake(&f, 0x28);
    say(&f, 44, 1, "");
    answered(&f, 44, SHMEM_NONE);
    say(&f, 1004, 1, "");
    answered(&f, 1004, U64_0);
    say(&f, 36, 1, "");
    answered(&f, 36, U64_0);
    say_fds(&f, 37, 9, U64_0 TABLE_RAM, &f.ram_fd, 1);
    answered(&f, 37, U64_1);
    say(&f, 38, 9, U64_0 TABLE_RAM);
    answered(&f, 38, U64_1);
    say(&f, 31, 1, "0000000000000000 0000000000000000 0200 0001 00000000");
    g_assert_cmpint(answered(&f, 31,
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

static void test_config(void)
{
    struct front f;

    front_all(&f);
    say(&f, 24, 1, "00000000 04000000 00000000 00000000");
    answered(&f, 24, "");
    say(&f, 24, 1, "01000000 00000000 00000000");
    answered(&f, 24, "");
    say(&f, 25, 9, "00000000 04000000 00000000 01020304");
    answered(&f, 25, U64_1);
    front_finish(&f);
}

static void test_status(void)
{
    struct front f;

    front_all(&f);
    expect_trace(&f, "X ");
    tell(&f, 39, "0f00000000000000");
    say(&f, 40, 1, "");
    answered(&f, 40, "0f00000000000000");
    tell(&f, 39, "0b01000000000000"); /* low 8 bits */
    say(&f, 40, 1, "");
    answered(&f, 40, "0b00000000000000");
    expect_trace(&f, "");
    tell(&f, 39, U64_0);
    expect_trace(&f, "R0 ");
    tell(&f, 34, "");
    expect_trace(&f, "R1 ");
    /* negotiation stays */
    say(&f, 99, 9, "");
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
    g_test_add_func("/session/no-shm", test_no_shm);
    g_test_add_func("/session/inband-needs", test_inband_needs);
    g_test_add_func("/session/config", test_config);
    g_test_add_func("/session/status", test_status);
    return g_test_run();
}
