/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/track.h"

#include <errno.h>

#define VERSION 1u

#define get(at) __atomic_load_n(&(at), __ATOMIC_ACQUIRE)
#define put(at, value) __atomic_store_n(&(at), (value), __ATOMIC_RELEASE)

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
    uint64_t addr;
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

_Static_assert(sizeof(struct split_entry) == 16, "split entry");
_Static_assert(sizeof(struct split_region) == 16, "split header");
_Static_assert(sizeof(struct packed_entry) == 32, "packed entry");
_Static_assert(sizeof(struct packed_region) == 32, "packed header");

/* ---- chains to take again ---- */

struct outstanding {
    uint64_t counter;
    uint16_t track;
};

static gint by_counter(gconstpointer a, gconstpointer b, gpointer unused)
{
    const struct outstanding *x = a, *y = b;

    return (x->counter > y->counter) - (x->counter < y->counter);
}

/* Sorts a private copy: the front-end may change the counters meanwhile. */
static void set_again(struct vwl_vq *vq, struct outstanding *found,
                      unsigned int n)
{
    g_qsort_with_data(found, (gint)n, sizeof *found, by_counter, NULL);
    for (unsigned int i = 0; i < n; i++) {
        vq->again[i] = found[i].track;
    }
    vq->n_again = n;
    vq->next_again = 0;
}

static void count_on(struct vwl_vq *vq, uint64_t counter)
{
    vq->in_flight_no = MAX(vq->in_flight_no, counter + 1);
}

static struct vwl_chain_box *box_of(struct vwl_chain *chain)
{
    return (struct vwl_chain_box *)chain;
}

/* ---- split ---- */

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
        return -EINVAL;
    }
    for (uint16_t i = 0; i < behind; i++) {
        if (at >= vq->size) {
            return -EINVAL;
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
    g_autofree struct outstanding *found = NULL;
    g_autofree uint8_t *is_held = NULL;
    unsigned int n = 0, in_flight = 0;

    found = g_try_new(struct outstanding, vq->size);
    is_held = g_try_new0(uint8_t, vq->size);
    if (!found || !is_held) {
        return -ENOMEM;
    }
    if (version == 0) {
        split_fresh(vq);
    } else if (version != VERSION || get(region->desc_num) != vq->size ||
               split_catch_up(vq) < 0) {
        return -EINVAL;
    }
    for (unsigned int i = 0; i < n_held; i++) {
        is_held[held[i]->id] = 1;
        box_of(held[i])->tracked = true;
        if (!get(region->entries[held[i]->id].inflight)) {
            split_mark(vq, held[i]->id, held[i]->in_flight_no);
        }
    }
    put(region->version, VERSION);
    for (uint32_t i = 0; i < vq->size; i++) {
        if (get(region->entries[i].inflight)) {
            uint64_t counter = get(region->entries[i].counter);

            in_flight++;
            count_on(vq, counter);
            if (!is_held[i]) {
                found[n++] = (struct outstanding){ counter, (uint16_t)i };
            }
        }
    }
    set_again(vq, found, n);
    if (version != 0) {
        vq->next_avail = (uint16_t)(vq->next_used + in_flight);
    }
    return 0;
}

int vwl_track_split_take(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    struct split_region *region = vq->inflight;

    if (get(region->entries[box->chain.id].inflight)) {
        return vwl_vq_wrong(vq, "a head that is in flight already");
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

/* ---- packed ---- */

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
    put(region->version, VERSION);
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
        return -EINVAL;
    }
    if (used != old || wrap != old_wrap) {
        uint16_t flags = ring_get16_acquire(vq->parts.desc.base +
                                            16 * (size_t)old + 14);

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
    g_autofree struct outstanding *found = NULL;
    g_autofree uint8_t *is_held = NULL;
    unsigned int n = 0;
    uint32_t slots;

    found = g_try_new(struct outstanding, vq->size);
    is_held = g_try_new0(uint8_t, vq->size);
    if (!found || !is_held) {
        return -ENOMEM;
    }
    if (version == 0) {
        packed_fresh(vq);
    } else if (version != VERSION || get(region->desc_num) != vq->size ||
               packed_settle(vq) < 0) {
        return -EINVAL;
    }
    slots = packed_held(vq, held, n_held, is_held);
    for (uint32_t i = 0; i < vq->size; i++) {
        if (get(region->entries[i].inflight)) {
            uint64_t counter = get(region->entries[i].counter);

            slots += get(region->entries[i].num);
            count_on(vq, counter);
            if (!is_held[i]) {
                found[n++] = (struct outstanding){ counter, (uint16_t)i };
            }
        }
    }
    if (slots > vq->size) {
        return -EINVAL;
    }
    set_again(vq, found, n);
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
        return vwl_vq_wrong(vq, "no free in-flight entry");
    }
    put(entry->addr, desc->addr);
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
        return vwl_vq_wrong(vq, "an in-flight entry that is none");
    }
    desc->addr = get(entry->addr);
    desc->len = get(entry->len);
    desc->flags = get(entry->flags);
    desc->id = get(entry->id);
    *at = get(entry->next);
    return 0;
}
