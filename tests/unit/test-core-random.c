/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

/* Random requests, peers that come, send, stall and go, and a front-end that
 * answers when it likes: nothing leaks, nothing is answered twice. */

#define PEERS 12
#define IDS 10
#define PENDING 400
/* One thread: there is nothing to find for a sanitizer that slows it down. */
#ifdef __SANITIZE_THREAD__
#define STEPS 1000
#else
#define STEPS 30000
#endif

struct world {
    struct core_rig *rig;
    int peers[PEERS]; /* -1: none */
    struct asked *pending[PENDING];
    unsigned int n_pending;
    guint n_completed;
    guint n_ops; /* that were answered or passed over */
    uint32_t host_ids[16];
    char *big;
};

static int pick(int n)
{
    return g_test_rand_int_range(0, n);
}

static uint32_t pick_id(struct world *world)
{
    return pick(4) ? (uint32_t)pick(IDS) : world->host_ids[pick(16)];
}

static void execute(struct world *world, struct asked *asked)
{
    int err = vwl_core_execute(world->rig->core, &asked->request);

    if (err == -EINPROGRESS) {
        g_assert_cmpuint(world->n_pending, <, PENDING);
        world->pending[world->n_pending++] = asked;
        return;
    }
    g_assert_cmpint(err, ==, 0);
    g_assert_cmpuint(asked->request.response_bytes, <=,
                     asked->request.response_room);
    asked_free(asked);
}

static void collect(struct world *world)
{
    GPtrArray *completed = world->rig->completed;

    for (; world->n_completed < completed->len; world->n_completed++) {
        struct vwl_request *request = completed->pdata[world->n_completed];
        unsigned int i = 0;

        while (i < world->n_pending && &world->pending[i]->request != request) {
            i++;
        }
        g_assert_cmpuint(i, <, world->n_pending);
        g_assert_cmpuint(get32(request->response), >=, RESP_OK);
        asked_free(world->pending[i]);
        world->pending[i] = world->pending[--world->n_pending];
    }
}

static void do_new(struct world *world)
{
    static const uint32_t types[] = { CMD_VFD_NEW, CMD_VFD_NEW_CTX,
                                      CMD_VFD_NEW_PIPE, CMD_VFD_NEW_CTX_NAMED };
    uint8_t bytes[64];

    fill_new(bytes, types[pick(4)], pick_id(world), (uint32_t)pick(4),
             (uint32_t)pick(3) * 5000);
    execute(world, ask_init(bytes, 64, 64));
}

static void do_close(struct world *world)
{
    execute(world, close_init(pick_id(world)));
}

static void do_send(struct world *world)
{
    static const size_t sizes[] = { 0, 1, 100, 40000, 70000, 500000 };
    uint32_t ids[3];
    uint32_t n_ids = pick(2) ? 0 : (uint32_t)pick(4);

    for (uint32_t i = 0; i < n_ids; i++) {
        ids[i] = pick_id(world);
    }
    execute(world,
            send_init(pick_id(world), ids, n_ids, world->big, sizes[pick(6)]));
}

static void do_next(struct world *world)
{
    ssize_t n;

    world->rig->message_room = pick(3) ? 4096 : (size_t)pick(200);
    vwl_core_buffers_free(world->rig->core, (unsigned int)pick(17), 16);
    n = next_message(world->rig);
    if (n > 0) {
        g_assert_cmpuint((size_t)n, <=, world->rig->message_room);
        if (get32(world->rig->message) == CMD_VFD_NEW) {
            world->host_ids[pick(16)] = get32(world->rig->message + 8);
        }
    }
    if (pick(2)) {
        vwl_core_buffer_returned(world->rig->core,
                                 world->rig->token - (uint64_t)pick(20));
    }
}

static void accept_peers(struct world *world)
{
    for (int i = 0; i < PEERS; i++) {
        if (world->peers[i] < 0) {
            world->peers[i] = accept4(world->rig->listener, NULL, NULL,
                                      SOCK_CLOEXEC | SOCK_NONBLOCK);
        }
    }
}

static int odd_fd(struct world *world)
{
    int fds[2] = { -1, -1 };

    switch (pick(5)) {
    case 0:
        return sealed_file((size_t)pick(3) * 4096, F_SEAL_SHRINK);
    case 1:
        return sealed_file((size_t)pick(9000), 0);
    case 2:
        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        break;
    case 3:
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
                        ==, 0);
        break;
    default:
        return open("/dev/null", O_RDWR | O_CLOEXEC);
    }
    if (pick(2)) {
        int other = fds[0];

        fds[0] = fds[1];
        fds[1] = other;
    }
    close(fds[1]);
    return fds[0];
}

