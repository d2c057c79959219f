/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the virtqueue, for guest/ alone. vq.c starts and stops it,
 * vq_chains.c takes chains and gives them back, vq_notify.c asks for kicks:
 * what both formats share. vq_split.c and vq_packed.c read and write one ring
 * format each, by struct vwl_ring_ops; gather.c turns descriptors into pieces
 * of memory, chain.c keeps those of a taken chain; track.h keeps the in-flight
 * region; vq_why.c notes what the driver did wrong.
 *
 * A pop is two steps: walk() reads the next chain into vq->gather and may fail
 * without a trace (that is how an IOTLB miss leaves the ring as it was), then
 * take() moves the ring on. What is pushed waits in vq->pending until flush()
 * writes it.
 */
#ifndef VWL_GUEST_VQ_PRIV_H
#define VWL_GUEST_VQ_PRIV_H

#include <errno.h>
#include <glib.h>

#include "guest/vq.h"

#define VWL_CHAIN_INLINE 8

/* Descriptor flags of both formats; virtio 1.2, 2.7.5 and 2.8.6. */
#define VRING_NEXT 1u
#define VRING_WRITE 2u
#define VRING_INDIRECT 4u
#define VRING_AVAIL (1u << 7)
#define VRING_USED (1u << 15)

/* Offsets in a descriptor, which has the same length in both: virtio 1.2,
 * 2.7.5 (split) and 2.8.13 (packed). */
#define DESC_BYTES 16u
#define DESC_ADDRESS 0
#define DESC_LEN 8
#define SPLIT_DESC_FLAGS 12
#define SPLIT_DESC_NEXT 14
#define PACKED_DESC_ID 12
#define PACKED_DESC_FLAGS 14

/* One descriptor, loaded. id is `next` in a split ring. */
struct vwl_desc {
    uint64_t address; /* of the guest, or an I/O virtual one with an IOTLB */
    uint32_t len;
    uint16_t id;
    uint16_t flags;
};

/* A range of I/O virtual addresses; last is the last byte's. */
struct vwl_range {
    uint64_t first;
    uint64_t last;
};

/* A chain and what the caller need not see of it. */
struct vwl_chain_box {
    struct vwl_chain chain; /* must be first */
    struct vwl_chain_box *next_spare;
    uint64_t token;    /* address of the first descriptor */
    uint64_t epoch;    /* the start of vq that it belongs to */
    uint64_t n_before; /* pops of that ring before this one */
    const struct vwl_vq *vq;
    bool tracked;             /* chain.track is its entry in the region */
    struct vwl_range *ranges; /* only with an IOTLB */
    unsigned int n_ranges;
    bool forgotten; /* its pieces are to be looked up anew */
    struct iovec out_inline[VWL_CHAIN_INLINE];
    struct vwl_span in_inline[VWL_CHAIN_INLINE];
    struct vwl_range ranges_inline[VWL_CHAIN_INLINE];
};

/* Entries of the in-flight region that the walked chain's slots were copied
 * to (packed). */
struct vwl_track_stage {
    uint16_t n;
    uint16_t head, last;
    uint16_t next; /* the free entry after last */
};

/* The pieces of the chain that is being walked: readable, then writable. */
struct vwl_gather {
    struct vwl_span *spans;
    unsigned int n, cap;
    unsigned int n_out;
    struct vwl_range *ranges;
    unsigned int n_ranges, cap_ranges;
    uint64_t out_bytes, in_bytes;
    unsigned int steps; /* descriptors and translations seen */
    bool no_memory;
};

/* A ring part in this process. */
struct vwl_part {
    unsigned char *base;
    uint64_t gpa;
};

struct vwl_parts {
    struct vwl_part desc, driver, device;
};

/* A chain that was given back and is not published yet. */
struct vwl_used {
    uint16_t id;
    uint16_t slots;
    uint16_t track;
    bool tracked;
    uint32_t written;
};

