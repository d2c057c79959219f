/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the files of the in-flight tracking alone: one for each ring format
 * and what both need.
 */
#ifndef VWL_GUEST_TRACK_PRIV_H
#define VWL_GUEST_TRACK_PRIV_H

#include "guest/track.h"

#define VWL_TRACK_VERSION 1u

/* One access each: the order of the stores is what a kill leaves behind. */
#define get(at) __atomic_load_n(&(at), __ATOMIC_ACQUIRE)
#define put(at, value) __atomic_store_n(&(at), (value), __ATOMIC_RELEASE)

/* A chain that an earlier device took and did not give back. */
struct vwl_outstanding {
    uint64_t counter;
    uint16_t track;
};

/* -EINVAL: the region is of another version or ring. */
int vwl_track_check(struct vwl_vq *vq, uint16_t version, uint16_t entries);
/* An index in the region that is none of its entries; returns err. */
int vwl_track_bad_entry(struct vwl_vq *vq, int err, uint16_t entry);
/* Sorts what was found by age into vq->again. found is a private copy: the
 * front-end may change the counters meanwhile. */
void vwl_track_set_again(struct vwl_vq *vq, struct vwl_outstanding *found,
                         unsigned int n);
/* Chains that are taken later have higher numbers. */
void vwl_track_count_on(struct vwl_vq *vq, uint64_t counter);

#endif
