/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>

#include "guest/track.h"
#include "guest/vq_priv.h"

/* Driver and device area: virtio 1.2, 2.8.14. */
#define EVENT_WHERE 0
#define EVENT_FLAGS 2
#define EVENT_BYTES 4
#define EVENT_ENABLE 0u
#define EVENT_DISABLE 1u
#define EVENT_DESC 2u

/* 2.8.10.1. */
static void packed_sizes(const struct vwl_vq *vq, uint64_t bytes[3])
{
    bytes[0] = DESC_BYTES * (uint64_t)vq->size;
    bytes[1] = EVENT_BYTES;
    bytes[2] = EVENT_BYTES;
}

/* A place in the ring: a slot, and the wrap counter of its round. */
struct place {
    uint16_t slot;
    bool wrap;
};

/* 2.8.1. */
static void advance(const struct vwl_vq *vq, uint16_t *slot, bool *wrap,
                    unsigned int slots)
{
    unsigned int to = *slot + slots;

    if (to >= vq->size) {
        to -= vq->size;
        *wrap = !*wrap;
    }
    *slot = (uint16_t)to;
}

static unsigned char *slot_at(const struct vwl_vq *vq, uint16_t slot)
{
    return vq->parts.desc.base + DESC_BYTES * (size_t)slot;
}

/* 2.8.1: available to the device in this round. */
static bool is_available(uint16_t flags, bool wrap)
{
    return !!(flags & VRING_AVAIL) == wrap && !!(flags & VRING_USED) != wrap;
}

static int packed_begin(struct vwl_vq *vq, struct vwl_chain *const *held,
                        unsigned int n_held)
{
    vq->next_avail = vq->start_base & 0x7fff;
    vq->avail_wrap = vq->start_base >> 15 & 1;
    vq->next_used = vq->start_base >> 16 & 0x7fff;
    vq->used_wrap = vq->start_base >> 31;
    for (unsigned int i = 0; i < n_held; i++) {
        struct vwl_chain_box *box = (struct vwl_chain_box *)held[i];

        if (box->chain.slots > vq->size) {
            return vwl_vq_fail(vq, -EINVAL,
                               "a held chain of %u slots is not of a ring of "
                               "%" PRIu32,
                               box->chain.slots, vq->size);
        }
        box->tracked = box->tracked && vq->inflight;
    }
    return vq->inflight ? vwl_track_packed_begin(vq, held, n_held) : 0;
}

/* 2.8.6 and 2.8.7: one slot into the gathered chain. 1: it is the last; 0; or
 * -errno. */
static int add_slot(struct vwl_vq *vq, const struct vwl_desc *desc)
{
    int rc;

    if (desc->flags & VRING_INDIRECT) {
        if (!vq->indirect || (desc->flags & VRING_NEXT)) {
            return vwl_vq_fail(vq, -EPROTO,
                               "the descriptor with buffer id %u is indirect, "
                               "%s",
                               desc->id,
                               vq->indirect ? "and has a next one"
                                            : "which was not negotiated");
        }
        rc = vwl_gather_table(vq, desc, false);
    } else {
        rc = vwl_gather_add(vq, desc);
    }
    return rc < 0 ? rc : !(desc->flags & VRING_NEXT);
}

/* 2.8.2 and 2.8.6. */
static int packed_walk(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    struct place place = { vq->next_avail, vq->avail_wrap };
    struct vwl_desc desc;

    if (!is_available(ring_get16_acquire(slot_at(vq, place.slot) +
                                         PACKED_DESC_FLAGS),
                      place.wrap)) {
        return 0;
    }
    vq->stage = (struct vwl_track_stage){ 0 };
    box->chain.position = place.slot | (uint32_t)place.wrap << 15;
    for (uint32_t n = 1; n <= vq->size; n++) {
        int rc;

        ring_desc(slot_at(vq, place.slot), &desc, true);
        if (n == 1) {
            box->token = desc.address;
        }
        rc = vq->inflight ? vwl_track_packed_stage(vq, &vq->stage, &desc) : 0;
        if (rc == 0) {
            rc = add_slot(vq, &desc);
        }
        if (rc < 0) {
            return rc;
        }
        if (rc > 0) {
            box->chain.id = desc.id;
            box->chain.slots = (uint16_t)n;
            box->chain.entries = (uint16_t)n;
            return 1;
        }
        advance(vq, &place.slot, &place.wrap, 1);
    }
    return vwl_vq_fail(vq, -EPROTO,
                       "a chain from slot %u on is longer than the ring",
                       vq->next_avail);
}

static int packed_walk_again(struct vwl_vq *vq, uint16_t track,
                             struct vwl_chain_box *box)
{
    unsigned int slots = vwl_track_packed_slots(vq, track);
    uint16_t at = track;
    struct vwl_desc desc;

    for (unsigned int n = 1; n <= slots; n++) {
        int rc = vwl_track_packed_copy(vq, &at, &desc);

        if (rc == 0) {
            if (n == 1) {
                box->token = desc.address;
            }
            rc = add_slot(vq, &desc);
        }
        if (rc < 0) {
            return rc;
        }
        if (rc > 0) {
            if (n < slots) {
                return vwl_vq_fail(vq, -EPROTO,
                                   "in-flight entry %u has %u descriptors "
                                   "instead of %u",
                                   track, n, slots);
            }
            box->chain.id = desc.id;
            box->chain.slots = (uint16_t)n;
            box->chain.track = track;
            box->tracked = true;
            return 1;
        }
    }
    return vwl_vq_fail(vq, -EPROTO, "in-flight entry %u loops", track);
}

