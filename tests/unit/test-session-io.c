/* SPDX-License-Identifier: BSD-3-Clause */
/* The session's optional parts: translations, in-flight buffer, dirty log,
 * in-band notifications. */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fds.h"
#include "front.h"
#include "socket.h"
#include "valgrind.h"

#define IOMMU (FEATURES_QEMU | BIT(VIRTIO_F_ACCESS_PLATFORM))
#define ZEROS_24 "0000000000000000 0000000000000000 0000000000000000"

/* Iova 0x10000000 is the first byte of memory. */
#define UPDATE                                           \
    "0000001000000000 0000100000000000 00000000007f0000" \
    "0302000000000000"

static void start_out(struct bed *b)
{
    struct front *f = &b->f;

    tell_fd(f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f->ram_fd);
    tell(f, VHOST_USER_SET_VRING_NUM, "01000000 00010000");
    tell(f, VHOST_USER_SET_VRING_BASE, "01000000 00000000");
    tell(f, VHOST_USER_SET_VRING_ADDR,
         "01000000 00000000 0040001000000000 0060001000000000"
         "0050001000000000 0000000000000000");
    tell_fd(f, VHOST_USER_SET_VRING_KICK, U64_1, b->fds[1].kick);
    g_string_truncate(f->trace, 0);
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 01000000");
}

static void test_iotlb(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init_with(&b, IOMMU, PROTOCOL_QEMU);
    start_out(&b);
    expect_trace(f, "");
    /* a miss of the descriptors, read */
    expect_hex(f->back, "01000000 09000000 20000000 0040001000000000"
                        "0000000000000000 0000000000000000 0101000000000000");
    expect_silence(f->back);
    tell_fd(f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f->ram_fd);
    expect_silence(f->back); /* asked for already */
    expect_trace(f, "M ");
    /* answered with or without NEED_REPLY, before the miss is */
    say(f, VHOST_USER_IOTLB_MSG, PLAIN, UPDATE);
    answered(f, VHOST_USER_IOTLB_MSG, U64_0);
    expect_trace(f, "Sd1 M ");
    send_hex(f->back, "01000000 05000000 08000000 0000000000000000", NULL, 0);
    vwl_session_dispatch_backchan(f->session);
    expect_trace(f, "");
    g_assert_true(vwl_session_ring_runs(f->session, 1));

    say(f, VHOST_USER_IOTLB_MSG, NEED_REPLY,
        "0000001000000000 0000100000000000 0000000000000000"
        "0003000000000000");
    answered(f, VHOST_USER_IOTLB_MSG, U64_0);
    expect_trace(f, "I10000000+100000 M ");
    expect_hex(f->back, "01000000 09000000 20000000 0040001000000000"
                        "0000000000000000 0000000000000000 0101000000000000");
    g_assert_cmpint(vwl_vq_pop(vwl_session_vq(f->session, 1),
                               &(struct vwl_chain *){ NULL }),
                    ==, -EAGAIN);
    say(f, VHOST_USER_IOTLB_MSG, NEED_REPLY, UPDATE);
    answered(f, VHOST_USER_IOTLB_MSG, U64_0);
    g_assert_cmpint(vwl_vq_pop(vwl_session_vq(f->session, 1),
                               &(struct vwl_chain *){ NULL }),
                    ==, 0);
    send_hex(f->back, "01000000 05000000 08000000 0000000000000000", NULL, 0);
    vwl_session_dispatch_backchan(f->session);
    /* a whole-space invalidation */
    say(f, VHOST_USER_IOTLB_MSG, PLAIN,
        "0000000000000000 ffffffffffffffff 0000000000000000"
        "0003000000000000");
    answered(f, VHOST_USER_IOTLB_MSG, U64_0);
    bed_finish(&b);
}

