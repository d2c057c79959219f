/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/vq.h"

#include <errno.h>
#include <inttypes.h>
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
    vq->n_popped = 0;
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

static int find_part(struct vwl_vq *vq, const char *name, uint64_t address,
                     uint64_t bytes, unsigned int access, unsigned int align,
                     struct vwl_part *out)
{
    uint64_t uva = address;
    struct vwl_span span;

    if (address % align != 0) {
        return vwl_vq_fail(vq, -EINVAL,
                           "its %s at 0x%" PRIx64 " is not aligned to %u bytes",
                           name, address, align);
    }
    if (vq->iotlb) {
        int rc = part_uva(vq, address, bytes, access, &uva);

        if (rc == -EFAULT) {
            vwl_vq_fail(vq, rc, "its %s at 0x%" PRIx64 " is in several pieces",
                        name, address);
        }
        if (rc < 0) {
            return rc;
        }
    }
    if (!vwl_mem_at_uva(vq->mem, uva, bytes, &span) || span.len < bytes) {
        return vwl_vq_fail(vq, -EFAULT,
                           "its %s, %" PRIu64 " bytes at 0x%" PRIx64
                           ", is not in guest memory",
                           name, bytes, address);
    }
    if ((uintptr_t)span.base % align != 0) {
        return vwl_vq_fail(vq, -EINVAL,
                           "its %s at 0x%" PRIx64
                           " lies where memory is not aligned to %u bytes",
                           name, address, align);
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
    rc = find_part(vq, "descriptor area", vq->desc, bytes[0],
                   vq->packed ? VWL_ACCESS_READ | VWL_ACCESS_WRITE
                              : VWL_ACCESS_READ,
                   16, &parts.desc);
    if (rc == 0) {
        rc = find_part(vq, "driver area", vq->driver, bytes[1], VWL_ACCESS_READ,
                       vq->packed ? 4 : 2, &parts.driver);
    }
    if (rc == 0) {
        rc = find_part(vq, "device area", vq->device, bytes[2],
                       VWL_ACCESS_WRITE, 4, &parts.device);
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
    vq->err = vq->doomed = 0;
    vq->why[0] = '\0';
    vq->call_known = false;
    vq->flushed_slots = 0;
}

static int check_setup(struct vwl_vq *vq, const struct vwl_vq_setup *setup)
{
    if (vwl_vq_is_open(vq)) {
        return -EINVAL;
    }
    if (setup->size == 0 || setup->size > VWL_VQ_MAX_SIZE ||
        (!setup->packed && (setup->size & (setup->size - 1)) != 0)) {
        return vwl_vq_fail(vq, -EINVAL, "a size of %" PRIu32 " entries%s",
                           setup->size,
                           setup->packed ? "" : ", which must be a power of 2");
    }
    if (!base_ok(setup)) {
        return vwl_vq_fail(vq, -EINVAL,
                           "a base of 0x%" PRIx32
                           " is not in a ring of %" PRIu32 " entries",
                           setup->base, setup->size);
    }
    return 0;
}

int vwl_vq_start(struct vwl_vq *vq, const struct vwl_vq_setup *setup,
                 struct vwl_chain *const *held, unsigned int n_held)
{
    int rc;

    rc = check_setup(vq, setup);
    if (rc < 0) {
        return rc;
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
    vq->state = VWL_VQ_RUNNING;
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
    if (vwl_vq_is_open(vq)) {
        vwl_vq_publish(vq);
        vq->start_base = vq->ops->base(vq);
        vq->state = VWL_VQ_STOPPED;
        release(vq);
    }
    return vq->start_base;
}

uint32_t vwl_vq_base(const struct vwl_vq *vq)
{
    return vwl_vq_is_open(vq) ? vq->ops->base(vq) : vq->start_base;
}

bool vwl_vq_is_started(const struct vwl_vq *vq)
{
    return vwl_vq_is_open(vq);
}

bool vwl_vq_is_broken(const struct vwl_vq *vq)
{
    return vq->state == VWL_VQ_BROKEN;
}

void vwl_vq_break(struct vwl_vq *vq)
{
    if (vwl_vq_is_open(vq) && vq->state != VWL_VQ_BROKEN) {
        vwl_vq_set_broken(vq, -EPROTO);
    }
}

int vwl_vq_refresh(struct vwl_vq *vq, struct vwl_mem *mem)
{
    int rc;

    if (!vwl_vq_is_open(vq)) {
        return 0;
    }
    if (mem && mem != vq->mem) {
        vwl_mem_unref(vq->mem);
        vq->mem = vwl_mem_ref(mem);
    }
    if (vq->state == VWL_VQ_BROKEN) {
        return vq->err;
    }
    rc = find_parts(vq);
    if (rc == 0) {
        vq->state = VWL_VQ_RUNNING;
        vq->ops->want_kick(vq, vq->kick_wanted, vq->scanning ? vq->scanned : 0);
    } else if (rc == -EAGAIN) {
        vq->state = VWL_VQ_STALE;
    } else {
        vwl_vq_set_broken(vq, rc);
    }
    return rc;
}

void vwl_vq_set_log(struct vwl_vq *vq, bool log_used, uint64_t log_gpa)
{
    vq->log_used = log_used;
    vq->log_gpa = log_gpa;
}

void vwl_vq_miss(const struct vwl_vq *vq, uint64_t *iova, unsigned int *access)
{
    *iova = vq->miss_iova;
    *access = vq->miss_access;
}
