/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The messages of QEMU 11.1 in their recorded order, as literal bytes: what
 * asks for a reply gets exactly that one, and nothing comes unasked (the
 * front-end double complains of it). One test a row of what was recorded.
 */
#include "backend.h"
#include "rig.h"
#include "wl_names.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LE(x) ((uint64_t)GUINT64_SWAP_LE_BE(x))
#define U64 "%016" PRIx64
#define ACK    \
    "05000000" \
    "08000000" \
    "0000000000000000"
#define FEATURES "0e00007001000000"

static const char *features = FEATURES;

static GByteArray *from_hex(const char *hex)
{
    GByteArray *bytes = g_byte_array_new();

    for (; *hex != '\0'; hex += 2) {
        uint8_t byte = (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 |
                                 g_ascii_xdigit_value(hex[1]));

        g_byte_array_append(bytes, &byte, 1);
    }
    return bytes;
}

static void say_fds(struct vwl_fe *fe, const char *hex, const int *fds,
                    unsigned int n)
{
    GByteArray *bytes = from_hex(hex);

    g_assert_cmpint(vwl_fe_send_raw(fe->fd, bytes->data, bytes->len, fds, n),
                    ==, 0);
    g_byte_array_unref(bytes);
}

static void say(struct vwl_fe *fe, const char *hex, int fd)
{
    say_fds(fe, hex, &fd, fd >= 0 ? 1 : 0);
}

/* One answer: these bytes, and zeros up to its whole length. */
static void hear_padded(struct vwl_fe *fe, const char *hex, size_t len)
{
    GByteArray *bytes = from_hex(hex);
    struct vwl_fe_frame frame;
    int r;

    fe->awaiting = true;
    while ((r = vwl_fe_receive(fe->fd, &frame, RIG_TIMEOUT_MS)) == -EAGAIN) {
        g_assert_cmpint(vwl_fe_turn(fe, RIG_TIMEOUT_MS), >, 0);
    }
    fe->awaiting = false;
    g_assert_cmpint(r, ==, 0);
    g_assert_cmpuint(frame.n_fds, ==, 0);
    g_byte_array_set_size(bytes, (guint)MAX(len, bytes->len));
    if (len > strlen(hex) / 2) {
        memset(bytes->data + strlen(hex) / 2, 0, len - strlen(hex) / 2);
    }
    g_assert_cmpuint(sizeof frame.header + frame.header.size, ==, bytes->len);
    g_assert_cmpmem(&frame.header, 12, bytes->data, 12);
    g_assert_cmpmem(frame.payload, frame.header.size, bytes->data + 12,
                    bytes->len - 12);
    g_byte_array_unref(bytes);
}

static void hear(struct vwl_fe *fe, const char *hex)
{
    hear_padded(fe, hex, 0);
}

/* A request for one ring whose payload is a u64 with the ring's number. */
static void vring_fd(struct vwl_fe *fe, const char *request, unsigned int ring,
                     int fd)
{
    char *hex = g_strdup_printf("%s0000000900000008000000%02x00000000000000",
                                request, ring);
    char *ack = g_strdup_printf("%s000000" ACK, request);

    say(fe, hex, fd);
    hear(fe, ack);
    g_free(hex);
    g_free(ack);
}

static void enable(struct vwl_fe *fe, unsigned int ring, bool on)
{
    char *hex = g_strdup_printf("120000000900000008000000%02x000000%02x000000",
                                ring, on);

    say(fe, hex, -1);
    hear(fe, "12000000" ACK);
    g_free(hex);
}

static void mem_table(struct vwl_fe *fe)
{
    GArray *pieces = fe->window.pieces;
    GString *hex = g_string_new("0500000009000000");
    int fds[8] = { fe->ram_fd };
    unsigned int n = MIN(pieces->len, 7) + 1;

    g_string_append_printf(hex, "%02x%02x0000%02x00000000000000",
                           (8 + 32 * n) & 0xff, (8 + 32 * n) >> 8, n);
    g_string_append_printf(hex, "0000000000000000" U64 U64 "0000000000000000",
                           LE(fe->ram_size), LE((uint64_t)(uintptr_t)fe->ram));
    for (unsigned int i = 1; i < n; i++) {
        const struct vwl_window_piece *p = &g_array_index(
            pieces, struct vwl_window_piece, i - 1);
        uint64_t uva = (uint64_t)(uintptr_t)fe->window.base + p->shm_offset;

        g_string_append_printf(hex, U64 U64 U64 U64,
                               LE(UINT64_C(0xfe00000000) + p->shm_offset),
                               LE(p->len), LE(uva), LE(p->fd_offset));
        fds[i] = p->fd;
    }
    say_fds(fe, hex->str, fds, n);
    hear(fe, "05000000" ACK);
    g_string_free(hex, TRUE);
}

