/* SPDX-License-Identifier: BSD-3-Clause */
/* Rings: the recorded sequences of QEMU 11.1, and what may come between. */
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fds.h"
#include "front.h"

/* Section 2: handshake, DRIVER_OK, stop, in the recorded order. */
static void test_qemu_start(void)
{
    int err = eventfd(0, EFD_CLOEXEC);
    struct bed b;
    struct front *f = &b.f;

    front_init(f, FEATURES_QEMU, PROTOCOL_QEMU);
    ring_fds_init(&b.fds[0]);
    ring_fds_init(&b.fds[1]);
    say(f, VHOST_USER_GET_FEATURES, PLAIN, "");
    answered(f, VHOST_USER_GET_FEATURES, "0600006001000000");
    say(f, VHOST_USER_GET_PROTOCOL_FEATURES, PLAIN, "");
    answered(f, VHOST_USER_GET_PROTOCOL_FEATURES, "2800400000000000");
    handshake(f,
              PROTOCOL_QEMU); /* SET_PROTOCOL_FEATURES, BACKEND_REQ_FD, OWNER */
    say(f, VHOST_USER_GET_FEATURES, PLAIN, "");
    answered(f, VHOST_USER_GET_FEATURES, "0e00006001000000");
    for (int i = 0; i < 2; i++) {
        const char *index = i ? U64_1 : U64_0;

        tell_fd(f, VHOST_USER_SET_VRING_CALL, index, b.fds[i].call);
        tell_fd(f, VHOST_USER_SET_VRING_ERR, index, err);
    }
    expect_trace(f, "");
    g_assert_cmpint(count_of(b.fds[0].call), ==, 0);
    set_features(f, FEATURES_QEMU);
    expect_trace(f, "F16000000e ");
    g_assert_false(vwl_session_ring_runs(f->session, 0));
    qemu_start(f, b.fds, 0, 0);
    /* the in ring is not reported before the out ring */
    expect_trace(f, "M Sd0 Sd1 ");
    g_assert_true(vwl_session_ring_runs(f->session, 0));
    g_assert_true(vwl_session_ring_runs(f->session, 1));
    g_assert_cmpuint(vwl_session_ring_size(f->session, 1), ==, 256);
    g_assert_true(
        same_file(vwl_session_kick(f->session, 1)->fd, b.fds[1].kick));
    /* the last descriptors are the ones that QEMU listens to */
    g_assert_cmpint(count_of(b.fds[0].call), ==, 1);
    g_assert_cmpint(count_of(b.fds[1].call), ==, 1);
    vwl_session_call(f->session, 1);
    g_assert_cmpint(count_of(b.fds[1].call), ==, 1);
    front_take_one(f, 1);
    qemu_stop(f, "00000000", "01000000");
    expect_trace(f, "T0 T1 C0 C1 ");
    g_assert_cmpint(vwl_session_kick(f->session, 0)->fd, ==, -1);
    vwl_session_call(f->session, 1); /* suspended: none */
    g_assert_cmpint(count_of(b.fds[1].call), ==, 0);
    close(err);
    f->fds_before--;
    bed_finish(&b);
}

static void run_once(struct bed *b)
{
    qemu_start(&b->f, b->fds, 0, 0);
    front_take_one(&b->f, 0);
    front_take_one(&b->f, 1);
    front_take_one(&b->f, 1);
    qemu_stop(&b->f, "01000000", "02000000");
    g_string_truncate(b->f.trace, 0);
}

/* Section 4: stop and cont. */
static void test_qemu_pause(void)
{
    struct bed b;

    bed_init(&b);
    run_once(&b);
    qemu_start(&b.f, b.fds, 1, 2);
    expect_trace(&b.f, "M Sk0 Sk1 ");
    qemu_stop(&b.f, "01000000", "02000000");
    set_features(&b.f, FEATURES_QEMU);
    g_string_truncate(b.f.trace, 0);
    qemu_start(&b.f, b.fds, 1, 2);
    expect_trace(&b.f, "M Sk0 Sk1 ");
    bed_finish(&b);
}

/* Section 4: system_reset, guest reboot, driver unbind. */
static void test_qemu_reset(void)
{
    struct bed b;

    bed_init(&b);
    run_once(&b);
    set_features(&b.f, FEATURES_QEMU);
    g_string_truncate(b.f.trace, 0);
    memset(b.f.ram, 0, 0x10000);
    qemu_start(&b.f, b.fds, 0, 0);
    expect_trace(&b.f, "M R3 Sd0 Sd1 ");
    /* and that once */
    qemu_stop(&b.f, "00000000", "00000000");
    g_string_truncate(b.f.trace, 0);
    qemu_start(&b.f, b.fds, 0, 0);
    expect_trace(&b.f, "M Sk0 Sk1 ");
    bed_finish(&b);
}

