/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_US (INT64_C(20) * 1000000)

#define CTX 1u
#define MEMORY 5u
#define PIPE 6u
#define SECOND 8u

/* Bytes of one direction. */
struct flow {
    uint64_t sent, received;
    bool cut; /* refused, or hung up */
};

struct scene {
    struct world *world;
    int conn;
    struct flow out, in;
};

static uint8_t byte_at(uint64_t at)
{
    return (uint8_t)(at * 167 + (at >> 8) * 13);
}

static void fill(uint8_t *to, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = byte_at(at + i);
    }
}

static void arrived(struct scene *scene, struct flow *flow,
                    const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        must(scene->world, bytes[i] == byte_at(flow->received + i),
             "wrong bytes");
    }
    flow->received += len;
}

/* The result of a command. A ring that works answers, if only with nothing,
 * for want of memory. */
static bool is(struct scene *scene, int result, uint32_t want)
{
    struct world *world = scene->world;

    must(world, result != -ETIMEDOUT || !world_is_alive(world),
         "a request is not answered");
    must(world, !world->strict || result == (int)want, "a request was refused");
    return result == (int)want;
}

static bool alive(const struct scene *scene)
{
    return world_is_alive(scene->world);
}

static bool has_hung_up(struct scene *scene, uint32_t id)
{
    struct vwl_drv_vfd *vfd = vwl_drv_find(scene->world->drv, id);

    return !vfd || vfd->hup;
}

/* ---- a context ---- */

static bool open_context(struct scene *scene)
{
    struct world *world = scene->world;

    for (unsigned int i = 0; i < 2 && alive(scene); i++) {
        if (is(scene, vwl_drv_new_ctx(world->drv, CTX, "peer0"),
               VIRTIO_WL_RESP_VFD_NEW)) {
            must(world, world_readable(world, world->peers[0].listener),
                 "a context without a connection");
            scene->conn = peer_accept(&world->peers[0]);
            memset(&scene->out, 0, sizeof scene->out);
            memset(&scene->in, 0, sizeof scene->in);
            return scene->conn >= 0;
        }
        /* a connection that was refused after all */
        scene->conn = peer_accept(&world->peers[0]);
        if (scene->conn >= 0) {
            close(scene->conn);
            scene->conn = -1;
        }
    }
    return false;
}

static bool send_out(struct scene *scene, size_t len, const uint32_t *id)
{
    g_autofree uint8_t *bytes = g_malloc(len);

    fill(bytes, scene->out.sent, len);
    if (scene->out.cut || !alive(scene)) {
        return false;
    }
    if (is(scene,
           vwl_drv_send(scene->world->drv, CTX, id, id != NULL, bytes, len),
           VIRTIO_WL_RESP_OK)) {
        scene->out.sent += len;
        return true;
    }
    scene->out.cut = true;
    return false;
}

/* Until all is there, or the end; a descriptor that comes goes to *fd. */
static void receive_out(struct scene *scene, int *fd)
{
    struct world *world = scene->world;
    static uint8_t bytes[70000];

    while (scene->out.received < scene->out.sent && scene->conn >= 0) {
        int fds[8];
        unsigned int n_fds = 8;
        ssize_t n;

        if (!world_readable(world, scene->conn)) {
            must(world, scene->out.cut || !alive(scene),
                 "bytes that were answered for are lost");
            return;
        }
        n = peer_recv(scene->conn, bytes, sizeof bytes, fds, &n_fds);
        if (n <= 0) {
            must(world, n == 0 || n == -ECONNRESET, "cannot be read");
            must(world,
                 !alive(scene) || scene->out.cut || has_hung_up(scene, CTX) ||
                     (world_turn(world, 50),
                      has_hung_up(scene, CTX) || !alive(scene)),
                 "a connection ended and the guest was not told");
            must(world, !world->strict, "a connection ended");
            scene->out.cut = true;
            return;
        }
        arrived(scene, &scene->out, bytes, (size_t)n);
        for (unsigned int i = 0; i < n_fds; i++) {
            if (fd && *fd < 0) {
                *fd = fds[i];
            } else {
                close(fds[i]);
            }
        }
    }
}