static void ring_setup(struct vwl_fe *fe, unsigned int i)
{
    struct vwl_fe_ring *ring = &fe->ring[i];
    uint64_t uva = (uint64_t)(uintptr_t)fe->ram;
    char *num = g_strdup_printf("080000000100000008000000%02x00000000010000",
                                i);
    char *base = g_strdup_printf("0a0000000100000008000000%02x000000%08x", i,
                                 GUINT32_SWAP_LE_BE(ring->base));
    char *addr = g_strdup_printf(
        "090000000100000028000000%02x00000000000000" U64 U64 U64 U64, i,
        LE(uva + ring->desc), LE(uva + ring->device), LE(uva + ring->driver),
        LE(ring->device));

    say(fe, num, -1);
    say(fe, base, -1);
    say(fe, addr, -1);
    g_free(num);
    g_free(base);
    g_free(addr);
}

/* Section 2, "at DRIVER_OK". */
static int driver_ok(struct vwl_fe *fe)
{
    char *hex = g_strdup_printf("020000000100000008000000%s", features);
    int early[2];

    say(fe, hex, -1);
    g_free(hex);
    mem_table(fe);
    for (unsigned int i = 0; i < 2; i++) {
        ring_setup(fe, i);
        vring_fd(fe, "0c", i, fe->ring[i].kick);
        early[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        vring_fd(fe, "0d", i, early[i]); /* nobody listens to it */
    }
    enable(fe, 0, true);
    enable(fe, 1, true);
    for (unsigned int i = 0; i < 2; i++) {
        vring_fd(fe, "0d", i, fe->ring[i].call);
        close(early[i]);
    }
    return 0;
}

/* Section 2, "at stop". The answer is the driver's next index. */
static int stop(struct vwl_fe *fe)
{
    enable(fe, 0, false);
    enable(fe, 1, false);
    for (unsigned int i = 0; i < 2; i++) {
        uint16_t index = 0;
        char *hex = g_strdup_printf("0b0000000100000008000000%02x000000"
                                    "00000000",
                                    i);
        char *answer;
        struct vwl_fe_frame frame;
        int r;

        say(fe, hex, -1);
        fe->awaiting = true;
        while ((r = vwl_fe_receive(fe->fd, &frame, RIG_TIMEOUT_MS)) ==
               -EAGAIN) {
            g_assert_cmpint(vwl_fe_turn(fe, RIG_TIMEOUT_MS), >, 0);
        }
        fe->awaiting = false;
        g_assert_cmpint(r, ==, 0);
        memcpy(&index, frame.payload + 4, 2);
        answer = g_strdup_printf("%02x000000%08x", i,
                                 GUINT32_SWAP_LE_BE((uint32_t)index));
        g_free(hex);
        hex = g_strdup_printf("0b0000000500000008000000%s", answer);
        {
            GByteArray *expected = from_hex(hex);

            g_assert_cmpmem(&frame.header, 12, expected->data, 12);
            g_assert_cmpmem(frame.payload, 8, expected->data + 12, 8);
            g_byte_array_unref(expected);
        }
        fe->ring[i].base = index;
        g_free(hex);
        g_free(answer);
    }
    return 0;
}

/* Section 2, "at -device time". */
static void device_time(struct vwl_fe *fe)
{
    int pair[2];

    say(fe, "010000000100000000000000", -1);
    /* bit 3, USE_SHMEM, once it is known that QEMU can map */
    hear(fe, fe->protocol != 0 ? "010000000500000008000000"
                                 "0e00007407000000"
                               : "010000000500000008000000"
                                 "0600007407000000");
    say(fe, "0f0000000100000000000000", -1);
    hear(fe, "0f0000000500000008000000"
             "2b76598000000000");
    say(fe,
        "100000000100000008000000"
        "2800400000000000",
        -1);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                    ==, 0);
    g_assert_cmpint(fcntl(pair[0], F_SETFL, O_NONBLOCK), ==, 0);
    g_assert_cmpint(fe->backend, ==, -1);
    fe->backend = pair[0];
    say(fe, "150000000900000000000000", pair[1]);
    close(pair[1]);
    hear(fe, "15000000" ACK);
    say(fe, "030000000100000000000000", -1);
    say(fe, "010000000100000000000000", -1);
    hear(fe, "010000000500000008000000"
             "0e00007407000000");
    for (unsigned int i = 0; i < 2; i++) {
        vring_fd(fe, "0d", i, fe->ring[i].call);
        vring_fd(fe, "0e", i, fe->ring[i].err);
    }
    say(fe, "2c0000000100000000000000", -1);
    hear_padded(fe,
                "2c0000000500000008080000"
                "0100000000000000"
                "0000000001000000",
                12 + 2056);
    fe->protocol = 0x400028;
    fe->dialect = VWL_FE_STANDARD;
    fe->features = UINT64_C(0x17000000e) &
                   (features[1] == 'e' ? UINT64_MAX : ~UINT64_C(8));
}

