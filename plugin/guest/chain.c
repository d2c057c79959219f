/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "guest/vq_priv.h"

#define MAX_SPARE 64u

static struct vwl_chain_box *box_of(const struct vwl_chain *chain)
{
    return (struct vwl_chain_box *)chain;
}

struct vwl_chain_box *vwl_box_get(struct vwl_vq *vq)
{
    struct vwl_chain_box *box = vq->spare;

    if (box) {
        vq->spare = box->next_spare;
        vq->n_spare--;
    } else {
        box = g_new(struct vwl_chain_box, 1);
    }
    memset(box, 0, offsetof(struct vwl_chain_box, out_inline));
    box->chain.out = box->out_inline;
    box->chain.in = box->in_inline;
    box->ranges = box->ranges_inline;
    box->vq = vq;
    return box;
}

static void drop_pieces(struct vwl_chain_box *box)
{
    struct vwl_chain *chain = &box->chain;

    if (chain->out != box->out_inline) {
        g_free(chain->out);
    }
    if (chain->in != box->in_inline) {
        g_free(chain->in);
    }
    chain->out = box->out_inline;
    chain->in = box->in_inline;
    chain->n_out = chain->n_in = 0;
    vwl_mem_unref(chain->mem);
    chain->mem = NULL;
}

static void box_clear(struct vwl_chain_box *box)
{
    drop_pieces(box);
    if (box->ranges != box->ranges_inline) {
        g_free(box->ranges);
    }
    box->ranges = box->ranges_inline;
    box->n_ranges = 0;
}

static void box_free(struct vwl_chain_box *box)
{
    box_clear(box);
    g_free(box);
}

void vwl_box_put(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    if (vq->n_spare >= MAX_SPARE) {
        box_free(box);
        return;
    }
    box_clear(box);
    box->next_spare = vq->spare;
    vq->spare = box;
    vq->n_spare++;
}

void vwl_chain_discard(struct vwl_chain **chain)
{
    if (*chain) {
        box_free(box_of(*chain));
        *chain = NULL;
    }
}

/* An array of n for a chain: the one inside, or one of its own. */
static void *room(void *inside, unsigned int n, size_t unit)
{
    return n <= VWL_CHAIN_INLINE ? inside : g_try_malloc_n(n, unit);
}

int vwl_box_fill(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    struct vwl_gather *gather = &vq->gather;
    struct vwl_chain *chain = &box->chain;
    unsigned int n_in = gather->n - gather->n_out;

    if (!gather->no_memory) {
        chain->out = room(box->out_inline, gather->n_out, sizeof *chain->out);
        chain->in = room(box->in_inline, n_in, sizeof *chain->in);
        box->ranges = room(box->ranges_inline, gather->n_ranges,
                           sizeof *box->ranges);
    }
    if (gather->no_memory || !chain->out || !chain->in || !box->ranges) {
        box_clear(box);
        return -ENOMEM;
    }
    for (unsigned int i = 0; i < gather->n_out; i++) {
        chain->out[i].iov_base = gather->spans[i].base;
        chain->out[i].iov_len = gather->spans[i].len;
    }
    if (n_in > 0) {
        memcpy(chain->in, gather->spans + gather->n_out,
               n_in * sizeof *chain->in);
    }
    if (gather->n_ranges > 0) {
        memcpy(box->ranges, gather->ranges,
               gather->n_ranges * sizeof *box->ranges);
    }
    chain->n_out = gather->n_out;
    chain->n_in = n_in;
    box->n_ranges = gather->n_ranges;
    chain->out_bytes = gather->out_bytes;
    chain->in_bytes = gather->in_bytes;
    chain->steps = gather->steps;
    chain->mem = vwl_mem_ref(vq->mem);
    return 0;
}

void vwl_chain_save(const struct vwl_chain *chain,
                    struct vwl_chain_saved *saved)
{
    *saved = (struct vwl_chain_saved){
        .id = chain->id,
        .slots = chain->slots,
        .track = chain->track,
        .tracked = box_of(chain)->tracked,
        .number = chain->in_flight_no,
        .n = MIN(chain->n_in, VWL_CHAIN_SAVED_PIECES),
    };
    for (unsigned int i = 0; i < saved->n; i++) {
        saved->piece[i].gpa = chain->in[i].gpa;
        saved->piece[i].len = (uint32_t)MIN(chain->in[i].len, 4096);
        if (saved->piece[i].len < chain->in[i].len) {
            saved->n = i + 1; /* what follows does not follow any more */
        }
    }
}

