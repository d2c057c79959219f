/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/pump_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Request records kept for the next request. */
#define SPARE_RECORDS 64

bool vwl_pump_runs(struct vwl_pump *pump, unsigned int index)
{
    return pump->session && !pump->suspended && !vwl_pump_is_restoring(pump) &&
           vwl_session_ring_runs(pump->session, index) &&
           !vwl_vq_is_broken(vwl_session_vq(pump->session, index));
}

struct vwl_record *vwl_pump_record_new(struct vwl_pump *pump,
                                       struct vwl_chain *chain)
{
    struct vwl_record *record;

    if (pump->spare->len > 0) {
        record = g_ptr_array_steal_index_fast(pump->spare,
                                              pump->spare->len - 1);
    } else {
        record = g_new(struct vwl_record, 1);
    }
    /* The head is 464 bytes: not worth clearing for each request. */
    memset((char *)record + sizeof record->request.head, 0,
           sizeof *record - sizeof record->request.head);
    record->chain = chain;
    record->link.data = record;
    record->request.user = record;
    return record;
}

void vwl_pump_drop(struct vwl_pump *pump, struct vwl_record *record)
{
    if (record->state != VWL_RECORD_FRESH) {
        g_queue_unlink(&pump->in_flight, &record->link);
    }
    if (record->chain) {
        vwl_chain_discard(&record->chain);
    }
    if (record->copy.iov_base) {
        pump->copied_bytes -= record->copy.iov_len;
        g_free(record->copy.iov_base);
    }
    pump->heap_bytes -= record->heap_bytes;
    if (pump->spare->len < SPARE_RECORDS) {
        g_ptr_array_add(pump->spare, record);
    } else {
        g_free(record);
    }
}

void vwl_pump_ring_failed(struct vwl_pump *pump, unsigned int index, int err)
{
    if (err == -EAGAIN) {
        vwl_session_ring_miss(pump->session, index);
    } else {
        vwl_session_ring_broken(pump->session, index,
                                vwl_vq_why(
                                    vwl_session_vq(pump->session, index)));
    }
}

void vwl_pump_publish(struct vwl_pump *pump, unsigned int index)
{
    int err;

    if (!pump->ring[index].is_pushed || !pump->session) {
        return;
    }
    err = vwl_vq_publish(vwl_session_vq(pump->session, index));
    if (err < 0) {
        vwl_pump_ring_failed(pump, index, err);
        return; /* -EAGAIN: again when the translation is there */
    }
    pump->ring[index].is_pushed = false;
    if (err) {
        vwl_session_call(pump->session, index);
    } else {
        vwl_session_flush_log(pump->session);
    }
}

bool vwl_pump_answer(struct vwl_pump *pump, struct vwl_record *record)
{
    struct vwl_vq *vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_OUT);
    struct vwl_request *request = &record->request;
    int err = vwl_chain_find(vq, record->chain);
    size_t written;

    if (err < 0 && err != -ENOMEM) {
        if (record->state == VWL_RECORD_FRESH) {
            g_queue_push_tail_link(&pump->in_flight, &record->link);
        }
        record->state = VWL_RECORD_DONE;
        pump->has_done = true;
        vwl_pump_ring_failed(pump, VIRTIO_WL_QUEUE_OUT, err);
        return false;
    }
    written = vwl_chain_write(record->chain, 0, request->response,
                              request->response_bytes);
    vwl_vq_push(vq, &record->chain, (uint32_t)written);
    pump->ring[VIRTIO_WL_QUEUE_OUT].is_pushed = true;
    vwl_pump_drop(pump, record);
    return true;
}

void vwl_pump_revive(struct vwl_pump *pump, struct vwl_chain *chain,
                     const void *response, size_t response_bytes)
{
    struct vwl_record *record = vwl_pump_record_new(pump, chain);
    const uint32_t err = GUINT32_TO_LE(VIRTIO_WL_RESP_ERR);

    if (response_bytes == 0) {
        response = &err;
        response_bytes = sizeof err;
    }
    memcpy(record->request.response, response, response_bytes);
    record->request.response_bytes = response_bytes;
    record->state = VWL_RECORD_DONE;
    g_queue_push_tail_link(&pump->in_flight, &record->link);
}

