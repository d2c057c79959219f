/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/memory/stale.h"

static gint offset_compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static gint range_compare(gconstpointer a, gconstpointer b)
{
    return offset_compare(a, b, NULL);
}

void vwl_stale_init(struct vwl_stale *stale)
{
    stale->tree = g_tree_new_full(offset_compare, NULL, NULL, g_free);
}

void vwl_stale_finish(struct vwl_stale *stale)
{
    g_tree_unref(stale->tree);
}

void vwl_stale_add(struct vwl_stale *stale, uint64_t offset, uint64_t len)
{
    struct vwl_stale_range *range = g_new(struct vwl_stale_range, 1);

    *range = (struct vwl_stale_range){ offset, len };
    g_tree_replace(stale->tree, range, range);
}

struct overlap {
    uint64_t offset;
    uint64_t end;
};

static gint overlap_search(gconstpointer key, gconstpointer user)
{
    const struct vwl_stale_range *range = key;
    const struct overlap *overlap = user;

    if (range->offset + range->len <= overlap->offset) {
        return 1;
    }
    return range->offset >= overlap->end ? -1 : 0;
}

GArray *vwl_stale_take(struct vwl_stale *stale, uint64_t offset, uint64_t len)
{
    struct overlap overlap = { offset, offset + len };
    GArray *found = g_array_new(FALSE, FALSE, sizeof(struct vwl_stale_range));
    struct vwl_stale_range *range;

    while ((range = g_tree_search(stale->tree, overlap_search, &overlap))) {
        g_array_append_val(found, *range);
        g_tree_remove(stale->tree, range);
    }
    g_array_sort(found, range_compare);
    return found;
}