struct vwl_ring_ops {
    /* Bytes of the parts: descriptors, driver area, device area. */
    void (*sizes)(const struct vwl_vq *vq, uint64_t bytes[3]);
    /* Sets the indices from the base, or from the in-flight region, whose
     * chains but the held ones it puts into vq->again. 0 or -errno. */
    int (*begin)(struct vwl_vq *vq, struct vwl_chain *const *held,
                 unsigned int n_held);
    /* 1: the next chain is gathered and box has id, slots, position and
     * token; 0: nothing there; -errno. */
    int (*walk)(struct vwl_vq *vq, struct vwl_chain_box *box);
    /* The same for an in-flight entry of an earlier device. */
    int (*walk_again)(struct vwl_vq *vq, uint16_t track,
                      struct vwl_chain_box *box);
    int (*take)(struct vwl_vq *vq, struct vwl_chain_box *box);
    void (*untake)(struct vwl_vq *vq, struct vwl_chain_box *box);
    /* Writes what is pending (at least one) and makes it visible. */
    void (*flush)(struct vwl_vq *vq);
    /* Whether the driver wants a call for what the last flush wrote. */
    bool (*wants_call)(struct vwl_vq *vq);
    /* With the event index: for a chain after the first skip places. */
    void (*want_kick)(struct vwl_vq *vq, bool on, unsigned int skip);
    /* Counts the chains that wait after the first skip ring places (chains,
     * or slots of a packed ring), shows each to visit, if there is one, and
     * says how many places they take. */
    int (*waiting)(struct vwl_vq *vq, unsigned int skip,
                   void (*visit)(void *opaque, uint64_t address), void *opaque,
                   unsigned int *places);
    uint32_t (*base)(const struct vwl_vq *vq);
};

extern const struct vwl_ring_ops vwl_split_ops;
extern const struct vwl_ring_ops vwl_packed_ops;

/*
 *     STOPPED --start--> RUNNING <--refresh: a miss, found--> STALE
 *        ^                  |                                   |
 *        |                  +------- what cannot be right ------+
 *        |                                  v
 *        +----------- stop -------------- BROKEN
 *
 * and a stop leads from everywhere to STOPPED.
 */
enum vwl_vq_state {
    VWL_VQ_STOPPED,
    VWL_VQ_RUNNING,
    VWL_VQ_STALE,  /* the translation of its parts is missing */
    VWL_VQ_BROKEN, /* until the next start */
};

struct vwl_vq {
    const struct vwl_ring_ops *ops;
    enum vwl_vq_state state;
    int err;       /* of BROKEN: -errno */
    int doomed;    /* 0, or what the next pop breaks the ring with */
    char why[128]; /* of the last error, in words; "": none were found */
    bool packed, event_idx, indirect;
    bool log_used;
    bool kick_wanted;
    uint32_t size;
    uint32_t start_base;
    uint64_t desc, driver, device, log_gpa;
    struct vwl_mem *mem;
    struct vwl_iotlb *iotlb;
    struct vwl_dirty *dirty;
    void *inflight;
    struct vwl_parts parts;
    uint64_t miss_iova;
    unsigned int miss_access;
    uint64_t epoch;
    uint64_t in_flight_no; /* the next chain's */

    /* split: free-running indices; packed: slots, with wrap counters */
    uint16_t next_avail, next_used;
    uint16_t seen_avail; /* split: the driver's index as last read */
    bool avail_wrap, used_wrap;
    bool call_known;            /* the first publish always calls */
    uint16_t flushed_from;      /* next_used before the last flush */
    unsigned int flushed_slots; /* slots that it moved over */

    struct vwl_used *pending; /* size entries */
    unsigned int n_pending;
    uint16_t *again; /* in-flight entries to take again */
    unsigned int n_again, next_again;

    bool scanning;        /* vwl_vq_scan was called */
    unsigned int scanned; /* places after next_avail seen by it */
    GArray *unscanned;    /* uint64_t: popped before it saw them */

    struct vwl_gather gather;
    struct vwl_track_stage stage;
    uint64_t n_popped; /* and not put back */
    struct vwl_chain_box *spare;
    unsigned int n_spare;
};

/* ---- chain.c ---- */

