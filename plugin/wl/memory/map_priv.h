/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to memory/: one mapping, between map.c (its life), maps.c (all of
 * them together) and files.c (which file is mapped where).
 */
#ifndef VWL_WL_MEMORY_MAP_PRIV_H
#define VWL_WL_MEMORY_MAP_PRIV_H

#include "wl/memory/map.h"

/*
 * state      what happens              then
 *
 * NO_ROOM    somebody left the window  WAITS
 * RESTORED   the guest is to run       WAITS
 * WAITS      accepted                  MAPPED
 *            refused, and something    CLEARS
 *            stale is in its way
 *            nobody will answer, and   RESTORED
 *            it is of a snapshot
 *            refused                   gone
 * CLEARS     what is stale is gone     RETRIES
 * RETRIES    accepted                  MAPPED
 *            refused                   gone
 * MAPPED     its owner destroys it     UNMAPS
 * UNMAPS     answered                  gone; its place is free, or lost
 *
 * Destroyed in WAITS, CLEARS or RETRIES it is DOOMED until the answer comes,
 * then UNMAPS if it was accepted, else gone. In NO_ROOM or RESTORED it is gone
 * at once.
 */
enum vwl_map_state {
    VWL_MAP_NO_ROOM,  /* it waits for others to leave the window */
    VWL_MAP_RESTORED, /* has its place; nobody was asked for it yet */
    VWL_MAP_WAITS,    /* for the front-end's answer */
    VWL_MAP_CLEARS,   /* for stale mappings in its way to go */
    VWL_MAP_RETRIES,  /* as WAITS, the last time */
    VWL_MAP_MAPPED,
    VWL_MAP_DOOMED,
    VWL_MAP_UNMAPS,
};

struct vwl_map {
    struct vwl_list link; /* of vwl_maps.live, or of no_room */
    struct vwl_core *core;
    enum vwl_map_state state;
    bool unsettled_restore; /* counted in n_restored */
    unsigned int clearing;  /* answers that are still to come, in CLEARS or
                               DOOMED then */
    uint64_t offset;
    uint64_t len;
    int fd; /* borrowed until it is mapped */
    void (*done)(void *owner, int err);
    void *owner;
    bool beyond_end;       /* its last page is partly past the file's end:
                              not every front-end maps that */
    uint64_t file[2];      /* device, inode */
    struct vwl_list twins; /* of others that map the same file */
};

/* Without any answer or call. */
void vwl_map_free(struct vwl_map *map);
/* It is RESTORED: asks for it. */
void vwl_map_remake(struct vwl_map *map);

/* files.c: a GHashTable of the first map of each file. */
GHashTable *vwl_files_create(void);
void vwl_files_insert(GHashTable *files, struct vwl_map *map);
void vwl_files_remove(GHashTable *files, struct vwl_map *map);
/* NULL: it is not mapped. */
const struct vwl_map *vwl_files_find(GHashTable *files, uint64_t st_dev,
                                     uint64_t st_ino);

#endif