/* An index that wrapped to 0 by itself: the in ring tells. */
static void test_wrapped_index(void)
{
    struct bed b;

    bed_init(&b);
    run_once(&b);
    qemu_start(&b.f, b.fds, 1, 0);
    expect_trace(&b.f, "M Sk0 Sd1 ");
    bed_finish(&b);
}

static void test_other_base(void)
{
    struct bed b;

    bed_init(&b);
    run_once(&b);
    qemu_start(&b.f, b.fds, 1, 7);
    expect_trace(&b.f, "M Sk0 Sd1 ");
    bed_finish(&b);
}

static void test_packed_bases(void)
{
    uint64_t features = FEATURES_QEMU | BIT(VIRTIO_F_RING_PACKED);
    struct vwl_chain *chain;
    struct vwl_vq *vq;
    struct bed b;

    bed_init_with(&b, features, PROTOCOL_QEMU);
    qemu_start(&b.f, b.fds, 0x80008000, 0x80008000);
    vq = vwl_session_vq(b.f.session, 1);
    memcpy(b.f.ram + 0x4000, "\0\0\1\0\0\0\0\0\20\0\0\0\3\0\x80\0", 16);
    g_assert_cmpint(vwl_vq_pop(vq, &chain), ==, 1);
    vwl_vq_push(vq, &chain, 0);
    g_assert_cmpint(vwl_vq_publish(vq), >=, 0);
    qemu_stop(&b.f, "00800080", "01800180");
    g_string_truncate(b.f.trace, 0);
    memset(b.f.ram, 0, 0x10000);
    qemu_start(&b.f, b.fds, 0x80008000, 0x80018001);
    expect_trace(&b.f, "M Sk0 Sk1 ");
    qemu_stop(&b.f, "00800080", "01800180");
    g_string_truncate(b.f.trace, 0);
    qemu_start(&b.f, b.fds, 0x80008000, 0x80008000);
    expect_trace(&b.f, "M R3 Sd0 Sd1 ");
    bed_finish(&b);
}

/* Section 4: device_del, device_add on the same chardev. */
static void test_second_handshake(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    run_once(&b);
    close(f->back);
    f->back = -1;
    vwl_session_dispatch_backchan(f->session);
    expect_trace(f, "R4 ");
    g_assert_cmpint(vwl_backchan_socket(vwl_session_backchan(f->session))->fd,
                    ==, -1);
    say(f, VHOST_USER_GET_FEATURES, PLAIN, "");
    answered(f, VHOST_USER_GET_FEATURES, "0e00007407000000");
    say(f, VHOST_USER_GET_PROTOCOL_FEATURES, PLAIN, "");
    answered(f, VHOST_USER_GET_PROTOCOL_FEATURES, "2bf6418000000000");
    handshake(f, PROTOCOL_QEMU);
    expect_trace(f, "R2 ");
    g_assert_cmpint(vwl_backchan_socket(vwl_session_backchan(f->session))->fd,
                    >=, 0);
    say(f, VHOST_USER_GET_SHMEM_CONFIG, PLAIN, "");
    g_assert_cmpint(recv(f->sock, (char[2068]){ 0 }, 2068, MSG_DONTWAIT), ==,
                    2068);
    set_features(f, FEATURES_QEMU);
    memset(f->ram, 0, 0x10000);
    g_string_truncate(f->trace, 0);
    qemu_start(f, b.fds, 0, 0);
    expect_trace(f, "M Sd0 Sd1 ");
    bed_finish(&b);
}

/* The new channel may come before the end of the old one is seen. */
static void test_channel_replaced(void)
{
    struct bed b;

    bed_init(&b);
    run_once(&b);
    handshake(&b.f, PROTOCOL_QEMU);
    expect_trace(&b.f, "R4 R2 ");
    bed_finish(&b);
}

static void test_channel_ends_running(void)
{
    struct bed b;

    bed_init(&b);
    qemu_start(&b.f, b.fds, 0, 0);
    g_string_truncate(b.f.trace, 0);
    close(b.f.back);
    b.f.back = -1;
    vwl_session_dispatch_backchan(b.f.session);
    expect_trace(&b.f, "");
    g_assert_true(vwl_session_ring_runs(b.f.session, 1));
    bed_finish(&b);
}

