/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "guest/vq_priv.h"

#define MAX_SPARE 64u
/* A longer chain's scratch memory is not kept. */
#define KEEP_PIECES 1024u

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

static void box_clear(struct vwl_chain_box *box)
{
    if (box->chain.out != box->out_inline) {
        g_free(box->chain.out);
    }
    if (box->chain.in != box->in_inline) {
        g_free(box->chain.in);
    }
    if (box->ranges != box->ranges_inline) {
        g_free(box->ranges);
    }
    vwl_mem_unref(box->chain.mem);
}

void vwl_box_free(struct vwl_chain_box *box)
{
    box_clear(box);
    g_free(box);
}

void vwl_box_put(struct vwl_vq *vq, struct vwl_chain_box *box)
{
    if (vq->n_spare >= MAX_SPARE) {
        vwl_box_free(box);
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
        vwl_box_free(box_of(*chain));
        *chain = NULL;
    }
}

int vwl_vq_translate(struct vwl_vq *vq, uint64_t address, uint64_t max,
                     unsigned int access, struct vwl_span *out)
{
    uint64_t uva, len;

    if (!vq->iotlb) {
        return vwl_mem_at_gpa(vq->mem, address, max, out) ? 0 : -EFAULT;
    }
    if (!vwl_iotlb_lookup(vq->iotlb, address, max, access, &uva, &len)) {
        vq->miss_iova = address;
        vq->miss_access = access;
        return -EAGAIN;
    }
    return vwl_mem_at_uva(vq->mem, uva, len, out) ? 0 : -EFAULT;
}

void vwl_gather_reset(struct vwl_vq *vq)
{
    struct vwl_gather *gather = &vq->gather;

    gather->n = gather->n_out = gather->n_ranges = gather->steps = 0;
    gather->out_bytes = gather->in_bytes = 0;
    gather->no_memory = false;
}

void vwl_gather_finish(struct vwl_vq *vq)
{
    struct vwl_gather *gather = &vq->gather;

    if (gather->cap > KEEP_PIECES) {
        g_clear_pointer(&gather->spans, g_free);
        gather->cap = 0;
    }
    if (gather->cap_ranges > KEEP_PIECES) {
        g_clear_pointer(&gather->ranges, g_free);
        gather->cap_ranges = 0;
    }
}

/* Room for one more of unit bytes, or false. */
static bool grow(void **array, unsigned int n, unsigned int *cap, size_t unit)
{
    unsigned int more = MAX(*cap * 2, 64u);
    void *bigger;

    if (n < *cap) {
        return true;
    }
    bigger = g_try_realloc_n(*array, more, unit);
    if (!bigger) {
        return false;
    }
    *array = bigger;
    *cap = more;
    return true;
}

static void add_range(struct vwl_gather *gather, uint64_t first, uint64_t len)
{
    struct vwl_range *last = gather->n_ranges > 0 ?
                             &gather->ranges[gather->n_ranges - 1] : NULL;

    if (last && first > 0 && last->last == first - 1) {
        last->last = first + (len - 1);
        return;
    }
    if (!grow((void **)&gather->ranges, gather->n_ranges, &gather->cap_ranges,
              sizeof(struct vwl_range))) {
        gather->no_memory = true;
        return;
    }
    gather->ranges[gather->n_ranges++] =
        (struct vwl_range){ first, first + (len - 1) };
}

static int add_span(struct vwl_gather *gather, const struct vwl_span *span,
                    bool writable)
{
    struct vwl_span *last = NULL;

    if (gather->no_memory) {
        return 0; /* only the walk goes on, to find the chain's end */
    }
    if (gather->n > (writable ? gather->n_out : 0)) {
        last = &gather->spans[gather->n - 1];
    }
    if (last && (unsigned char *)last->base + last->len == span->base &&
        last->gpa + last->len == span->gpa) {
        last->len += span->len;
        return 0;
    }
    if (gather->n >= VWL_CHAIN_MAX_SPANS) {
        return -EPROTO;
    }
    if (!grow((void **)&gather->spans, gather->n, &gather->cap,
              sizeof(struct vwl_span))) {
        gather->no_memory = true;
        return 0;
    }
    gather->spans[gather->n++] = *span;
    if (!writable) {
        gather->n_out++;
    }
    return 0;
}

