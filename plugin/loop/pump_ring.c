/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/pump_priv.h"

#include <errno.h>
#include <string.h>

#include "wl/inbox/messages.h"

/* Chains of one ring in one dispatch: then the other sources have a turn. */
#define BUDGET 256
/* Pieces of all these: finding one takes as long as a small request. */
#define BUDGET_STEPS 32768
/* Pieces of one in-buffer that are looked at; a message has 4 KiB. */
#define IN_PIECES 64
/* A request with so much keeps its reader busy. */
#define BULK_BYTES 16384

static void run_request(struct vwl_pump *pump, struct vwl_chain *chain)
{
    struct vwl_record *record = vwl_pump_record_new(pump, chain);
    struct vwl_request *request = &record->request;

    request->head_bytes = vwl_chain_read_head(chain, request->head,
                                              sizeof request->head);
    request->total_bytes = chain->out_bytes;
    request->payload = chain->out;
    request->n_payload = chain->n_out;
    request->response_room = chain->in_bytes;
    request->entries = chain->entries;
    if (chain->resubmitted) {
        const uint32_t err = GUINT32_TO_LE(VIRTIO_WL_RESP_ERR);

        memcpy(request->response, &err, sizeof err);
        request->response_bytes = MIN(sizeof err, chain->in_bytes);
        vwl_pump_answer(pump, record);
        return;
    }
    if (vwl_core_execute(pump->core, request) == 0) {
        vwl_pump_answer(pump, record);
    } else {
        record->state = VWL_RECORD_WAITING;
        g_queue_push_tail_link(&pump->in_flight, &record->link);
        vwl_pump_record_waits(pump, record);
    }
}

void vwl_pump_run_out(struct vwl_pump *pump)
{
    struct vwl_vq *vq;
    struct vwl_chain *chain;
    unsigned int budget = BUDGET, steps = 0;
    int got;

    pump->ring[VIRTIO_WL_QUEUE_OUT].is_due = false;
    if (!vwl_pump_runs(pump, VIRTIO_WL_QUEUE_OUT)) {
        return;
    }
    if (pump->has_done) {
        vwl_pump_answer_done(pump);
    }
    vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_OUT);
    vwl_vq_want_kick(vq, false);
    for (;;) {
        got = vwl_vq_pop(vq, &chain);
        if (got == 0) {
            if (!pump->polling &&
                !vwl_source_glances(pump->ring[VIRTIO_WL_QUEUE_OUT].kick) &&
                vwl_vq_want_kick(vq, true)) {
                continue;
            }
            break;
        }
        pump->moved = true;
        if (got == -ENOMEM) {
            log_host_bug(pump->log, "out queue: no memory for a request");
            pump->ring[VIRTIO_WL_QUEUE_OUT].is_pushed = true;
        } else if (got < 0) {
            vwl_pump_ring_failed(pump, VIRTIO_WL_QUEUE_OUT, got);
            break;
        } else {
            steps += chain->steps;
            pump->bulk |= chain->out_bytes >= BULK_BYTES;
            run_request(pump, chain);
        }
        if (--budget == 0 || steps >= BUDGET_STEPS) {
            pump->ring[VIRTIO_WL_QUEUE_OUT].is_due = true;
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

#define LONGEST_BYTES (VWL_RECV_HEAD_BYTES + VWL_RECV_DATA_BYTES)

static bool is_whole(const struct vwl_chain *chain)
{
    return chain->n_in == 1 && chain->in[0].len >= LONGEST_BYTES;
}

/* Back into the ring, or empty to the driver if something behind it went there
 * already. */
static void give_back(struct vwl_pump *pump, struct vwl_vq *vq,
                      struct vwl_chain **chain)
{
    if (pump->more.stuck) {
        vwl_vq_push(vq, chain, 0);
    } else {
        vwl_vq_unpop(vq, chain);
    }
}

unsigned int vwl_pump_more_buffers(void *opaque, unsigned int max,
                                   struct vwl_whole_buffer *buffers)
{
    struct vwl_pump *pump = opaque;
    struct vwl_vq *vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_IN);
    unsigned int n = 0;

    while (n < max) {
        struct vwl_chain *chain;
        int got = vwl_vq_pop(vq, &chain);

        if (got == -ENOMEM) {
            pump->ring[VIRTIO_WL_QUEUE_IN].is_pushed = true;
            pump->more.stuck = true;
        }
        if (got != 1) {
            break; /* what is wrong shows when it is asked for alone */
        }
        if (!is_whole(chain)) {
            give_back(pump, vq, &chain);
            break;
        }
        buffers[n] = (struct vwl_whole_buffer){ chain->in[0].base,
                                                vwl_chain_token(chain) };
        pump->more.chain[n++] = chain;
    }
    pump->more.n = n;
    return n;
}

void vwl_pump_more_filled(void *opaque, unsigned int n, size_t last_bytes)
{
    struct vwl_pump *pump = opaque;
    struct vwl_vq *vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_IN);

    while (pump->more.n > n) {
        give_back(pump, vq, &pump->more.chain[--pump->more.n]);
    }
    pump->more.last_bytes = last_bytes;
}

