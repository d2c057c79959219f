/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's half of a virtqueue, split or packed, in memory that the
 * device shares. Knows neither buffers nor notifications: it adds chains,
 * says whether a kick is due, and takes used chains back.
 */
#ifndef VWL_LOOPBACK_RING_H
#define VWL_LOOPBACK_RING_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct vwl_ring_piece {
    uint64_t addr; /* guest-physical, or an iova */
    uint32_t len;
    bool write; /* for the device */
};

struct vwl_ring_chain {
    void *token; /* NULL: this id is free */
    uint16_t slots;
    uint16_t next; /* packed: next free id */
};

struct vwl_ring {
    bool packed, event_idx;
    bool no_calls; /* whoever owns it looks by himself; vwl_ring_set_calls */
    uint16_t size;
    uint8_t *desc, *driver, *device; /* the three areas */
    struct vwl_ring_chain *chains;   /* by head (split) or id (packed) */
    uint16_t free;                   /* descriptors or slots left */
    uint16_t free_head;
    uint16_t avail, used; /* indices: free-running (split), slots (packed) */
    bool avail_wrap, used_wrap; /* packed */
    uint16_t added;             /* entries since the last question for a kick */
};

/* Bytes of the three areas for a ring of that size. */
void vwl_ring_area_sizes(bool packed, uint16_t size, size_t *desc,
                         size_t *driver, size_t *device);

/* An empty ring over zeroed areas. */
void vwl_ring_init(struct vwl_ring *ring, bool packed, bool event_idx,
                   uint16_t size, void *desc, void *driver, void *device);
void vwl_ring_finish(struct vwl_ring *ring);

/* Adds a chain and makes it available. table: memory for n * 16 bytes that
 * holds an indirect table (NULL: a direct chain), table_addr its address.
 * token: not NULL. 0, or -ENOSPC. */
int vwl_ring_add(struct vwl_ring *ring, const struct vwl_ring_piece *pieces,
                 unsigned int n, void *table, uint64_t table_addr, void *token);

/* Whether the device wants to hear of what was added since the last call. */
bool vwl_ring_kick_due(struct vwl_ring *ring);

/* The next used chain's token, or NULL. *bad is set when the device's entry
 * names no chain of ours (may be NULL). */
void *vwl_ring_take(struct vwl_ring *ring, uint32_t *len, bool *bad);

/* Whether a take would find something. */
bool vwl_ring_has_used(const struct vwl_ring *ring);

/* Whether the device is to call for used chains; a fresh ring asks for it. With
 * the event index the device is asked at each take. */
void vwl_ring_set_calls(struct vwl_ring *ring, bool on);

/* Tokens of chains that the device still has, one call at a time; for after
 * a reset. NULL when there are no more. */
void *vwl_ring_forget(struct vwl_ring *ring);

/* What SET_VRING_BASE is given for a fresh ring. */
static inline uint32_t vwl_ring_fresh_base(bool packed)
{
    return packed ? 0x80008000u : 0;
}

#endif
