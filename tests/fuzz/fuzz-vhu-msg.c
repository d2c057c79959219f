/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole vhost-user sessions against the device as the loop runs it: well-made
 * starts and stops, any message with any descriptors, torn streams, rings that
 * are written and stepped in between, compositors, and front-ends that come
 * back. Every answer is well-formed, what may not be said is refused or ends
 * the connection (vhu_abuse.h), and a device that is left alone comes to rest.
 */
#include "vhu_abuse.h"

#include <fcntl.h>

#include "loop/pump.h"
#include "vhu/msg.h"

#define BIT(n) (UINT64_C(1) << (n))
#define MAX_OPS 200
#define PEERS 4
#define FEATURES UINT64_C(0x77400000e) /* 1 2 3, 26, 28-30, 32-34 */
#define PROTOCOL UINT64_C(0x8041f62b)  /* all, MEM_SLOTS among them */

struct world {
    struct fuzz_input in;
    GMainContext *context;
    struct vwl_gate *gate;
    struct vwl_pump *pump;
    struct vwl_pump_config config;
    struct vwl_host host;
    struct vwl_log log;
    bool gone; /* the device gave the session up */
    struct front front;
    int peers[PEERS];
    GByteArray *state; /* a snapshot of this session, or a part of one */
};

/* ---- the device ------------------------------------------------------- */

static void on_disconnected(void *opaque)
{
    ((struct world *)opaque)->gone = true;
}

static int on_shm_map(void *opaque, int fd, uint64_t fd_offset,
                      uint64_t shm_offset, uint64_t len, int writable)
{
    return len > 0x8000 ? -EIO : 0;
}

static int on_shm_unmap(void *opaque, uint64_t shm_offset, uint64_t len)
{
    return 0;
}

static void connect_front(struct world *world)
{
    int pair[2];

    fuzz_socketpair(pair);
    world->gate = vwl_gate_create();
    fuzz_check(vwl_pump_create(&world->config, &world->log, world->context,
                               world->gate, &pair[1], &world->pump) == 0);
    world->front.sock = pair[0];
    world->gone = false;
}

static void disconnect_front(struct world *world)
{
    vwl_gate_lock(world->gate);
    vwl_pump_destroy(world->pump);
    vwl_gate_close(world->gate);
    vwl_gate_unlock(world->gate);
    vwl_gate_unref(world->gate);
    front_hang_up(&world->front);
}

static void step_device(struct world *world, unsigned int most)
{
    for (unsigned int i = 0;
         i < most && g_main_context_iteration(world->context, FALSE); i++) {
        front_read_requests(&world->front);
    }
}

static void do_settle(struct world *world)
{
    unsigned int rounds = 0;

    do {
        fuzz_check(rounds++ < 3000);
        front_read_answers(&world->front);
        front_read_requests(&world->front);
    } while (g_main_context_iteration(world->context, FALSE));
}

static void do_iterate(struct world *world)
{
    step_device(world, 1 + pick(&world->in, 8));
}

static void do_reconnect(struct world *world)
{
    unsigned int how = take8(&world->in);

    if (how & 1) {
        front_hang_up(&world->front);
        step_device(world, 4);
    }
    disconnect_front(world);
    connect_front(world);
}

/* ---- snapshots -------------------------------------------------------- */

