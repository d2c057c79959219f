/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that the guest made, sent to a host peer, and closed: it is there for
 * as long as the peer has it, and counts against max_shm_bytes until then. Each
 * such file is locked (base/locks.h), and when the limit is reached, those that
 * nobody holds any more are forgotten.
 *
 * Without vwl_locks nothing is noted. Device thread.
 */
#ifndef VWL_WL_MEMORY_HELD_H
#define VWL_WL_MEMORY_HELD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct vwl_locks;
struct vwl_maps;

struct vwl_held {
    struct vwl_locks *locks; /* borrowed; NULL */
    GHashTable *files;       /* struct held_file, which is its own key */
    uint64_t bytes;          /* of those that a peer holds, by the last look */
    uint64_t unknown_bytes;  /* of those that the front-end may hold, too, or
                                that came since */
    bool has_new;            /* some came since */
    uint64_t looked_us;      /* when the last look began */
    uint64_t look_us;        /* and how long it took */
    unsigned int look_at;    /* as many files: time for a look */
    unsigned int round;
};

void vwl_held_init(struct vwl_held *held, struct vwl_locks *locks);
void vwl_held_finish(struct vwl_held *held);

/* The last descriptor of ours goes; borrowed. */
void vwl_held_note(struct vwl_held *held, const struct vwl_maps *maps, int fd,
                   uint64_t bytes);
unsigned int vwl_held_count(const struct vwl_held *held);
/* Forgets what nobody has any more, and counts what the front-end has unmapped
 * and somebody still has. Looks at most a tenth of the time: false: files have
 * come since the last look, and nobody looked. */
bool vwl_held_look(struct vwl_held *held, const struct vwl_maps *maps);

#endif
