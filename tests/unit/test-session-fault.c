/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings that get what they should not, break, are reset or suspended. */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fds.h"
#include "front.h"
#include "socket.h"

/* Nothing but anonymous-inode descriptors is polled or written to. */
static void test_descriptor_kinds(void)
{
    struct bed b;
    struct front *f = &b.f;
    int pipes[2], pair[2], bad[6];

    bed_init(&b);
    g_assert_cmpint(pipe2(pipes, O_CLOEXEC), ==, 0);
    make_pair(pair);
    bad[0] = f->ram_fd;
    bad[1] = pipes[0];
    bad[2] = pipes[1];
    bad[3] = pair[0];
    bad[4] = open("/dev/null", O_RDWR | O_CLOEXEC);
    bad[5] = open("/", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        for (uint32_t request = VHOST_USER_SET_VRING_KICK;
             request <= VHOST_USER_SET_VRING_ERR; request++) {
            say_fds(f, request, NEED_REPLY, U64_1, &bad[i], 1);
            answered(f, request, U64_1);
        }
        say_fds(f, VHOST_USER_SET_LOG_FD, NEED_REPLY, "", &bad[i], 1);
        answered(f, VHOST_USER_SET_LOG_FD, U64_1);
        if (i != 3) {
            say_fds(f, VHOST_USER_SET_BACKEND_REQ_FD, NEED_REPLY, "", &bad[i],
                    1);
            answered(f, VHOST_USER_SET_BACKEND_REQ_FD, U64_1);
        }
    }
    /* index, and a descriptor where none is announced */
    say_fds(f, VHOST_USER_SET_VRING_KICK, NEED_REPLY, "0200000000000000",
            &b.fds[0].kick, 1);
    answered(f, VHOST_USER_SET_VRING_KICK, U64_1);
    say_fds(f, VHOST_USER_SET_VRING_KICK, NEED_REPLY, "0001000000000000",
            &b.fds[0].kick, 1);
    answered(f, VHOST_USER_SET_VRING_KICK, U64_1);
    say(f, VHOST_USER_SET_VRING_KICK, NEED_REPLY, "0000000000000000");
    answered(f, VHOST_USER_SET_VRING_KICK, U64_1);
    g_assert_cmpint(vwl_session_kick(f->session, 1)->fd, ==, -1);
    expect_trace(f, "");
    close(bad[4]);
    close(bad[5]);
    close(pipes[0]);
    close(pipes[1]);
    close(pair[0]);
    close(pair[1]);
    bed_finish(&b);
}

/* A call eventfd that is full and in blocking mode: the test would hang. */
static void test_full_call(void)
{
    const uint64_t full = 0xfffffffffffffffe;
    int call = eventfd(0, EFD_CLOEXEC);
    struct bed b;

    bed_init(&b);
    qemu_start(&b.f, b.fds, 0, 0);
    g_assert_cmpint(write(call, &full, 8), ==, 8);
    tell_fd(&b.f, VHOST_USER_SET_VRING_CALL, U64_1, call);
    vwl_session_call(b.f.session, 1);
    g_assert_cmphex(count_of(call), ==, full);
    vwl_session_call(b.f.session, 1);
    g_assert_cmphex(count_of(call), ==, 1);
    close(call);
    b.f.fds_before--;
    bed_finish(&b);
}

static void test_inert(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    quiet(f, VHOST_USER_SET_VRING_NUM, "01000000 00000000");
    g_assert_nonnull(strstr(f->lines->str, "SET_VRING_NUM"));
    quiet(f, VHOST_USER_SET_VRING_NUM, "01000000 01800000");
    quiet(f, VHOST_USER_SET_VRING_ADDR,
          "01000000 00000000 08400000007f0000 00600000007f0000"
          "00500000007f0000 0000000000000000");
    quiet(f, VHOST_USER_SET_VRING_NUM, "02000000 00010000");
    quiet(f, VHOST_USER_SET_VRING_BASE, "02000000 00010000");
    tell_fd(f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f->ram_fd);
    quiet(f, VHOST_USER_SET_VRING_BASE, "01000000 00000000");
    tell_fd(f, VHOST_USER_SET_VRING_KICK, U64_1, b.fds[1].kick);
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 01000000");
    expect_trace(f, "M ");
    g_assert_false(vwl_session_ring_runs(f->session, 1));
    quiet(f, VHOST_USER_SET_VRING_NUM, "01000000 00010000");
    quiet(f, VHOST_USER_SET_VRING_ADDR, ADDR_1);
    expect_trace(f, "Sd1 ");
    bed_finish(&b);
}

