/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>

#include "guest/track.h"
#include "guest/vq_priv.h"

/* The driver area: virtio 1.2, 2.7.6. Flags, index, one u16 for each entry,
 * then the used event. */
#define AVAIL_FLAGS 0
#define AVAIL_INDEX 2
#define AVAIL_RING 4
#define AVAIL_ENTRY_BYTES 2
#define AVAIL_NO_INTERRUPT 1u

/* The device area: 2.7.8. The same with longer entries, then the avail event.
 */
#define USED_FLAGS 0
#define USED_INDEX 2
#define USED_RING 4
#define USED_ENTRY_BYTES 8
#define USED_ENTRY_LEN 4
#define USED_NO_NOTIFY 1u

static uint64_t used_event_at(const struct vwl_vq *vq)
{
    return AVAIL_RING + AVAIL_ENTRY_BYTES * (uint64_t)vq->size;
}

static uint64_t avail_event_at(const struct vwl_vq *vq)
{
    return USED_RING + USED_ENTRY_BYTES * (uint64_t)vq->size;
}

static unsigned char *desc_at(const struct vwl_vq *vq, uint16_t index)
{
    return vq->parts.desc.base + DESC_BYTES * (size_t)index;
}

/* virtio 1.2, 2.7: a table of sizes. */
static void split_sizes(const struct vwl_vq *vq, uint64_t bytes[3])
{
    uint64_t event = vq->event_idx ? 2 : 0;

    bytes[0] = DESC_BYTES * (uint64_t)vq->size;
    bytes[1] = used_event_at(vq) + event;
    bytes[2] = avail_event_at(vq) + event;
}

static uint16_t avail_index(const struct vwl_vq *vq)
{
    return ring_get16_acquire(vq->parts.driver.base + AVAIL_INDEX);
}

static uint16_t avail_head(const struct vwl_vq *vq, uint16_t index)
{
    return ring_get16(vq->parts.driver.base + AVAIL_RING +
                      AVAIL_ENTRY_BYTES * (index % vq->size));
}

static int split_begin(struct vwl_vq *vq, struct vwl_chain *const *held,
                       unsigned int n_held)
{
    vq->next_used = ring_get16(vq->parts.device.base + USED_INDEX);
    vq->next_avail = (uint16_t)vq->start_base;
    for (unsigned int i = 0; i < n_held; i++) {
        if (held[i]->id >= vq->size) {
            return vwl_vq_fail(vq, -EINVAL,
                               "a held chain of descriptor %u is not in a "
                               "ring of %" PRIu32 " entries",
                               held[i]->id, vq->size);
        }
        ((struct vwl_chain_box *)held[i])->tracked = false;
    }
    if (vq->inflight) {
        int rc = vwl_track_split_begin(vq, held, n_held);

        if (rc < 0) {
            return rc;
        }
    }
    vq->seen_avail = vq->next_avail;
    return 0;
}

static int bad_link(struct vwl_vq *vq, uint16_t from, uint16_t to)
{
    return from == to
               ? vwl_vq_fail(vq, -EPROTO, "descriptor %u points at itself",
                             from)
               : vwl_vq_fail(vq, -EPROTO,
                             "descriptor %u points at %u in a ring of %" PRIu32
                             " entries",
                             from, to, vq->size);
}

/* virtio 1.2, 2.7.5. */
static int walk_from(struct vwl_vq *vq, uint16_t head,
                     struct vwl_chain_box *box)
{
    uint16_t at = head;
    struct vwl_desc desc;

    if (head >= vq->size) {
        return vwl_vq_fail(vq, -EPROTO,
                           "descriptor %u is available in a ring of %" PRIu32
                           " entries",
                           head, vq->size);
    }
    box->chain.id = head;
    box->chain.track = head;
    box->chain.slots = 1;
    for (uint32_t steps = 0; steps < vq->size; steps++) {
        int rc;

        ring_desc(desc_at(vq, at), &desc, false);
        box->chain.entries = (uint16_t)(steps + 1);
        if (steps == 0) {
            box->token = desc.address;
        }
        if (desc.flags & VRING_INDIRECT) {
            if (!vq->indirect || (desc.flags & VRING_NEXT)) {
                return vwl_vq_fail(vq, -EPROTO, "descriptor %u is indirect, %s",
                                   at,
                                   vq->indirect ? "and has a next one"
                                                : "which was not negotiated");
            }
            rc = vwl_gather_table(vq, &desc, true);
            return rc < 0 ? rc : 1;
        }
        rc = vwl_gather_add(vq, &desc);
        if (rc < 0) {
            return rc;
        }
        if (!(desc.flags & VRING_NEXT)) {
            return 1;
        }
        if (desc.id == at || desc.id >= vq->size) {
            return bad_link(vq, at, desc.id);
        }
        at = desc.id;
    }
    return vwl_vq_fail(vq, -EPROTO, "the chain of descriptor %u loops", head);
}

