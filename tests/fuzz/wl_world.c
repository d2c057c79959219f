/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATTERN 251

uint8_t world_big[WORLD_BIG];

bool world_is_stream(uint8_t *last, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] != 0 && bytes[i] != (*last + 1) % PATTERN) {
            return false;
        }
        *last = bytes[i];
    }
    return true;
}

/* ---- the device's surroundings ---------------------------------------- */

static int on_map(void *opaque, uint64_t cookie, int fd, uint64_t fd_offset,
                  uint64_t shm_offset, uint64_t len, bool writable)
{
    struct world *world = opaque;

    fuzz_check(fcntl(fd, F_GETFD) >= 0);
    return wl_front_map(&world->front, cookie, shm_offset, len);
}

static int on_unmap(void *opaque, uint64_t cookie, uint64_t shm_offset,
                    uint64_t len)
{
    return wl_front_unmap(&((struct world *)opaque)->front, cookie, shm_offset,
                          len);
}

static int on_base(void *opaque, uint64_t *gpa)
{
    struct world *world = opaque;

    if (!world->front.base) {
        return -EAGAIN;
    }
    *gpa = world->front.base;
    return 0;
}

static void on_ready(void *opaque)
{
}

static int on_foreign(void *opaque, uint32_t kind, uint64_t value, int *fd)
{
    struct world *world = opaque;
    int *to = &world->asked[world->next_asked % WORLD_ASKED], sv[2];

    fuzz_check(kind >= 1 && kind <= 3);
    fuzz_check(kind != VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE || !value);
    switch (value & 7) {
    case 1:
        return -ENOMEM;
    case 2:
        return -ENOENT;
    case 3:
        return 0; /* and no descriptor */
    case 4:
        *fd = eventfd(0, EFD_CLOEXEC);
        return 0;
    default:
        break;
    }
    world->next_asked++;
    fuzz_close(to);
    fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) == 0);
    *to = sv[0];
    *fd = sv[1];
    return -EINPROGRESS;
}

static int run_compare(const void *a, const void *b)
{
    const struct vwl_run *one = a, *other = b;

    return (one->gpa > other->gpa) - (one->gpa < other->gpa);
}

/* Whole pages, each once, not too many. */
static void check_runs(const struct vwl_run *runs, unsigned int n)
{
    g_autofree struct vwl_run *sorted = g_memdup2(runs, n * sizeof *runs);
    uint64_t end = 0, bytes = 0;

    fuzz_check(n > 0 && n <= VIRTIO_WL_PAGES_MAX_RUNS);
    qsort(sorted, n, sizeof *sorted, run_compare);
    for (unsigned int i = 0; i < n; i++) {
        fuzz_check(sorted[i].bytes > 0 && sorted[i].bytes % 4096 == 0);
        fuzz_check(sorted[i].gpa % 4096 == 0 && sorted[i].gpa >= end);
        end = sorted[i].gpa + sorted[i].bytes;
        fuzz_check(end > sorted[i].gpa);
        bytes += sorted[i].bytes;
    }
    fuzz_check(bytes <= VIRTIO_WL_PAGES_MAX_BYTES);
}

static int on_pages(void *opaque, const struct vwl_run *runs, unsigned int n,
                    int *fd)
{
    static const int errors[] = { EFAULT, EOPNOTSUPP, EINVAL, ENOMEM };
    uint64_t how = runs[0].gpa >> 12 & 15;

    check_runs(runs, n);
    if (how < G_N_ELEMENTS(errors)) {
        return -errors[how];
    }
    *fd = fuzz_memfd(4096);
    return 0;
}

static void do_answer(struct world *world)
{
    unsigned int how = take8(&world->in);
    int *to = &world->asked[how & (WORLD_ASKED - 1)];
    int32_t status = how >> 3 & 1 ? -ENOENT : 0;
    int fd = eventfd(0, EFD_CLOEXEC);

    if (*to >= 0 && (how >> 4 & 3) == 1) {
        fuzz_send(*to, &status, sizeof status, NULL, 0);
    } else if (*to >= 0 && (how >> 4 & 3) != 0) {
        fuzz_send(*to, &status, how >> 6 == 3 ? 3 : sizeof status, &fd, 1);
    }
    if ((how >> 4 & 3) != 1) {
        fuzz_close(to);
    }
    close(fd);
    vwl_core_dispatch_out(world->core);
}

static const struct vwl_core_ops ops = {
    .complete = world_on_complete,
    .shm_map = on_map,
    .shm_unmap = on_unmap,
    .shm_base = on_base,
    .message_ready = on_ready,
    .foreign = on_foreign,
    .pages = on_pages,
};

static void drop_pending(struct world *world)
{
    while (world->n_pending > 0) {
        world_asked_free(world->pending[--world->n_pending]);
    }
    g_hash_table_remove_all(world->known);
    g_hash_table_remove_all(world->announced);
    g_hash_table_remove_all(world->listed);
    g_hash_table_remove_all(world->hung);
    g_hash_table_remove_all(world->streams);
    world->lost_track = world->restored = false;
}

void world_was_reset(struct world *world, bool late)
{
    wl_front_reset(&world->front);
    if (!late) {
        g_array_set_size(world->front.answers, 0);
    }
    drop_pending(world);
}

static void do_reset(struct world *world)
{
    struct vwl_stats stats = { 0 };
    unsigned int how = take8(&world->in);
    bool late = how >> 4 & 1; /* answers to what was before come after it */

    vwl_core_reset(world->core, world->front.in_process);
    world_was_reset(world, late);
    vwl_core_stats(world->core, &stats);
    fuzz_check(stats.vfds == 0 && stats.contexts == 0);
    fuzz_check(stats.in_flight == 0 && stats.shm_bytes == 0);
    fuzz_check(stats.shm_mappings == 0 && stats.queued_bytes == 0);
    world->features = (how & 0xe) | (how >> 6 & 1u) << VIRTIO_WL_F_GUEST_PAGES;
    world->has_shm = !(how >> 5 & 1);
    vwl_core_set_features(world->core, world->features, world->has_shm);
}