static int packed_take(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    box->chain.in_flight_no = vq->in_flight_no++;
    if (vq->inflight) {
        vwl_track_packed_take(vq, box);
    }
    advance(vq, &vq->next_avail, &vq->avail_wrap, box->chain.slots);
    return 0;
}

static void packed_untake(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    vq->next_avail = box->chain.position & 0x7fff;
    vq->avail_wrap = box->chain.position >> 15 & 1;
    if (box->tracked) {
        vwl_track_packed_untake(vq, box);
    }
}

/* 2.8.3, and 2.8.12 for the order of the stores. */
static void packed_flush(struct vwl_vq *vq)
{
    vq->flushed_slots = 0;
    for (unsigned int i = 0; i < vq->n_pending; i++) {
        const struct vwl_used *used = &vq->pending[i];
        uint16_t slot = vq->next_used;
        uint16_t flags = (vq->used_wrap ? VRING_AVAIL | VRING_USED : 0) |
                         (used->written > 0 ? VRING_WRITE : 0);

        advance(vq, &vq->next_used, &vq->used_wrap, used->slots);
        vq->flushed_slots += used->slots;
        if (vq->inflight) {
            vwl_track_packed_link(vq, used);
        }
        ring_put16(slot_at(vq, slot) + PACKED_DESC_ID, used->id);
        ring_put32(slot_at(vq, slot) + DESC_LEN, used->written);
        ring_put16_release(slot_at(vq, slot) + PACKED_DESC_FLAGS, flags);
        if (vq->inflight) {
            vwl_track_packed_done(vq, used);
        }
        if (vq->log_used) {
            vwl_dirty_mark(vq->dirty,
                           vq->parts.desc.gpa + DESC_BYTES * (uint64_t)slot,
                           DESC_BYTES);
        }
    }
}

/* 2.8.10 and 2.8.14: when the driver wants a call. */
static bool packed_wants_call(struct vwl_vq *vq)
{
    const unsigned char *event = vq->parts.driver.base;
    uint16_t flags = ring_get16_acquire(event + EVENT_FLAGS), at, where;

    if (flags == EVENT_DISABLE) {
        return false;
    }
    if (flags != EVENT_DESC || !vq->event_idx) {
        return true;
    }
    if (!vq->call_known) {
        vq->call_known = true;
        return true;
    }
    /* the driver's slot on the line that next_used stands on, where a slot of
     * the round before is negative */
    where = ring_get16(event + EVENT_WHERE);
    at = where & 0x7fff;
    if (where >> 15 != vq->used_wrap) {
        at = (uint16_t)(at - vq->size);
    }
    return (uint16_t)(vq->next_used - at - 1) < vq->flushed_slots;
}

/* The same from this side: when it wants a kick. */
static void packed_want_kick(struct vwl_vq *vq, bool on, unsigned int skip)
{
    unsigned char *event = vq->parts.device.base;
    uint16_t flags = on ? EVENT_ENABLE : EVENT_DISABLE;

    if (on && vq->event_idx) {
        struct place place = { vq->next_avail, vq->avail_wrap };

        advance(vq, &place.slot, &place.wrap, MIN(skip, vq->size));
        ring_put16(event + EVENT_WHERE,
                   (uint16_t)(place.slot | place.wrap << 15));
        flags = EVENT_DESC;
    }
    ring_put16_release(event + EVENT_FLAGS, flags);
    vwl_vq_mark_device(vq, 0, EVENT_BYTES);
}

static int packed_waiting(struct vwl_vq *vq, unsigned int skip,
                          void (*visit)(void *opaque, uint64_t address),
                          void *opaque, unsigned int *places)
{
    struct place place = { vq->next_avail, vq->avail_wrap };
    bool head = true;
    int n = 0;

    *places = 0;
    if (skip >= vq->size) {
        return 0;
    }
    advance(vq, &place.slot, &place.wrap, skip);
    for (unsigned int i = skip; i < vq->size; i++) {
        uint16_t flags = ring_get16_acquire(slot_at(vq, place.slot) +
                                            PACKED_DESC_FLAGS);

        if (head && !is_available(flags, place.wrap)) {
            break;
        }
        if (head && visit) {
            visit(opaque, ring_get64(slot_at(vq, place.slot) + DESC_ADDRESS));
        }
        n += head;
        head = !(flags & VRING_NEXT);
        (*places)++;
        advance(vq, &place.slot, &place.wrap, 1);
    }
    return n;
}

static uint32_t packed_base(const struct vwl_vq *vq)
{
    return vq->next_avail | (uint32_t)vq->avail_wrap << 15 |
           (uint32_t)vq->next_used << 16 | (uint32_t)vq->used_wrap << 31;
}

const struct vwl_ring_ops vwl_packed_ops = {
    .sizes = packed_sizes,
    .begin = packed_begin,
    .walk = packed_walk,
    .walk_again = packed_walk_again,
    .take = packed_take,
    .untake = packed_untake,
    .flush = packed_flush,
    .wants_call = packed_wants_call,
    .want_kick = packed_want_kick,
    .waiting = packed_waiting,
    .base = packed_base,
};
