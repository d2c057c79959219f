/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests one by one: answers, refusals, negotiation, memory, streams. */
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
    { 22, "0000000000000000 0000000000000000 0000000000000000 0003"
      "000000000000", NO_FD, ALWAYS, U64_1, U64_1 }, /* no ACCESS_PLATFORM */
    { 24, "00000000 00000000 00000000", NO_FD, ALWAYS,
      "00000000 00000000 00000000", "" },
    { 25, "00000000 00000000 00000000", NO_FD, ASKED, U64_1, U64_1 },
    { 31, "0000000000000000 0000000000000000 0200 0001 00000000", NO_FD,
      ALWAYS, "8020000000000000 0000000000000000 0200 0001 00000000", "" },
    { 32, "8020000000000000 0000000000000000 0200 0001 00000000", BUFFER,
      ASKED, U64_0, U64_1 },
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
    { 1004, "", NO_FD, ALWAYS, "0100000000000000 0000000000000000"
      "0000000001000000", "" },
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

        if (len == bytes->len - 1 ||
            (row->request == 31 && len == 20) ||
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
        { 0x28, VWL_SHM_NONE }, { 0x400028, VWL_SHM_STANDARD },
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
        answered(&f, 1, cases[i].dialect == VWL_SHM_NONE ?
                 "0600007407000000" : "0e00007407000000");
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
    g_assert_cmpint(answered(&f, 31, "0000000000000000 0000000000000000"
                             "0200 0001 00000000"), ==, -1);
    front_finish(&f);
}

