/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver: chains of buffers in both formats, and bytes anywhere. */
#include "vq_world.h"

uint64_t vq_take_address(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    uint64_t page = GPA + (how >> 3 & 7) * 0x800u + 0x2000;

    switch (how & 7) {
    case 0:
        return GPA + A_BYTES - (how >> 3); /* reaches into region B */
    case 1:
        return GPA + RAM_BYTES - (how >> 3);
    case 2:
        return GPA + TABLE_AT + (how >> 3) * 16u;
    case 3:
        return how == 0xfb ? take64(&world->in) : GPA + take16(&world->in);
    default:
        return page;
    }
}

uint32_t vq_take_len(struct vq_world *world)
{
    static const uint32_t lens[] = {
        0, 1, 16, 64, 512, 4096, 0x3000, UINT32_MAX,
    };
    unsigned int how = take8(&world->in);

    return how < 200   ? lens[how & 7]
           : how < 250 ? (how & 31) * 16u
                       : take32(&world->in);
}

static void put_desc(struct vq_world *world, uint8_t *at, uint16_t flags,
                     uint16_t id, bool packed)
{
    put64(at, vq_take_address(world));
    put32(at + 8, vq_take_len(world));
    put16(at + (packed ? 14 : 12), flags);
    put16(at + (packed ? 12 : 14), id);
}

static uint16_t packed_flags(struct vq_world *world, uint16_t flags)
{
    return (uint16_t)(flags | (world->wrap ? DESC_AVAIL : DESC_USED));
}

void vq_offer(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    unsigned int n = 1 + (how & 3), first_in = how >> 2 & 3;
    uint16_t size = (uint16_t)world->setup.size;
    uint16_t indirect = (how & 0xe0) == 0xe0 ? DESC_INDIRECT : 0;
    bool packed = world->setup.packed;
    uint16_t head = packed ? world->idx : (uint16_t)(take8(&world->in) % size);
    uint16_t head_flags = packed_flags(world, 0);

    for (unsigned int i = 0; i < n; i++) {
        uint16_t slot = (uint16_t)((head + i) % size);
        uint16_t flags = (uint16_t)((i + 1 < n ? DESC_NEXT : 0) |
                                    (i >= first_in ? DESC_WRITE : 0) |
                                    (i + 1 == n ? indirect : 0));

        if (packed) {
            flags = packed_flags(world, flags);
            if (i == 0) {
                head_flags = flags;
                flags ^= DESC_AVAIL | DESC_USED; /* not yet */
            }
            world->idx++;
            if (world->idx == size) {
                world->idx = 0;
                world->wrap = !world->wrap;
            }
        }
        put_desc(world, world->ram + DESC_AT + slot * 16u, flags,
                 packed ? take8(&world->in) : (uint16_t)((slot + 1) % size),
                 packed);
    }
    if (packed) {
        put16(world->ram + DESC_AT + head * 16u + 14, head_flags);
    } else {
        put16(world->ram + DRIVER_AT + 4 + world->idx % size * 2u, head);
        world->idx++;
        put16(world->ram + DRIVER_AT + 2, world->idx);
    }
}

void vq_write_table(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    unsigned int n = how & 7;

    for (unsigned int i = 0; i < n; i++) {
        put_desc(world, world->ram + TABLE_AT + (how >> 3) * 16u + i * 16,
                 take8(&world->in) & 7, (uint16_t)(i + 1), world->setup.packed);
    }
}

void vq_poke_ring(struct vq_world *world)
{
    static const uint32_t starts[] = { DESC_AT, DRIVER_AT, DEVICE_AT, 0 };
    unsigned int where = take8(&world->in);

    put16(world->ram + starts[where & 3] + (where >> 2) * 2u,
          take16(&world->in));
}

void vq_poke(struct vq_world *world)
{
    uint32_t at = take16(&world->in) % RAM_BYTES;

    take_bytes(&world->in, world->ram + at, RAM_BYTES - at);
}