/* Features that were never offered: no ring starts until good ones come. */
static void test_bad_features(void)
{
    struct bed b;

    bed_init(&b);
    quiet(&b.f, VHOST_USER_SET_FEATURES, "0e00006009000000");
    qemu_start(&b.f, b.fds, 0, 0);
    expect_trace(&b.f, "M ");
    set_features(&b.f, FEATURES_QEMU);
    expect_trace(&b.f, "F16000000e Sd0 Sd1 ");
    bed_finish(&b);
}

/* Broken: err descriptor once, NEEDS_RESET, over a pause, until a reset. */
static void test_broken(void)
{
    int err = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct bed b;
    struct front *f = &b.f;

    bed_init_with(&b, FEATURES_QEMU,
                  PROTOCOL_QEMU | BIT(VHOST_USER_PROTOCOL_F_CONFIG));
    tell_fd(f, VHOST_USER_SET_VRING_ERR, U64_1, err);
    qemu_start(f, b.fds, 0, 0);
    front_take_one(f, 1);
    g_string_truncate(f->trace, 0);
    vwl_session_ring_broken(f->session, 1, "a test");
    vwl_session_ring_broken(f->session, 1, "a test");
    g_assert_cmpint(count_of(err), ==, 1);
    g_assert_false(vwl_session_ring_runs(f->session, 1));
    g_assert_true(vwl_session_ring_runs(f->session, 0));
    expect_hex(f->back, "02000000 09000000 00000000");
    expect_silence(f->back);
    send_hex(f->back, "02000000 05000000 08000000 0000000000000000", NULL, 0);
    vwl_session_dispatch_backchan(f->session);
    say(f, VHOST_USER_GET_STATUS, PLAIN, "");
    answered(f, VHOST_USER_GET_STATUS, "4000000000000000");
    g_assert_nonnull(
        strstr(f->lines->str, "ring 1 (out queue) is broken: a test"));
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 00000000");
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 01000000");
    expect_trace(f, ""); /* still */
    qemu_stop(f, "00000000", "01000000");
    g_string_truncate(f->trace, 0);
    qemu_start(f, b.fds, 0, 1);
    expect_trace(f, "M Sk0 Sk1 "); /* looked at anew */
    vwl_session_ring_broken(f->session, 1, "a test");
    g_assert_cmpint(count_of(err), ==, 1);
    qemu_stop(f, "00000000", "01000000");
    say(f, VHOST_USER_GET_STATUS, PLAIN, "");
    answered(f, VHOST_USER_GET_STATUS, "4000000000000000");
    g_string_truncate(f->trace, 0);
    memset(f->ram, 0, 0x10000);
    qemu_start(f, b.fds, 0, 0);
    expect_trace(f, "M R3 Sd0 Sd1 ");
    say(f, VHOST_USER_GET_STATUS, PLAIN, "");
    answered(f, VHOST_USER_GET_STATUS, U64_0);
    close(err);
    f->fds_before--;
    bed_finish(&b);
}

/* A front-end may set up one ring anew while the other goes on. */
static void test_broken_alone(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    qemu_start(f, b.fds, 0, 0);
    vwl_session_ring_broken(f->session, 0, "a test");
    say(f, VHOST_USER_GET_VRING_BASE, PLAIN, "00000000 00000000");
    answered(f, VHOST_USER_GET_VRING_BASE, "00000000 00000000");
    g_string_truncate(f->trace, 0);
    tell(f, VHOST_USER_SET_VRING_BASE, "00000000 00000000");
    tell_fd(f, VHOST_USER_SET_VRING_KICK, U64_0, b.fds[0].kick);
    expect_trace(f, "Sk0 ");
    g_assert_true(vwl_session_ring_runs(f->session, 0));
    g_assert_true(vwl_session_ring_runs(f->session, 1));
    say(f, VHOST_USER_GET_STATUS, PLAIN, "");
    answered(f, VHOST_USER_GET_STATUS, U64_0);
    bed_finish(&b);
}

