/* SPDX-License-Identifier: BSD-3-Clause */
/* The in-flight region, as the front-end that keeps it may leave it: around
 * every bound that an index or a count has. */
#include "vq_world.h"

/* Around every bound that an index or a count has. */
static uint16_t take_edge(struct vq_world *world)
{
    unsigned int how = take8(&world->in);
    uint16_t size = (uint16_t)world->setup.size;
    const uint16_t edges[] = {
        0,      1,      size,   (uint16_t)(size - 1), (uint16_t)(size + 1),
        0x7fff, 0x8000, 0xffff,
    };

    return how < 160   ? edges[how & 7]
           : how < 255 ? (uint16_t)(how % size)
                       : take16(&world->in);
}

static void write_header(struct vq_world *world, unsigned int field)
{
    uint8_t *at = world->region + 8;

    if (field < 2) {
        put16(at, field); /* version: fresh, and used */
    } else if (!world->setup.packed) {
        put16(at + 2 * (1 + field % 3), take_edge(world));
    } else if (field < 7) {
        put16(at + 2 * (field - 1), take_edge(world));
    } else {
        put16(at + 12, take16(&world->in) & 0x0101); /* wrap counters */
    }
}

/* A chain of one slot in flight, as an earlier device would leave it. */
static void write_in_flight(struct vq_world *world, uint8_t *at, uint16_t index)
{
    at[0] = 1;
    put64(at + 8, take8(&world->in));
    if (world->setup.packed) {
        put16(at + 4, index);
        put16(at + 6, 1);
        put16(at + 16, take8(&world->in));
        put16(at + 18, take8(&world->in) & 7);
        put32(at + 20, vq_take_len(world));
        put64(at + 24, vq_take_address(world));
    }
}

static void write_entry(struct vq_world *world, unsigned int field)
{
    unsigned int which = take8(&world->in);
    uint32_t size = world->setup.size;
    uint16_t index = (uint16_t)(which % (which < 160 ? MIN(size, 4) : size));
    bool packed = world->setup.packed;
    uint8_t *at = world->region +
                  (packed ? 32 + index * 32u : 16 + index * 16u);

    switch (field) {
    case 0:
    case 1:
        write_in_flight(world, at, index);
        break;
    case 2:
        at[0] = take8(&world->in) & 3;
        break;
    case 3:
    case 4:
        put16(at + (packed ? 2 : 6), take_edge(world)); /* next */
        break;
    case 5:
        put64(at + 8, take64(&world->in)); /* counter */
        break;
    default:
        if (packed) {
            put16(at + (field == 6 ? 4 : 6), take_edge(world)); /* last, num */
        }
        break;
    }
}

void vq_do_region(struct vq_world *world)
{
    unsigned int how = take8(&world->in);

    if (!world->region || world->setup.size == 0) {
        return;
    }
    world->settled = false;
    for (unsigned int i = 0; i < (how >> 2 & 7); i++) {
        unsigned int which = take8(&world->in);

        if (which & 8) {
            write_header(world, which & 7);
        } else {
            write_entry(world, which & 7);
        }
    }
    if (how & 1) {
        put16(world->region + 8, how >> 5 & 3 ? 1 : 0);
        put16(world->region + 10, (uint16_t)world->setup.size);
    }
    if (how & 2) {
        vq_take_over(world);
    }
}
