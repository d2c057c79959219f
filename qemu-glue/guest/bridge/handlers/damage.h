/* SPDX-License-Identifier: BSD-3-Clause */
/* What changed of a picture. */
#ifndef VWL_BRIDGE_DAMAGE_H
#define VWL_BRIDGE_DAMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define VWL_MAX_RECTS 16u

struct vwl_rect {
    int32_t x, y, width, height;
};

/* Some rectangles, or everything. */
struct vwl_damage {
    bool all;
    unsigned int n;
    struct vwl_rect rects[VWL_MAX_RECTS];
};

/* Any rectangle at all; where there are too many, two become one. */
void vwl_damage_add(struct vwl_damage *damage, struct vwl_rect rect);
/* Adds all of more, multiplied. */
void vwl_damage_merge(struct vwl_damage *damage, const struct vwl_damage *more,
                      int32_t scale);

#endif
