/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranges of region 0 that a front-end may still have mapped for a guest of
 * before a reset: nobody knows until one of them is in the way.
 */
#ifndef VWL_WL_MEMORY_STALE_H
#define VWL_WL_MEMORY_STALE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct vwl_stale_range {
    uint64_t offset;
    uint64_t len;
};

struct vwl_stale {
    GTree *tree; /* of struct vwl_stale_range, which do not overlap */
};

void vwl_stale_init(struct vwl_stale *stale);
void vwl_stale_finish(struct vwl_stale *stale);

static inline bool vwl_stale_is_empty(const struct vwl_stale *stale)
{
    return g_tree_nnodes(stale->tree) == 0;
}

void vwl_stale_add(struct vwl_stale *stale, uint64_t offset, uint64_t len);
/* Takes out those that overlap this range: an array of them, by offset, the
 * caller's. */
GArray *vwl_stale_take(struct vwl_stale *stale, uint64_t offset, uint64_t len);

#endif
