/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Offsets of shared-memory region 0: which ranges are free. First fit, in
 * logarithmic time whatever the number of pieces: a treap of the free ranges,
 * ordered by offset, in which every node knows the longest range below it.
 * Offsets and lengths are multiples of a page; mapping is not its business.
 */
#ifndef VWL_WL_MEMORY_WINDOW_H
#define VWL_WL_MEMORY_WINDOW_H

#include <stdint.h>

struct vwl_window_range;

struct vwl_window {
    uint64_t size_bytes;
    uint64_t free_bytes;
    struct vwl_window_range *root; /* NULL when full */
    uint32_t seed;
};

/* All of it is free. size_bytes is a multiple of a page, not 0. */
void vwl_window_init(struct vwl_window *window, uint64_t size_bytes);
void vwl_window_finish(struct vwl_window *window);

/* The lowest offset that has len_bytes free. -EINVAL: not a positive multiple
 * of a page; -ENOSPC: there is none. */
int vwl_window_alloc(struct vwl_window *window, uint64_t len_bytes,
                     uint64_t *offset);

/* Takes that very range. -EINVAL: not a range of the window; -EEXIST: a part
 * of it is taken. */
int vwl_window_take(struct vwl_window *window, uint64_t offset,
                    uint64_t len_bytes);

/* -EINVAL, and nothing changes: not a range of the window, or a part of it is
 * free already. */
int vwl_window_free(struct vwl_window *window, uint64_t offset,
                    uint64_t len_bytes);

#endif