/* A base that is none is refused, and a good one after it is taken. */
static void test_no_base(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    qemu_start(f, b.fds, 0, 0);
    qemu_stop(f, "00000000", "00000000");
    say(f, VHOST_USER_SET_VRING_BASE, NEED_REPLY, "01000000 05000100");
    answered(f, VHOST_USER_SET_VRING_BASE, U64_1);
    g_assert_nonnull(strstr(f->lines->str, "goes on at 0x10005"));
    g_assert_null(strstr(f->lines->str, "guest bug"));
    g_string_truncate(f->trace, 0);
    qemu_start(f, b.fds, 0, 0);
    expect_trace(f, "M Sk0 Sk1 ");
    bed_finish(&b);
}

/* Broken before anything was taken: its base is fresh all the same. */
static void test_broken_at_once(void)
{
    struct bed b;

    bed_init(&b);
    qemu_start(&b.f, b.fds, 0, 0);
    vwl_session_ring_broken(b.f.session, 1, "a test");
    qemu_stop(&b.f, "00000000", "00000000");
    g_string_truncate(b.f.trace, 0);
    qemu_start(&b.f, b.fds, 0, 0);
    expect_trace(&b.f, "M R3 Sd0 Sd1 ");
    bed_finish(&b);
}

/* A ring whose parts are nowhere, and one whose memory goes away. */
static void test_memory_gone(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    tell_fd(f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f->ram_fd);
    tell(f, VHOST_USER_SET_VRING_NUM, "01000000 00010000");
    tell(f, VHOST_USER_SET_VRING_BASE, "01000000 00000000");
    tell(f, VHOST_USER_SET_VRING_ADDR,
         "01000000 00000000 00400000007e0000 00600000007f0000"
         "00500000007f0000 0000000000000000");
    tell_fd(f, VHOST_USER_SET_VRING_KICK, U64_1, b.fds[1].kick);
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 01000000");
    expect_trace(f, "M ");
    say(f, VHOST_USER_GET_STATUS, PLAIN, "");
    answered(f, VHOST_USER_GET_STATUS, "4000000000000000");
    tell(f, VHOST_USER_SET_STATUS, U64_0);
    expect_trace(f, "C1 R0 ");
    qemu_start(f, b.fds, 0, 0);
    g_string_truncate(f->trace, 0);
    tell_fd(f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE,
            f->ram_fd); /* the same: goes on */
    expect_trace(f, "M ");
    tell(f, VHOST_USER_SET_MEM_TABLE, "00000000 00000000");
    expect_trace(f, "T0 T1 M ");
    g_assert_false(vwl_session_ring_runs(f->session, 1));
    qemu_stop(f, "00000000", "00000000");
    bed_finish(&b);
}

static void test_device_resets(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    for (int i = 0; i < 2; i++) {
        qemu_start(f, b.fds, 0, 0);
        g_string_truncate(f->trace, 0);
        if (i) {
            tell(f, VHOST_USER_RESET_DEVICE, "");
        } else {
            tell(f, VHOST_USER_SET_STATUS, U64_0);
        }
        expect_trace(f, i ? "T0 C0 T1 C1 R1 " : "T0 C0 T1 C1 R0 ");
        g_assert_false(vwl_session_ring_runs(f->session, 1));
        g_assert_cmpint(
            vwl_backchan_socket(vwl_session_backchan(f->session))->fd, >=, 0);
    }
    bed_finish(&b);
}

static void test_suspend(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    qemu_start(f, b.fds, 0, 0);
    g_string_truncate(f->trace, 0);
    vwl_session_suspend(f->session, true);
    expect_trace(f, "T0 T1 ");
    g_assert_false(vwl_session_ring_runs(f->session, 1));
    g_assert_cmpint(vwl_backchan_shmem_unmap(vwl_session_backchan(f->session),
                                             0, 0, 4096, NULL, NULL, 0),
                    ==, -EINPROGRESS);
    expect_silence(f->back);
    say(f, VHOST_USER_GET_QUEUE_NUM, PLAIN,
        ""); /* requests are still answered */
    answered(f, VHOST_USER_GET_QUEUE_NUM, "0200000000000000");
    vwl_session_suspend(f->session, false);
    expect_trace(f, "Sk0 Sk1 ");
    expect_hex(f->back, "0a000000 09000000 28000000 0000000000000000"
                        "0000000000000000 0000000000000000 0010000000000000"
                        "0000000000000000");
    /* started and stopped under a suspension */
    vwl_session_suspend(f->session, true);
    qemu_stop(f, "00000000", "00000000");
    g_string_truncate(f->trace, 0);
    qemu_start(f, b.fds, 0, 0);
    expect_trace(f, "M ");
    vwl_session_suspend(f->session, false);
    expect_trace(f, "Sk0 Sk1 ");
    bed_finish(&b);
}

