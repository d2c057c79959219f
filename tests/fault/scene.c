/* SPDX-License-Identifier: BSD-3-Clause */
#include "scene.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

uint8_t flow_byte(uint64_t at)
{
    return (uint8_t)(at * 167 + (at >> 8) * 13);
}

void flow_fill(uint8_t *to, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = flow_byte(at + i);
    }
}

void flow_arrived(struct scene *scene, struct flow *flow, const uint8_t *bytes,
                  size_t len)
{
    for (size_t i = 0; i < len; i++) {
        must(scene->world, bytes[i] == flow_byte(flow->received + i),
             "wrong bytes");
    }
    flow->received += len;
}

bool scene_is(struct scene *scene, int result, uint32_t want)
{
    struct world *world = scene->world;

    must(world, result != -ETIMEDOUT || !world_is_alive(world),
         "a request is not answered");
    must(world, !world->strict || result == (int)want, "a request was refused");
    return result == (int)want;
}

bool scene_alive(const struct scene *scene)
{
    return world_is_alive(scene->world);
}

bool scene_has_hung_up(struct scene *scene, uint32_t id)
{
    struct vwl_drv_vfd *vfd = vwl_drv_find(scene->world->drv, id);

    return !vfd || vfd->hup;
}

/* Told now, or soon; or there is no device any more that could. */
static bool is_told_of_end(struct scene *scene)
{
    int64_t end = g_get_monotonic_time() + PATIENCE_US;

    while (scene_alive(scene) && !scene_has_hung_up(scene, CTX)) {
        if (g_get_monotonic_time() > end) {
            return false;
        }
        world_turn(scene->world, 2);
    }
    return true;
}

bool scene_open(struct scene *scene)
{
    struct world *world = scene->world;

    for (unsigned int i = 0; i < 2 && scene_alive(scene); i++) {
        if (scene_is(scene, vwl_drv_new_ctx(world->drv, CTX, "peer0"),
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

bool scene_send(struct scene *scene, size_t len, const uint32_t *id)
{
    g_autofree uint8_t *bytes = g_malloc(len);

    flow_fill(bytes, scene->out.sent, len);
    if (scene->out.cut || !scene_alive(scene)) {
        return false;
    }
    if (scene_is(scene,
                 vwl_drv_send(scene->world->drv, CTX, id, id != NULL, bytes,
                              len),
                 VIRTIO_WL_RESP_OK)) {
        scene->out.sent += len;
        return true;
    }
    scene->out.cut = true;
    return false;
}

void scene_receive_at_peer(struct scene *scene, int *fd)
{
    struct world *world = scene->world;
    static uint8_t bytes[70000];

    while (scene->out.received < scene->out.sent && scene->conn >= 0) {
        int fds[8];
        unsigned int n_fds = 8;
        ssize_t n;

        if (!world_readable(world, scene->conn)) {
            must(world, scene->out.cut || !scene_alive(scene),
                 "bytes that were answered for are lost");
            return;
        }
        n = peer_recv(scene->conn, bytes, sizeof bytes, fds, &n_fds);
        if (n <= 0) {
            must(world, n == 0 || n == -ECONNRESET, "cannot be read");
            must(world, scene->out.cut || is_told_of_end(scene),
                 "a connection ended and the guest was not told");
            must(world, !world->strict, "a connection ended");
            scene->out.cut = true;
            return;
        }
        flow_arrived(scene, &scene->out, bytes, (size_t)n);
        for (unsigned int i = 0; i < n_fds; i++) {
            if (fd && *fd < 0) {
                *fd = fds[i];
            } else {
                close(fds[i]);
            }
        }
    }
}

void scene_send_from_peer(struct scene *scene, size_t len, const int *fds,
                          unsigned int n_fds)
{
    g_autofree uint8_t *bytes = g_malloc(len);
    size_t at = 0;

    flow_fill(bytes, scene->in.sent, len);
    while (at < len && !scene->in.cut && scene_alive(scene)) {
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

unsigned int scene_receive(struct scene *scene)
{
    struct vwl_drv *drv = scene->world->drv;
    unsigned int total = 0;
    int64_t end = g_get_monotonic_time() + PATIENCE_US;

    while (scene->in.received < scene->in.sent && scene_alive(scene)) {
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
        flow_arrived(scene, &scene->in, bytes, (size_t)n);
        for (unsigned int i = 0; i < n_ids && scene_alive(scene); i++) {
            scene_is(scene, vwl_drv_close(drv, ids[i]), VIRTIO_WL_RESP_OK);
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
