/* SPDX-License-Identifier: BSD-3-Clause */
/* Front-ends that start and stop a device: features, memory, rings, resets,
 * translations, what is in flight and what is logged. */
#include "vhu_world.h"

#include <unistd.h>

void vhu_do_handshake(struct vhu_world *world)
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

    vhu_say(&world->front, VHOST_USER_GET_FEATURES, NULL, 0);
    vhu_say_u64(&world->front, VHOST_USER_SET_PROTOCOL_FEATURES,
                protocol[how >> 3 & 7], -1);
    if (!(how >> 6 & 1)) {
        fuzz_socketpair(pair);
        vhu_say_fds(&world->front, VHOST_USER_SET_BACKEND_REQ_FD, NEED_REPLY,
                    NULL, 0, &pair[1], 1);
        close(pair[1]);
        fuzz_close(&world->front.back);
        world->front.back = pair[0];
        world->front.back_torn = world->front.ended = false;
        g_byte_array_set_size(world->front.back_rx, 0);
        g_array_set_size(world->front.asked, 0);
    }
    vhu_say(&world->front, VHOST_USER_SET_OWNER, NULL, 0);
    vhu_say_u64(&world->front, VHOST_USER_SET_FEATURES, bits, -1);
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

void vhu_do_memory(struct vhu_world *world)
{
    unsigned int how = take8(&world->in);
    uint8_t bytes[8 + 64] = { 0 };
    int fds[2] = { world->front.ram_fd, world->front.ram_fd };

    switch (how & 3) {
    case 0:
    case 1:
        put32(bytes, 1);
        put_region(bytes + 8, 0, RAM_BYTES, 0);
        vhu_say_fds(&world->front, VHOST_USER_SET_MEM_TABLE, NEED_REPLY, bytes,
                    40, fds, 1);
        break;
    case 2:
        put32(bytes, 2);
        put_region(bytes + 8, 0, 0xb000, 0);
        put_region(bytes + 40, 0xb000, 0x5000 - (how >> 2) * 8u, 0xb000);
        vhu_say_fds(&world->front, VHOST_USER_SET_MEM_TABLE, NEED_REPLY, bytes,
                    72, fds, 2);
        break;
    default:
        put_region(bytes + 8, how & 4 ? 0 : 0x20000, RAM_BYTES, 0);
        vhu_say_fds(&world->front,
                    how & 8 ? VHOST_USER_REM_MEM_REG : VHOST_USER_ADD_MEM_REG,
                    NEED_REPLY, bytes, 40, fds, how & 8 ? 0 : 1);
        break;
    }
}

static void start_ring(struct vhu_world *world, unsigned int index)
{
    static const uint16_t sizes[] = { 8, 2, 64, 256 };
    unsigned int how = take8(&world->in);
    struct vhu_front *front = &world->front;
    struct vhu_ring *ring = &front->ring[index];
    uint64_t at = UVA + RING_AT(index);
    uint16_t base = how & 4 ? (uint16_t)take8(&world->in) : 0;
    uint8_t addr[40] = { 0 };

    ring->size = sizes[how & 3];
    if (!(how & 8)) {
        memset(front->ram + RING_AT(index), 0, 0x4000);
        vhu_ring_reset(front, index, front->packed ? 0 : base);
    }
    put32(addr, index);
    put32(addr + 4, how >> 5 & 1);
    put64(addr + 8, at);
    put64(addr + 16, at + DEVICE_AT);
    put64(addr + 24, at + DRIVER_AT);
    put64(addr + 32, RING_AT(index) + DEVICE_AT);
    vhu_say_state(front, VHOST_USER_SET_VRING_NUM, index, ring->size);
    vhu_say_state(front, VHOST_USER_SET_VRING_BASE, index,
                  front->packed && !(how & 8) ? 0x80008000u : base);
    vhu_say(front, VHOST_USER_SET_VRING_ADDR, addr, sizeof addr);
    vhu_say_u64(front, VHOST_USER_SET_VRING_KICK, index | (how & 0x10) << 4,
                how & 0x10 ? -1 : ring->kick);
    vhu_say_u64(front, VHOST_USER_SET_VRING_CALL, index | (how & 0x40) << 2,
                how & 0x40 ? -1 : ring->call);
    vhu_say_state(front, VHOST_USER_SET_VRING_ENABLE, index, 1);
}

void vhu_do_start(struct vhu_world *world)
{
    start_ring(world, 0);
    start_ring(world, 1);
    vhu_step_device(world, 4);
    vhu_read_answers(&world->front);
}

void vhu_do_stop(struct vhu_world *world)
{
    unsigned int how = take8(&world->in);
    struct vhu_front *front = &world->front;

    for (unsigned int i = 0; i < 2; i++) {
        if (how & 1u << i) {
            continue;
        }
        if (how & 4) {
            vhu_say_state(front, VHOST_USER_SET_VRING_ENABLE, i, how >> 3 & 1);
        }
        if (!(how & 0x10)) {
            vhu_say_state(front, VHOST_USER_GET_VRING_BASE, i, 0);
        }
    }
    vhu_step_device(world, 4);
}

void vhu_do_reset(struct vhu_world *world)
{
    static const uint32_t requests[] = {
        VHOST_USER_RESET_DEVICE,
        VHOST_USER_RESET_OWNER,
        VHOST_USER_SET_OWNER,
        VHOST_USER_GET_STATUS,
    };
    unsigned int how = take8(&world->in);

    if (how & 4) {
        vhu_say_u64(&world->front, VHOST_USER_SET_STATUS, how >> 3, -1);
    } else {
        vhu_say(&world->front, requests[how & 3], NULL, 0);
    }
}

void vhu_do_iotlb(struct vhu_world *world)
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
    vhu_say(&world->front, VHOST_USER_IOTLB_MSG, bytes, sizeof bytes);
}

void vhu_do_inflight(struct vhu_world *world)
{
    unsigned int how = take8(&world->in);
    struct vhu_front *front = &world->front;
    uint8_t bytes[24] = { 0 };

    if (how & 1) {
        put16(bytes + 16, 2);
        put16(bytes + 18, front->ring[how >> 1 & 1].size);
        vhu_say(front, VHOST_USER_GET_INFLIGHT_FD, bytes, 24);
        vhu_step_device(world, 4);
        vhu_read_answers(front);
    } else if (front->inflight_fd >= 0) {
        vhu_say_fds(front, VHOST_USER_SET_INFLIGHT_FD, NEED_REPLY,
                    front->inflight, 24, &front->inflight_fd, 1);
    }
    if (how & 4 && front->inflight_fd >= 0) {
        size_t n = take_bytes(&world->in, bytes, sizeof bytes);

        (void)!pwrite(front->inflight_fd, bytes, n, (how >> 3) * 16);
    }
}

void vhu_do_log(struct vhu_world *world)
{
    unsigned int how = take8(&world->in);
    uint64_t bytes[2] = { how >> 2, how & 2 ? how : 0 };
    int fd = fuzz_memfd(64);

    if (how & 1) {
        vhu_say_fds(&world->front, VHOST_USER_SET_LOG_BASE, NEED_REPLY, bytes,
                    16, &fd, 1);
    } else {
        vhu_say_fds(&world->front, VHOST_USER_SET_LOG_FD, NEED_REPLY, NULL, 0,
                    &world->front.ring[0].call, 1);
    }
    close(fd);
}