static void do_peer(struct world *world)
{
    int *peer = &world->peers[pick(PEERS)];
    unsigned int n_fds = 0;
    int fds[253];
    char data[65536];

    accept_peers(world);
    if (*peer < 0) {
        return;
    }
    switch (pick(8)) {
    case 0:
        close(*peer);
        *peer = -1;
        break;
    case 1:
    case 2:
        for (n_fds = 0; n_fds < (unsigned int)pick(40); n_fds++) {
            fds[n_fds] = odd_fd(world);
        }
        if (n_fds && pick(3) == 0) {
            close(fds[0]);
            fds[0] = fcntl(*peer, F_DUPFD_CLOEXEC, 0); /* itself */
        }
        {
            union {
                char bytes[CMSG_SPACE(253 * sizeof(int))];
                struct cmsghdr align;
            } control = { { 0 } };
            struct iovec iov = { data, 1 + (size_t)pick(9000) };
            struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

            memset(data, 'd', iov.iov_len);
            if (n_fds) {
                control.align.cmsg_level = SOL_SOCKET;
                control.align.cmsg_type = SCM_RIGHTS;
                control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
                memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
                msg.msg_control = &control;
                msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
            }
            (void)!sendmsg(*peer, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        break;
    default:
        (void)!socket_receive(*peer, data, sizeof data, fds, &n_fds);
        break;
    }
    for (unsigned int i = 0; i < n_fds; i++) {
        close(fds[i]);
    }
}

static void do_front_end(struct world *world)
{
    struct core_rig *rig = world->rig;

    rig->map_later = pick(2);
    rig->map_err = pick(5) ? 0 : -EIO;
    rig->unmap_err = pick(5) ? 0 : -EIO;
    while (world->n_ops < rig->ops->len && pick(3)) {
        struct core_rig_op op = g_array_index(rig->ops, struct core_rig_op,
                                              world->n_ops++);

        if (op.is_map) {
            vwl_core_map_done(rig->core, op.cookie, pick(5) ? 0 : -EIO);
        } else {
            vwl_core_unmap_done(rig->core, op.cookie, pick(5) ? 0 : -EIO);
        }
    }
    rig->base = pick(4) ? 0xfe00000000 : 0;
    vwl_core_base_changed(rig->core);
}

static void do_reset(struct world *world)
{
    struct vwl_stats stats = { 0 };

    vwl_core_reset(world->rig->core, pick(2));
    collect(world);
    while (world->n_pending > 0) {
        asked_free(world->pending[--world->n_pending]);
    }
    vwl_core_stats(world->rig->core, &stats);
    g_assert_cmpuint(stats.vfds, ==, 0);
    g_assert_cmpuint(stats.contexts, ==, 0);
    g_assert_cmpuint(stats.in_flight, ==, 0);
    g_assert_cmpuint(stats.shm_bytes, ==, 0);
    g_assert_cmpuint(stats.shm_mappings, ==, 0);
    g_assert_cmpuint(stats.queued_bytes, ==, 0);
    world->n_ops = world->rig->ops->len;
}

static void test_random(gconstpointer mode)
{
    struct vwl_core_config limits = core_rig_limits;
    struct world world = { 0 };

    limits.max_vfds = 200;
    limits.max_contexts = 8;
    limits.max_shm_bytes = 1 << 20;
    limits.max_queued_bytes = 100000;
    limits.shm_window = 1 << 21;
    world.rig = core_rig_new_limits(GPOINTER_TO_UINT(mode), &limits);
    world.big = g_malloc0(500000);
    vwl_core_set_in_flight_limit(world.rig->core, 16, 16, 32);
    for (int i = 0; i < PEERS; i++) {
        world.peers[i] = -1;
    }
    for (int step = 0; step < STEPS; step++) {
        switch (pick(12)) {
        case 0:
        case 1:
            do_new(&world);
            break;
        case 2:
            do_close(&world);
            break;
        case 3:
        case 4:
            do_send(&world);
            break;
        case 5:
        case 6:
        case 7:
            do_next(&world);
            break;
        case 8:
            vwl_core_dispatch_out(world.rig->core);
            break;
        case 9:
            do_front_end(&world);
            break;
        default:
            do_peer(&world);
            break;
        }
        collect(&world);
        if (pick(2000) == 0) {
            do_reset(&world);
        } else if (pick(2000) == 0) {
            vwl_core_fail_requests(world.rig->core, NULL, NULL);
            collect(&world);
            g_assert_cmpuint(world.n_pending, ==, 0);
        }
    }
    do_reset(&world);
    for (int i = 0; i < PEERS; i++) {
        if (world.peers[i] >= 0) {
            close(world.peers[i]);
        }
    }
    g_free(world.big);
    core_rig_free(world.rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/core/random/region", GUINT_TO_POINTER(MODE_K23),
                         test_random);
    g_test_add_data_func("/core/random/absolute", GUINT_TO_POINTER(MODE_NEWEST),
                         test_random);
    g_test_add_data_func("/core/random/old", GUINT_TO_POINTER(MODE_OLD),
                         test_random);
    return g_test_run();
}
