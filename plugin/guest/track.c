/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/track_priv.h"

#include <errno.h>
#include <inttypes.h>

int vwl_track_check(struct vwl_vq *vq, uint16_t version, uint16_t entries)
{
    if (version != VWL_TRACK_VERSION) {
        return vwl_vq_fail(vq, -EINVAL,
                           "the in-flight buffer has version %u instead of %u",
                           version, VWL_TRACK_VERSION);
    }
    if (entries != vq->size) {
        return vwl_vq_fail(vq, -EINVAL,
                           "the in-flight buffer is for %u entries instead of "
                           "%" PRIu32,
                           entries, vq->size);
    }
    return 0;
}

int vwl_track_bad_entry(struct vwl_vq *vq, int err, uint16_t entry)
{
    return vwl_vq_fail(vq, err,
                       "the in-flight buffer names entry %u of %" PRIu32, entry,
                       vq->size);
}

static gint by_counter(gconstpointer a, gconstpointer b, gpointer unused)
{
    const struct vwl_outstanding *x = a, *y = b;

    return (x->counter > y->counter) - (x->counter < y->counter);
}

void vwl_track_set_again(struct vwl_vq *vq, struct vwl_outstanding *found,
                         unsigned int n)
{
    g_qsort_with_data(found, (gint)n, sizeof *found, by_counter, NULL);
    for (unsigned int i = 0; i < n; i++) {
        vq->again[i] = found[i].track;
    }
    vq->n_again = n;
    vq->next_again = 0;
}

void vwl_track_count_on(struct vwl_vq *vq, uint64_t counter)
{
    vq->in_flight_no = MAX(vq->in_flight_no, counter + 1);
}
