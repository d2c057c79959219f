/* SPDX-License-Identifier: BSD-3-Clause */
/* What was said of a surface since its last commit, and what of it lasts. */
#ifndef VWL_BRIDGE_SURFACE_H
#define VWL_BRIDGE_SURFACE_H

#include "shmbuf.h"

struct vwl_surface {
    struct vwl_shmbuf *attached; /* not committed; may be NULL */
    bool attach;                 /* something was attached, or nothing */
    bool viewport, transformed;
    int32_t scale;
    struct vwl_damage damage;        /* of the surface's pixels */
    struct vwl_damage buffer_damage; /* of the buffer's */
    /* sync.c: asked for since the last commit; the client id, or 0, of the
     * object that asks; and what is called when the surface goes. */
    bool fenced, released;
    uint32_t sync;
    void (*sync_orphan)(struct vwl_client *client, uint32_t sync);
};

/* Of a client id; NULL: no surface. */
struct vwl_surface *vwl_surface_find(struct vwl_client *client, uint32_t id);

#endif
