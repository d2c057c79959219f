/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files mapped into region 0, by way of the ops of the core, which may answer
 * later. A piece is mapped whole, at an offset of its own, and unmapped by
 * exactly the same range; the offset is free again only when that was
 * answered. A piece that its owner has given up while it was being mapped is
 * unmapped as soon as the answer comes.
 *
 * After a reset nobody knows whether the front-end dropped its mappings. They
 * are remembered, and when a later mapping is refused, those in its way are
 * unmapped and it is tried once more.
 */
#ifndef VWL_WL_MEMORY_MAP_H
#define VWL_WL_MEMORY_MAP_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "wl/memory/stale.h"
#include "wl/memory/window.h"

struct vwl_core;
struct vwl_map;

struct vwl_maps {
    struct vwl_window window;
    struct vwl_list live;    /* of vwl_map.link */
    struct vwl_list no_room; /* the same, of those that wait for room */
    unsigned int n_leaving;  /* whose place will be free, or lost */
    GHashTable *by_file;     /* device and inode: struct vwl_map, the first */
    GHashTable *by_cookie;   /* struct vwl_map_op */
    struct vwl_stale stale;
    struct vwl_map *anchor; /* may be NULL */
    bool anchor_tried;
    bool held; /* a reset follows, which deals with all maps together */
    uint64_t next_cookie;
    unsigned int n_mapped;
    unsigned int n_restored; /* of a snapshot, not settled yet */
};

void vwl_maps_init(struct vwl_core *core);
void vwl_maps_finish(struct vwl_core *core);
/* Until the reset, vwl_map_destroy leaves all maps to it. */
void vwl_maps_hold(struct vwl_core *core);
/* Forgets every mapping: unmapped now, or remembered as stale. */
void vwl_maps_reset(struct vwl_core *core, bool unmap);

/* Maps all len_bytes (a multiple of a page) of fd, which is borrowed until
 * done. Where the window is full, it waits for the front-end to answer for what
 * is being unmapped, no longer. 0: mapped now; -EINPROGRESS: done(owner, err)
 * follows; other -errno: refused. *map is set in the first two cases, and gone
 * after done with an error. */
int vwl_map_create(struct vwl_core *core, int fd, uint64_t len_bytes,
                   void (*done)(void *owner, int err), void *owner,
                   struct vwl_map **map);
/* Unmaps, whatever state it is in; done is not called any more. */
void vwl_map_destroy(struct vwl_map *map); /* NULL is fine */

/* A mapping of a snapshot at its old place, to be made by vwl_maps_remake;
 * done may come from that. fd is borrowed until then. -EEXIST: the place is
 * taken. */
int vwl_map_restore(struct vwl_core *core, int fd, uint64_t offset,
                    uint64_t len_bytes, void (*done)(void *owner, int err),
                    void *owner, struct vwl_map **map);
void vwl_maps_remake(struct vwl_core *core);

/* The front-end's answers, as vwl_core_map_done and _unmap_done. */
void vwl_map_done(struct vwl_core *core, uint64_t cookie, int err);
void vwl_map_unmap_done(struct vwl_core *core, uint64_t cookie, int err);

uint64_t vwl_map_offset(const struct vwl_map *map);

/* As vwl_core_owns_file. */
bool vwl_maps_own_file(const struct vwl_maps *maps, uint64_t st_dev,
                       uint64_t st_ino, uint64_t *shm_offset);

#endif
