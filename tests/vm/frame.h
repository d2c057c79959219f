/* SPDX-License-Identifier: BSD-3-Clause */
/* What framepaint paints and framelook looks for, and how a compositor finds
 * the guest's pages where the kernel has no udmabuf. */
#ifndef TESTS_VM_FRAME_H
#define TESTS_VM_FRAME_H

#include <stdint.h>

#define CHANGES 64u /* each so manyeth pixel of a row is of its frame alone */

/* Frames count from 1. */
static inline uint32_t frame_pixel(uint32_t frame, uint32_t x, uint32_t y)
{
    uint32_t place = x * 40503u + (y << 12);

    return x % CHANGES == 0 ? place + frame * 2654435761u : place;
}

/* What stands behind the bytes of a file of noudmabuf.c: which parts of the
 * guest's memory it is. */
#define FRAME_MAGIC 0x7365676170676d75u
struct frame_list {
    uint64_t magic, n;
    struct {
        uint64_t offset, bytes;
    } parts[1024];
};

#endif
