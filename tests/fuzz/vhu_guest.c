/* SPDX-License-Identifier: BSD-3-Clause */
/* The guest and its host peers: buffers and requests in the rings, kicks, bytes
 * anywhere in its memory. */
#include "vhu_world.h"

#include <sys/eventfd.h>

static void kick(struct vhu_world *world, unsigned int index)
{
    eventfd_write(world->front.ring[index].kick, 1);
    vhu_step_device(world, 3);
}

void vhu_do_buffer(struct vhu_world *world)
{
    unsigned int how = take8(&world->in);
    struct vhu_front *front = &world->front;

    for (unsigned int i = 0; i < (how & 3) + 1; i++) {
        uint64_t gpa = IN_BUFFERS_AT + (how >> 2 & 3) * 0x1000u;
        uint32_t len = how & 0x80 ? (how & 0x70) : 4096;

        vhu_offer(front, 0, &gpa, &len, 1);
    }
    kick(world, 0);
}

void vhu_do_request(struct vhu_world *world)
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
    put32(at, VIRTIO_WL_CMD_VFD_NEW + pick(&world->in, 11));
    put32(at + 8, pick(&world->in, 12) | (how & 1) << 30);
    put32(at + 12, how >> 1 & 3);
    put32(at + 24, sizes[how >> 3 & 3]);
    if (how & 8) {
        len[0] = 12 + (uint32_t)take_bytes(&world->in, at + 12, 0x180);
    }
    vhu_offer(&world->front, 1, gpa, len, 2);
    kick(world, 1);
}

void vhu_do_kick(struct vhu_world *world)
{
    unsigned int how = take8(&world->in);

    if (how & 2) {
        vhu_say_state(&world->front, VHOST_USER_VRING_KICK, how & 1, 0);
    } else {
        kick(world, how & 1);
    }
}

void vhu_do_poke(struct vhu_world *world)
{
    uint32_t at = take16(&world->in);

    take_bytes(&world->in, world->front.ram + at, RAM_BYTES - at);
}

void vhu_do_peer(struct vhu_world *world)
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
