/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/track_priv.h"

#include <errno.h>
#include <inttypes.h>

/* vhost-user specification, "Inflight I/O tracking": queue region of a split
 * virtqueue. */
struct split_entry {
    uint8_t inflight;
    uint8_t padding[5];
    uint16_t next;
    uint64_t counter;
};

struct split_region {
    uint64_t features;
    uint16_t version;
    uint16_t desc_num;
    uint16_t last_batch_head;
    uint16_t used_idx;
    struct split_entry entries[];
};

_Static_assert(sizeof(struct split_entry) == 16, "split entry");
_Static_assert(sizeof(struct split_region) == 16, "split header");

static struct vwl_chain_box *box_of(struct vwl_chain *chain)
{
    return (struct vwl_chain_box *)chain;
}

static void split_mark(struct vwl_vq *vq, uint16_t head, uint64_t counter)
{
    struct split_region *region = vq->inflight;

    put(region->entries[head].counter, counter);
    put(region->entries[head].inflight, 1);
}

static void split_fresh(struct vwl_vq *vq)
{
    struct split_region *region = vq->inflight;

    for (uint32_t i = 0; i < vq->size; i++) {
        put(region->entries[i].inflight, 0);
        put(region->entries[i].next, 0);
        put(region->entries[i].counter, 0);
    }
    put(region->features, 0);
    put(region->desc_num, vq->size);
    put(region->last_batch_head, 0);
    put(region->used_idx, vq->next_used);
}

/* The last batch was published, but the region does not know yet. */
static int split_catch_up(struct vwl_vq *vq)
{
    struct split_region *region = vq->inflight;
    uint16_t behind = (uint16_t)(vq->next_used - get(region->used_idx));
    uint16_t at = get(region->last_batch_head);

    if (behind > vq->size) {
        return vwl_vq_fail(vq, -EINVAL,
                           "used index %u, and %u of the in-flight buffer, are "
                           "more than %" PRIu32 " apart",
                           vq->next_used, get(region->used_idx), vq->size);
    }
    for (uint16_t i = 0; i < behind; i++) {
        if (at >= vq->size) {
            return vwl_track_bad_entry(vq, -EINVAL, at);
        }
        put(region->entries[at].inflight, 0);
        at = get(region->entries[at].next);
    }
    put(region->used_idx, vq->next_used);
    return 0;
}

int vwl_track_split_begin(struct vwl_vq *vq, struct vwl_chain *const *held,
                          unsigned int n_held)
{
    struct split_region *region = vq->inflight;
    uint16_t version = get(region->version);
    g_autofree struct vwl_outstanding *found = NULL;
    g_autofree uint8_t *is_held = NULL;
    unsigned int n = 0, in_flight = 0;

    found = g_try_new(struct vwl_outstanding, vq->size);
    is_held = g_try_new0(uint8_t, vq->size);
    if (!found || !is_held) {
        return -ENOMEM;
    }
    if (version == 0) {
        split_fresh(vq);
    } else {
        int err = vwl_track_check(vq, version, get(region->desc_num));

        err = err < 0 ? err : split_catch_up(vq);
        if (err < 0) {
            return err;
        }
    }
    for (unsigned int i = 0; i < n_held; i++) {
        is_held[held[i]->id] = 1;
        box_of(held[i])->tracked = true;
        if (!get(region->entries[held[i]->id].inflight)) {
            split_mark(vq, held[i]->id, held[i]->in_flight_no);
        }
    }
    put(region->version, VWL_TRACK_VERSION);
    for (uint32_t i = 0; i < vq->size; i++) {
        if (get(region->entries[i].inflight)) {
            uint64_t counter = get(region->entries[i].counter);

            in_flight++;
            vwl_track_count_on(vq, counter);
            if (!is_held[i]) {
                found[n++] = (struct vwl_outstanding){ counter, (uint16_t)i };
            }
        }
    }
    vwl_track_set_again(vq, found, n);
    if (version != 0) {
        vq->next_avail = (uint16_t)(vq->next_used + in_flight);
    }
    return 0;
}

int vwl_track_split_take(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    struct split_region *region = vq->inflight;

    if (get(region->entries[box->chain.id].inflight)) {
        return vwl_vq_fail(vq, -EPROTO,
                           "descriptor %u is available, and in flight already",
                           box->chain.id);
    }
    split_mark(vq, box->chain.id, box->chain.in_flight_no);
    box->tracked = true;
    return 0;
}

void vwl_track_split_untake(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    struct split_region *region = vq->inflight;

    put(region->entries[box->chain.id].inflight, 0);
}

void vwl_track_split_link(struct vwl_vq *vq)
{
    struct split_region *region = vq->inflight;

    for (unsigned int i = 0; i < vq->n_pending; i++) {
        uint16_t head = vq->pending[i].id;

        put(region->entries[head].next, get(region->last_batch_head));
        put(region->last_batch_head, head);
    }
}

void vwl_track_split_done(struct vwl_vq *vq, uint16_t used_index)
{
    struct split_region *region = vq->inflight;

    for (unsigned int i = 0; i < vq->n_pending; i++) {
        put(region->entries[vq->pending[i].id].inflight, 0);
    }
    put(region->used_idx, used_index);
}