static void send_in(struct scene *scene, size_t len, const int *fds,
                    unsigned int n_fds)
{
    g_autofree uint8_t *bytes = g_malloc(len);
    size_t at = 0;

    fill(bytes, scene->in.sent, len);
    while (at < len && !scene->in.cut && alive(scene)) {
        ssize_t n = peer_send(scene->conn, bytes + at, len - at, fds, n_fds);

        if (n == -EPIPE || n == -ECONNRESET) {
            must(scene->world, !scene->world->strict, "a connection ended");
            scene->in.cut = true;
        } else if (n > 0) {
            at += (size_t)n;
            scene->in.sent += (size_t)n;
            n_fds = 0;
        } else {
            world_turn(scene->world, 2);
        }
    }
}

/* Closes what comes along; how many did. */
static unsigned int receive_in(struct scene *scene)
{
    struct vwl_drv *drv = scene->world->drv;
    unsigned int total = 0;
    int64_t end = g_get_monotonic_time() + PATIENCE_US;

    while (scene->in.received < scene->in.sent && alive(scene)) {
        uint8_t bytes[4096];
        uint32_t ids[16];
        unsigned int n_ids = 16;
        int64_t n;

        if (!vwl_drv_readable(drv, CTX)) {
            must(scene->world, g_get_monotonic_time() < end,
                 "bytes of the host are lost");
            world_turn(scene->world, 2);
            continue;
        }
        n = vwl_drv_recv(drv, CTX, bytes, sizeof bytes, ids, &n_ids, 0);
        must(scene->world, n >= 0, "cannot be received");
        arrived(scene, &scene->in, bytes, (size_t)n);
        for (unsigned int i = 0; i < n_ids && alive(scene); i++) {
            is(scene, vwl_drv_close(drv, ids[i]), VIRTIO_WL_RESP_OK);
        }
        total += n_ids;
        if (n == 0 && n_ids == 0) {
            must(scene->world, !scene->world->strict, "hung up");
            scene->in.cut = scene->out.cut = true;
            break;
        }
    }
    return total;
}

/* ---- what is done with it ---- */

static void play_bytes(struct scene *scene)
{
    static const size_t sizes[] = { 10, 5000, 60000 };

    for (unsigned int i = 0; i < G_N_ELEMENTS(sizes); i++) {
        send_out(scene, sizes[i], NULL);
        receive_out(scene, NULL);
        send_in(scene, sizes[i] / 4, NULL, 0);
        receive_in(scene);
    }
}

static void play_descriptors(struct scene *scene)
{
    int pair[2], ends[2], fds[5];
    unsigned int n;

    fds[0] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    fds[1] = memfd_create("open", MFD_CLOEXEC);
    must(scene->world,
         ftruncate(fds[0], 8192) == 0 && ftruncate(fds[1], 5000) == 0,
         "no files");
    fcntl(fds[0], F_ADD_SEALS, F_SEAL_SHRINK);
    must(scene->world,
         pipe2(ends, O_CLOEXEC) == 0 &&
             socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0,
         "no pipes");
    fds[2] = ends[0];
    fds[3] = pair[0];
    fds[4] = open("/dev/null", O_RDWR | O_CLOEXEC);
    send_in(scene, 20, fds, 5);
    n = receive_in(scene);
    must(scene->world, n == 5 || scene->in.cut || !alive(scene),
         "descriptors are lost");
    for (unsigned int i = 0; i < 5; i++) {
        close(fds[i]);
    }
    close(ends[1]);
    close(pair[1]);
}

static void play_memory(struct scene *scene)
{
    struct vwl_drv *drv = scene->world->drv;
    const uint32_t id = MEMORY;
    int fd = -1;
    uint8_t *at;

    if (!alive(scene) ||
        !is(scene, vwl_drv_new(drv, MEMORY, 8192), VIRTIO_WL_RESP_VFD_NEW)) {
        return;
    }
    at = vwl_drv_map(drv, MEMORY);
    must(scene->world, at != NULL, "memory without a place");
    fill(at, 7, 8192);
    if (send_out(scene, 5, &id)) {
        receive_out(scene, &fd);
        must(scene->world, fd >= 0 || scene->out.cut || !alive(scene),
             "a descriptor was lost");
    }
    if (fd >= 0) {
        at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
        must(scene->world, at != MAP_FAILED && at[8191] == byte_at(8198),
             "wrong memory");
        munmap(at, 8192);
        close(fd);
    }
    if (alive(scene)) {
        is(scene, vwl_drv_close(drv, MEMORY), VIRTIO_WL_RESP_OK);
    }
}

