/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The translations that a front-end with VIRTIO_F_ACCESS_PLATFORM feeds us:
 * ranges of I/O virtual addresses to front-end addresses with permissions.
 * Bounded; the oldest entry goes when it is full (a miss brings it back).
 * vhost-user specification, "IOMMU support". Device thread.
 */
#ifndef VWL_GUEST_IOTLB_H
#define VWL_GUEST_IOTLB_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/mem.h"

struct vwl_iotlb;

/* Bits as in IOTLB messages. */
#define VWL_ACCESS_READ 1u
#define VWL_ACCESS_WRITE 2u

struct vwl_iotlb *vwl_iotlb_create(void);
void vwl_iotlb_destroy(struct vwl_iotlb *tlb); /* NULL is fine */

/* Replaces what it overlaps. -EINVAL: size 0, wrap, or permission outside
 * 1..3. Whether the range lies in the memory table is the caller's check. */
int vwl_iotlb_update(struct vwl_iotlb *tlb, uint64_t iova, uint64_t size,
                     uint64_t uva, unsigned int access);

/* Drops every entry that overlaps [iova, iova + size). A range that wraps at
 * 2^64 reaches to the end of the address space. */
void vwl_iotlb_invalidate(struct vwl_iotlb *tlb, uint64_t iova, uint64_t size);

void vwl_iotlb_clear(struct vwl_iotlb *tlb);

/* Front-end address of iova and how many bytes from there one entry covers
 * (at most max). False: a miss, also for a missing permission. */
bool vwl_iotlb_lookup(struct vwl_iotlb *tlb, uint64_t iova, uint64_t max,
                      unsigned int access, uint64_t *uva, uint64_t *len);

#endif