static int bad_index(struct vwl_vq *vq, uint16_t index)
{
    return vwl_vq_fail(vq, -EPROTO,
                       "available index %u is more than %" PRIu32
                       " entries ahead of %u",
                       index, vq->size, vq->next_avail);
}

/* 2.7.6 and 2.7.13. */
static int split_walk(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    if (vq->seen_avail == vq->next_avail) {
        uint16_t index = avail_index(vq);

        if ((uint16_t)(index - vq->next_avail) > vq->size) {
            return bad_index(vq, index);
        }
        vq->seen_avail = index;
        if (index == vq->next_avail) {
            return 0;
        }
    }
    box->chain.position = vq->next_avail;
    return walk_from(vq, avail_head(vq, vq->next_avail), box);
}

static int split_walk_again(struct vwl_vq *vq, uint16_t track,
                            struct vwl_chain_box *box)
{
    box->tracked = true;
    return walk_from(vq, track, box);
}

static int split_take(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    box->chain.in_flight_no = vq->in_flight_no++;
    if (vq->inflight) {
        int rc = vwl_track_split_take(vq, box);

        if (rc < 0) {
            return rc;
        }
    }
    vq->next_avail++;
    return 0;
}

static void split_untake(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    vq->next_avail = (uint16_t)box->chain.position;
    if (box->tracked) {
        vwl_track_split_untake(vq, box);
    }
}

/* 2.7.8 and 2.7.14. */
static void split_flush(struct vwl_vq *vq)
{
    unsigned char *used = vq->parts.device.base;
    uint16_t index = vq->next_used;

    for (unsigned int i = 0; i < vq->n_pending; i++, index++) {
        uint64_t offset = USED_RING +
                          USED_ENTRY_BYTES * (uint64_t)(index % vq->size);

        ring_put32(used + offset, vq->pending[i].id);
        ring_put32(used + offset + USED_ENTRY_LEN, vq->pending[i].written);
        vwl_vq_mark_device(vq, offset, USED_ENTRY_BYTES);
    }
    if (vq->inflight) {
        vwl_track_split_link(vq);
    }
    ring_put16_release(used + USED_INDEX, index);
    vwl_vq_mark_device(vq, USED_INDEX, 2);
    if (vq->inflight) {
        vwl_track_split_done(vq, index);
    }
    vq->flushed_from = vq->next_used;
    vq->next_used = index;
}

/* 2.7.7: when the driver wants a call. */
static bool split_wants_call(struct vwl_vq *vq)
{
    const unsigned char *avail = vq->parts.driver.base;
    uint16_t event;

    if (!vq->event_idx) {
        return !(ring_get16(avail + AVAIL_FLAGS) & AVAIL_NO_INTERRUPT);
    }
    event = ring_get16(avail + used_event_at(vq));
    if (!vq->call_known) {
        vq->call_known = true;
        return true;
    }
    return (uint16_t)(vq->next_used - event - 1) <
           (uint16_t)(vq->next_used - vq->flushed_from);
}

/* 2.7.10: when this side wants a kick. */
static void split_want_kick(struct vwl_vq *vq, bool on, unsigned int skip)
{
    unsigned char *used = vq->parts.device.base;

    if (!vq->event_idx) {
        ring_put16(used + USED_FLAGS, on ? 0 : USED_NO_NOTIFY);
        vwl_vq_mark_device(vq, USED_FLAGS, 2);
    } else if (on) {
        uint64_t offset = avail_event_at(vq);

        ring_put16(used + offset, (uint16_t)(vq->next_avail + skip));
        vwl_vq_mark_device(vq, offset, 2);
    }
}

static int split_waiting(struct vwl_vq *vq, unsigned int skip,
                         void (*visit)(void *opaque, uint64_t address),
                         void *opaque, unsigned int *places)
{
    uint16_t n = (uint16_t)(avail_index(vq) - vq->next_avail);

    if (n > vq->size) {
        return bad_index(vq, (uint16_t)(vq->next_avail + n));
    }
    if (skip >= n) {
        *places = 0;
        return 0;
    }
    for (unsigned int i = skip; visit && i < n; i++) {
        uint16_t head = avail_head(vq, (uint16_t)(vq->next_avail + i));

        if (head < vq->size) {
            visit(opaque, ring_get64(desc_at(vq, head) + DESC_ADDRESS));
        }
    }
    *places = n - skip;
    return (int)(n - skip);
}

static uint32_t split_base(const struct vwl_vq *vq)
{
    return vq->next_avail;
}

const struct vwl_ring_ops vwl_split_ops = {
    .sizes = split_sizes,
    .begin = split_begin,
    .walk = split_walk,
    .walk_again = split_walk_again,
    .take = split_take,
    .untake = split_untake,
    .flush = split_flush,
    .wants_call = split_wants_call,
    .want_kick = split_want_kick,
    .waiting = split_waiting,
    .base = split_base,
};