static void test_iotlb_refused(void)
{
    static const char *const bad[] = {
        /* not in the memory table, in part or at all; nothing; wraps */
        "0000001000000000 0010100000000000 00000000007f0000 0302000000000000",
        "0000001000000000 0010000000000000 00000000007e0000 0302000000000000",
        "0000001000000000 0000000000000000 00000000007f0000 0302000000000000",
        "00f0ffffffffffff 0020000000000000 00000000007f0000 0302000000000000",
        /* permission, type */
        "0000001000000000 0010000000000000 00000000007f0000 0002000000000000",
        "0000001000000000 0010000000000000 00000000007f0000 0402000000000000",
        "0000001000000000 0010000000000000 00000000007f0000 0301000000000000",
        "0000001000000000 0010000000000000 00000000007f0000 0304000000000000",
    };
    struct bed b;

    bed_init_with(&b, IOMMU, PROTOCOL_QEMU);
    tell_fd(&b.f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, b.f.ram_fd);
    g_string_truncate(b.f.trace, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        say(&b.f, VHOST_USER_IOTLB_MSG, PLAIN, bad[i]);
        answered(&b.f, VHOST_USER_IOTLB_MSG, U64_1);
    }
    expect_trace(&b.f, "");
    set_features(&b.f, FEATURES_QEMU);
    say(&b.f, VHOST_USER_IOTLB_MSG, PLAIN, UPDATE);
    answered(&b.f, VHOST_USER_IOTLB_MSG, U64_1);
    bed_finish(&b);
}

/* The front-end says that nothing is mapped there. */
static void test_miss_refused(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init_with(&b, IOMMU, PROTOCOL_QEMU);
    start_out(&b);
    expect_hex(f->back, "01000000 09000000 20000000 0040001000000000"
                        "0000000000000000 0000000000000000 0101000000000000");
    send_hex(f->back, "01000000 05000000 08000000 0100000000000000", NULL, 0);
    vwl_session_dispatch_backchan(f->session);
    say(f, VHOST_USER_GET_STATUS, PLAIN, "");
    answered(f, VHOST_USER_GET_STATUS, "4000000000000000");
    say(f, VHOST_USER_IOTLB_MSG, PLAIN, UPDATE);
    answered(f, VHOST_USER_IOTLB_MSG, U64_0);
    g_assert_false(vwl_session_ring_runs(f->session, 1));
    bed_finish(&b);
}

/* ---- in-flight buffer ------------------------------------------------- */

static void test_inflight_get(void)
{
    struct stat st;
    struct bed b;
    int fd;

    bed_init_with(&b, FEATURES_QEMU, PROTOCOL_ALL);
    /* 2 queues of 256: 16 + 16 * 256, rounded up to 64, twice */
    say(&b.f, VHOST_USER_GET_INFLIGHT_FD, PLAIN,
        "0000000000000000 0000000000000000 0200 0001 00000000");
    fd = answered(&b.f, VHOST_USER_GET_INFLIGHT_FD,
                  "8020000000000000 0000000000000000 0200 0001"
                  "00000000");
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_size, >=, 0x2080);
    close(fd);
    say(&b.f, VHOST_USER_GET_INFLIGHT_FD, PLAIN,
        "0000000000000000 0000000000000000 0200 0001");
    fd = answered(&b.f, VHOST_USER_GET_INFLIGHT_FD,
                  "8020000000000000 0000000000000000 0200 0001");
    close(fd);
    say(&b.f, VHOST_USER_GET_INFLIGHT_FD, PLAIN,
        "0000000000000000 0000000000000000 0000 0001");
    fd = answered(&b.f, VHOST_USER_GET_INFLIGHT_FD,
                  "0000000000000000 0000000000000000 0000 0001");
    g_assert_cmpint(fd, ==, -1);
    bed_finish(&b);
}

