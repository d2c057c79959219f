/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/iotlb.h"

#include <errno.h>
#include <glib.h>
#include <string.h>

/* More than the pieces of the longest chain and the parts of its ring, or a
 * chain of scattered pages could never be translated as a whole. */
#define MAX_ENTRIES (132u * 1024u)

struct entry {
    uint64_t first;
    uint64_t last;
    uint64_t uva;
    uint64_t age; /* running number: the lowest is the oldest */
    unsigned int access;
};

struct vwl_iotlb {
    GArray *entries; /* of struct entry, by address, never overlapping */
    uint64_t next_age;
};

struct vwl_iotlb *vwl_iotlb_create(void)
{
    struct vwl_iotlb *tlb = g_new0(struct vwl_iotlb, 1);

    tlb->entries = g_array_new(FALSE, FALSE, sizeof(struct entry));
    return tlb;
}

void vwl_iotlb_destroy(struct vwl_iotlb *tlb)
{
    if (tlb) {
        g_array_unref(tlb->entries);
        g_free(tlb);
    }
}

/* The first entry that ends at or after iova. */
static unsigned int lower_bound(const struct vwl_iotlb *tlb, uint64_t iova)
{
    unsigned int lo = 0, hi = tlb->entries->len;

    while (lo < hi) {
        unsigned int mid = lo + (hi - lo) / 2;

        if (g_array_index(tlb->entries, struct entry, mid).last < iova) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void drop_range(struct vwl_iotlb *tlb, uint64_t first, uint64_t last)
{
    unsigned int from = lower_bound(tlb, first), to = from;

    while (to < tlb->entries->len &&
           g_array_index(tlb->entries, struct entry, to).first <= last) {
        to++;
    }
    if (to > from) {
        g_array_remove_range(tlb->entries, from, to - from);
    }
}

static void drop_oldest(struct vwl_iotlb *tlb)
{
    const struct entry *entries = (const struct entry *)tlb->entries->data;
    unsigned int oldest = 0;

    for (unsigned int i = 1; i < tlb->entries->len; i++) {
        if (entries[i].age < entries[oldest].age) {
            oldest = i;
        }
    }
    g_array_remove_index(tlb->entries, oldest);
}

int vwl_iotlb_update(struct vwl_iotlb *tlb, uint64_t iova, uint64_t size,
                     uint64_t uva, unsigned int access)
{
    struct entry entry = { .first = iova, .uva = uva, .access = access };

    if (size == 0 || size - 1 > UINT64_MAX - iova ||
        size - 1 > UINT64_MAX - uva || access == 0 ||
        (access & ~(VWL_ACCESS_READ | VWL_ACCESS_WRITE)) != 0) {
        return -EINVAL;
    }
    entry.last = iova + (size - 1);
    drop_range(tlb, entry.first, entry.last);
    if (tlb->entries->len >= MAX_ENTRIES) {
        drop_oldest(tlb);
    }
    entry.age = tlb->next_age++;
    g_array_insert_val(tlb->entries, lower_bound(tlb, iova), entry);
    return 0;
}

void vwl_iotlb_invalidate(struct vwl_iotlb *tlb, uint64_t iova, uint64_t size)
{
    if (size > 0) {
        drop_range(tlb, iova,
                   size - 1 > UINT64_MAX - iova ? UINT64_MAX
                                                : iova + (size - 1));
    }
}

void vwl_iotlb_clear(struct vwl_iotlb *tlb)
{
    g_array_set_size(tlb->entries, 0);
}

bool vwl_iotlb_lookup(struct vwl_iotlb *tlb, uint64_t iova, uint64_t max,
                      unsigned int access, uint64_t *uva, uint64_t *len)
{
    unsigned int at = lower_bound(tlb, iova);
    const struct entry *entry;
    uint64_t left;

    if (at == tlb->entries->len || max == 0) {
        return false;
    }
    entry = &g_array_index(tlb->entries, struct entry, at);
    if (entry->first > iova || (entry->access & access) != access) {
        return false;
    }
    left = entry->last - iova; /* one less, so that 2^64 fits */
    *uva = entry->uva + (iova - entry->first);
    *len = max - 1 < left ? max : left + 1;
    return true;
}
