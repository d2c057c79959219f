/* SPDX-License-Identifier: BSD-3-Clause */
/* What is done with a context, memory and pipes. */
#include "scene.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static void play_bytes(struct scene *scene)
{
    static const size_t sizes[] = { 10, 5000, 60000 };

    for (unsigned int i = 0; i < G_N_ELEMENTS(sizes); i++) {
        scene_send(scene, sizes[i], NULL);
        scene_receive_at_peer(scene, NULL);
        scene_send_from_peer(scene, sizes[i] / 4, NULL, 0);
        scene_receive(scene);
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
    scene_send_from_peer(scene, 20, fds, 5);
    n = scene_receive(scene);
    must(scene->world, n == 5 || scene->in.cut || !scene_alive(scene),
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

    if (!scene_alive(scene) || !scene_is(scene, vwl_drv_new(drv, MEMORY, 8192),
                                         VIRTIO_WL_RESP_VFD_NEW)) {
        return;
    }
    at = vwl_drv_map(drv, MEMORY);
    must(scene->world, at != NULL, "memory without a place");
    flow_fill(at, 7, 8192);
    if (scene_send(scene, 5, &id)) {
        scene_receive_at_peer(scene, &fd);
        must(scene->world, fd >= 0 || scene->out.cut || !scene_alive(scene),
             "a descriptor was lost");
    }
    if (fd >= 0) {
        at = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
        must(scene->world, at != MAP_FAILED && at[8191] == flow_byte(8198),
             "wrong memory");
        munmap(at, 8192);
        close(fd);
    }
    if (scene_alive(scene)) {
        scene_is(scene, vwl_drv_close(drv, MEMORY), VIRTIO_WL_RESP_OK);
    }
}

/* All of it comes through a pipe that the guest reads. */
static void read_pipe(struct scene *scene, uint32_t id, int fd)
{
    struct vwl_drv *drv = scene->world->drv;
    int64_t end = g_get_monotonic_time() + PATIENCE_US;
    uint8_t bytes[3000], back[4096];
    size_t got = 0;

    flow_fill(bytes, 0, sizeof bytes);
    must(scene->world, write(fd, bytes, sizeof bytes) == sizeof bytes,
         "cannot be written");
    while (got < sizeof bytes && scene_alive(scene)) {
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

    flow_fill(bytes, 0, sizeof bytes);
    if (!scene_alive(scene) ||
        !scene_is(scene, vwl_drv_send(drv, id, NULL, 0, bytes, sizeof bytes),
                  VIRTIO_WL_RESP_OK)) {
        return;
    }
    while (got < sizeof bytes) {
        ssize_t n;

        if (!world_readable(scene->world, fd)) {
            must(scene->world, !scene_alive(scene), "bytes of a pipe are lost");
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

    if (!scene_alive(scene) ||
        !scene_is(scene,
                  vwl_drv_new_pipe(drv, PIPE,
                                   guest_writes ? VIRTIO_WL_VFD_WRITE
                                                : VIRTIO_WL_VFD_READ),
                  VIRTIO_WL_RESP_VFD_NEW)) {
        return;
    }
    if (scene_send(scene, 3, &id)) {
        scene_receive_at_peer(scene, &fd);
        must(scene->world, fd >= 0 || scene->out.cut || !scene_alive(scene),
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
    if (scene_alive(scene)) {
        scene_is(scene, vwl_drv_close(drv, PIPE), VIRTIO_WL_RESP_OK);
    }
}

/* One that the host made, and that others hold as well: its flags are not
 * touched, and bytes are spliced. */
static void play_received_pipe(struct scene *scene, bool guest_writes)
{
    struct vwl_drv *drv = scene->world->drv;
    uint8_t bytes[3000], byte = flow_byte(scene->in.sent);
    uint32_t id = 0;
    unsigned int n = 1;
    int ends[2];
    ssize_t got;

    must(scene->world, pipe2(ends, O_CLOEXEC) == 0, "no pipe");
    got = scene_alive(scene) && !scene->in.cut
              ? peer_send(scene->conn, &byte, 1, &ends[guest_writes], 1)
              : 0;
    scene->in.sent += got == 1;
    while (got == 1 && scene_alive(scene) && !vwl_drv_readable(drv, CTX)) {
        world_turn(scene->world, 2);
    }
    if (got == 1 && scene_alive(scene)) {
        int64_t len = vwl_drv_recv(drv, CTX, bytes, sizeof bytes, &id, &n, 0);

        flow_arrived(scene, &scene->in, bytes, (size_t)MAX(len, 0));
        must(scene->world, n == 1 || !scene->world->strict, "no descriptor");
        scene->in.cut |= len == 0;
    }
    if (id && scene_alive(scene) && vwl_drv_find(drv, id)->flags == 0) {
        must(scene->world, !scene->world->strict, "it became opaque");
    } else if (id && guest_writes) {
        write_pipe(scene, id, ends[0]);
    } else if (id) {
        read_pipe(scene, id, ends[1]);
    }
    if (id && scene_alive(scene)) {
        scene_is(scene, vwl_drv_close(drv, id), VIRTIO_WL_RESP_OK);
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

    while (n < 30 && scene_alive(scene) && !scene->out.cut) {
        flow_fill(bytes, goal, sizeof bytes);
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
        while (!requests[i]->done && scene_alive(scene)) {
            struct pollfd p = { scene->conn, POLLIN, 0 };
            uint64_t want = scene->out.sent;

            must(scene->world, g_get_monotonic_time() < end,
                 "a request that waits is not answered");
            if (poll(&p, 1, 0) == 1 && !scene->out.cut) {
                scene->out.sent = scene->out.received + 1;
                scene_receive_at_peer(scene, NULL);
                scene->out.sent = want;
            }
            world_turn(scene->world, 2);
        }
        if (requests[i]->done &&
            !scene_is(scene, (int)vwl_drv_request_type(requests[i]),
                      VIRTIO_WL_RESP_OK)) {
            scene->out.cut = true;
        }
        vwl_drv_request_free(drv, requests[i]);
    }
    if (!scene->out.cut) {
        scene_receive_at_peer(scene, NULL);
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
    asked = scene_alive(scene)
                ? vwl_drv_submit(world->drv, request, 64, 64, NULL)
                : NULL;
    for (unsigned int i = 0; i < 10; i++) {
        world_turn(world, 2);
    }
    peer_drain_backlog(peer);
    if (asked) {
        int err = vwl_drv_wait(world->drv, asked, 20000);

        made = scene_is(scene, err < 0 ? err : (int)vwl_drv_request_type(asked),
                        VIRTIO_WL_RESP_VFD_NEW);
        vwl_drv_request_free(world->drv, asked);
    }
    while ((fd = peer_accept(peer)) >= 0) {
        close(fd);
    }
    if (made && scene_alive(scene)) {
        scene_is(scene, vwl_drv_close(world->drv, SECOND), VIRTIO_WL_RESP_OK);
    }
}

void world_play(struct world *world)
{
    struct scene scene = { .world = world, .conn = -1 };

    if (world_start(world) && scene_open(&scene)) {
        play_bytes(&scene);
        play_descriptors(&scene);
        play_memory(&scene);
        play_pipe(&scene, false);
        play_pipe(&scene, true);
        play_received_pipe(&scene, false);
        play_received_pipe(&scene, true);
        play_flood(&scene);
        play_backlog(&scene);
        scene_play_state(&scene);
    }
    if (scene.conn >= 0) {
        close(scene.conn);
    }
    if (scene_alive(&scene)) {
        scene_go_on(&scene, vwl_drv_reset(world->drv));
    }
}
