/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/pump_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Chains of one ring in one dispatch: then the other sources have a turn. */
#define BUDGET 256
/* Pieces of one in-buffer that are looked at; a message has 4 KiB. */
#define IN_PIECES 64
/* Request records kept for the next request. */
#define SPARE_RECORDS 64

bool vwl_pump_runs(struct vwl_pump *pump, unsigned int index)
{
    return pump->session && !pump->suspended && !pump->restoring &&
           vwl_session_ring_runs(pump->session, index) &&
           !vwl_vq_is_broken(vwl_session_vq(pump->session, index));
}

/* ---- records ---------------------------------------------------------- */

static struct record *record_new(struct vwl_pump *pump, struct vwl_chain *chain)
{
    struct record *record;

    if (pump->spare->len > 0) {
        record = g_ptr_array_steal_index_fast(pump->spare,
                                              pump->spare->len - 1);
    } else {
        record = g_new(struct record, 1);
    }
    /* The head is 464 bytes: not worth clearing for each request. */
    memset((char *)record + sizeof record->request.head, 0,
           sizeof *record - sizeof record->request.head);
    record->chain = chain;
    record->link.data = record;
    record->request.user = record;
    return record;
}

void vwl_pump_drop(struct vwl_pump *pump, struct record *record)
{
    if (record->waits) {
        g_queue_unlink(&pump->in_flight, &record->link);
    }
    if (record->chain) {
        vwl_chain_discard(&record->chain);
    }
    if (record->copy.iov_base) {
        pump->copied_bytes -= record->copy.iov_len;
        g_free(record->copy.iov_base);
    }
    if (pump->spare->len < SPARE_RECORDS) {
        g_ptr_array_add(pump->spare, record);
    } else {
        g_free(record);
    }
}

static void ring_failed(struct vwl_pump *pump, unsigned int index, int err)
{
    if (err == -EAGAIN) {
        vwl_session_ring_miss(pump->session, index);
    } else {
        vwl_session_ring_broken(pump->session, index,
                                vwl_vq_why(
                                    vwl_session_vq(pump->session, index)));
    }
}

bool vwl_pump_answer(struct vwl_pump *pump, struct record *record)
{
    struct vwl_vq *vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_OUT);
    struct vwl_request *request = &record->request;
    int err = vwl_chain_find(vq, record->chain);
    size_t written;

    if (err < 0 && err != -ENOMEM) {
        record->done = pump->unplaced = true;
        ring_failed(pump, VIRTIO_WL_QUEUE_OUT, err);
        return false;
    }
    written = vwl_chain_write(record->chain, 0, request->response,
                              request->response_bytes);
    vwl_vq_push(vq, &record->chain, (uint32_t)written);
    pump->pushed[VIRTIO_WL_QUEUE_OUT] = true;
    vwl_pump_drop(pump, record);
    return true;
}

void vwl_pump_revive(struct vwl_pump *pump, struct vwl_chain *chain,
                     const void *response, size_t response_bytes)
{
    struct record *record = record_new(pump, chain);
    const uint32_t err = GUINT32_TO_LE(VIRTIO_WL_RESP_ERR);

    if (response_bytes == 0) {
        response = &err;
        response_bytes = sizeof err;
    }
    memcpy(record->request.response, response, response_bytes);
    record->request.response_bytes = response_bytes;
    record->done = record->waits = true;
    g_queue_push_tail_link(&pump->in_flight, &record->link);
}