int vwl_gather_add(struct vwl_vq *vq, const struct vwl_desc *desc)
{
    struct vwl_gather *gather = &vq->gather;
    bool writable = desc->flags & VRING_WRITE;
    uint64_t at = desc->addr, left = desc->len;

    if (++gather->steps > VWL_CHAIN_MAX_SPANS) {
        return -EPROTO;
    }
    if (left == 0) {
        return 0;
    }
    if (left - 1 > UINT64_MAX - at) {
        return -EFAULT;
    }
    if (writable) {
        gather->in_bytes += left;
    } else if (gather->in_bytes > 0) {
        return -EPROTO;
    } else {
        gather->out_bytes += left;
    }
    while (left > 0) {
        struct vwl_span span;
        int rc = vwl_vq_translate(vq, at, left,
                                  writable ? VWL_ACCESS_WRITE :
                                             VWL_ACCESS_READ, &span);

        if (rc == 0) {
            rc = add_span(gather, &span, writable);
        }
        if (rc < 0) {
            return rc;
        }
        if (vq->iotlb && !gather->no_memory) {
            add_range(gather, at, span.len);
        }
        at += span.len;
        left -= span.len;
    }
    return 0;
}

/* An indirect table, of which the piece that was translated last is kept. */
struct table {
    uint64_t address;
    struct vwl_span span;
    uint64_t from; /* offset of the span in the table */
    uint64_t bytes;
};

/* Reads a descriptor as a split ring has it. */
static int table_read(struct vwl_vq *vq, struct table *table, uint64_t offset,
                      struct vwl_desc *desc)
{
    unsigned char bytes[16];
    size_t done = 0;

    while (done < sizeof bytes) {
        uint64_t at = offset + done;
        size_t n;

        if (at < table->from || at - table->from >= table->span.len) {
            int rc = vwl_vq_translate(vq, table->address + at,
                                      table->bytes - at, VWL_ACCESS_READ,
                                      &table->span);

            if (rc < 0) {
                return rc;
            }
            table->from = at;
        }
        n = MIN(sizeof bytes - done, table->span.len - (at - table->from));
        memcpy(bytes + done,
               (unsigned char *)table->span.base + (at - table->from), n);
        done += n;
    }
    /* what was copied is what counts, not what stands there now */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memcpy(&desc->addr, bytes, 8);
    memcpy(&desc->len, bytes + 8, 4);
    memcpy(&desc->flags, bytes + 12, 2);
    memcpy(&desc->id, bytes + 14, 2);
    desc->addr = GUINT64_FROM_LE(desc->addr);
    desc->len = GUINT32_FROM_LE(desc->len);
    desc->flags = GUINT16_FROM_LE(desc->flags);
    desc->id = GUINT16_FROM_LE(desc->id);
    return 0;
}

int vwl_gather_table(struct vwl_vq *vq, const struct vwl_desc *desc,
                     bool linked)
{
    struct table table = { .address = desc->addr, .bytes = desc->len };
    uint32_t count = desc->len / 16, i = 0;

    if (count == 0 || desc->len % 16 != 0) {
        return -EPROTO;
    }
    if (table.bytes - 1 > UINT64_MAX - table.address) {
        return -EFAULT;
    }
    for (uint32_t steps = 0; steps < count; steps++) {
        struct vwl_desc entry;
        int rc = table_read(vq, &table, i * (uint64_t)16, &entry);

        if (rc < 0) {
            return rc;
        }
        if (!linked) {
            /* in a packed table id and flags stand the other way round */
            uint16_t flags = entry.id;

            entry.id = entry.flags;
            entry.flags = flags;
        }
        if (entry.flags & VRING_INDIRECT) {
            return -EPROTO;
        }
        rc = vwl_gather_add(vq, &entry);
        if (rc < 0) {
            return rc;
        }
        if (linked && !(entry.flags & VRING_NEXT)) {
            return 0;
        }
        i = linked ? entry.id : i + 1;
        if (i >= count) {
            return linked ? -EPROTO : 0;
        }
    }
    return -EPROTO; /* a loop */
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
        chain->out = box->out_inline;
        chain->in = box->in_inline;
        box->ranges = box->ranges_inline;
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
                            &span) || span.len < chain->in[i].len) {
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

bool vwl_chain_uses(const struct vwl_chain *chain, uint64_t iova,
                    uint64_t size)
{
    const struct vwl_chain_box *box = box_of(chain);
    uint64_t last = size - 1 > UINT64_MAX - iova ? UINT64_MAX :
                    iova + (size - 1);

    for (unsigned int i = 0; size > 0 && i < box->n_ranges; i++) {
        if (box->ranges[i].first <= last && box->ranges[i].last >= iova) {
            return true;
        }
    }
    return false;
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

size_t vwl_chain_write(struct vwl_chain *chain, size_t offset,
                       const void *data, size_t len)
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