static void test_inflight_resume(void)
{
    int fd = make_memfd(0x2080);
    guint8 *map = mmap(NULL, 0x2080, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    struct vwl_chain *chain;
    struct bed b;
    struct front *f = &b.f;

    bed_init_with(&b, FEATURES_QEMU, PROTOCOL_ALL);
    /* version 1, 256 entries; request 3 was taken and never given back */
    memcpy(map + 0x1040 + 8, "\1\0\0\1", 4);
    map[0x1040 + 16 + 3 * 16] = 1;
    map[0x1040 + 16 + 3 * 16 + 8] = 1;
    memcpy(f->ram + 0x4000 + 3 * 16, "\0\0\1\0\0\0\0\0\20\0\0\0\0\0\0\0", 16);
    f->ram[0x5002] = 1; /* available index; entry 0 is 3 */
    f->ram[0x5004] = 3;
    tell_fd(f, VHOST_USER_SET_INFLIGHT_FD,
            "8020000000000000 0000000000000000 0200 0001 00000000", fd);
    qemu_start(f, b.fds, 0, 0);
    expect_trace(f, "M Sd0 C0 Sd1 C1 ");
    g_assert_cmpint(count_of(b.fds[1].call), >=, 1);
    g_assert_cmpint(vwl_vq_pop(vwl_session_vq(f->session, 1), &chain), ==, 1);
    g_assert_true(chain->resubmitted);
    vwl_vq_push(vwl_session_vq(f->session, 1), &chain, 0);
    g_assert_cmpint(vwl_vq_publish(vwl_session_vq(f->session, 1)), >=, 0);
    g_assert_cmpint(map[0x1040 + 16 + 3 * 16], ==, 0);
    g_assert_cmpint(vwl_vq_pop(vwl_session_vq(f->session, 1), &chain), ==, 0);
    /* not under running rings; one too short; one of 20 bytes */
    say_fds(f, VHOST_USER_SET_INFLIGHT_FD, NEED_REPLY,
            "8020000000000000 0000000000000000 0200 0001", &fd, 1);
    answered(f, VHOST_USER_SET_INFLIGHT_FD, U64_1);
    qemu_stop(f, "00000000", "01000000");
    tell_fd(f, VHOST_USER_SET_INFLIGHT_FD,
            "8020000000000000 0000000000000000 0200 0001", fd);
    say_fds(f, VHOST_USER_SET_INFLIGHT_FD, NEED_REPLY,
            "8120000000000000 0000000000000000 0200 0001", &fd, 1);
    answered(f, VHOST_USER_SET_INFLIGHT_FD, U64_1);
    say_fds(f, VHOST_USER_SET_INFLIGHT_FD, NEED_REPLY,
            "8020000000000000 0100000000000000 0200 0001", &fd, 1);
    answered(f, VHOST_USER_SET_INFLIGHT_FD, U64_1);
    munmap(map, 0x2080);
    close(fd);
    f->fds_before--;
    bed_finish(&b);
}

/* ---- dirty log -------------------------------------------------------- */

static void test_log(void)
{
    int log = make_memfd(0x2000);
    int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    guint8 *map = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_SHARED, log,
                       0);
    struct bed b;
    struct front *f = &b.f;

    bed_init_with(&b, FEATURES_QEMU, PROTOCOL_ALL);
    /* 256 pages of guest memory are 32 bytes, here from 0x1000 on */
    say_fds(f, VHOST_USER_SET_LOG_BASE, PLAIN,
            "2000000000000000 0010000000000000", &log, 1);
    answered(f, VHOST_USER_SET_LOG_BASE, U64_0);
    say_fds(f, VHOST_USER_SET_LOG_BASE, PLAIN,
            "0110000000000000 0010000000000000", &log, 1);
    answered(f, VHOST_USER_SET_LOG_BASE,
             U64_1); /* beyond its file; the one before stays */
    tell_fd(f, VHOST_USER_SET_LOG_FD, "", event);
    qemu_start(f, b.fds, 0, 0);
    front_take_one(f, 1);
    vwl_session_call(f->session, 1);
    g_assert_cmpint(count_of(event), ==, 0);
    set_features(f, FEATURES_QEMU | BIT(VHOST_F_LOG_ALL));
    /* the used ring of ring 1 is guest page 6 */
    tell(f, VHOST_USER_SET_VRING_ADDR,
         "01000000 01000000 00400000007f0000 00600000007f0000"
         "00500000007f0000 0060000000000000");
    front_take_one(f, 1);
    vwl_session_call(f->session, 1);
    g_assert_cmphex(map[0x1000], ==, 1 << 6);
    g_assert_cmpint(count_of(event), ==, 1);
    map[0x1000] = 0;
    front_take_one(f, 1);
    g_assert_cmpint(count_of(event), ==, 0);
    vwl_session_flush_log(f->session);
    g_assert_cmpint(count_of(event), ==, 1);
    set_features(f, FEATURES_QEMU);
    map[0x1000] = 0;
    front_take_one(f, 1);
    g_assert_cmphex(map[0x1000], ==, 0);
    munmap(map, 0x2000);
    close(log);
    close(event);
    f->fds_before -= 2;
    bed_finish(&b);
}

