/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue, the memory that it stands in, and the driver that writes there,
 * for the fuzz target of rings. Each function that takes nothing but the world
 * is one operation of a program: it takes what it needs of the input.
 */
#ifndef VWL_TEST_FUZZ_VQ_WORLD_H
#define VWL_TEST_FUZZ_VQ_WORLD_H

#include <glib.h>

#include "guest/vq.h"

#include "fuzz.h"

#define CHAINS 64

/* Two regions that follow each other for the guest, not for the front-end. */
#define RAM_BYTES 0x6000u
#define A_BYTES 0x4000u
#define GPA UINT64_C(0x10000)
#define UVA_A UINT64_C(0x7f0000000000)
#define UVA_B UINT64_C(0x7f1000000000)
#define LOG_BYTES 64

/* Ring parts in region A; what is above is for buffers. */
#define DESC_AT 0x0000u
#define DRIVER_AT 0x1000u
#define DEVICE_AT 0x1800u
#define TABLE_AT 0x2100u

/* Flags of a descriptor. */
#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_INDIRECT 4u
#define DESC_AVAIL (1u << 7)
#define DESC_USED (1u << 15)

struct vq_world {
    struct fuzz_input in;
    int ram_fd, log_fd;
    uint8_t *ram;
    struct vwl_mem *mem, *both, *only_a;
    struct vwl_iotlb *iotlb;
    struct vwl_dirty *dirty;
    struct vwl_vq *vq;
    struct vwl_vq_setup setup;
    bool tracks;
    uint8_t *region; /* in flight; on the heap, which knows where it ends */
    size_t region_bytes;
    bool settled;       /* nobody wrote there since a start looked at it */
    unsigned int slots; /* of chains that came again since then */
    struct vwl_chain *chains[CHAINS];
    unsigned int n_chains;
    /* the driver */
    uint16_t idx;
    bool wrap;
};

/* Where a buffer may begin, and how long it is: around every bound. */
uint64_t vq_take_address(struct vq_world *world);
uint32_t vq_take_len(struct vq_world *world);

/* One chain of up to four buffers. */
void vq_offer(struct vq_world *world);
/* An indirect table, as descriptors may point at. */
void vq_write_table(struct vq_world *world);
/* A number in the ring, or bytes anywhere. */
void vq_poke_ring(struct vq_world *world);
void vq_poke(struct vq_world *world);

/* Writes the in-flight region and may have a start look at it. */
void vq_do_region(struct vq_world *world);
/* Killed between any two steps, or not; another process goes on. */
void vq_take_over(struct vq_world *world);

#endif