static struct rig *begin(bool driver)
{
    struct rig_options options = {
        .no_handshake = true,
        .no_driver = true,
        .n_peers = 1,
        .fe = { .no_table_update = true, .start = driver_ok, .stop = stop },
    };
    struct rig *r = rig_new(&options);

    device_time(r->fe);
    if (driver) {
        g_assert_cmpint(vwl_drv_create(r->fe, NULL, &r->drv), ==, 0);
    }
    return r;
}

static void check_works(struct rig *r, uint32_t id)
{
    uint8_t *bytes;
    int peer, fd = -1;
    unsigned int n = 1;
    uint8_t byte = 0;

    g_assert_cmpint(vwl_drv_new(r->drv, id, 4096), ==, RESP_VFD_NEW);
    mem_table(r->fe);
    bytes = vwl_drv_map(r->drv, id);
    g_assert_nonnull(bytes);
    bytes[7] = 0x5a;
    peer = rig_open_ctx(r, id + 1, 0);
    g_assert_cmpint(vwl_drv_send(r->drv, id + 1, &id, 1, "x", 1), ==, RESP_OK);
    rig_read(r, peer, &byte, 1, &fd, &n);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpint(pread(fd, &byte, 1, 7), ==, 1);
    g_assert_cmphex(byte, ==, 0x5a);
    close(fd);
    g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
    g_assert_cmpint(vwl_drv_close(r->drv, id + 1), ==, RESP_OK);
    g_assert_cmpuint(rig_read_to_end(r, peer), ==, 0);
    mem_table(r->fe);
    close(peer);
}

static void test_device_time(void)
{
    struct rig *r = begin(false);

    rig_settle(r);
    rig_free(r);
}

static void test_driver_ok(void)
{
    struct rig *r = begin(true);

    check_works(r, 1);
    rig_free(r);
}

static void test_stop(void)
{
    struct rig *r = begin(true);

    check_works(r, 1);
    g_assert_cmpint(stop(r->fe), ==, 0);
    g_assert_cmpuint(r->fe->ring[1].base, ==, 5);
    r->fe->started = false;
    rig_settle(r);
    rig_free(r);
}

static void test_more_than_seven(void)
{
    struct rig *r = begin(true);

    for (uint32_t id = 1; id <= 12; id++) {
        uint8_t *bytes;

        g_assert_cmpint(vwl_drv_new(r->drv, id, 4096 * id), ==, RESP_VFD_NEW);
        if (r->fe->window.pieces->len <= 7) {
            mem_table(r->fe);
        }
        bytes = vwl_drv_map(r->drv, id);
        g_assert_nonnull(bytes);
        bytes[4096 * id - 1] = (uint8_t)id;
    }
    for (uint32_t id = 1; id <= 12; id++) {
        g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
        if (r->fe->window.pieces->len <= 7) {
            mem_table(r->fe);
        }
    }
    check_works(r, 1);
    rig_free(r);
}

static void test_backend_answers_one(void)
{
    struct rig *r = begin(true);

    r->fe->shm_policy = VWL_FE_SHM_REFUSE;
    g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), !=, RESP_VFD_NEW);
    r->fe->shm_policy = VWL_FE_SHM_ANSWER;
    check_works(r, 1);
    g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==, RESP_VFD_NEW);
    r->fe->shm_policy = VWL_FE_SHM_REFUSE; /* of the UNMAP */
    g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, RESP_OK);
    r->fe->shm_policy = VWL_FE_SHM_ANSWER;
    g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==, RESP_VFD_NEW);
    g_assert_nonnull(vwl_drv_map(r->drv, 1));
    rig_free(r);
}

static void reset_with_maps(bool again)
{
    struct rig *r = begin(true);

    for (unsigned int i = 0; i < (again ? 3u : 1u); i++) {
        int peer = rig_open_ctx(r, 1, 0);
        uint64_t refused = r->fe->window.refused;

        for (uint32_t id = 2; id < 5; id++) {
            g_assert_cmpint(vwl_drv_new(r->drv, id, 8192), ==, RESP_VFD_NEW);
            mem_table(r->fe);
        }
        g_assert_cmpint(vwl_drv_reset(r->drv), ==, 0);
        rig_settle(r);
        /* QEMU has dropped the maps: nobody unmaps them again */
        g_assert_cmpuint(r->fe->window.refused, ==, refused);
        g_assert_cmpuint(r->fe->window.pieces->len, ==, 0);
        g_assert_cmpuint(rig_read_to_end(r, peer), ==, 0);
        close(peer);
    }
    check_works(r, 1);
    rig_free(r);
}

static void test_system_reset(void)
{
    reset_with_maps(false);
}