static bool is_even(void *opaque, const struct vwl_request *request)
{
    return request->total_bytes % 2 == 0;
}

static void do_front(struct world *world)
{
    unsigned int how = take8(&world->in);

    world->front.later = how & 1;
    world->front.refuse_map = (how & 0x0e) == 0x0e;
    world->front.refuse_unmap = (how & 0x70) == 0x70;
    world->front.base = (how & 0x30) == 0x30
                            ? 0
                            : UINT64_C(0xfe00000000) + (how >> 6) * 0x10000000;
    vwl_core_base_changed(world->core);
}

static void do_rare(struct world *world)
{
    struct vwl_stats stats = { 0 };
    unsigned int most;
    uint64_t offset;

    switch (pick(&world->in, 8)) {
    case 0:
        do_reset(world);
        break;
    case 1:
        vwl_core_fail_requests(world->core, NULL, NULL);
        fuzz_check(world->n_pending == 0);
        break;
    case 2:
        vwl_core_fail_requests(world->core, is_even, NULL);
        break;
    case 3:
        most = pick(&world->in, 40);
        vwl_core_set_in_flight_limit(world->core, most, most + most / 4, most);
        break;
    case 4:
        vwl_core_stats(world->core, &stats);
        fuzz_check(stats.in_flight <= world->n_pending);
        vwl_core_owns_file(world->core, take8(&world->in), 1, &offset);
        break;
    case 5:
        vwl_core_map_done(world->core, (take8(&world->in) + UINT64_C(1)) << 40,
                          -(int)take8(&world->in));
        break;
    case 6:
        do_answer(world);
        break;
    default:
        world_do_settle(world);
        break;
    }
}

void world_step(struct world *world)
{
    static void (*const steps[])(struct world *) = {
        world_do_new,    world_do_new,  world_do_send, world_do_foreign,
        world_do_close,  world_do_raw,  world_do_next, world_do_next,
        world_do_accept, world_do_peer, world_do_peer, world_do_held,
        do_front,        do_rare,
    };
    unsigned int how = take8(&world->in) & 15;

    if (how < G_N_ELEMENTS(steps)) {
        steps[how](world);
    } else if (how == 14) {
        wl_front_answer_oldest(&world->front, world->core);
    } else {
        fuzz_advance_ms(take8(&world->in) * 20);
        vwl_core_dispatch_out(world->core);
    }
    world_census(world);
}

const struct vwl_core_config world_limits = {
    .shm_window = FRONT_WINDOW,
    .max_vfds = 60,
    .max_contexts = 6,
    .max_shm_bytes = 1 << 19,
    .max_queued_bytes = 30000,
};

int world_make_core(struct world *world, const struct vwl_core_config *limits,
                    struct vwl_core **out)
{
    static struct vwl_socket sockets[3]; /* the core borrows them */
    struct vwl_core_config config = *limits;

    sockets[0] = (struct vwl_socket){ "", fuzz_listener_path(0) };
    sockets[1] = (struct vwl_socket){ "full", fuzz_listener_path(1) };
    sockets[2] = (struct vwl_socket){ "gone", "/nonexistent/socket" };
    config.sockets = sockets;
    config.n_sockets = G_N_ELEMENTS(sockets);
    return vwl_core_create(&config, &ops, world, &world->log, out);
}

void world_init(struct world *world, const uint8_t *data, size_t size)
{
    unsigned int how;

    memset(world, 0, sizeof *world);
    world->in = (struct fuzz_input){ data, size };
    memset(world->peers, 0xff, sizeof world->peers);
    memset(world->held, 0xff, sizeof world->held);
    memset(world->asked, 0xff, sizeof world->asked);
    world->known = g_hash_table_new(NULL, NULL);
    world->announced = g_hash_table_new(NULL, NULL);
    world->listed = g_hash_table_new(NULL, NULL);
    world->hung = g_hash_table_new(NULL, NULL);
    world->streams = g_hash_table_new(NULL, NULL);
    for (unsigned int i = 0; i < WORLD_BIG; i++) {
        world_big[i] = (uint8_t)(i % PATTERN);
    }
    vwl_log_init(&world->log, fuzz_log, NULL);
    wl_front_init(&world->front);
    how = take8(&world->in);
    world->front.in_process = how & 1;
    world->front.drops = how >> 4 & 1;
    world->front.base = UINT64_C(0xfe00000000);
    fuzz_check(world_make_core(world, &world_limits, &world->core) == 0);
    world->features = (how & 0xe) | (how >> 6 & 1u) << VIRTIO_WL_F_GUEST_PAGES;
    world->has_shm = true;
    vwl_core_set_features(world->core, world->features, true);
    vwl_core_set_in_flight_limit(world->core, 16, 16, 32);
}

void world_finish(struct world *world)
{
    vwl_core_destroy(world->core);
    drop_pending(world);
    g_hash_table_unref(world->known);
    g_hash_table_unref(world->announced);
    g_hash_table_unref(world->listed);
    g_hash_table_unref(world->hung);
    g_hash_table_unref(world->streams);
    for (unsigned int i = 0; i < WORLD_PEERS; i++) {
        fuzz_close(&world->peers[i]);
        fuzz_close(&world->held[i]);
    }
    for (unsigned int i = 0; i < WORLD_ASKED; i++) {
        fuzz_close(&world->asked[i]);
    }
    wl_front_finish(&world->front);
}
