/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>

#include "guest/vq_priv.h"

static unsigned int places_of(const struct vwl_vq *vq,
                              const struct vwl_chain_box *box)
{
    return vq->packed ? box->chain.slots : 1;
}

static void note_unscanned(struct vwl_vq *vq, const struct vwl_chain_box *box)
{
    unsigned int places = places_of(vq, box);

    if (vq->scanned >= places) {
        vq->scanned -= places;
        return;
    }
    vq->scanned = 0;
    if (vq->scanning && vq->unscanned->len < vq->size) {
        g_array_append_val(vq->unscanned, box->token);
    }
}

static int take_next(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    int rc;

    if (vq->next_again < vq->n_again) {
        rc = vq->ops->walk_again(vq, vq->again[vq->next_again], box);
        if (rc > 0) {
            vq->next_again++;
            box->chain.resubmitted = true;
        }
        return rc;
    }
    rc = vq->ops->walk(vq, box);
    if (rc <= 0) {
        return rc;
    }
    /* more chains than the ring has room for */
    if (vq->n_pending >= vq->size) {
        return vwl_vq_fail(vq, -EPROTO,
                           "more than its %" PRIu32 " entries are taken",
                           vq->size);
    }
    rc = vq->ops->take(vq, box);
    if (rc < 0) {
        return rc;
    }
    note_unscanned(vq, box);
    return 1;
}

int vwl_vq_pop(struct vwl_vq *vq, struct vwl_chain **out)
{
    struct vwl_chain_box *box;
    int rc;

    if (!vwl_vq_is_open(vq)) {
        return 0;
    }
    rc = vwl_vq_gate(vq);
    if (rc == 0 && vq->doomed) {
        rc = vwl_vq_set_broken(vq, vq->doomed);
    }
    if (rc < 0) {
        return rc;
    }
    box = vwl_box_get(vq);
    vwl_gather_reset(vq);
    rc = take_next(vq, box);
    if (rc > 0) {
        struct vwl_chain *chain = &box->chain;

        box->epoch = vq->epoch;
        box->n_before = vq->n_popped++;
        if (vwl_box_fill(vq, box) < 0) {
            vwl_vq_push(vq, &chain, 0);
            rc = -ENOMEM;
        } else {
            *out = chain;
        }
    } else {
        vwl_box_put(vq, box);
        if (rc < 0 && rc != -EAGAIN) {
            vwl_vq_set_broken(vq, rc);
        }
    }
    vwl_gather_finish(vq);
    return rc;
}

/* Whether the running ring is the one that the chain was taken from. */
static bool belongs(const struct vwl_vq *vq, const struct vwl_chain_box *box)
{
    return vwl_vq_is_open(vq) && box->vq == vq && box->epoch == vq->epoch;
}

void vwl_vq_unpop(struct vwl_vq *vq, struct vwl_chain **chain)
{
    struct vwl_chain_box *box = (struct vwl_chain_box *)*chain;

    *chain = NULL;
    if (belongs(vq, box) && vq->state != VWL_VQ_BROKEN) {
        if (box->n_before + 1 != vq->n_popped) {
            vwl_vq_set_broken(vq, vwl_vq_fail(vq, -EPROTO,
                                              "an unpop of an older chain"));
        } else if (box->chain.resubmitted) {
            vq->n_popped--;
            vq->next_again--;
        } else {
            vq->n_popped--;
            vq->ops->untake(vq, box);
            vq->scanned += places_of(vq, box);
        }
    }
    vwl_box_put(vq, box);
}

static void mark_written(struct vwl_vq *vq, const struct vwl_chain *chain,
                         uint64_t left)
{
    for (unsigned int i = 0; i < chain->n_in && left > 0; i++) {
        uint64_t n = MIN(left, chain->in[i].len);

        vwl_dirty_mark(vq->dirty, chain->in[i].gpa, n);
        left -= n;
    }
}

void vwl_vq_push(struct vwl_vq *vq, struct vwl_chain **chain, uint32_t written)
{
    struct vwl_chain_box *box = (struct vwl_chain_box *)*chain;

    *chain = NULL;
    written = (uint32_t)MIN(written, box->chain.in_bytes);
    if (belongs(vq, box)) {
        mark_written(vq, &box->chain, written);
        if (vq->state == VWL_VQ_BROKEN) {
            /* only freed */
        } else if (vq->n_pending >= vq->size) {
            vwl_vq_set_broken(vq, vwl_vq_fail(vq, -EPROTO,
                                              "more chains given back than "
                                              "it has entries"));
        } else {
            vq->pending[vq->n_pending++] = (struct vwl_used){
                .id = box->chain.id,
                .slots = box->chain.slots,
                .track = box->chain.track,
                .tracked = box->tracked,
                .written = written,
            };
        }
    }
    vwl_box_put(vq, box);
}

int vwl_vq_publish(struct vwl_vq *vq)
{
    int rc;

    if (!vwl_vq_is_open(vq) || vq->n_pending == 0) {
        return 0;
    }
    rc = vwl_vq_gate(vq);
    if (rc < 0) {
        return rc;
    }
    vq->ops->flush(vq);
    vq->n_pending = 0;
    /* the driver sets its event, then looks for used chains: here the other
     * way round, and both must not miss each other */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return vq->ops->wants_call(vq) ? 1 : 0;
}