void vwl_pump_answer_done(struct vwl_pump *pump)
{
    GList *next;

    if (!vwl_pump_runs(pump, VIRTIO_WL_QUEUE_OUT)) {
        return;
    }
    pump->has_done = false;
    for (GList *l = pump->in_flight.head; l; l = next) {
        struct vwl_record *record = l->data;

        next = l->next;
        if (record->state == VWL_RECORD_DONE &&
            !vwl_pump_answer(pump, record)) {
            return;
        }
    }
}

void vwl_pump_drop_all(struct vwl_pump *pump)
{
    GList *l;

    while ((l = pump->in_flight.head) != NULL) {
        vwl_pump_drop(pump, l->data);
    }
}

/* Whether all that the core may still want of the request is kept. */
static bool keep_payload(struct vwl_pump *pump, struct vwl_record *record)
{
    struct vwl_request *request = &record->request;
    size_t len = request->total_bytes;
    void *bytes;

    if (record->state == VWL_RECORD_DONE || record->copy.iov_base) {
        return true;
    }
    if (len > pump->max_copied_bytes - pump->copied_bytes) {
        return false;
    }
    bytes = g_try_malloc(len);
    if (!bytes) {
        return false;
    }
    vwl_chain_read_head(record->chain, bytes, len);
    pump->copied_bytes += len;
    record->copy = (struct iovec){ bytes, len };
    request->payload = &record->copy;
    request->n_payload = 1;
    return true;
}

static bool is_lost(void *opaque, const struct vwl_request *request)
{
    return ((const struct vwl_record *)request->user)->lost;
}

static void fail_lost(struct vwl_pump *pump)
{
    vwl_core_fail_requests(pump->core, is_lost, NULL);
    vwl_pump_publish(pump, VIRTIO_WL_QUEUE_OUT);
}

/* The one that takes the most. */
static struct vwl_record *find_biggest(struct vwl_pump *pump)
{
    struct vwl_record *biggest = NULL;

    for (GList *l = pump->in_flight.head; l; l = l->next) {
        struct vwl_record *record = l->data;

        if (record->state == VWL_RECORD_WAITING &&
            (!biggest || record->heap_bytes > biggest->heap_bytes)) {
            biggest = record;
        }
    }
    return biggest;
}

void vwl_pump_record_waits(struct vwl_pump *pump, struct vwl_record *record)
{
    record->heap_bytes = vwl_chain_heap_bytes(record->chain);
    pump->heap_bytes += record->heap_bytes;
    while (pump->heap_bytes > pump->max_copied_bytes) {
        size_t before = pump->heap_bytes;
        struct vwl_record *biggest = find_biggest(pump);

        if (biggest) {
            log_guest_bug(pump->log,
                          "a request fails that waits in %u pieces: the lists "
                          "of all that wait take more than %" PRIu64 " bytes",
                          biggest->chain->steps, pump->max_copied_bytes);
            biggest->lost = true;
            fail_lost(pump);
        }
        if (pump->heap_bytes == before) {
            return; /* it is held until its ring runs */
        }
    }
}

/* The front-end has its answer, and the memory may be another's, only after
 * this: until then reading and writing are right. */
void vwl_pump_forget_range(struct vwl_pump *pump, uint64_t iova, uint64_t size)
{
    bool any_lost = false;

    for (GList *l = pump->in_flight.head; l; l = l->next) {
        struct vwl_record *record = l->data;

        if (!vwl_chain_uses(record->chain, iova, size)) {
            continue;
        }
        if (keep_payload(pump, record)) {
            vwl_chain_forget(record->chain);
        } else {
            record->lost = any_lost = true;
        }
    }
    if (any_lost) {
        log_host_bug(pump->log,
                     "requests fail: their memory is not mapped "
                     "any more, and there is no room for more than %" PRIu64
                     " bytes of such",
                     pump->max_copied_bytes);
        fail_lost(pump);
    }
    for (GList *l = pump->in_flight.head; any_lost && l; l = l->next) {
        struct vwl_record *record = l->data;

        if (record->lost) {
            vwl_chain_forget(record->chain); /* its ring stands still */
        }
    }
}