/* Without LOG_SHMFD: only if asked. */
static void test_log_unasked(void)
{
    int log = make_memfd(0x1000);
    struct bed b;

    bed_init_with(&b, FEATURES_QEMU, PROTOCOL_QEMU);
    say_fds(&b.f, VHOST_USER_SET_LOG_BASE, PLAIN,
            "2000000000000000 0000000000000000", &log, 1);
    expect_silence(b.f.sock);
    tell_fd(&b.f, VHOST_USER_SET_LOG_BASE, "2000000000000000 0000000000000000",
            log);
    close(log);
    b.f.fds_before--;
    bed_finish(&b);
}

/* ---- in-band ---------------------------------------------------------- */

static void test_inband(void)
{
    struct bed b;
    struct front *f = &b.f;

    bed_init_with(&b, FEATURES_QEMU, PROTOCOL_ALL);
    tell_fd(f, VHOST_USER_SET_MEM_TABLE, TABLE_ONE, f->ram_fd);
    tell(f, VHOST_USER_SET_VRING_NUM, "01000000 00010000");
    tell(f, VHOST_USER_SET_VRING_BASE, "01000000 00000000");
    tell(f, VHOST_USER_SET_VRING_ADDR, ADDR_1);
    tell(f, VHOST_USER_SET_VRING_CALL, "0101000000000000");
    tell(f, VHOST_USER_SET_VRING_ENABLE, "01000000 01000000");
    expect_trace(f, "M ");
    quiet(f, VHOST_USER_VRING_KICK, "01000000 00000000");
    expect_trace(f, "Sd1 ");
    quiet(f, VHOST_USER_VRING_KICK, "01000000 00000000");
    expect_trace(f, "C1 ");
    g_assert_cmpint(vwl_session_kick(f->session, 1)->fd, ==, -1);
    vwl_session_call(f->session, 1);
    expect_hex(f->back, "04000000 09000000 08000000 01000000 00000000");
    send_hex(f->back, "04000000 05000000 08000000 0000000000000000", NULL, 0);
    vwl_session_dispatch_backchan(f->session);
    /* one that was given is preferred */
    tell_fd(f, VHOST_USER_SET_VRING_CALL, U64_1, b.fds[1].call);
    g_assert_cmpint(count_of(b.fds[1].call), ==, 1);
    vwl_session_call(f->session, 1);
    g_assert_cmpint(count_of(b.fds[1].call), ==, 1);
    expect_silence(f->back);
    vwl_session_ring_broken(f->session, 1, "a test");
    expect_hex(f->back, "05000000 09000000 08000000 01000000 00000000"
                        "02000000 09000000 00000000");
    say(f, VHOST_USER_VRING_KICK, NEED_REPLY, "02000000 00000000");
    answered(f, VHOST_USER_VRING_KICK, U64_1);
    bed_finish(&b);
    bed_init_with(&b, FEATURES_QEMU, PROTOCOL_QEMU); /* not negotiated */
    say(&b.f, VHOST_USER_VRING_KICK, NEED_REPLY, "01000000 00000000");
    answered(&b.f, VHOST_USER_VRING_KICK, U64_1);
    bed_finish(&b);
}

