/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory tables, and streams that are no conversation. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "front.h"
#include "socket.h"

static void front_all(struct front *f)
{
    front_init(f, FEATURES_ALL, PROTOCOL_ALL);
    handshake(f, PROTOCOL_ALL);
}

/* ---- memory ----------------------------------------------------------- */

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
        say_fds(&f, VHOST_USER_SET_MEM_TABLE, NEED_REPLY, two, fds, 2);
        answered(&f, VHOST_USER_SET_MEM_TABLE, U64_1);
        g_assert_cmpuint(count_maps(), ==, maps); /* all or nothing */
        tell_fd(&f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f.ram_fd);
        g_assert_cmpuint(count_maps(), ==, maps + 1);
        say_fds(&f, VHOST_USER_SET_MEM_TABLE, NEED_REPLY, two, fds, 2);
        answered(&f, VHOST_USER_SET_MEM_TABLE, U64_1);
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
    say_fds(&f, VHOST_USER_SET_MEM_TABLE, NEED_REPLY, TABLE_ONE, fds, 2);
    answered(&f, VHOST_USER_SET_MEM_TABLE, U64_1);
    say_fds(&f, VHOST_USER_SET_MEM_TABLE, NEED_REPLY, TABLE_ONE, fds, 0);
    answered(&f, VHOST_USER_SET_MEM_TABLE, U64_1);
    say_fds(&f, VHOST_USER_SET_MEM_TABLE, NEED_REPLY,
            "02000000 00000000" TABLE_RAM, fds, 2);
    answered(&f, VHOST_USER_SET_MEM_TABLE, U64_1);
    say_fds(&f, VHOST_USER_SET_MEM_TABLE, NEED_REPLY,
            "ffffffff 00000000" TABLE_RAM, fds, 1);
    answered(&f, VHOST_USER_SET_MEM_TABLE, U64_1);
    say_fds(&f, VHOST_USER_SET_MEM_TABLE, NEED_REPLY,
            "02000000 00000000" TABLE_RAM TABLE_RAM, fds, 2);
    answered(&f, VHOST_USER_SET_MEM_TABLE, U64_1);
    expect_trace(&f, "");
    tell_fd(&f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f.ram_fd);
    expect_trace(&f, "M ");
    tell(&f, VHOST_USER_SET_MEM_TABLE, "00000000 00000000");
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
    expect_trace(&f, "");
    f.own_fd = make_memfd(0x3000);
    f.own = true;
    f.own_offset = 0x4000;
    fds[0] = f.ram_fd;
    fds[1] = f.own_fd;
    maps = count_maps();
    say_fds(&f, VHOST_USER_SET_MEM_TABLE, NEED_REPLY, two, fds, 2);
    answered(&f, VHOST_USER_SET_MEM_TABLE, U64_0);
    /* 0xfe00005000 is where offset 0x4000 + 0x1000 of region 0 lies */
    expect_trace(&f, "Bfe00000000 M ");
    g_assert_cmpuint(count_maps(), ==, maps + 1);
    /* one that can not be mapped at all does not matter either */
    g_assert_cmpint(ftruncate(f.own_fd, 0), ==, 0);
    say_fds(&f, VHOST_USER_SET_MEM_TABLE, NEED_REPLY, two, fds, 2);
    answered(&f, VHOST_USER_SET_MEM_TABLE, U64_0);
    expect_trace(&f, "Bfe00000000 M ");
    tell_fd(&f, VHOST_USER_ADD_MEM_REG,
            U64_0 "0090000000fe0000 0010000000000000"
                  "000000000b7f0000 0000000000000000",
            f.own_fd);
    expect_trace(&f, "Bfe0000005000 ");
    tell(&f, VHOST_USER_REM_MEM_REG,
         U64_0 "0090000000fe0000 0010000000000000"
               "000000000b7f0000 0000000000000000");
    say(&f, VHOST_USER_REM_MEM_REG, NEED_REPLY,
        U64_0 "0090000000fe0000 0010000000000000"
              "000000000b7f0000 0000000000000000");
    answered(&f, VHOST_USER_REM_MEM_REG, U64_1);
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
    expect_trace(&f, "");
    maps = count_maps();
    tell_fd(&f, VHOST_USER_ADD_MEM_REG, U64_0 TABLE_RAM, f.ram_fd);
    expect_trace(&f, "M ");
    g_assert_cmpuint(count_maps(), ==, maps + 1);
    say_fds(&f, VHOST_USER_ADD_MEM_REG, NEED_REPLY, U64_0 TABLE_RAM, &f.ram_fd,
            1);
    answered(&f, VHOST_USER_ADD_MEM_REG, U64_1);
    /* the offset does not count, a descriptor that comes is closed */
    fd = make_memfd(1);
    tell_fd(&f, VHOST_USER_REM_MEM_REG,
            U64_0 "0000000000000000 0000100000000000"
                  "00000000007f0000 0070000000000000",
            fd);
    close(fd);
    g_assert_cmpuint(count_maps(), ==, maps);
    expect_trace(&f, "M ");
    say(&f, VHOST_USER_REM_MEM_REG, NEED_REPLY, U64_0 TABLE_RAM);
    answered(&f, VHOST_USER_REM_MEM_REG, U64_1);
    front_finish(&f);
}

/* ---- streams ---------------------------------------------------------- */

static void test_bytewise(void)
{
    GByteArray *bytes = unhex("10000000 01000000 08000000 2800400000000000"
                              "03000000 09000000 00000000"
                              "0c000000 09000000 08000000 0100000000000000"
                              "01000000 01000000 00000000");
    int kick = eventfd(0, EFD_CLOEXEC);
    struct front f;

    front_init(&f, FEATURES_ALL, PROTOCOL_ALL);
    for (guint i = 0; i < bytes->len; i++) {
        socket_send(f.sock, bytes->data + i, 1, &kick, i == 32);
        g_assert_cmpint(vwl_session_dispatch(f.session), ==, 0);
    }
    expect_hex(f.sock, "03000000 05000000 08000000 0000000000000000"
                       "0c000000 05000000 08000000 0000000000000000"
                       "01000000 05000000 08000000 0e00007407000000");
    g_assert_cmpint(vwl_session_kick(f.session, 1)->fd, >=, 0);
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
        socket_send(f.sock, bytes, sizeof bytes, &f.ram_fd, 1);
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
        "01000000 00000000 00000000",
        "01000000 02000000 00000000",
        "01000000 05000000 00000000",
        "01000000 01000000 01100000",
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
    tell_fd(&f, VHOST_USER_SET_VRING_KICK, U64_1, kick);
    tell_fd(&f, VHOST_USER_SET_VRING_CALL, U64_1, call);
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