static void test_reboot(void)
{
    reset_with_maps(true);
}

static void test_stop_cont(void)
{
    struct rig *r = begin(true);
    int peer = rig_open_ctx(r, 1, 0);
    char data[4];

    g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
    mem_table(r->fe);
    ((uint8_t *)vwl_drv_map(r->drv, 2))[0] = 9;
    for (unsigned int i = 0; i < 3; i++) {
        g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
        g_assert_cmpint(peer_send(peer, "data", 4, NULL, 0), ==, 4);
        rig_settle(r);
        g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
        g_assert_cmpint(vwl_drv_recv(r->drv, 1, data, 4, NULL, NULL,
                                     RIG_TIMEOUT_MS),
                        ==, 4);
        g_assert_cmpmem(data, 4, "data", 4);
        g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==,
                        VIRTIO_WL_RESP_INVALID_ID);
    }
    g_assert_cmpint(((uint8_t *)vwl_drv_map(r->drv, 2))[0], ==, 9);
    close(peer);
    rig_free(r);
}

/* Stop, the end of the back-end channel alone, and a second handshake. */
static void test_device_del_add(void)
{
    struct rig *r = begin(true);

    for (unsigned int i = 0; i < 3; i++) {
        int peer = rig_open_ctx(r, 1, 0);

        g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
        vwl_drv_destroy(r->drv);
        r->drv = NULL;
        vwl_fe_reset(r->fe);
        close(r->fe->backend);
        r->fe->backend = -1;
        rig_settle(r);
        g_assert_cmpuint(rig_read_to_end(r, peer), ==, 0);
        close(peer);
        device_time(r->fe);
        for (unsigned int j = 0; j < 2; j++) {
            vwl_fe_free(r->fe, r->fe->ring[j].desc, 4096);
            r->fe->ring[j].num = 0;
        }
        g_assert_cmpint(vwl_drv_create(r->fe, NULL, &r->drv), ==, 0);
        check_works(r, 5);
    }
    rig_free(r);
}

static void test_no_use_shmem(void)
{
    struct rig *r;

    features = "0600007001000000";
    r = begin(true);
    r->fe->options.no_table_update = false; /* what says where it is */
    g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==, RESP_VFD_NEW);
    rig_free(r);
    features = FEATURES;
}

static void test_mistakes(void)
{
    struct rig *r = begin(true);
    struct vwl_fe *fe = r->fe;

    say(fe, "630000000900000000000000", -1); /* unknown */
    hear(fe, "63000000"
             "05000000"
             "08000000"
             "0100000000000000");
    say(fe,
        "0c0000000900000008000000"
        "0500000000000000",
        fe->ram_fd);
    hear(fe, "0c000000"
             "05000000"
             "08000000"
             "0100000000000000");
    say(fe,
        "0d0000000900000008000000"
        "0100000000000000",
        -1);
    hear(fe, "0d000000"
             "05000000"
             "08000000"
             "0100000000000000");
    say(fe,
        "120000000900000008000000"
        "0200000001000000",
        -1);
    hear(fe, "12000000"
             "05000000"
             "08000000"
             "0100000000000000");
    say(fe,
        "0b0000000100000008000000"
        "0900000000000000",
        -1);
    hear(fe, "0b0000000500000000000000");
    say(fe,
        "080000000100000008000000"
        "0100000003000000",
        -1);
    say(fe,
        "0a0000000100000008000000"
        "0100000063000000",
        -1);
    say(fe,
        "020000000100000008000000"
        "ffffffffffffffff",
        -1);
    /* a region one page longer than its file */
    say(fe,
        "050000000900000028000000"
        "0100000000000000"
        "0000000000000000"
        "0010000200000000"
        "0000000000000010"
        "0000000000000000",
        fe->ram_fd);
    hear(fe, "05000000"
             "05000000"
             "08000000"
             "0100000000000000");
    /* a running ring takes all this as it is: refused, and it goes on */
    check_works(r, 1);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu-order/2/device-time", test_device_time);
    g_test_add_func("/qemu-order/2/driver-ok", test_driver_ok);
    g_test_add_func("/qemu-order/2/stop", test_stop);
    g_test_add_func("/qemu-order/2/mistakes", test_mistakes);
    g_test_add_func("/qemu-order/3/answers-1", test_backend_answers_one);
    g_test_add_func("/qemu-order/3/more-than-7-maps", test_more_than_seven);
    g_test_add_func("/qemu-order/4/system-reset", test_system_reset);
    g_test_add_func("/qemu-order/4/reboot", test_reboot);
    g_test_add_func("/qemu-order/4/stop-cont", test_stop_cont);
    g_test_add_func("/qemu-order/4/device-del-add", test_device_del_add);
    g_test_add_func("/qemu-order/4/no-use-shmem", test_no_use_shmem);
    return g_test_run();
}