/* All of it comes through a pipe that the guest reads. */
static void read_pipe(struct scene *scene, uint32_t id, int fd)
{
    struct vwl_drv *drv = scene->world->drv;
    int64_t end = g_get_monotonic_time() + PATIENCE_US;
    uint8_t bytes[3000], back[4096];
    size_t got = 0;

    fill(bytes, 0, sizeof bytes);
    must(scene->world, write(fd, bytes, sizeof bytes) == sizeof bytes,
         "cannot be written");
    while (got < sizeof bytes && alive(scene)) {
        int64_t n;

        if (!vwl_drv_readable(drv, id)) {
            must(scene->world, g_get_monotonic_time() < end,
                 "bytes of a pipe are lost");
            world_turn(scene->world, 2);
            continue;
        }
        n = vwl_drv_recv(drv, id, back, sizeof back, NULL, NULL, 0);
        if (n == 0) {
            must(scene->world, !scene->world->strict, "a pipe ended");
            return;
        }
        must(scene->world, n > 0 && memcmp(back, bytes + got, (size_t)n) == 0,
             "wrong bytes in a pipe");
        got += (size_t)n;
    }
}

static void write_pipe(struct scene *scene, uint32_t id, int fd)
{
    struct vwl_drv *drv = scene->world->drv;
    uint8_t bytes[3000], back[3000];
    size_t got = 0;

    fill(bytes, 0, sizeof bytes);
    if (!alive(scene) ||
        !is(scene, vwl_drv_send(drv, id, NULL, 0, bytes, sizeof bytes),
            VIRTIO_WL_RESP_OK)) {
        return;
    }
    while (got < sizeof bytes) {
        ssize_t n;

        if (!world_readable(scene->world, fd)) {
            must(scene->world, !alive(scene), "bytes of a pipe are lost");
            return;
        }
        n = read(fd, back, sizeof back);
        if (n <= 0) {
            must(scene->world, !scene->world->strict, "a pipe ended");
            return;
        }
        must(scene->world, memcmp(back, bytes + got, (size_t)n) == 0,
             "wrong bytes in a pipe");
        got += (size_t)n;
    }
}