/* Takes the end of a pipe; the other is the world's. -1: refused. */
static int transfer(struct world *world, bool save)
{
    int ends[2], err;

    fuzz_check(pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    vwl_gate_lock(world->gate);
    err = vwl_pump_state_start(world->pump, save, true, &ends[save]);
    vwl_gate_unlock(world->gate);
    fuzz_check((err == 0) == (ends[save] < 0));
    if (err < 0) {
        fuzz_close(&ends[0]);
        fuzz_close(&ends[1]);
        return -1;
    }
    return ends[!save];
}

static void save_state(struct world *world)
{
    int fd = transfer(world, true);
    uint8_t bytes[4096];
    ssize_t n = -1;

    if (fd < 0) {
        return;
    }
    g_byte_array_set_size(world->state, 0);
    for (unsigned int i = 0; i < 200 && n != 0; i++) {
        step_device(world, 2);
        while ((n = read(fd, bytes, sizeof bytes)) > 0) {
            g_byte_array_append(world->state, bytes, (guint)n);
        }
    }
    fuzz_close(&fd);
}

/* Changed in a few places, with a checksum that fits. */
static void load_state(struct world *world, unsigned int how)
{
    g_autofree uint8_t *bytes = g_memdup2(world->state->data,
                                          world->state->len);
    size_t len = world->state->len, at = 0;
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize n_sum = 32;
    int fd = len > 32 ? transfer(world, false) : -1;

    for (unsigned int i = 0; fd >= 0 && i < (how & 3); i++) {
        bytes[take16(&world->in) % len] ^= take8(&world->in);
    }
    if (fd >= 0 && !(how & 4)) {
        g_checksum_update(sum, bytes, (gssize)len - 32);
        g_checksum_get_digest(sum, bytes + len - 32, &n_sum);
    }
    for (unsigned int i = 0; fd >= 0 && i < 200 && at < len; i++) {
        size_t some = MIN(len - at, how & 8 ? 100 : 65536);

        fuzz_write(fd, bytes + at, some);
        at += some;
        step_device(world, 2);
    }
    fuzz_close(&fd);
    step_device(world, 4);
    g_checksum_free(sum);
}

static void do_suspend(struct world *world)
{
    unsigned int how = take8(&world->in);

    vwl_gate_lock(world->gate);
    vwl_pump_suspend(world->pump, how & 1);
    vwl_gate_unlock(world->gate);
    if ((how & 0xe0) == 0xa0) {
        save_state(world);
    } else if ((how & 0xe0) == 0xe0) {
        load_state(world, how >> 1);
    }
}

/* ---- what front-ends do ----------------------------------------------- */

static void do_handshake(struct world *world)
{
    static const uint64_t features[] = {
        UINT64_C(0x16000000e), UINT64_C(0x57000000e), UINT64_C(0x37000000e),
        UINT64_C(0x174000006), UINT64_C(0x770000008), UINT64_C(0x574000006),
        UINT64_C(0x130000000), UINT64_C(0x160000000),
    };
    static const uint64_t protocol[] = {
        0x400028, UINT64_C(0x80000028), PROTOCOL, 0, 0x40402b, 0x41f42b,
        0x402028, UINT64_C(0x8001962b),
    };
    unsigned int how = take8(&world->in);
    uint64_t bits = features[how & 7];
    int pair[2];

    front_say(&world->front, VHOST_USER_GET_FEATURES, NULL, 0);
    front_say_u64(&world->front, VHOST_USER_SET_PROTOCOL_FEATURES,
                  protocol[how >> 3 & 7], -1);
    if (!(how >> 6 & 1)) {
        fuzz_socketpair(pair);
        front_say_fds(&world->front, VHOST_USER_SET_BACKEND_REQ_FD, 9, NULL, 0,
                      &pair[1], 1);
        close(pair[1]);
        fuzz_close(&world->front.back);
        world->front.back = pair[0];
        world->front.back_torn = world->front.ended = false;
        g_byte_array_set_size(world->front.back_rx, 0);
        g_array_set_size(world->front.asked, 0);
    }
    front_say(&world->front, VHOST_USER_SET_OWNER, NULL, 0);
    front_say_u64(&world->front, VHOST_USER_SET_FEATURES, bits, -1);
    world->front.packed = bits >> VIRTIO_F_RING_PACKED & 1;
}

static void put_region(uint8_t *at, uint64_t gpa, uint64_t size,
                       uint64_t offset)
{
    put64(at, gpa);
    put64(at + 8, size);
    put64(at + 16, UVA + gpa);
    put64(at + 24, offset);
}

static void do_memory(struct world *world)
{
    unsigned int how = take8(&world->in);
    uint8_t bytes[8 + 64] = { 0 };
    int fds[2] = { world->front.ram_fd, world->front.ram_fd };

    switch (how & 3) {
    case 0:
    case 1:
        put32(bytes, 1);
        put_region(bytes + 8, 0, RAM_BYTES, 0);
        front_say_fds(&world->front, VHOST_USER_SET_MEM_TABLE, 9, bytes, 40,
                      fds, 1);
        break;
    case 2:
        put32(bytes, 2);
        put_region(bytes + 8, 0, 0xb000, 0);
        put_region(bytes + 40, 0xb000, 0x5000 - (how >> 2) * 8u, 0xb000);
        front_say_fds(&world->front, VHOST_USER_SET_MEM_TABLE, 9, bytes, 72,
                      fds, 2);
        break;
    default:
        put_region(bytes + 8, how & 4 ? 0 : 0x20000, RAM_BYTES, 0);
        front_say_fds(&world->front,
                      how & 8 ? VHOST_USER_REM_MEM_REG : VHOST_USER_ADD_MEM_REG,
                      9, bytes, 40, fds, how & 8 ? 0 : 1);
        break;
    }
}

static void start_ring(struct world *world, unsigned int index)
{
    static const uint16_t sizes[] = { 8, 2, 64, 256 };
    unsigned int how = take8(&world->in);
    struct front *front = &world->front;
    struct front_ring *ring = &front->ring[index];
    uint64_t at = UVA + RING_AT(index);
    uint16_t base = how & 4 ? (uint16_t)take8(&world->in) : 0;
    uint8_t addr[40] = { 0 };

    ring->size = sizes[how & 3];
    if (!(how & 8)) {
        memset(front->ram + RING_AT(index), 0, 0x4000);
        front_ring_reset(front, index, front->packed ? 0 : base);
    }
    put32(addr, index);
    put32(addr + 4, how >> 5 & 1);
    put64(addr + 8, at);
    put64(addr + 16, at + DEVICE_AT);
    put64(addr + 24, at + DRIVER_AT);
    put64(addr + 32, RING_AT(index) + DEVICE_AT);
    front_say_state(front, VHOST_USER_SET_VRING_NUM, index, ring->size);
    front_say_state(front, VHOST_USER_SET_VRING_BASE, index,
                    front->packed && !(how & 8) ? 0x80008000u : base);
    front_say(front, VHOST_USER_SET_VRING_ADDR, addr, sizeof addr);
    front_say_u64(front, VHOST_USER_SET_VRING_KICK, index | (how & 0x10) << 4,
                  how & 0x10 ? -1 : ring->kick);
    front_say_u64(front, VHOST_USER_SET_VRING_CALL, index | (how & 0x40) << 2,
                  how & 0x40 ? -1 : ring->call);
    front_say_state(front, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

static void do_start(struct world *world)
{
    start_ring(world, 0);
    start_ring(world, 1);
    step_device(world, 4);
    front_read_answers(&world->front);
}

static void do_stop(struct world *world)
{
    unsigned int how = take8(&world->in);
    struct front *front = &world->front;

    for (unsigned int i = 0; i < 2; i++) {
        if (how & 1u << i) {
            continue;
        }
        if (how & 4) {
            front_say_state(front, VHOST_USER_SET_VRING_ENABLE, i,
                            how >> 3 & 1);
        }
        if (!(how & 0x10)) {
            front_say_state(front, VHOST_USER_GET_VRING_BASE, i, 0);
        }
    }
    step_device(world, 4);
}

static void do_reset(struct world *world)
{
    static const uint32_t requests[] = {
        VHOST_USER_RESET_DEVICE,
        VHOST_USER_RESET_OWNER,
        VHOST_USER_SET_OWNER,
        VHOST_USER_GET_STATUS,
    };
    unsigned int how = take8(&world->in);

    if (how & 4) {
        front_say_u64(&world->front, VHOST_USER_SET_STATUS, how >> 3, -1);
    } else {
        front_say(&world->front, requests[how & 3], NULL, 0);
    }
}

static void do_iotlb(struct world *world)
{
    unsigned int how = take8(&world->in);
    uint64_t from = how & 1 ? UVA : 0;
    uint64_t at = (how >> 4) * 0x1000u;
    uint8_t bytes[32] = { 0 };

    put64(bytes, from + at);
    put64(bytes + 8, how & 2 ? RAM_BYTES - at : 0x1000);
    put64(bytes + 16, UVA + at);
    bytes[24] = how & 8 ? take8(&world->in) : 3;
    bytes[25] = how & 4 ? 3 : 2;
    front_say(&world->front, VHOST_USER_IOTLB_MSG, bytes, sizeof bytes);
}

static void do_inflight(struct world *world)
{
    unsigned int how = take8(&world->in);
    struct front *front = &world->front;
    uint8_t bytes[24] = { 0 };

    if (how & 1) {
        put16(bytes + 16, 2);
        put16(bytes + 18, front->ring[how >> 1 & 1].size);
        front_say(front, VHOST_USER_GET_INFLIGHT_FD, bytes, 24);
        step_device(world, 4);
        front_read_answers(front);
    } else if (front->inflight_fd >= 0) {
        front_say_fds(front, VHOST_USER_SET_INFLIGHT_FD, 9, front->inflight, 24,
                      &front->inflight_fd, 1);
    }
    if (how & 4 && front->inflight_fd >= 0) {
        size_t n = take_bytes(&world->in, bytes, sizeof bytes);

        (void)!pwrite(front->inflight_fd, bytes, n, (how >> 3) * 16);
    }
}

static void do_log(struct world *world)
{
    unsigned int how = take8(&world->in);
    uint64_t bytes[2] = { how >> 2, how & 2 ? how : 0 };
    int fd = fuzz_memfd(64);

    if (how & 1) {
        front_say_fds(&world->front, VHOST_USER_SET_LOG_BASE, 9, bytes, 16, &fd,
                      1);
    } else {
        front_say_fds(&world->front, VHOST_USER_SET_LOG_FD, 9, NULL, 0,
                      &world->front.ring[0].call, 1);
    }
    close(fd);
}

/* Nothing is under way between the two but what comes next. */
static bool is_quiet(struct world *world)
{
    if (world->front.sock < 0 || world->gone || world->front.torn) {
        return false;
    }
    do_settle(world);
    return !world->gone;
}

static void do_abuse(struct world *world, unsigned int which, unsigned int how)
{
    struct front *front = &world->front;
    uint32_t request;

    if (!is_quiet(world)) {
        return;
    }
    if (which == 0) {
        if (abuse_stream(front, how)) {
            do_settle(world);
            abuse_tail(front);
        }
        do_settle(world);
        fuzz_check(world->gone);
        return;
    }
    if (which == 1) {
        front->answer[0] = UINT32_MAX;
        request = abuse_request(front, how);
        do_settle(world);
        fuzz_check(!world->gone);
        fuzz_check(front->answer[0] == UINT32_MAX ||
                   front->answer[0] == request);
        fuzz_check(front->answer[0] != request || front->value != 0);
        return;
    }
    if (front->back >= 0 && !front->back_torn) {
        abuse_reply(front, how);
        do_settle(world);
        fuzz_check(front->ended);
    }
}

/* Any message: its payload is zeroes, then what the input says. */
static void do_message(struct world *world)
{
    unsigned int number = take8(&world->in);
    unsigned int how = take8(&world->in);
    const struct vwl_vhu_row *row;
    uint8_t payload[4096] = { 0 };
    int fds[FUZZ_MAX_FDS];
    unsigned int n_fds;
    uint32_t size;

    if (number >= 240 && number < 255) {
        do_abuse(world, number % 3, how);
        return;
    }
    number = number == 255 ? VHOST_USER_GET_SHARED_MEMORY_REGIONS : number % 48;
    row = vwl_vhu_row(number);
    size = row ? row->min_size : 8;
    n_fds = row ? row->min_fds : 0;
    take_bytes(&world->in, payload, sizeof payload);
    if (how & 8) {
        size = (how & 4 ? row ? row->max_size : 64 : take8(&world->in));
    }
    if (how & 16) {
        n_fds = row && !(how & 32) ? row->max_fds : pick(&world->in, 40);
    }
    for (unsigned int i = 0; i < n_fds; i++) {
        fds[i] = fuzz_make_fd(&world->in, NULL);
    }
    front_say_fds(&world->front, number,
                  how & 64 ? take8(&world->in) : 1 | (how & 1) << 3, payload,
                  size, fds, n_fds);
    for (unsigned int i = 0; i < n_fds; i++) {
        fuzz_close(&fds[i]);
    }
}

static void do_bytes(struct world *world)
{
    uint8_t bytes[255];
    size_t n = take_bytes(&world->in, bytes, sizeof bytes);
    int fd;

    if (n && world->front.sock >= 0) {
        fd = take8(&world->in) & 1 ? fuzz_make_fd(&world->in, NULL) : -1;
        world->front.torn = true;
        fuzz_send(world->front.sock, bytes, n, &fd, fd >= 0);
        fuzz_close(&fd);
    }
}

static void do_back(struct world *world)
{
    unsigned int how = take8(&world->in);
    struct front *front = &world->front;
    uint8_t bytes[64];
    size_t n;

    front_read_requests(front);
    if (how < 16) {
        fuzz_close(&front->back);
    } else if (how < 48 && front->back >= 0) {
        n = take_bytes(&world->in, bytes, sizeof bytes);
        front->back_torn = true;
        fuzz_send(front->back, bytes, n, NULL, 0);
    } else {
        front_answer(front, how & 3 ? 0 : (uint64_t)(int64_t) - (how >> 2));
    }
}

/* ---- the guest -------------------------------------------------------- */

static void kick(struct world *world, unsigned int index)
{
    eventfd_write(world->front.ring[index].kick, 1);
    step_device(world, 3);
}

static void do_buffer(struct world *world)
{
    unsigned int how = take8(&world->in);
    struct front *front = &world->front;

    for (unsigned int i = 0; i < (how & 3) + 1; i++) {
        uint64_t gpa = IN_BUFFERS_AT + (how >> 2 & 3) * 0x1000u;
        uint32_t len = how & 0x80 ? (how & 0x70) : 4096;

        front_offer(front, 0, &gpa, &len, 1);
    }
    kick(world, 0);
}

static void do_request(struct world *world)
{
    static const uint32_t sizes[] = { 0, 4096, 20000, 1 << 20 };
    unsigned int how = take8(&world->in);
    unsigned int slot = how >> 4;
    uint64_t gpa[2] = {
        OUT_BUFFERS_AT + slot * 0x200u,
        OUT_BUFFERS_AT + slot * 0x200u + 0x1c0,
    };
    uint32_t len[2] = { 64, 64 };
    uint8_t *at = world->front.ram + gpa[0];

    memset(at, 0, 0x200);
    put32(at, 0x100 + pick(&world->in, 11));
    put32(at + 8, pick(&world->in, 12) | (how & 1) << 30);
    put32(at + 12, how >> 1 & 3);
    put32(at + 24, sizes[how >> 3 & 3]);
    if (how & 8) {
        len[0] = 12 + (uint32_t)take_bytes(&world->in, at + 12, 0x180);
    }
    front_offer(&world->front, 1, gpa, len, 2);
    kick(world, 1);
}

static void do_kick(struct world *world)
{
    unsigned int how = take8(&world->in);

    if (how & 2) {
        front_say_state(&world->front, VHOST_USER_VRING_KICK, how & 1, 0);
    } else {
        kick(world, how & 1);
    }
}

static void do_poke(struct world *world)
{
    uint32_t at = take16(&world->in);

    take_bytes(&world->in, world->front.ram + at, RAM_BYTES - at);
}

static void do_peer(struct world *world)
{
    static const uint8_t data[5000];
    static uint8_t sink[70000];
    unsigned int how = take8(&world->in);
    int *peer = &world->peers[how & 3];
    int fds[FUZZ_MAX_FDS];
    unsigned int n_fds = 0;

    if (*peer < 0) {
        *peer = fuzz_accept(0);
        return;
    }
    switch (how >> 2 & 7) {
    case 0:
        fuzz_close(peer);
        break;
    case 1:
        fuzz_receive(*peer, sink, sizeof sink, fds, &n_fds);
        break;
    default:
        while (n_fds < (how >> 5 & 3)) {
            fds[n_fds++] = fuzz_make_fd(&world->in, NULL);
        }
        fuzz_send(*peer, data, how & 0x80 ? sizeof data : how, fds, n_fds);
        break;
    }
    while (n_fds > 0) {
        fuzz_close(&fds[--n_fds]);
    }
}

static void do_time(struct world *world)
{
    fuzz_advance_ms(take8(&world->in) * 20);
}

/* ---- one run ---------------------------------------------------------- */

static void create(struct world *world)
{
    static struct vwl_socket sockets[2];
    unsigned int how = take8(&world->in);

    sockets[0] = (struct vwl_socket){ "", fuzz_listener_path(0) };
    sockets[1] = (struct vwl_socket){ "full", fuzz_listener_path(1) };
    world->host.opaque = world;
    world->host.disconnected = on_disconnected;
    if (how & 1) {
        world->host.shm_map = on_shm_map;
        world->host.shm_unmap = on_shm_unmap;
    }
    world->front.answers = how >> 1 & 1;
    world->config = (struct vwl_pump_config){
        .core = {
            .sockets = sockets,
            .n_sockets = 2,
            .shm_window = 1 << 20,
            .max_vfds = 40,
            .max_contexts = 4,
            .max_shm_bytes = 1 << 18,
            .max_queued_bytes = 20000,
        },
        .session = {
            .features = FEATURES,
            .features_need_shm = how & 1 ? 0 : BIT(VIRTIO_WL_F_USE_SHMEM),
            .protocol_features = PROTOCOL,
            .shm_size = 1 << 20,
        },
        .max_in_flight = how >> 2 & 3,
        .host = &world->host,
    };
    world->context = g_main_context_new();
    connect_front(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const steps[])(struct world *) = {
        do_handshake, do_memory,    do_start,    do_stop,    do_message,
        do_bytes,     do_back,      do_buffer,   do_request, do_request,
        do_kick,      do_poke,      do_peer,     do_iterate, do_settle,
        do_suspend,   do_iotlb,     do_inflight, do_log,     do_reset,
        do_time,      do_reconnect,
    };
    struct world world = { .in = { data, size } };

    fuzz_begin();
    memset(world.peers, 0xff, sizeof world.peers);
    vwl_log_init(&world.log, fuzz_log, NULL);
    front_init(&world.front);
    world.state = g_byte_array_new();
    create(&world);
    for (unsigned int i = 0; i < MAX_OPS && world.in.left > 0; i++) {
        steps[pick(&world.in, G_N_ELEMENTS(steps))](&world);
        step_device(&world, 1);
        if (i % 8 == 7) {
            front_read_answers(&world.front);
        }
    }
    do_settle(&world);
    disconnect_front(&world);
    g_main_context_unref(world.context);
    for (unsigned int i = 0; i < PEERS; i++) {
        fuzz_close(&world.peers[i]);
    }
    front_finish(&world.front);
    g_byte_array_unref(world.state);
    fuzz_end();
    return 0;
}