/* crosvm: NUM, ADDR, BASE, CALL, KICK, ENABLE per ring, features once. */
static void test_crosvm_order(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    for (int round = 0; round < 2; round++) {
        say_fds(f, VHOST_USER_SET_MEM_TABLE, PLAIN, TABLE_ONE, &f->ram_fd, 1);
        for (int i = 0; i < 2; i++) {
            quiet(f, VHOST_USER_SET_VRING_NUM,
                  i ? "01000000 00010000" : "00000000 00010000");
            quiet(f, VHOST_USER_SET_VRING_ADDR, i ? ADDR_1 : ADDR_0);
            set_base(f, (unsigned int)i, 0);
            say_fds(f, VHOST_USER_SET_VRING_CALL, PLAIN, i ? U64_1 : U64_0,
                    &b.fds[i].call, 1);
            say_fds(f, VHOST_USER_SET_VRING_KICK, PLAIN, i ? U64_1 : U64_0,
                    &b.fds[i].kick, 1);
            g_assert_false(vwl_session_ring_runs(f->session, 0));
            quiet(f, VHOST_USER_SET_VRING_ENABLE,
                  i ? "01000000 01000000" : "00000000 01000000");
        }
        expect_trace(f, round ? "M R3 Sd0 Sd1 " : "M Sd0 Sd1 ");
        front_take_one(f, 1);
        for (int i = 0; i < 2; i++) {
            quiet(f, VHOST_USER_SET_VRING_ENABLE,
                  i ? "01000000 00000000" : "00000000 00000000");
            say(f, VHOST_USER_GET_VRING_BASE, PLAIN,
                i ? "01000000 00000000" : "00000000 00000000");
            answered(f, VHOST_USER_GET_VRING_BASE,
                     i ? "01000000 01000000" : "00000000 00000000");
        }
        memset(f->ram, 0, 0x10000);
        g_string_truncate(f->trace, 0);
    }
    bed_finish(&b);
}

/* Enabled before the kick, remembered over a stop. */
static void test_enable_first(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    tell_fd(f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f->ram_fd);
    tell(f, VHOST_USER_SET_VRING_ENABLE, "00000000 01000000");
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 01000000");
    for (int round = 0; round < 2; round++) {
        g_string_truncate(f->trace, 0);
        tell(f, VHOST_USER_SET_VRING_NUM, "01000000 00010000");
        tell(f, VHOST_USER_SET_VRING_BASE, "01000000 00000000");
        tell(f, VHOST_USER_SET_VRING_ADDR, ADDR_1);
        expect_trace(f, "");
        tell_fd(f, VHOST_USER_SET_VRING_KICK, U64_1, b.fds[1].kick);
        expect_trace(f, round ? "Sk1 " : "Sd1 ");
        say(f, VHOST_USER_GET_VRING_BASE, PLAIN, "01000000 00000000");
        answered(f, VHOST_USER_GET_VRING_BASE, "01000000 00000000");
        expect_trace(f, "T1 C1 ");
    }
    bed_finish(&b);
}

/* An old front-end: no bit 30, so no ENABLE. */
static void test_no_protocol_features(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    set_features(f, FEATURES_QEMU & ~BIT(VHOST_USER_F_PROTOCOL_FEATURES));
    g_string_truncate(f->trace, 0);
    tell_fd(f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f->ram_fd);
    tell(f, VHOST_USER_SET_VRING_NUM, "01000000 00010000");
    tell(f, VHOST_USER_SET_VRING_BASE, "01000000 00000000");
    tell(f, VHOST_USER_SET_VRING_ADDR, ADDR_1);
    tell_fd(f, VHOST_USER_SET_VRING_KICK, U64_1, b.fds[1].kick);
    expect_trace(f, "M Sd1 ");
    bed_finish(&b);
}

static void test_base_without_run(void)
{
    struct bed b;

    bed_init(&b);
    set_base(&b.f, 1, 0x1234);
    say(&b.f, VHOST_USER_GET_VRING_BASE, PLAIN, "01000000 00000000");
    answered(&b.f, VHOST_USER_GET_VRING_BASE, "01000000 34120000");
    say(&b.f, VHOST_USER_GET_VRING_BASE, PLAIN, "02000000 00000000");
    answered(&b.f, VHOST_USER_GET_VRING_BASE, "");
    bed_finish(&b);
}

