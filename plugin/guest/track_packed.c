/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/track_priv.h"

#include <errno.h>
#include <inttypes.h>

/* vhost-user specification, "Inflight I/O tracking": queue region of a packed
 * virtqueue. */
struct packed_entry {
    uint8_t inflight;
    uint8_t padding;
    uint16_t next;
    uint16_t last;
    uint16_t num;
    uint64_t counter;
    uint16_t id;
    uint16_t flags;
    uint32_t len;
    uint64_t address;
};

struct packed_region {
    uint64_t features;
    uint16_t version;
    uint16_t desc_num;
    uint16_t free_head;
    uint16_t old_free_head;
    uint16_t used_idx;
    uint16_t old_used_idx;
    uint8_t used_wrap;
    uint8_t old_used_wrap;
    uint8_t padding[10];
    struct packed_entry entries[];
};

_Static_assert(sizeof(struct packed_entry) == 32, "packed entry");
_Static_assert(sizeof(struct packed_region) == 32, "packed header");

static struct vwl_chain_box *box_of(struct vwl_chain *chain)
{
    return (struct vwl_chain_box *)chain;
}

static void packed_fresh(struct vwl_vq *vq)
{
    struct packed_region *region = vq->inflight;

    for (uint32_t i = 0; i < vq->size; i++) {
        put(region->entries[i].inflight, 0);
        put(region->entries[i].next, (uint16_t)(i + 1));
    }
    put(region->features, 0);
    put(region->desc_num, vq->size);
    put(region->free_head, 0);
    put(region->old_free_head, 0);
    put(region->used_idx, vq->next_used);
    put(region->old_used_idx, vq->next_used);
    put(region->used_wrap, vq->used_wrap);
    put(region->old_used_wrap, vq->used_wrap);
    put(region->version, VWL_TRACK_VERSION);
}

/* Index before wrap counter: with the old index and the new counter, a slot of
 * the driver's next round would look like one that was never given back. */
static void packed_commit(struct packed_region *region)
{
    put(region->old_free_head, get(region->free_head));
    put(region->old_used_idx, get(region->used_idx));
    put(region->old_used_wrap, get(region->used_wrap));
}

static int packed_settle(struct vwl_vq *vq)
{
    struct packed_region *region = vq->inflight;
    uint16_t used = get(region->used_idx), old = get(region->old_used_idx);
    bool wrap = get(region->used_wrap), old_wrap = get(region->old_used_wrap);
    bool published = false;
    uint16_t at;

    if (used >= vq->size || old >= vq->size) {
        return vwl_track_bad_entry(vq, -EINVAL, MAX(used, old));
    }
    if (used != old || wrap != old_wrap) {
        uint16_t flags = ring_get16_acquire(
            vq->parts.desc.base + DESC_BYTES * (size_t)old + PACKED_DESC_FLAGS);

        published = !!(flags & VRING_AVAIL) != old_wrap ||
                    !!(flags & VRING_USED) == old_wrap;
    }
    if (published) {
        packed_commit(region);
    } else {
        put(region->free_head, get(region->old_free_head));
        put(region->used_idx, old);
        put(region->used_wrap, old_wrap);
        used = old;
        wrap = old_wrap;
    }
    at = get(region->free_head);
    for (uint32_t i = 0; i < vq->size && at < vq->size; i++) {
        put(region->entries[at].inflight, 0);
        at = get(region->entries[at].next);
    }
    vq->next_used = used;
    vq->used_wrap = wrap;
    return 0;
}

/* Which entries are held; the slots of those that the region does not know. */
static unsigned int packed_held(struct vwl_vq *vq,
                                struct vwl_chain *const *held,
                                unsigned int n_held, uint8_t *is_held)
{
    unsigned int unknown = 0;

    for (unsigned int i = 0; i < n_held; i++) {
        struct vwl_chain_box *box = box_of(held[i]);
        struct packed_region *region = vq->inflight;
        uint16_t track = held[i]->track;

        box->tracked = box->tracked && track < vq->size && !is_held[track] &&
                       get(region->entries[track].inflight) &&
                       get(region->entries[track].num) == held[i]->slots;
        if (box->tracked) {
            is_held[track] = 1;
        } else {
            unknown += held[i]->slots;
        }
    }
    return unknown;
}