/* Those that were filled, after the one in front of them. */
static void push_filled(struct vwl_pump *pump, struct vwl_vq *vq)
{
    for (unsigned int i = 0; i < pump->more.n; i++) {
        size_t bytes = i + 1 == pump->more.n ? pump->more.last_bytes
                                             : LONGEST_BYTES;

        vwl_vq_push(vq, &pump->more.chain[i], (uint32_t)bytes);
    }
}

/* Messages into a buffer and perhaps those behind it: how many; 0 when there is
 * nothing more to do. */
static unsigned int deliver(struct vwl_pump *pump, struct vwl_vq *vq)
{
    struct iovec pieces[IN_PIECES];
    struct vwl_chain *chain;
    uint64_t token;
    ssize_t n;
    int got = vwl_vq_pop(vq, &chain);

    if (got == 0) {
        if (vwl_vq_want_kick(vq, true)) {
            return 1;
        }
        pump->in = VWL_IN_STARVED;
        return 0;
    }
    if (got == -ENOMEM) {
        pump->ring[VIRTIO_WL_QUEUE_IN].is_pushed = true;
        return 1;
    }
    if (got < 0) {
        if (got == -EAGAIN) {
            pump->in = VWL_IN_MISSING;
        }
        vwl_pump_ring_failed(pump, VIRTIO_WL_QUEUE_IN, got);
        return 0;
    }
    token = vwl_chain_token(chain);
    pump->more.n = 0;
    pump->more.stuck = false;
    n = vwl_core_next_message(pump->core, pieces, in_pieces(chain, pieces),
                              token);
    if (n == 0) {
        give_back(pump, vq, &chain);
        return 0;
    }
    if (n < 0) {
        log_guest_bug(pump->log, "in queue: a buffer of %zu bytes is too small",
                      chain->in_bytes);
        n = 0;
    }
    vwl_vq_push(vq, &chain, (uint32_t)n);
    push_filled(pump, vq);
    pump->ring[VIRTIO_WL_QUEUE_IN].is_pushed = true;
    pump->moved = true;
    pump->bulk |= pump->more.n > 0;
    return 1 + pump->more.n;
}

void vwl_pump_run_in(struct vwl_pump *pump)
{
    struct vwl_vq *vq;
    unsigned int given = 0, n;

    pump->ring[VIRTIO_WL_QUEUE_IN].is_due = false;
    if (!vwl_pump_runs(pump, VIRTIO_WL_QUEUE_IN)) {
        return;
    }
    vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_IN);
    pump->in = VWL_IN_OPEN;
    vwl_vq_want_kick(vq, false);
    note_buffers(pump, vq);
    while ((n = deliver(pump, vq)) > 0 && vwl_core_has_more(pump->core)) {
        given += n;
        if (given >= BUDGET) {
            pump->ring[VIRTIO_WL_QUEUE_IN].is_due = true;
            break;
        }
    }
    /* A guest that posts buffers is asked to say so only while one is missing.
     * No kick tells of those that came meanwhile, were taken before they were
     * looked at, and put back. */
    if (pump->in != VWL_IN_STARVED && vwl_core_wants_buffers(pump->core)) {
        note_buffers(pump, vq);
        pump->ring[VIRTIO_WL_QUEUE_IN].is_due |= vwl_vq_want_kick(vq, true);
    }
}