static void test_disable_and_enable(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    qemu_start(f, b.fds, 0, 0);
    g_string_truncate(f->trace, 0);
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 00000000");
    expect_trace(f, "T1 ");
    g_assert_false(vwl_session_ring_runs(f->session, 1));
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 01000000");
    expect_trace(f, "Sk1 ");
    say(f, VHOST_USER_SET_VRING_ENABLE, NEED_REPLY, "01000000 02000000");
    answered(f, VHOST_USER_SET_VRING_ENABLE, U64_1);
    say(f, VHOST_USER_SET_VRING_ENABLE, NEED_REPLY, "02000000 01000000");
    answered(f, VHOST_USER_SET_VRING_ENABLE, U64_1);
    expect_trace(f, "");
    bed_finish(&b);
}

/* On a running ring: new descriptors, the same addresses, other features. */
static void test_running_changes(void)
{
    struct ring_fds other;
    struct bed b;
    struct front *f = &b.f;

    bed_init(&b);
    ring_fds_init(&other);
    qemu_start(f, b.fds, 0, 0);
    g_string_truncate(f->trace, 0);
    count_of(b.fds[1].call);
    tell_fd(f, VHOST_USER_SET_VRING_CALL, U64_1, other.call);
    g_assert_cmpint(count_of(other.call), ==, 1);
    vwl_session_call(f->session, 1);
    g_assert_cmpint(count_of(other.call), ==, 1);
    g_assert_cmpint(count_of(b.fds[1].call), ==, 0);
    tell_fd(f, VHOST_USER_SET_VRING_KICK, U64_1, other.kick);
    expect_trace(f, "C1 ");
    g_assert_true(same_file(vwl_session_kick(f->session, 1)->fd, other.kick));
    tell(f, VHOST_USER_SET_VRING_KICK, "0101000000000000"); /* polling mode */
    expect_trace(f, "C1 ");
    g_assert_cmpint(vwl_session_kick(f->session, 1)->fd, ==, -1);
    tell(f, VHOST_USER_SET_VRING_CALL, "0101000000000000");
    vwl_session_call(f->session, 1);
    g_assert_cmpint(count_of(other.call), ==, 0);
    tell(f, VHOST_USER_SET_VRING_ADDR,
         "01000000 01000000 00400000007f0000 00600000007f0000"
         "00500000007f0000 0060000000000000"); /* log on */
    say(f, VHOST_USER_SET_VRING_ADDR, NEED_REPLY,
        "01000000 00000000 00500000007f0000 00600000007f0000"
        "00500000007f0000 0000000000000000"); /* elsewhere */
    answered(f, VHOST_USER_SET_VRING_ADDR, U64_1);
    set_features(f, FEATURES_QEMU | BIT(VHOST_F_LOG_ALL));
    say(f, VHOST_USER_SET_FEATURES, NEED_REPLY,
        "0000006001000000"); /* not under a running ring */
    answered(f, VHOST_USER_SET_FEATURES, U64_1);
    say(f, VHOST_USER_SET_VRING_NUM, NEED_REPLY, "01000000 80000000");
    answered(f, VHOST_USER_SET_VRING_NUM, U64_1);
    say(f, VHOST_USER_SET_VRING_BASE, NEED_REPLY, "01000000 05000000");
    answered(f, VHOST_USER_SET_VRING_BASE, U64_1);
    expect_trace(f, "");
    g_assert_true(vwl_session_ring_runs(f->session, 1));
    ring_fds_finish(&other);
    bed_finish(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ring/qemu-start", test_qemu_start);
    g_test_add_func("/ring/qemu-pause", test_qemu_pause);
    g_test_add_func("/ring/qemu-reset", test_qemu_reset);
    g_test_add_func("/ring/wrapped-index", test_wrapped_index);
    g_test_add_func("/ring/other-base", test_other_base);
    g_test_add_func("/ring/packed-bases", test_packed_bases);
    g_test_add_func("/ring/second-handshake", test_second_handshake);
    g_test_add_func("/ring/channel-replaced", test_channel_replaced);
    g_test_add_func("/ring/channel-ends-running", test_channel_ends_running);
    g_test_add_func("/ring/crosvm-order", test_crosvm_order);
    g_test_add_func("/ring/enable-first", test_enable_first);
    g_test_add_func("/ring/no-protocol-features", test_no_protocol_features);
    g_test_add_func("/ring/base-without-run", test_base_without_run);
    g_test_add_func("/ring/disable-and-enable", test_disable_and_enable);
    g_test_add_func("/ring/running-changes", test_running_changes);
    return g_test_run();
}