/* ---- held chains ------------------------------------------------------ */

static void test_held(void)
{
    int fd = make_memfd(0x2080);
    struct bed b;
    struct front *f = &b.f;
    struct vwl_vq *vq;

    bed_init_with(&b, FEATURES_QEMU, PROTOCOL_ALL);
    vq = vwl_session_vq(f->session, 1);
    tell_fd(f, VHOST_USER_SET_INFLIGHT_FD,
            "8020000000000000 0000000000000000 0200 0001 00000000", fd);
    qemu_start(f, b.fds, 0, 0);
    front_offer(f, 1);
    g_assert_cmpint(vwl_vq_pop(vq, &f->held[0]), ==, 1);
    f->n_held = 1;
    qemu_stop(f, "00000000", "01000000");
    g_string_truncate(f->trace, 0);
    qemu_start(f, b.fds, 0, 1);
    expect_trace(f, "M Sk0 C0 Sk1 C1 ");
    /* what is still held does not come back out of the buffer */
    g_assert_cmpint(vwl_vq_pop(vq, &(struct vwl_chain *){ NULL }), ==, 0);
    vwl_vq_push(vq, &f->held[0], 0);
    g_assert_cmpint(vwl_vq_publish(vq), >=, 0);
    g_assert_cmpint(f->ram[0x6002], ==, 1); /* used index */
    close(fd);
    f->fds_before--;
    bed_finish(&b);
}

/* A descriptor table that is full: refused, the connection stays. */
static void test_no_descriptors_left(void)
{
    int fillers[128];
    unsigned int n = 0;
    struct rlimit before, low;
    struct bed b;
    struct front *f = &b.f;
    char *text;

    if (is_on_valgrind()) {
        g_test_skip("valgrind has a descriptor limit of its own");
        return;
    }
    text = frame(VHOST_USER_SET_VRING_KICK, NEED_REPLY, U64_1);
    bed_init_with(&b, FEATURES_QEMU, PROTOCOL_QEMU);
    send_hex(f->sock, text, &b.fds[1].kick, 1);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    low = before;
    low.rlim_cur = 64;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    while (n < G_N_ELEMENTS(fillers) && (fillers[n] = dup(0)) >= 0) {
        n++;
    }
    g_assert_cmpuint(n, <, G_N_ELEMENTS(fillers));
    g_assert_cmpint(vwl_session_dispatch(f->session), ==, 0);
    answered(f, VHOST_USER_SET_VRING_KICK, U64_1);
    while (n > 0) {
        close(fillers[--n]);
    }
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
    say(f, VHOST_USER_GET_QUEUE_NUM, PLAIN, "");
    answered(f, VHOST_USER_GET_QUEUE_NUM, "0200000000000000");
    g_free(text);
    bed_finish(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/io/iotlb", test_iotlb);
    g_test_add_func("/io/iotlb-refused", test_iotlb_refused);
    g_test_add_func("/io/miss-refused", test_miss_refused);
    g_test_add_func("/io/inflight-get", test_inflight_get);
    g_test_add_func("/io/inflight-resume", test_inflight_resume);
    g_test_add_func("/io/log", test_log);
    g_test_add_func("/io/log-unasked", test_log_unasked);
    g_test_add_func("/io/inband", test_inband);
    g_test_add_func("/io/held", test_held);
    g_test_add_func("/io/no-descriptors-left", test_no_descriptors_left);
    return g_test_run();
}