/* No messages to the front-end while all rings are stopped. */
static void test_stopped_is_silent(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    g_assert_cmpint(vwl_backchan_shmem_unmap(vwl_session_backchan(f->session),
                                             0, 0, 4096, NULL, NULL, 0),
                    ==, -EINPROGRESS);
    expect_silence(f->back);
    qemu_start(f, b.fds, 0, 0);
    expect_hex(f->back, "0a000000 09000000 28000000 0000000000000000"
                        "0000000000000000 0000000000000000 0010000000000000"
                        "0000000000000000");
    qemu_stop(f, "00000000", "00000000");
    g_assert_cmpint(vwl_backchan_shmem_unmap(vwl_session_backchan(f->session),
                                             0, 0, 4096, NULL, NULL, 0),
                    ==, -EINPROGRESS);
    expect_silence(f->back);
    bed_finish(&b);
}

/* A refusal says in words what it is about: the numbers that were sent. */
static void test_reasons(void)
{
    static const struct {
        uint32_t request;
        const char *payload, *why;
    } rows[] = {
        { VHOST_USER_SET_VRING_NUM, "01000000 00000000",
          "request 8 (SET_VRING_NUM) refused: ring 1: a size of 0 entries is "
          "not in 1 to 32768" },
        { VHOST_USER_SET_VRING_NUM, "02000000 00010000",
          "refused: ring 2 of a device that has 2" },
        { VHOST_USER_SET_VRING_NUM, "0200",
          "refused: 2 bytes of payload instead of 8 to 8" },
        { VHOST_USER_SET_VRING_KICK, "0000000000000000",
          "refused: 0 descriptors although bit 8 says 1" },
        { VHOST_USER_SET_VRING_ENABLE, "01000000 02000000",
          "refused: ring 1: 2 is neither 0 nor 1" },
        { VHOST_USER_SET_FEATURES, "0000000000000004",
          "refused: bits 0x400000000000000 were not offered" },
        { VHOST_USER_SET_VRING_ADDR,
          "00000000 00000000 0400000000000000 0000000000000000"
          "0000000000000000 0000000000000000",
          "refused: ring 0: descriptors at 0x4, driver area at 0x0 and device "
          "area at 0x0 are not all aligned to 16, 2 and 4 bytes" },
        { VHOST_USER_SET_LOG_FD, "",
          "refused: 0 descriptors instead of 1 to 1" },
        { VHOST_USER_SET_CONFIG, "00000000 04000000 00000000 01020304",
          "refused: the configuration space is empty" },
        { VHOST_USER_SEND_RARP, "0000000000000000",
          "request 19 (SEND_RARP) refused: not a part of this device" },
        { 99, "", "request 99 (?) refused: a message that is not known" },
    };
    struct bed b;

    bed_init(&b);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        /* no line may fall to the limit on them */
        vwl_log_init(&b.f.log, b.f.log.sink, b.f.log.opaque);
        g_string_truncate(b.f.lines, 0);
        quiet(&b.f, rows[i].request, rows[i].payload);
        if (!strstr(b.f.lines->str, rows[i].why)) {
            g_error("row %zu: %s", i, b.f.lines->str);
        }
    }
    g_string_truncate(b.f.trace, 0);
    bed_finish(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fault/reasons", test_reasons);
    g_test_add_func("/fault/descriptor-kinds", test_descriptor_kinds);
    g_test_add_func("/fault/full-call", test_full_call);
    g_test_add_func("/fault/inert", test_inert);
    g_test_add_func("/fault/bad-features", test_bad_features);
    g_test_add_func("/fault/broken", test_broken);
    g_test_add_func("/fault/broken-at-once", test_broken_at_once);
    g_test_add_func("/fault/broken-alone", test_broken_alone);
    g_test_add_func("/fault/no-base", test_no_base);
    g_test_add_func("/fault/memory-gone", test_memory_gone);
    g_test_add_func("/fault/device-resets", test_device_resets);
    g_test_add_func("/fault/suspend", test_suspend);
    g_test_add_func("/fault/stopped-is-silent", test_stopped_is_silent);
    return g_test_run();
}
