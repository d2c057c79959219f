/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of the guest layer: a little guest whose memory is a memfd of
 * 1 MiB, in two regions that follow each other in guest addresses but lie far
 * apart in the front-end's, and the driver's half of both ring formats written
 * out from the virtio specification: bytes at offsets, nothing of the device's.
 * The sections named are of virtio 1.2.
 */
#ifndef TESTS_UNIT_RING_H
#define TESTS_UNIT_RING_H

#include <glib.h>

#include "guest/inflight.h"
#include "guest/vq.h"

#define GPA 0x40000000ull
#define UVA 0x7f1200000000ull
#define UVA_HIGH 0x7e0000000000ull
#define HALF 0x80000u

/* Offsets in memory. */
#define DESC 0x0000u
#define DRIVER 0x1000u
#define DEVICE 0x2000u
#define DATA 0x10000u
#define TABLE 0x20000u

/* Flags of a descriptor (2.7.5, 2.8.5). */
#define NEXT 1u
#define WRITE 2u
#define INDIRECT 4u

struct guest {
    int fd;
    unsigned char *ram;
    unsigned char region[8192]; /* in-flight, of one queue */
    struct vwl_mem *mem;
    struct vwl_vq *vq;
    struct vwl_vq_setup setup; /* of the queue: a test may change it before
                                  guest_start */
    unsigned int fds_before;
};

/* Adds a region to a table of memory: *mem is the new table, its reference the
 * caller's. */
void add_region(struct vwl_mem **mem, uint64_t gpa, uint64_t size, uint64_t uva,
                uint64_t offset, int fd);

/* A guest with one queue of that format and size, not started. */
void guest_init(struct guest *g, bool packed, uint32_t size);
void guest_start(struct guest *g);
/* Fails the test when a descriptor or a mapping stays. */
void guest_finish(struct guest *g);

/* A split descriptor (2.7.5) at any place: address, length, flags, next. */
void split_desc(unsigned char *at, uint64_t address, uint32_t len,
                uint16_t flags, uint16_t next);
/* Descriptor i of the split ring. */
void desc(struct guest *g, unsigned int i, uint64_t address, uint32_t len,
          uint16_t flags, uint16_t next);
/* Makes head available (2.7.6): ring[index % size], then index. */
void offer(struct guest *g, uint16_t head);

/* The AVAIL and USED bits of a packed slot's flags, for a driver's wrap
 * counter. */
#define ROUND(wrap) ((wrap) ? 0x0080u : 0x8000u)
/* Slot i of the packed ring (2.8.5): address, length, id, flags. */
void slot(struct guest *g, unsigned int i, uint64_t address, uint32_t len,
          uint16_t id, uint16_t flags);

/* The device takes a chain; there must be one. */
struct vwl_chain *pop(struct guest *g);
/* There must be none. */
void pop_nothing(struct guest *g);
/* The ring must break with rc, once and for all, touching nothing. */
void pop_breaks(struct guest *g, int rc);

#endif