static void play_pipe(struct scene *scene, bool guest_writes)
{
    struct vwl_drv *drv = scene->world->drv;
    const uint32_t id = PIPE;
    int fd = -1;

    if (!alive(scene) ||
        !is(scene,
            vwl_drv_new_pipe(drv, PIPE,
                             guest_writes ? VIRTIO_WL_VFD_WRITE
                                          : VIRTIO_WL_VFD_READ),
            VIRTIO_WL_RESP_VFD_NEW)) {
        return;
    }
    if (send_out(scene, 3, &id)) {
        receive_out(scene, &fd);
        must(scene->world, fd >= 0 || scene->out.cut || !alive(scene),
             "a descriptor was lost");
    }
    if (fd >= 0 && guest_writes) {
        write_pipe(scene, PIPE, fd);
    } else if (fd >= 0) {
        read_pipe(scene, PIPE, fd);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (alive(scene)) {
        is(scene, vwl_drv_close(drv, PIPE), VIRTIO_WL_RESP_OK);
    }
}

/* One that the host made, and that others hold as well: its flags are not
 * touched, and bytes are spliced. */
static void play_received_pipe(struct scene *scene, bool guest_writes)
{
    struct vwl_drv *drv = scene->world->drv;
    uint8_t bytes[3000], byte = byte_at(scene->in.sent);
    uint32_t id = 0;
    unsigned int n = 1;
    int ends[2];
    ssize_t got;

    must(scene->world, pipe2(ends, O_CLOEXEC) == 0, "no pipe");
    got = alive(scene) && !scene->in.cut
              ? peer_send(scene->conn, &byte, 1, &ends[guest_writes], 1)
              : 0;
    scene->in.sent += got == 1;
    while (got == 1 && alive(scene) && !vwl_drv_readable(drv, CTX)) {
        world_turn(scene->world, 2);
    }
    if (got == 1 && alive(scene)) {
        int64_t len = vwl_drv_recv(drv, CTX, bytes, sizeof bytes, &id, &n, 0);

        arrived(scene, &scene->in, bytes, (size_t)MAX(len, 0));
        must(scene->world, n == 1 || !scene->world->strict, "no descriptor");
        scene->in.cut |= len == 0;
    }
    if (id && alive(scene) && vwl_drv_find(drv, id)->flags == 0) {
        must(scene->world, !scene->world->strict, "it became opaque");
    } else if (id && guest_writes) {
        write_pipe(scene, id, ends[0]);
    } else if (id) {
        read_pipe(scene, id, ends[1]);
    }
    if (id && alive(scene)) {
        is(scene, vwl_drv_close(drv, id), VIRTIO_WL_RESP_OK);
    }
    close(ends[0]);
    close(ends[1]);
}

/* More than a socket holds: outbox, and requests that wait. */
static void play_flood(struct scene *scene)
{
    struct vwl_drv *drv = scene->world->drv;
    struct vwl_drv_request *requests[30];
    uint64_t goal = scene->out.sent;
    static uint8_t bytes[30000];
    int64_t end = g_get_monotonic_time() + PATIENCE_US;
    unsigned int n = 0;

    while (n < 30 && alive(scene) && !scene->out.cut) {
        fill(bytes, goal, sizeof bytes);
        requests[n] = vwl_drv_send_async(drv, CTX, NULL, 0, bytes,
                                         sizeof bytes);
        if (!requests[n]) {
            break;
        }
        goal += sizeof bytes;
        n++;
        world_turn(scene->world, 0);
    }
    scene->out.sent = goal;
    for (unsigned int i = 0; i < n; i++) {
        while (!requests[i]->done && alive(scene)) {
            struct pollfd p = { scene->conn, POLLIN, 0 };
            uint64_t want = scene->out.sent;

            must(scene->world, g_get_monotonic_time() < end,
                 "a request that waits is not answered");
            if (poll(&p, 1, 0) == 1 && !scene->out.cut) {
                scene->out.sent = scene->out.received + 1;
                receive_out(scene, NULL);
                scene->out.sent = want;
            }
            world_turn(scene->world, 2);
        }
        if (requests[i]->done &&
            !is(scene, (int)vwl_drv_request_type(requests[i]),
                VIRTIO_WL_RESP_OK)) {
            scene->out.cut = true;
        }
        vwl_drv_request_free(drv, requests[i]);
    }
    if (!scene->out.cut) {
        receive_out(scene, NULL);
    }
}

/* A context whose connection must be tried again, and its end. */
static void play_backlog(struct scene *scene)
{
    struct world *world = scene->world;
    struct peer *peer = &world->peers[1];
    uint8_t request[64] = { 0 };
    struct vwl_drv_request *asked;
    bool made = false;
    int fd;

    request[0] = VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED & 0xff;
    request[1] = VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED >> 8;
    request[8] = SECOND;
    memcpy(request + 28, "peer1", 6);
    peer_fill_backlog(peer);
    asked = alive(scene) ? vwl_drv_submit(world->drv, request, 64, 64, NULL)
                         : NULL;
    for (unsigned int i = 0; i < 10; i++) {
        world_turn(world, 2);
    }
    peer_drain_backlog(peer);
    if (asked) {
        int err = vwl_drv_wait(world->drv, asked, 20000);

        made = is(scene, err < 0 ? err : (int)vwl_drv_request_type(asked),
                  VIRTIO_WL_RESP_VFD_NEW);
        vwl_drv_request_free(world->drv, asked);
    }
    while ((fd = peer_accept(peer)) >= 0) {
        close(fd);
    }
    if (made && alive(scene)) {
        is(scene, vwl_drv_close(world->drv, SECOND), VIRTIO_WL_RESP_OK);
    }
}

/* ---- the state of it all ---- */

static void wait_state(struct scene *scene)
{
    int64_t end = g_get_monotonic_time() + PATIENCE_US;

    while (!g_atomic_int_get(&scene->world->states) && alive(scene)) {
        must(scene->world, g_get_monotonic_time() < end,
             "a snapshot does not end");
        world_turn(scene->world, 2);
    }
}

static GByteArray *save(struct scene *scene)
{
    struct world *world = scene->world;
    GByteArray *stream = g_byte_array_new();
    uint8_t bytes[65536];
    int ends[2];
    ssize_t n = 0;

    must(world, pipe2(ends, O_CLOEXEC) == 0, "no pipe");
    g_atomic_int_set(&world->states, 0);
    if (world->plugin->device_save(world->device, &ends[1]) < 0) {
        must(world, !world->strict, "a snapshot was refused");
        close(ends[1]);
    } else {
        do {
            must(world, world_readable(world, ends[0]),
                 "a snapshot goes nowhere");
            n = read(ends[0], bytes, sizeof bytes);
            g_byte_array_append(stream, bytes, (guint)MAX(n, 0));
        } while (n > 0);
        wait_state(scene);
        must(world, world->state_err == 0 || !world->strict,
             "a snapshot failed");
    }
    close(ends[0]);
    return stream;
}

static void load(struct scene *scene, const GByteArray *stream)
{
    struct world *world = scene->world;
    guint at = 0;
    int ends[2];

    must(world, pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0, "no pipe");
    g_atomic_int_set(&world->states, 0);
    if (world->plugin->device_load(world->device, &ends[0]) < 0) {
        must(world, !world->strict, "a restore was refused");
        close(ends[0]);
    } else {
        while (at < stream->len && !g_atomic_int_get(&world->states) &&
               alive(scene)) {
            ssize_t n = write(ends[1], stream->data + at, stream->len - at);

            at += (guint)MAX(n, 0);
            world_turn(world, 1);
        }
        close(ends[1]);
        ends[1] = -1;
        wait_state(scene);
        must(world, world->state_err == 0 || !world->strict,
             "a restore failed");
    }
    if (ends[1] >= 0) {
        close(ends[1]);
    }
}

/* A front-end that was refused something goes. */
static void go_on(struct scene *scene, int err)
{
    must(scene->world, err != -ETIMEDOUT, "a message is not answered");
    must(scene->world, err == 0 || !scene->world->strict,
         "a message was refused");
    scene->world->refused |= err < 0;
}

static void play_state(struct scene *scene)
{
    struct world *world = scene->world;
    GByteArray *stream;

    if (alive(scene)) {
        is(scene, vwl_drv_new(world->drv, MEMORY, 4096),
           VIRTIO_WL_RESP_VFD_NEW);
    }
    if (alive(scene)) {
        go_on(scene, vwl_fe_stop(world->fe));
    }
    if (!alive(scene)) {
        return;
    }
    stream = save(scene);
    if (stream->len > 0) {
        load(scene, stream);
    }
    g_byte_array_unref(stream);
    if (alive(scene)) {
        go_on(scene, vwl_fe_start(world->fe));
    }
    if (alive(scene)) {
        is(scene, vwl_drv_close(world->drv, MEMORY), VIRTIO_WL_RESP_OK);
    }
}

void world_play(struct world *world)
{
    struct scene scene = { .world = world, .conn = -1 };

    if (world_start(world) && open_context(&scene)) {
        play_bytes(&scene);
        play_descriptors(&scene);
        play_memory(&scene);
        play_pipe(&scene, false);
        play_pipe(&scene, true);
        play_received_pipe(&scene, false);
        play_received_pipe(&scene, true);
        play_flood(&scene);
        play_backlog(&scene);
        play_state(&scene);
    }
    if (scene.conn >= 0) {
        close(scene.conn);
    }
    if (alive(&scene)) {
        go_on(&scene, vwl_drv_reset(world->drv));
    }
}