int vwl_track_packed_begin(struct vwl_vq *vq, struct vwl_chain *const *held,
                           unsigned int n_held)
{
    struct packed_region *region = vq->inflight;
    uint16_t version = get(region->version);
    g_autofree struct vwl_outstanding *found = NULL;
    g_autofree uint8_t *is_held = NULL;
    unsigned int n = 0;
    uint32_t slots;

    found = g_try_new(struct vwl_outstanding, vq->size);
    is_held = g_try_new0(uint8_t, vq->size);
    if (!found || !is_held) {
        return -ENOMEM;
    }
    if (version == 0) {
        packed_fresh(vq);
    } else {
        int err = vwl_track_check(vq, version, get(region->desc_num));

        err = err < 0 ? err : packed_settle(vq);
        if (err < 0) {
            return err;
        }
    }
    slots = packed_held(vq, held, n_held, is_held);
    for (uint32_t i = 0; i < vq->size; i++) {
        if (get(region->entries[i].inflight)) {
            uint64_t counter = get(region->entries[i].counter);

            slots += get(region->entries[i].num);
            vwl_track_count_on(vq, counter);
            if (!is_held[i]) {
                found[n++] = (struct vwl_outstanding){ counter, (uint16_t)i };
            }
        }
    }
    if (slots > vq->size) {
        return vwl_vq_fail(vq, -EINVAL,
                           "%" PRIu32 " slots in flight in a ring of %" PRIu32,
                           slots, vq->size);
    }
    vwl_track_set_again(vq, found, n);
    if (version != 0) {
        slots += vq->next_used;
        vq->avail_wrap = vq->used_wrap != (slots >= vq->size);
        vq->next_avail = (uint16_t)(slots % vq->size);
    }
    return 0;
}

int vwl_track_packed_stage(struct vwl_vq *vq, struct vwl_track_stage *stage,
                           const struct vwl_desc *desc)
{
    struct packed_region *region = vq->inflight;
    uint16_t at = stage->n == 0 ? get(region->free_head) : stage->next;
    struct packed_entry *entry = &region->entries[at];

    if (at >= vq->size) {
        return vwl_vq_fail(vq, -EPROTO,
                           "the in-flight buffer has no free entry");
    }
    put(entry->address, desc->address);
    put(entry->len, desc->len);
    put(entry->flags, desc->flags);
    put(entry->id, desc->id);
    if (stage->n++ == 0) {
        stage->head = at;
    }
    stage->last = at;
    stage->next = get(entry->next);
    return 0;
}

void vwl_track_packed_take(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    struct packed_region *region = vq->inflight;
    struct packed_entry *head = &region->entries[vq->stage.head];

    put(head->num, vq->stage.n);
    put(head->last, vq->stage.last);
    put(head->counter, box->chain.in_flight_no);
    put(head->inflight, 1);
    put(region->free_head, vq->stage.next);
    put(region->old_free_head, vq->stage.next);
    box->chain.track = vq->stage.head;
    box->tracked = true;
}

/* Puts the entries of a chain in front of the free list. */
static void packed_release(struct vwl_vq *vq, uint16_t head)
{
    struct packed_region *region = vq->inflight;
    uint16_t last = get(region->entries[head].last);

    if (last < vq->size) {
        put(region->entries[last].next, get(region->free_head));
        put(region->free_head, head);
    }
}

void vwl_track_packed_untake(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    struct packed_region *region = vq->inflight;

    packed_release(vq, box->chain.track);
    put(region->old_free_head, get(region->free_head));
    put(region->entries[box->chain.track].inflight, 0);
}

void vwl_track_packed_link(struct vwl_vq *vq, const struct vwl_used *used)
{
    struct packed_region *region = vq->inflight;

    if (used->tracked) {
        packed_release(vq, used->track);
    }
    put(region->used_idx, vq->next_used);
    put(region->used_wrap, vq->used_wrap);
}

void vwl_track_packed_done(struct vwl_vq *vq, const struct vwl_used *used)
{
    struct packed_region *region = vq->inflight;

    if (used->tracked) {
        put(region->entries[used->track].inflight, 0);
    }
    packed_commit(region);
}

unsigned int vwl_track_packed_slots(struct vwl_vq *vq, uint16_t head)
{
    struct packed_region *region = vq->inflight;
    uint16_t n = get(region->entries[head].num);

    return n <= vq->size ? n : 0;
}

int vwl_track_packed_copy(struct vwl_vq *vq, uint16_t *at,
                          struct vwl_desc *desc)
{
    struct packed_region *region = vq->inflight;
    const struct packed_entry *entry = &region->entries[*at];

    if (*at >= vq->size) {
        return vwl_track_bad_entry(vq, -EPROTO, *at);
    }
    desc->address = get(entry->address);
    desc->len = get(entry->len);
    desc->flags = get(entry->flags);
    desc->id = get(entry->id);
    *at = get(entry->next);
    return 0;
}