struct vwl_chain *vwl_chain_revive(struct vwl_vq *vq,
                                   const struct vwl_chain_saved *saved)
{
    struct vwl_chain_box *box = vwl_box_get(vq);
    struct vwl_chain *chain = &box->chain;

    G_STATIC_ASSERT(VWL_CHAIN_SAVED_PIECES <= VWL_CHAIN_INLINE);
    chain->id = saved->id;
    chain->slots = saved->slots;
    chain->track = saved->track;
    chain->in_flight_no = saved->number;
    chain->resubmitted = true;
    box->tracked = saved->tracked;
    chain->n_in = MIN(saved->n, VWL_CHAIN_SAVED_PIECES);
    for (unsigned int i = 0; i < chain->n_in; i++) {
        chain->in[i] = (struct vwl_span){ NULL, saved->piece[i].len,
                                          saved->piece[i].gpa };
        chain->in_bytes += saved->piece[i].len;
    }
    return chain;
}

void vwl_box_resolve(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    struct vwl_chain *chain = &box->chain;

    if (chain->mem) {
        return;
    }
    chain->mem = vwl_mem_ref(vq->mem);
    for (unsigned int i = 0; i < chain->n_in; i++) {
        struct vwl_span span;

        if (!vwl_mem_at_gpa(vq->mem, chain->in[i].gpa, chain->in[i].len,
                            &span) ||
            span.len < chain->in[i].len) {
            chain->n_in = 0;
            chain->in_bytes = 0;
            return;
        }
        chain->in[i] = span;
    }
}

uint64_t vwl_chain_token(const struct vwl_chain *chain)
{
    return box_of(chain)->token;
}

bool vwl_chain_uses(const struct vwl_chain *chain, uint64_t iova, uint64_t size)
{
    const struct vwl_chain_box *box = box_of(chain);
    uint64_t last = size - 1 > UINT64_MAX - iova ? UINT64_MAX
                                                 : iova + (size - 1);

    for (unsigned int i = 0; size > 0 && i < box->n_ranges; i++) {
        if (box->ranges[i].first <= last && box->ranges[i].last >= iova) {
            return true;
        }
    }
    return false;
}

void vwl_chain_forget(struct vwl_chain *chain)
{
    drop_pieces(box_of(chain));
    box_of(chain)->forgotten = true;
}

/* Gathers the ranges again, without the first skip bytes. */
static int gather_again(struct vwl_vq *vq, const struct vwl_chain_box *box,
                        uint64_t skip)
{
    vwl_gather_reset(vq);
    for (unsigned int i = 0; i < box->n_ranges; i++) {
        const struct vwl_range *range = &box->ranges[i];
        uint64_t left = range->last - range->first + 1, n = MIN(skip, left);
        struct vwl_desc desc = { .address = range->first + n,
                                 .flags = VRING_WRITE };

        skip -= n;
        for (left -= n; left > 0; left -= desc.len) {
            int err;

            desc.len = (uint32_t)MIN(left, 1u << 31);
            err = vwl_gather_add(vq, &desc);
            if (err < 0) {
                return err;
            }
            desc.address += desc.len;
        }
    }
    return 0;
}

int vwl_chain_find(struct vwl_vq *vq, struct vwl_chain *chain)
{
    struct vwl_chain_box *box = box_of(chain);
    int err;

    if (!box->forgotten) {
        return 0;
    }
    err = vq->state == VWL_VQ_BROKEN ? vq->err
                                     : gather_again(vq, box, chain->out_bytes);
    if (err == 0) {
        box_clear(box);
        box->forgotten = false;
        err = vwl_box_fill(vq, box);
    }
    vwl_gather_finish(vq);
    return err;
}

size_t vwl_chain_heap_bytes(const struct vwl_chain *chain)
{
    const struct vwl_chain_box *box = box_of(chain);

    return (chain->out != box->out_inline ? chain->n_out * sizeof *chain->out
                                          : 0) +
           (chain->in != box->in_inline ? chain->n_in * sizeof *chain->in : 0) +
           (box->ranges != box->ranges_inline
                ? box->n_ranges * sizeof *box->ranges
                : 0);
}

size_t vwl_chain_read_head(const struct vwl_chain *chain, void *buffer,
                           size_t cap)
{
    size_t done = 0;

    for (unsigned int i = 0; i < chain->n_out && done < cap; i++) {
        size_t n = MIN(cap - done, chain->out[i].iov_len);

        memcpy((unsigned char *)buffer + done, chain->out[i].iov_base, n);
        done += n;
    }
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return done;
}

size_t vwl_chain_write(struct vwl_chain *chain, size_t offset, const void *data,
                       size_t len)
{
    size_t done = 0;

    for (unsigned int i = 0; i < chain->n_in && done < len; i++) {
        const struct vwl_span *span = &chain->in[i];
        size_t n;

        if (offset >= span->len) {
            offset -= span->len;
            continue;
        }
        n = MIN(len - done, span->len - offset);
        memcpy((unsigned char *)span->base + offset,
               (const unsigned char *)data + done, n);
        done += n;
        offset = 0;
    }
    return done;
}
