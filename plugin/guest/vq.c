/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/vq.h"

#include <errno.h>
#include <string.h>

#include "guest/vq_priv.h"

struct vwl_vq *vwl_vq_create(void)
{
    struct vwl_vq *vq = g_new0(struct vwl_vq, 1);

    vq->unscanned = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    return vq;
}

/* What a start allocated. */
static void release(struct vwl_vq *vq)
{
    g_clear_pointer(&vq->mem, vwl_mem_unref);
    g_clear_pointer(&vq->pending, g_free);
    g_clear_pointer(&vq->again, g_free);
    vq->n_pending = vq->n_again = vq->next_again = 0;
    vq->last_pop = NULL;
    g_array_set_size(vq->unscanned, 0);
    vq->scanned = 0;
}

void vwl_vq_destroy(struct vwl_vq *vq)
{
    if (!vq) {
        return;
    }
    release(vq);
    while (vq->spare) {
        struct vwl_chain_box *box = vq->spare;

        vq->spare = box->next_spare;
        g_free(box);
    }
    g_array_unref(vq->unscanned);
    g_free(vq->gather.spans);
    g_free(vq->gather.ranges);
    g_free(vq);
}

/* Front-end address of a part that may lie in several translations, as long as
 * they follow each other. */
static int part_uva(struct vwl_vq *vq, uint64_t address, uint64_t bytes,
                    unsigned int access, uint64_t *uva)
{
    uint64_t first = 0, at, len;

    for (uint64_t done = 0; done < bytes; done += len) {
        if (!vwl_iotlb_lookup(vq->iotlb, address + done, bytes - done, access,
                              &at, &len)) {
            vq->miss_iova = address + done;
            vq->miss_access = access;
            return -EAGAIN;
        }
        if (done == 0) {
            first = at;
        } else if (at != first + done) {
            return -EFAULT;
        }
    }
    *uva = first;
    return 0;
}

static int find_part(struct vwl_vq *vq, uint64_t address, uint64_t bytes,
                     unsigned int access, unsigned int align,
                     struct vwl_part *out)
{
    struct vwl_span span;

    if (address % align != 0) {
        return -EINVAL;
    }
    if (vq->iotlb) {
        int rc = part_uva(vq, address, bytes, access, &address);

        if (rc < 0) {
            return rc;
        }
    }
    if (!vwl_mem_at_uva(vq->mem, address, bytes, &span) || span.len < bytes) {
        return -EFAULT;
    }
    if ((uintptr_t)span.base % align != 0) {
        return -EINVAL;
    }
    out->base = span.base;
    out->gpa = span.gpa;
    return 0;
}

static int find_parts(struct vwl_vq *vq)
{
    struct vwl_parts parts;
    uint64_t bytes[3];
    int rc;

    vq->ops->sizes(vq, bytes);
    rc = find_part(vq, vq->desc, bytes[0],
                   vq->packed ? VWL_ACCESS_READ | VWL_ACCESS_WRITE
                              : VWL_ACCESS_READ,
                   16, &parts.desc);
    if (rc == 0) {
        rc = find_part(vq, vq->driver, bytes[1], VWL_ACCESS_READ,
                       vq->packed ? 4 : 2, &parts.driver);
    }
    if (rc == 0) {
        rc = find_part(vq, vq->device, bytes[2], VWL_ACCESS_WRITE, 4,
                       &parts.device);
    }
    if (rc == 0) {
        vq->parts = parts;
    }
    return rc;
}

static bool base_ok(const struct vwl_vq_setup *setup)
{
    if (!setup->packed) {
        return setup->base <= 0xffff;
    }
    return (setup->base & 0x7fff) < setup->size &&
           (setup->base >> 16 & 0x7fff) < setup->size;
}

static void adopt(struct vwl_vq *vq, const struct vwl_vq_setup *setup)
{
    vq->ops = setup->packed ? &vwl_packed_ops : &vwl_split_ops;
    vq->packed = setup->packed;
    vq->event_idx = setup->event_idx;
    vq->indirect = setup->indirect;
    vq->size = setup->size;
    vq->desc = setup->desc;
    vq->driver = setup->driver;
    vq->device = setup->device;
    vq->log_used = setup->log_used;
    vq->log_gpa = setup->log_gpa;
    vq->start_base = setup->base;
    vq->mem = vwl_mem_ref(setup->mem);
    vq->iotlb = setup->iotlb;
    vq->dirty = setup->dirty;
    vq->inflight = setup->inflight;
    vq->broken = vq->doomed = 0;
    vq->why = NULL;
    vq->stale = false;
    vq->call_known = false;
    vq->flushed_slots = 0;
}

int vwl_vq_start(struct vwl_vq *vq, const struct vwl_vq_setup *setup,
                 struct vwl_chain *const *held, unsigned int n_held)
{
    int rc;

    if (vq->started || setup->size == 0 || setup->size > VWL_VQ_MAX_SIZE ||
        (!setup->packed && (setup->size & (setup->size - 1)) != 0) ||
        !base_ok(setup)) {
        return -EINVAL;
    }
    adopt(vq, setup);
    rc = find_parts(vq);
    if (rc == 0) {
        vq->pending = g_try_new(struct vwl_used, vq->size);
        vq->again = g_try_new(uint16_t, vq->size);
        rc = vq->pending && vq->again ? 0 : -ENOMEM;
    }
    if (rc == 0) {
        rc = vq->ops->begin(vq, held, n_held);
    }
    if (rc < 0) {
        release(vq);
        return rc;
    }
    vq->started = true;
    vq->epoch++;
    for (unsigned int i = 0; i < n_held; i++) {
        ((struct vwl_chain_box *)held[i])->epoch = vq->epoch;
        vwl_box_resolve(vq, (struct vwl_chain_box *)held[i]);
    }
    vq->kick_wanted = true;
    vq->ops->want_kick(vq, true, 0);
    return 0;
}

