/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/le.h"
#include "guest/vq_priv.h"

/* A longer chain's scratch memory is not kept. */
#define KEEP_PIECES 1024u

static int not_memory(struct vwl_vq *vq, uint64_t address)
{
    return vwl_vq_fail(vq, -EFAULT,
                       "a descriptor's address 0x%" PRIx64
                       " is not in guest memory",
                       address);
}

static int past_the_end(struct vwl_vq *vq, uint64_t address, uint64_t bytes)
{
    return vwl_vq_fail(vq, -EFAULT,
                       "%" PRIu64 " bytes at 0x%" PRIx64
                       " reach past the last address",
                       bytes, address);
}

/* The piece from address on, at most max bytes; -EAGAIN (the miss is noted) or
 * -EFAULT. */
static int translate(struct vwl_vq *vq, uint64_t address, uint64_t max,
                     unsigned int access, struct vwl_span *out)
{
    uint64_t uva, len;

    if (!vq->iotlb) {
        return vwl_mem_at_gpa(vq->mem, address, max, out)
                   ? 0
                   : not_memory(vq, address);
    }
    if (!vwl_iotlb_lookup(vq->iotlb, address, max, access, &uva, &len)) {
        vq->miss_iova = address;
        vq->miss_access = access;
        return -EAGAIN;
    }
    return vwl_mem_at_uva(vq->mem, uva, len, out) ? 0 : not_memory(vq, address);
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
    struct vwl_range *last = gather->n_ranges > 0
                                 ? &gather->ranges[gather->n_ranges - 1]
                                 : NULL;

    if (last && first > 0 && last->last == first - 1) {
        last->last = first + (len - 1);
        return;
    }
    if (!grow((void **)&gather->ranges, gather->n_ranges, &gather->cap_ranges,
              sizeof(struct vwl_range))) {
        gather->no_memory = true;
        return;
    }
    gather->ranges[gather->n_ranges++] = (struct vwl_range){
        first, first + (len - 1)
    };
}

static int add_span(struct vwl_vq *vq, const struct vwl_span *span,
                    bool writable)
{
    struct vwl_gather *gather = &vq->gather;
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

/* An empty descriptor is one, too. */
static int count_step(struct vwl_vq *vq)
{
    return ++vq->gather.steps <= VWL_CHAIN_MAX_STEPS
               ? 0
               : vwl_vq_fail(vq, -EPROTO, "a chain of more than %u pieces",
                             VWL_CHAIN_MAX_STEPS);
}

int vwl_gather_add(struct vwl_vq *vq, const struct vwl_desc *desc)
{
    struct vwl_gather *gather = &vq->gather;
    bool writable = desc->flags & VRING_WRITE;
    uint64_t at = desc->address, left = desc->len;

    if (left == 0) {
        return count_step(vq);
    }
    if (left - 1 > UINT64_MAX - at) {
        return past_the_end(vq, at, left);
    }
    if (writable) {
        gather->in_bytes += left;
    } else if (gather->in_bytes > 0) {
        return vwl_vq_fail(vq, -EPROTO,
                           "piece %u of a chain is readable but follows "
                           "a writable one",
                           gather->steps + 1);
    } else {
        gather->out_bytes += left;
    }
    while (left > 0) {
        struct vwl_span span;
        int rc = count_step(vq);

        if (rc == 0) {
            rc = translate(vq, at, left,
                           writable ? VWL_ACCESS_WRITE : VWL_ACCESS_READ,
                           &span);
        }
        if (rc == 0) {
            rc = add_span(vq, &span, writable);
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

static int table_read(struct vwl_vq *vq, struct table *table, uint64_t offset,
                      bool packed, struct vwl_desc *desc)
{
    unsigned char bytes[DESC_BYTES];
    size_t done = 0;

    while (done < sizeof bytes) {
        uint64_t at = offset + done;
        size_t n;

        if (at < table->from || at - table->from >= table->span.len) {
            int rc = translate(vq, table->address + at, table->bytes - at,
                               VWL_ACCESS_READ, &table->span);

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
    desc->address = vwl_le_get64(bytes + DESC_ADDRESS);
    desc->len = vwl_le_get32(bytes + DESC_LEN);
    desc->flags = vwl_le_get16(bytes +
                               (packed ? PACKED_DESC_FLAGS : SPLIT_DESC_FLAGS));
    desc->id = vwl_le_get16(bytes +
                            (packed ? PACKED_DESC_ID : SPLIT_DESC_NEXT));
    return 0;
}

static int bad_link(struct vwl_vq *vq, uint32_t from, uint32_t to,
                    uint32_t count)
{
    return from == to ? vwl_vq_fail(vq, -EPROTO,
                                    "entry %" PRIu32
                                    " of an indirect table points at itself",
                                    from)
                      : vwl_vq_fail(vq, -EPROTO,
                                    "entry %" PRIu32 " of an indirect table "
                                    "of %" PRIu32 " points at %" PRIu32,
                                    from, count, to);
}

/* virtio 1.2, 2.7.5.3 and 2.8.7. */
int vwl_gather_table(struct vwl_vq *vq, const struct vwl_desc *desc,
                     bool linked)
{
    struct table table = { .address = desc->address, .bytes = desc->len };
    uint32_t count = desc->len / DESC_BYTES, i = 0;

    if (count == 0 || desc->len % DESC_BYTES != 0) {
        return vwl_vq_fail(vq, -EPROTO,
                           "an indirect table of %" PRIu32
                           " bytes, which is no positive multiple of 16",
                           desc->len);
    }
    if (table.bytes - 1 > UINT64_MAX - table.address) {
        return past_the_end(vq, table.address, table.bytes);
    }
    for (uint32_t steps = 0; steps < count; steps++) {
        struct vwl_desc entry;
        int rc = table_read(vq, &table, i * (uint64_t)DESC_BYTES, !linked,
                            &entry);

        if (rc < 0) {
            return rc;
        }
        if (entry.flags & VRING_INDIRECT) {
            return vwl_vq_fail(vq, -EPROTO,
                               "entry %" PRIu32
                               " of an indirect table is another such table",
                               i);
        }
        rc = vwl_gather_add(vq, &entry);
        if (rc < 0) {
            return rc;
        }
        if (linked && !(entry.flags & VRING_NEXT)) {
            return 0;
        }
        if (linked && (entry.id == i || entry.id >= count)) {
            return bad_link(vq, i, entry.id, count);
        }
        i = linked ? entry.id : i + 1;
    }
    return linked
               ? vwl_vq_fail(vq, -EPROTO,
                             "an indirect table of %" PRIu32 " entries loops",
                             count)
               : 0;
}
