/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "guest/track.h"
#include "guest/vq_priv.h"

#define AVAIL_NO_INTERRUPT 1u
#define USED_NO_NOTIFY 1u

static void split_sizes(const struct vwl_vq *vq, uint64_t bytes[3])
{
    uint64_t event = vq->event_idx ? 2 : 0;

    bytes[0] = 16 * (uint64_t)vq->size;
    bytes[1] = 4 + 2 * (uint64_t)vq->size + event;
    bytes[2] = 4 + 8 * (uint64_t)vq->size + event;
}

static uint16_t avail_index(const struct vwl_vq *vq)
{
    return ring_get16_acquire(vq->parts.driver.base + 2);
}

static uint16_t avail_head(const struct vwl_vq *vq, uint16_t index)
{
    return ring_get16(vq->parts.driver.base + 4 + 2 * (index % vq->size));
}

static int split_begin(struct vwl_vq *vq, struct vwl_chain *const *held,
                       unsigned int n_held)
{
    vq->next_used = ring_get16(vq->parts.device.base + 2);
    vq->next_avail = (uint16_t)vq->start_base;
    for (unsigned int i = 0; i < n_held; i++) {
        if (held[i]->id >= vq->size) {
            return -EINVAL;
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

static int walk_from(struct vwl_vq *vq, uint16_t head,
                     struct vwl_chain_box *box)
{
    uint16_t at = head;
    struct vwl_desc desc;

    box->chain.id = head;
    box->chain.track = head;
    box->chain.slots = 1;
    for (uint32_t steps = 0; steps < vq->size; steps++) {
        int rc;

        if (at >= vq->size) {
            return vwl_vq_wrong(vq, "a descriptor beyond the table");
        }
        ring_desc(vq->parts.desc.base + 16 * (size_t)at, &desc, false);
        if (steps == 0) {
            box->token = desc.addr;
        }
        if (desc.flags & VRING_INDIRECT) {
            if (!vq->indirect || (desc.flags & VRING_NEXT)) {
                return vwl_vq_wrong(vq, "an indirect descriptor, not allowed");
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
        at = desc.id;
    }
    return vwl_vq_wrong(vq, "a looped chain");
}

static int split_walk(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    if (vq->seen_avail == vq->next_avail) {
        uint16_t index = avail_index(vq);

        if ((uint16_t)(index - vq->next_avail) > vq->size) {
            return vwl_vq_wrong(vq, "an available index that is too far ahead");
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

static void split_flush(struct vwl_vq *vq)
{
    unsigned char *used = vq->parts.device.base;
    uint16_t index = vq->next_used;

    for (unsigned int i = 0; i < vq->n_pending; i++, index++) {
        uint64_t offset = 4 + 8 * (uint64_t)(index % vq->size);

        ring_put32(used + offset, vq->pending[i].id);
        ring_put32(used + offset + 4, vq->pending[i].written);
        vwl_vq_mark_device(vq, offset, 8);
    }
    if (vq->inflight) {
        vwl_track_split_link(vq);
    }
    ring_put16_release(used + 2, index);
    vwl_vq_mark_device(vq, 2, 2);
    if (vq->inflight) {
        vwl_track_split_done(vq, index);
    }
    vq->flushed_from = vq->next_used;
    vq->next_used = index;
}

static bool split_wants_call(struct vwl_vq *vq)
{
    const unsigned char *avail = vq->parts.driver.base;
    uint16_t event;

    if (!vq->event_idx) {
        return !(ring_get16(avail) & AVAIL_NO_INTERRUPT);
    }
    event = ring_get16(avail + 4 + 2 * (size_t)vq->size);
    if (!vq->call_known) {
        vq->call_known = true;
        return true;
    }
    return (uint16_t)(vq->next_used - event - 1) <
           (uint16_t)(vq->next_used - vq->flushed_from);
}

static void split_want_kick(struct vwl_vq *vq, bool on, unsigned int skip)
{
    unsigned char *used = vq->parts.device.base;

    if (!vq->event_idx) {
        ring_put16(used, on ? 0 : USED_NO_NOTIFY);
        vwl_vq_mark_device(vq, 0, 2);
    } else if (on) {
        uint64_t offset = 4 + 8 * (uint64_t)vq->size;

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
        return vwl_vq_wrong(vq, "an available index that is too far ahead");
    }
    if (skip >= n) {
        *places = 0;
        return 0;
    }
    for (unsigned int i = skip; visit && i < n; i++) {
        uint16_t head = avail_head(vq, (uint16_t)(vq->next_avail + i));

        if (head < vq->size) {
            visit(opaque, ring_get64(vq->parts.desc.base + 16 * (size_t)head));
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