void vwl_pump_answer_done(struct vwl_pump *pump)
{
    GList *next;

    if (!vwl_pump_runs(pump, VIRTIO_WL_QUEUE_OUT)) {
        return;
    }
    pump->unplaced = false;
    for (GList *l = pump->in_flight.head; l; l = next) {
        struct record *record = l->data;

        next = l->next;
        if (record->done && !vwl_pump_answer(pump, record)) {
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
static bool keep_payload(struct vwl_pump *pump, struct record *record)
{
    struct vwl_request *request = &record->request;
    size_t len = request->total_bytes;
    void *bytes;

    if (record->done || record->copy.iov_base) {
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
    return ((const struct record *)request->user)->lost;
}

/* The front-end has its answer, and the memory may be another's, only after
 * this: until then reading and writing are right. */
void vwl_pump_forget_range(struct vwl_pump *pump, uint64_t iova, uint64_t size)
{
    bool any_lost = false;

    for (GList *l = pump->in_flight.head; l; l = l->next) {
        struct record *record = l->data;

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
        vwl_core_fail_requests(pump->core, is_lost, NULL);
        vwl_pump_publish(pump, VIRTIO_WL_QUEUE_OUT);
    }
    for (GList *l = pump->in_flight.head; any_lost && l; l = l->next) {
        struct record *record = l->data;

        if (record->lost) {
            vwl_chain_forget(record->chain); /* its ring stands still */
        }
    }
}

/* ---- the rings -------------------------------------------------------- */

void vwl_pump_publish(struct vwl_pump *pump, unsigned int index)
{
    int err;

    if (!pump->pushed[index] || !pump->session) {
        return;
    }
    err = vwl_vq_publish(vwl_session_vq(pump->session, index));
    if (err < 0) {
        ring_failed(pump, index, err);
        return; /* -EAGAIN: again when the translation is there */
    }
    pump->pushed[index] = false;
    if (err) {
        vwl_session_call(pump->session, index);
    } else {
        vwl_session_flush_log(pump->session);
    }
}

static void run_request(struct vwl_pump *pump, struct vwl_chain *chain)
{
    struct record *record = record_new(pump, chain);
    struct vwl_request *request = &record->request;

    request->head_bytes = vwl_chain_read_head(chain, request->head,
                                              sizeof request->head);
    request->total_bytes = chain->out_bytes;
    request->payload = chain->out;
    request->n_payload = chain->n_out;
    request->response_room = chain->in_bytes;
    if (chain->resubmitted) {
        const uint32_t err = GUINT32_TO_LE(VIRTIO_WL_RESP_ERR);

        memcpy(request->response, &err, sizeof err);
        request->response_bytes = MIN(sizeof err, chain->in_bytes);
        vwl_pump_answer(pump, record);
        return;
    }
    record->waits = true;
    g_queue_push_tail_link(&pump->in_flight, &record->link);
    if (vwl_core_execute(pump->core, request) == 0) {
        vwl_pump_answer(pump, record);
    }
}

void vwl_pump_run_out(struct vwl_pump *pump)
{
    struct vwl_vq *vq;
    struct vwl_chain *chain;
    unsigned int budget = BUDGET;
    int got;

    pump->due[VIRTIO_WL_QUEUE_OUT] = false;
    if (!vwl_pump_runs(pump, VIRTIO_WL_QUEUE_OUT)) {
        return;
    }
    if (pump->unplaced) {
        vwl_pump_answer_done(pump);
    }
    vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_OUT);
    vwl_vq_want_kick(vq, false);
    for (;;) {
        got = vwl_vq_pop(vq, &chain);
        if (got == 0) {
            if (!pump->polling && vwl_vq_want_kick(vq, true)) {
                continue;
            }
            break;
        }
        pump->moved = true;
        if (got == -ENOMEM) {
            log_host_bug(pump->log, "out queue: no memory for a request");
            pump->pushed[VIRTIO_WL_QUEUE_OUT] = true;
        } else if (got < 0) {
            ring_failed(pump, VIRTIO_WL_QUEUE_OUT, got);
            break;
        } else {
            run_request(pump, chain);
        }
        if (--budget == 0) {
            pump->due[VIRTIO_WL_QUEUE_OUT] = true;
            break;
        }
        if (!vwl_pump_runs(pump, VIRTIO_WL_QUEUE_OUT)) {
            break;
        }
    }
}

static unsigned int in_pieces(const struct vwl_chain *chain,
                              struct iovec *pieces)
{
    unsigned int n = MIN(chain->n_in, IN_PIECES);

    for (unsigned int i = 0; i < n; i++) {
        pieces[i].iov_base = chain->in[i].base;
        pieces[i].iov_len = chain->in[i].len;
    }
    return n;
}

static void on_returned(void *opaque, uint64_t token)
{
    vwl_core_buffer_returned(opaque, token);
}

static void note_buffers(struct vwl_pump *pump, struct vwl_vq *vq)
{
    if (vwl_vq_scan(vq, on_returned, pump->core)) {
        vwl_core_buffers_free(pump->core, vwl_vq_waiting(vq),
                              vwl_session_ring_size(pump->session,
                                                    VIRTIO_WL_QUEUE_IN));
    }
}

/* One message into one buffer; false when there is nothing more to do. */
static bool deliver(struct vwl_pump *pump, struct vwl_vq *vq)
{
    struct iovec pieces[IN_PIECES];
    struct vwl_chain *chain;
    uint64_t token;
    ssize_t n;
    int got = vwl_vq_pop(vq, &chain);

    if (got == 0) {
        if (vwl_vq_want_kick(vq, true)) {
            return true;
        }
        pump->starved = true;
        return false;
    }
    if (got == -ENOMEM) {
        pump->pushed[VIRTIO_WL_QUEUE_IN] = true;
        return true;
    }
    if (got < 0) {
        pump->blocked_in = got == -EAGAIN;
        ring_failed(pump, VIRTIO_WL_QUEUE_IN, got);
        return false;
    }
    token = vwl_chain_token(chain);
    n = vwl_core_next_message(pump->core, pieces, in_pieces(chain, pieces),
                              token);
    if (n == 0) {
        vwl_vq_unpop(vq, &chain);
        return false;
    }
    if (n < 0) {
        log_guest_bug(pump->log, "in queue: a buffer of %zu bytes is too small",
                      chain->in_bytes);
        n = 0;
    }
    vwl_vq_push(vq, &chain, (uint32_t)n);
    pump->pushed[VIRTIO_WL_QUEUE_IN] = true;
    pump->moved = true;
    return true;
}

void vwl_pump_run_in(struct vwl_pump *pump)
{
    struct vwl_vq *vq;
    unsigned int budget = BUDGET;

    pump->due[VIRTIO_WL_QUEUE_IN] = false;
    if (!vwl_pump_runs(pump, VIRTIO_WL_QUEUE_IN)) {
        return;
    }
    vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_IN);
    pump->starved = false;
    pump->blocked_in = false;
    vwl_vq_want_kick(vq, false);
    note_buffers(pump, vq);
    while (deliver(pump, vq) && vwl_core_has_more(pump->core)) {
        if (--budget == 0) {
            pump->due[VIRTIO_WL_QUEUE_IN] = true;
            break;
        }
    }
    /* A guest that posts buffers is asked to say so only while one is missing.
     * No kick tells of those that came meanwhile, were taken before they were
     * looked at, and put back. */
    if (!pump->starved && vwl_core_wants_buffers(pump->core)) {
        note_buffers(pump, vq);
        pump->due[VIRTIO_WL_QUEUE_IN] |= vwl_vq_want_kick(vq, true);
    }
}