static void test_inband_needs(void)
{
    static const char *const bits[] = {
        "0040000000000000", "0840000000000000", "2040000000000000",
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

/* ---- memory ----------------------------------------------------------- */

static unsigned int count_maps(void)
{
    char *text = NULL, *p;
    unsigned int n = 0;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    for (p = text; (p = strstr(p, "memfd:test")); p++) {
        n++;
    }
    g_free(text);
    return n;
}

static void test_memory_refused(void)
{
    static const char *const bad[] = {
        /* a page longer than its file */
        "0000000000000000 0010100000000000 00000000007f0000 0000000000000000",
        /* beyond its file by the offset */
        "0000000000000000 0000100000000000 00000000007f0000 0010000000000000",
        /* nothing; wraps */
        "0000000000000000 0000000000000000 00000000007f0000 0000000000000000",
        "00f0ffffffffffff 0020000000000000 00000000007f0000 0000000000000000",
        "0000000000000000 0020000000000000 00f0ffffffffffff 0000000000000000",
        "0000000000000000 0020000000000000 00000000007f0000 00f0ffffffffffff",
        /* over the first */
        "00f00f0000000000 0010000000000000 000000000a7f0000 0000000000000000",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        char *two = g_strconcat("02000000 00000000", TABLE_RAM, bad[i], NULL);
        unsigned int maps;
        struct front f;
        int fds[2];

        front_all(&f);
        maps = count_maps();
        fds[0] = fds[1] = f.ram_fd;
        say_fds(&f, 5, 9, two, fds, 2);
        answered(&f, 5, U64_1);
        g_assert_cmpuint(count_maps(), ==, maps); /* all or nothing */
        tell_fd(&f, 5, TABLE_ONE, f.ram_fd);
        g_assert_cmpuint(count_maps(), ==, maps + 1);
        say_fds(&f, 5, 9, two, fds, 2);
        answered(&f, 5, U64_1);
        g_assert_cmpuint(count_maps(), ==, maps + 1); /* the old one stays */
        front_finish(&f);
        g_free(two);
    }
}

static void test_memory_counts(void)
{
    struct front f;
    int fds[2];

    front_all(&f);
    fds[0] = fds[1] = f.ram_fd;
    say_fds(&f, 5, 9, TABLE_ONE, fds, 2);
    answered(&f, 5, U64_1);
    say_fds(&f, 5, 9, TABLE_ONE, fds, 0);
    answered(&f, 5, U64_1);
    say_fds(&f, 5, 9, "02000000 00000000" TABLE_RAM, fds, 2);
    answered(&f, 5, U64_1);
    say_fds(&f, 5, 9, "ffffffff 00000000" TABLE_RAM, fds, 1);
    answered(&f, 5, U64_1);
    say_fds(&f, 5, 9, "02000000 00000000" TABLE_RAM TABLE_RAM, fds, 2);
    answered(&f, 5, U64_1);
    expect_trace(&f, "X ");
    tell_fd(&f, 5, TABLE_ONE, f.ram_fd);
    expect_trace(&f, "M ");
    tell(&f, 5, "00000000 00000000");
    expect_trace(&f, "M ");
    front_finish(&f);
}

/* A piece of region 0 is no guest memory and says where the region is. */
static void test_memory_own(void)
{
    static const char two[] =
        "02000000 00000000" TABLE_RAM
        /* guest 0xfe00005000, offset 0x1000 in the file */
        "00500000fe000000 0020000000000000 000000000a7f0000 0010000000000000";
    unsigned int maps;
    struct front f;
    int fds[2];

    front_all(&f);
    expect_trace(&f, "X ");
    f.own_fd = make_memfd(0x3000);
    f.own = true;
    f.own_offset = 0x4000;
    fds[0] = f.ram_fd;
    fds[1] = f.own_fd;
    maps = count_maps();
    say_fds(&f, 5, 9, two, fds, 2);
    answered(&f, 5, U64_0);
    /* 0xfe00005000 is where offset 0x4000 + 0x1000 of region 0 lies */
    expect_trace(&f, "Bfe00000000 M ");
    g_assert_cmpuint(count_maps(), ==, maps + 1);
    /* one that can not be mapped at all does not matter either */
    g_assert_cmpint(ftruncate(f.own_fd, 0), ==, 0);
    say_fds(&f, 5, 9, two, fds, 2);
    answered(&f, 5, U64_0);
    expect_trace(&f, "Bfe00000000 M ");
    tell_fd(&f, 37, U64_0 "0090000000fe0000 0010000000000000"
            "000000000b7f0000 0000000000000000", f.own_fd);
    expect_trace(&f, "Bfe0000005000 ");
    tell(&f, 38, U64_0 "0090000000fe0000 0010000000000000"
         "000000000b7f0000 0000000000000000");
    say(&f, 38, 9, U64_0 "0090000000fe0000 0010000000000000"
        "000000000b7f0000 0000000000000000");
    answered(&f, 38, U64_1);
    close(f.own_fd);
    f.own = false;
    front_finish(&f);
}

static void test_slots(void)
{
    unsigned int maps;
    struct front f;
    int fd;

    front_all(&f);
    expect_trace(&f, "X ");
    maps = count_maps();
    tell_fd(&f, 37, U64_0 TABLE_RAM, f.ram_fd);
    expect_trace(&f, "M ");
    g_assert_cmpuint(count_maps(), ==, maps + 1);
    say_fds(&f, 37, 9, U64_0 TABLE_RAM, &f.ram_fd, 1);
    answered(&f, 37, U64_1);
    /* the offset does not count, a descriptor that comes is closed */
    fd = make_memfd(1);
    tell_fd(&f, 38, U64_0 "0000000000000000 0000100000000000"
            "00000000007f0000 0070000000000000", fd);
    close(fd);
    g_assert_cmpuint(count_maps(), ==, maps);
    expect_trace(&f, "M ");
    say(&f, 38, 9, U64_0 TABLE_RAM);
    answered(&f, 38, U64_1);
    front_finish(&f);
}

/* ---- streams ---------------------------------------------------------- */

static void test_bytewise(void)
{
    GByteArray *bytes = unhex(
        "10000000 01000000 08000000 2800400000000000"
        "03000000 09000000 00000000"
        "0c000000 09000000 08000000 0100000000000000"
        "01000000 01000000 00000000");
    int kick = eventfd(0, EFD_CLOEXEC);
    struct front f;

    front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
    for (guint i = 0; i < bytes->len; i++) {
        send_bytes(f.sock, bytes->data + i, 1, &kick, i == 32);
        g_assert_cmpint(vwl_session_dispatch(f.session), ==, 0);
    }
    expect_hex(f.sock, "03000000 05000000 08000000 0000000000000000"
               "0c000000 05000000 08000000 0000000000000000"
               "01000000 05000000 08000000 0e00007407000000");
    g_assert_cmpint(vwl_session_kick_fd(f.session, 1), >=, 0);
    g_byte_array_unref(bytes);
    close(kick);
    f.fds_before--;
    front_finish(&f);
}

static void test_garbage(void)
{
    GRand *rand = g_rand_new_with_seed(20261121);

    for (int round = 0; round < 300; round++) {
        guint8 bytes[600];
        struct front f;

        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (guint8)g_rand_int(rand);
        }
        if (round % 2) { /* a good head */
            memcpy(bytes, "\0\0\0\0\1\0\0\0\0\0\0\0", 12);
            bytes[0] = (guint8)(round / 2 % 46);
            bytes[4] = (guint8)(round % 4 == 1 ? 1 : 9);
            bytes[8] = (guint8)g_rand_int_range(rand, 0, 100);
        }
        front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
        send_bytes(f.sock, bytes, sizeof bytes, &f.ram_fd, 1);
        for (int i = 0; i < 20; i++) {
            int err = vwl_session_dispatch(f.session);

            g_assert_true(err == 0 || err == -EPROTO);
        }
        front_finish(&f);
    }
    g_rand_free(rand);
}

static void test_malformed(void)
{
    static const char *const heads[] = {
        "01000000 00000000 00000000", "01000000 02000000 00000000",
        "01000000 05000000 00000000", "01000000 01000000 01100000",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(heads); i++) {
        struct front f;

        front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
        send_hex(f.sock, heads[i], NULL, 0);
        g_assert_cmpint(vwl_session_dispatch(f.session), ==, -EPROTO);
        g_assert_nonnull(strstr(f.lines->str, "malformed stream"));
        expect_silence(f.sock);
        front_finish(&f);
    }
}

static void test_end(void)
{
    struct front f;

    front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
    close(f.sock);
    f.sock = eventfd(0, 0); /* for front_finish to close */
    g_assert_cmpint(vwl_session_dispatch(f.session), ==, -ECONNRESET);
    front_finish(&f);
}

/* Requests without end and no answer read: we stop reading, and go on. */
static void test_flood(void)
{
    GByteArray *one = unhex("2c000000 01000000 00000000");
    unsigned int sent = 0, got = 0;
    guint8 bytes[12 + 2056];
    struct front f;

    front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
    while (send(f.sock, one->data, one->len, MSG_DONTWAIT) == 12) {
        sent++;
        g_assert_cmpint(vwl_session_dispatch(f.session), ==, 0);
        g_assert_cmpuint(sent, <, 1000000);
    }
    g_assert_true(vwl_session_wants_write(f.session));
    g_assert_false(vwl_session_wants_read(f.session));
    while (got < sent) {
        size_t have = 0;

        while (have < sizeof bytes) {
            ssize_t n = recv(f.sock, bytes + have, sizeof bytes - have,
                             MSG_DONTWAIT);

            if (n < 0) {
                g_assert_cmpint(vwl_session_dispatch(f.session), ==, 0);
            } else {
                have += (size_t)n;
            }
        }
        g_assert_cmpuint(bytes[0], ==, 0x2c);
        got++;
    }
    g_assert_cmpint(vwl_session_dispatch(f.session), ==, 0);
    expect_silence(f.sock);
    g_assert_true(vwl_session_wants_read(f.session));
    g_byte_array_unref(one);
    front_finish(&f);
}

/* What is shared with strangers keeps its flags. */
static void test_flags_untouched(void)
{
    int kick = eventfd(0, EFD_CLOEXEC);
    int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int before[2] = { fcntl(kick, F_GETFL), fcntl(call, F_GETFL) };
    struct front f;
    int sock;

    front_all(&f);
    sock = fcntl(f.back, F_GETFL);
    tell_fd(&f, 12, U64_1, kick);
    tell_fd(&f, 13, U64_1, call);
    g_assert_cmpint(fcntl(kick, F_GETFL), ==, before[0]);
    g_assert_cmpint(fcntl(call, F_GETFL), ==, before[1]);
    g_assert_cmpint(fcntl(f.back, F_GETFL), ==, sock);
    close(kick);
    close(call);
    f.fds_before -= 2;
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
    g_test_add_func("/session/memory-refused", test_memory_refused);
    g_test_add_func("/session/memory-counts", test_memory_counts);
    g_test_add_func("/session/memory-own", test_memory_own);
    g_test_add_func("/session/slots", test_slots);
    g_test_add_func("/session/bytewise", test_bytewise);
    g_test_add_func("/session/garbage", test_garbage);
    g_test_add_func("/session/malformed", test_malformed);
    g_test_add_func("/session/end", test_end);
    g_test_add_func("/session/flood", test_flood);
    g_test_add_func("/session/flags-untouched", test_flags_untouched);
    return g_test_run();
}