uint32_t vwl_vq_stop(struct vwl_vq *vq)
{
    if (vq->started) {
        vwl_vq_publish(vq);
        vq->start_base = vq->ops->base(vq);
        vq->started = false;
        release(vq);
    }
    return vq->start_base;
}

uint32_t vwl_vq_base(const struct vwl_vq *vq)
{
    return vq->started ? vq->ops->base(vq) : vq->start_base;
}

bool vwl_vq_is_started(const struct vwl_vq *vq)
{
    return vq->started;
}

bool vwl_vq_is_broken(const struct vwl_vq *vq)
{
    return vq->started && vq->broken != 0;
}

const char *vwl_vq_why(const struct vwl_vq *vq)
{
    return vq->why ? vq->why : "?";
}

void vwl_vq_break(struct vwl_vq *vq)
{
    if (vq->started && vq->broken == 0) {
        vq->broken = -EPROTO;
    }
}

/* 0 when the ring may be touched. */
static int gate(const struct vwl_vq *vq)
{
    return vq->broken ? vq->broken : vq->stale ? -EAGAIN : 0;
}

int vwl_vq_refresh(struct vwl_vq *vq, struct vwl_mem *mem)
{
    int rc;

    if (!vq->started) {
        return 0;
    }
    if (mem && mem != vq->mem) {
        vwl_mem_unref(vq->mem);
        vq->mem = vwl_mem_ref(mem);
    }
    if (vq->broken) {
        return vq->broken;
    }
    rc = find_parts(vq);
    vq->stale = rc == -EAGAIN;
    if (rc == 0) {
        vq->ops->want_kick(vq, vq->kick_wanted, vq->scanning ? vq->scanned : 0);
    } else if (rc != -EAGAIN) {
        vq->broken = rc;
    }
    return rc;
}

void vwl_vq_set_log(struct vwl_vq *vq, bool log_used, uint64_t log_gpa)
{
    vq->log_used = log_used;
    vq->log_gpa = log_gpa;
}

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
        return vwl_vq_wrong(vq, "more chains than the ring has room for");
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

    if (!vq->started) {
        return 0;
    }
    rc = gate(vq);
    if (rc == 0 && vq->doomed) {
        rc = vq->broken = vq->doomed;
    }
    if (rc < 0) {
        return rc;
    }
    box = vwl_box_get(vq);
    vwl_gather_reset(vq);
    rc = take_next(vq, box);
    if (rc > 0) {
        box->epoch = vq->epoch;
        vq->last_pop = box;
        if (vwl_box_fill(vq, box) < 0) {
            rc = -ENOMEM;
        }
        *out = &box->chain;
    } else {
        vwl_box_put(vq, box);
        if (rc < 0 && rc != -EAGAIN) {
            vq->broken = rc;
        }
    }
    vwl_gather_finish(vq);
    return rc;
}

/* Whether the running ring is the one that the chain was taken from. */
static bool belongs(const struct vwl_vq *vq, const struct vwl_chain_box *box)
{
    return vq->started && box->vq == vq && box->epoch == vq->epoch;
}

void vwl_vq_unpop(struct vwl_vq *vq, struct vwl_chain **chain)
{
    struct vwl_chain_box *box = (struct vwl_chain_box *)*chain;

    *chain = NULL;
    if (belongs(vq, box) && vq->broken == 0) {
        if (box != vq->last_pop) {
            vq->broken = vwl_vq_wrong(vq, "an unpop of an older chain");
        } else if (box->chain.resubmitted) {
            vq->next_again--;
        } else {
            vq->ops->untake(vq, box);
            vq->scanned += places_of(vq, box);
        }
    }
    vq->last_pop = NULL;
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
    if (vq->last_pop == box) {
        vq->last_pop = NULL;
    }
    if (belongs(vq, box)) {
        mark_written(vq, &box->chain, written);
        if (vq->broken == 0 && vq->n_pending >= vq->size) {
            vq->broken = vwl_vq_wrong(vq, "more chains back than entries");
        } else if (vq->broken == 0) {
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

    if (!vq->started || vq->n_pending == 0) {
        return 0;
    }
    rc = gate(vq);
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

unsigned int vwl_vq_waiting(struct vwl_vq *vq)
{
    unsigned int places;
    int n;

    if (!vq->started || gate(vq) < 0) {
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
    if (!vq->started || gate(vq) < 0) {
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
    if (!vq->started || gate(vq) < 0) {
        return seen;
    }
    n = vq->ops->waiting(vq, vq->scanned, visit, opaque, &places);
    if (n > 0) {
        vq->scanned += places;
        seen += (unsigned int)n;
    }
    return seen;
}

void vwl_vq_miss(const struct vwl_vq *vq, uint64_t *iova, unsigned int *access)
{
    *iova = vq->miss_iova;
    *access = vq->miss_access;
}