struct vwl_chain_box *vwl_box_get(struct vwl_vq *vq);
/* Resets it; the ring keeps a few for the next pops. */
void vwl_box_put(struct vwl_vq *vq, struct vwl_chain_box *box);
/* Moves what was gathered into the chain; 0 or -ENOMEM (no pieces then). */
int vwl_box_fill(struct vwl_vq *vq, struct vwl_chain_box *box);

/* Looks the pieces of a revived chain up. */
void vwl_box_resolve(struct vwl_vq *vq, struct vwl_chain_box *box);

/* ---- gather.c ---- */

void vwl_gather_reset(struct vwl_vq *vq);
void vwl_gather_finish(struct vwl_vq *vq);
/* Adds one buffer. */
int vwl_gather_add(struct vwl_vq *vq, const struct vwl_desc *desc);
/* Adds an indirect table's buffers; linked: by their next fields (split), or
 * one after the other (packed). */
int vwl_gather_table(struct vwl_vq *vq, const struct vwl_desc *desc,
                     bool linked);

/* ---- vq_why.c ---- */

/* Notes in words why a call of this ring fails and returns err. Cold: nothing
 * of a good ring comes here. */
int vwl_vq_fail(struct vwl_vq *vq, int err, const char *why, ...)
    __attribute__((format(printf, 3, 4), cold));

/* ---- for all of them ---- */

static inline bool vwl_vq_is_open(const struct vwl_vq *vq)
{
    return vq->state != VWL_VQ_STOPPED;
}

/* Everything is refused until the next start. */
static inline int vwl_vq_set_broken(struct vwl_vq *vq, int err)
{
    vq->state = VWL_VQ_BROKEN;
    vq->err = err;
    return err;
}

/* 0 when a started ring may be touched. */
static inline int vwl_vq_gate(const struct vwl_vq *vq)
{
    switch (vq->state) {
    case VWL_VQ_BROKEN:
        return vq->err;
    case VWL_VQ_STALE:
        return -EAGAIN;
    default:
        return 0;
    }
}

/* Marks a write to the device area, if writes to it are logged. */
static inline void vwl_vq_mark_device(const struct vwl_vq *vq, uint64_t offset,
                                      uint64_t len)
{
    uint64_t gpa = vq->iotlb ? vq->parts.device.gpa : vq->log_gpa;

    if (vq->log_used) {
        vwl_dirty_mark(vq->dirty, gpa + offset, len);
    }
}

/* ---- ring memory: little-endian, each access exactly one ---- */

static inline uint16_t ring_get16(const void *at)
{
    return GUINT16_FROM_LE(
        __atomic_load_n((const uint16_t *)at, __ATOMIC_RELAXED));
}

static inline uint16_t ring_get16_acquire(const void *at)
{
    return GUINT16_FROM_LE(
        __atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE));
}

static inline uint32_t ring_get32(const void *at)
{
    return GUINT32_FROM_LE(
        __atomic_load_n((const uint32_t *)at, __ATOMIC_RELAXED));
}

static inline uint64_t ring_get64(const void *at)
{
    return GUINT64_FROM_LE(
        __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED));
}

static inline void ring_put16(void *at, uint16_t value)
{
    __atomic_store_n((uint16_t *)at, GUINT16_TO_LE(value), __ATOMIC_RELAXED);
}

static inline void ring_put16_release(void *at, uint16_t value)
{
    __atomic_store_n((uint16_t *)at, GUINT16_TO_LE(value), __ATOMIC_RELEASE);
}

static inline void ring_put32(void *at, uint32_t value)
{
    __atomic_store_n((uint32_t *)at, GUINT32_TO_LE(value), __ATOMIC_RELAXED);
}

static inline void ring_desc(const void *at, struct vwl_desc *desc, bool packed)
{
    const unsigned char *bytes = at;

    desc->address = ring_get64(bytes + DESC_ADDRESS);
    desc->len = ring_get32(bytes + DESC_LEN);
    desc->flags = ring_get16(bytes +
                             (packed ? PACKED_DESC_FLAGS : SPLIT_DESC_FLAGS));
    desc->id = ring_get16(bytes + (packed ? PACKED_DESC_ID : SPLIT_DESC_NEXT));
}

#endif
