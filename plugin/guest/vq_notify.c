/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/vq_priv.h"

unsigned int vwl_vq_waiting(struct vwl_vq *vq)
{
    unsigned int places;
    int n;

    if (!vwl_vq_is_open(vq) || vwl_vq_gate(vq) < 0) {
        return 0;
    }
    n = vq->ops->waiting(vq, 0, NULL, NULL, &places);
    /* a broken ring shows itself at the next pop */
    return (n < 0 ? 1 : (unsigned int)n) + (vq->n_again - vq->next_again);
}

/* What vwl_vq_scan has seen needs no kick: one for the place where taking goes
 * on would never come if the driver is past that already. */
bool vwl_vq_want_kick(struct vwl_vq *vq, bool on)
{
    unsigned int seen = vq->scanning ? vq->scanned : 0, places;
    int n;

    vq->kick_wanted = on;
    if (!vwl_vq_is_open(vq) || vwl_vq_gate(vq) < 0) {
        return false;
    }
    vq->ops->want_kick(vq, on, seen);
    if (!on) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    n = vq->ops->waiting(vq, seen, NULL, NULL, &places);
    /* chains that were seen before the fault may be left, and hide it */
    vq->doomed = MIN(n, 0);
    return vq->n_again != vq->next_again || n != 0;
}

unsigned int vwl_vq_scan(struct vwl_vq *vq,
                         void (*visit)(void *opaque, uint64_t gpa_or_iova),
                         void *opaque)
{
    unsigned int seen = vq->unscanned->len, places = 0;
    int n;

    vq->scanning = true;
    for (unsigned int i = 0; i < seen; i++) {
        visit(opaque, g_array_index(vq->unscanned, uint64_t, i));
    }
    g_array_set_size(vq->unscanned, 0);
    if (!vwl_vq_is_open(vq) || vwl_vq_gate(vq) < 0) {
        return seen;
    }
    n = vq->ops->waiting(vq, vq->scanned, visit, opaque, &places);
    if (n > 0) {
        vq->scanned += places;
        seen += (unsigned int)n;
    }
    return seen;
}
