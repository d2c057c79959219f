/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whole vhost-user sessions against the device as the loop runs it: well-made
 * starts and stops, any message with any descriptors, torn streams, rings that
 * are written and stepped in between, compositors, and front-ends that come
 * back. Every answer is well-formed, what may not be said is refused or ends
 * the connection (vhu_abuse.h), and a device that is left alone comes to rest.
 */
#include <fcntl.h>
#include <unistd.h>

#include "vhu/session_private.h"

#include "vhu_abuse.h"
#include "vhu_world.h"

#define MAX_OPS 200

/* ---- the device ------------------------------------------------------- */

static void on_disconnected(void *opaque)
{
    ((struct vhu_world *)opaque)->gone = true;
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

static void connect_front(struct vhu_world *world)
{
    int pair[2];

    fuzz_socketpair(pair);
    fuzz_check(vwl_gate_create(world->context, &world->gate) == 0);
    vwl_gate_lock(world->gate);
    fuzz_check(vwl_pump_create(&world->config, &world->log, world->gate,
                               &pair[1], &world->pump) == 0);
    vwl_gate_unlock(world->gate);
    world->front.sock = pair[0];
    world->gone = false;
}

static void disconnect_front(struct vhu_world *world)
{
    vwl_gate_lock(world->gate);
    vwl_pump_destroy(world->pump);
    vwl_gate_close(world->gate);
    vwl_gate_unlock(world->gate);
    vwl_gate_unref(world->gate);
    vhu_hang_up(&world->front);
}

void vhu_step_device(struct vhu_world *world, unsigned int most)
{
    for (unsigned int i = 0;
         i < most && g_main_context_iteration(world->context, FALSE); i++) {
        vhu_read_requests(&world->front);
    }
}

static void do_settle(struct vhu_world *world)
{
    unsigned int rounds = 0;

    do {
        fuzz_check(rounds++ < 3000);
        vhu_read_answers(&world->front);
        vhu_read_requests(&world->front);
    } while (g_main_context_iteration(world->context, FALSE));
}

static void do_iterate(struct vhu_world *world)
{
    vhu_step_device(world, 1 + pick(&world->in, 8));
}

static void do_reconnect(struct vhu_world *world)
{
    unsigned int how = take8(&world->in);

    if (how & 1) {
        vhu_hang_up(&world->front);
        vhu_step_device(world, 4);
    }
    disconnect_front(world);
    connect_front(world);
}

/* ---- snapshots -------------------------------------------------------- */

/* Takes the end of a pipe; the other is the world's. -1: refused. */
static int transfer(struct vhu_world *world, bool save)
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

static void save_state(struct vhu_world *world)
{
    int fd = transfer(world, true);
    uint8_t bytes[4096];
    ssize_t n = -1;

    if (fd < 0) {
        return;
    }
    g_byte_array_set_size(world->state, 0);
    for (unsigned int i = 0; i < 200 && n != 0; i++) {
        vhu_step_device(world, 2);
        while ((n = read(fd, bytes, sizeof bytes)) > 0) {
            g_byte_array_append(world->state, bytes, (guint)n);
        }
    }
    fuzz_close(&fd);
}

/* Changed in a few places, with a checksum that fits. */
static void load_state(struct vhu_world *world, unsigned int how)
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
        vhu_step_device(world, 2);
    }
    fuzz_close(&fd);
    vhu_step_device(world, 4);
    g_checksum_free(sum);
}

static void do_suspend(struct vhu_world *world)
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

/* ---- what no front-end should say ------------------------------------ */

/* Nothing is under way between the two but what comes next. */
static bool is_quiet(struct vhu_world *world)
{
    if (world->front.sock < 0 || world->gone || world->front.torn) {
        return false;
    }
    do_settle(world);
    return !world->gone;
}

static void do_abuse(struct vhu_world *world, unsigned int which,
                     unsigned int how)
{
    struct vhu_front *front = &world->front;
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
static void do_message(struct vhu_world *world)
{
    unsigned int number = take8(&world->in);
    unsigned int how = take8(&world->in);
    const struct vwl_session_row *known;
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
    known = vwl_session_row(number);
    row = known ? &known->shape : NULL;
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
    vhu_say_fds(&world->front, number,
                how & 64 ? take8(&world->in) : 1 | (how & 1) << 3, payload,
                size, fds, n_fds);
    for (unsigned int i = 0; i < n_fds; i++) {
        fuzz_close(&fds[i]);
    }
}

static void do_bytes(struct vhu_world *world)
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

static void do_back(struct vhu_world *world)
{
    unsigned int how = take8(&world->in);
    struct vhu_front *front = &world->front;
    uint8_t bytes[64];
    size_t n;

    vhu_read_requests(front);
    if (how < 16) {
        fuzz_close(&front->back);
    } else if (how < 48 && front->back >= 0) {
        n = take_bytes(&world->in, bytes, sizeof bytes);
        front->back_torn = true;
        fuzz_send(front->back, bytes, n, NULL, 0);
    } else {
        vhu_answer(front, how & 3 ? 0 : (uint64_t)(int64_t) - (how >> 2));
    }
}

static void do_time(struct vhu_world *world)
{
    fuzz_advance_ms(take8(&world->in) * 20);
}

/* ---- one run ---------------------------------------------------------- */

static void create(struct vhu_world *world)
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
    static void (*const steps[])(struct vhu_world *) = {
        vhu_do_handshake, vhu_do_memory,   vhu_do_start, vhu_do_stop,
        do_message,       do_bytes,        do_back,      vhu_do_buffer,
        vhu_do_request,   vhu_do_request,  vhu_do_kick,  vhu_do_poke,
        vhu_do_peer,      do_iterate,      do_settle,    do_suspend,
        vhu_do_iotlb,     vhu_do_inflight, vhu_do_log,   vhu_do_reset,
        do_time,          do_reconnect,
    };
    struct vhu_world world = { .in = { data, size } };

    fuzz_begin();
    memset(world.peers, 0xff, sizeof world.peers);
    vwl_log_init(&world.log, fuzz_log, NULL);
    vhu_front_init(&world.front);
    world.state = g_byte_array_new();
    create(&world);
    for (unsigned int i = 0; i < MAX_OPS && world.in.left > 0; i++) {
        steps[pick(&world.in, G_N_ELEMENTS(steps))](&world);
        vhu_step_device(&world, 1);
        if (i % 8 == 7) {
            vhu_read_answers(&world.front);
        }
    }
    do_settle(&world);
    disconnect_front(&world);
    g_main_context_unref(world.context);
    for (unsigned int i = 0; i < PEERS; i++) {
        fuzz_close(&world.peers[i]);
    }
    vhu_front_finish(&world.front);
    g_byte_array_unref(world.state);
    fuzz_end();
    return 0;
}
