/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/pump.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "vhost-user-wl/virtio_wl.h"

#define IN VIRTIO_WL_QUEUE_IN
#define OUT VIRTIO_WL_QUEUE_OUT

/* Chains of one ring in one dispatch: then the other sources have a turn. */
#define BUDGET 256
/* Pieces of one in-buffer that are looked at; a message has 4 KiB. */
#define IN_PIECES 64
/* Request records kept for the next request. */
#define SPARE_RECORDS 64

/* A request of the out queue on its way through the core. */
struct record {
    struct vwl_request request;
    struct vwl_chain *chain;
    GList link; /* of pump.in_flight; data is the record */
    bool waits; /* it is in pump.in_flight */
    bool done;  /* completed while its ring stood still */
};

struct vwl_pump {
    struct vwl_core *core;
    struct vwl_session *session; /* NULL once the front-end is gone */
    const struct vwl_host *host;
    struct vwl_log *log;
    uint32_t max_in_flight;

    struct vwl_source *socket;
    struct vwl_source *backchan;
    struct vwl_source *kick[VWL_SESSION_QUEUES];
    struct vwl_source *core_in;
    struct vwl_source *core_out;
    struct vwl_source *again; /* work that has no descriptor of its own */

    GQueue in_flight; /* struct record, oldest first */
    GPtrArray *spare; /* struct record */
    GPtrArray *held;  /* chains of in_flight, made for ring_held */

    bool due[VWL_SESSION_QUEUES];    /* the ring wants a look */
    bool pushed[VWL_SESSION_QUEUES]; /* there is something to publish */
    bool bad_kick[VWL_SESSION_QUEUES]; /* not to be polled until it changes */
    bool starved;      /* the in ring has no buffers: wait for a kick */
    bool blocked_in;   /* the in ring waits for a translation */
    bool suspended;
    bool discarding;   /* completions are not to be given back */
    uint64_t acked;    /* features that the driver took */
    uint64_t applied;  /* those that the core knows */
    bool applied_shm;
    bool applied_once;
    bool base_known;
    uint64_t base_gpa;
    /* A map or unmap that the back-end channel ended before it returned. */
    bool asking;
    bool asked_done;
    int asked_err;

    uint64_t requests, refused, resets;
};

static bool runs(struct vwl_pump *pump, unsigned int index)
{
    return pump->session && !pump->suspended &&
           vwl_session_ring_runs(pump->session, index) &&
           !vwl_vq_is_broken(vwl_session_vq(pump->session, index));
}

/* ---- records ---------------------------------------------------------- */

static struct record *record_new(struct vwl_pump *pump,
                                 struct vwl_chain *chain)
{
    struct record *record;

    if (pump->spare->len > 0) {
        record = g_ptr_array_remove_index_fast(pump->spare,
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

static void record_free(struct vwl_pump *pump, struct record *record)
{
    if (record->waits) {
        g_queue_unlink(&pump->in_flight, &record->link);
    }
    if (record->chain) {
        vwl_chain_discard(&record->chain);
    }
    if (pump->spare->len < SPARE_RECORDS) {
        g_ptr_array_add(pump->spare, record);
    } else {
        g_free(record);
    }
}

/* Gives a complete request back to the driver. */
static void answer(struct vwl_pump *pump, struct record *record)
{
    struct vwl_request *request = &record->request;
    size_t written = vwl_chain_write(record->chain, 0, request->response,
                                     request->response_bytes);

    if (request->response_bytes >= 4 && request->response[1] == 0x11) {
        pump->refused++; /* VIRTIO_WL_RESP_ERR and above: 0x11.. */
    }
    vwl_vq_push(vwl_session_vq(pump->session, OUT), &record->chain,
                (uint32_t)written);
    pump->pushed[OUT] = true;
    record_free(pump, record);
}

static void drop_in_flight(struct vwl_pump *pump)
{
    GList *l;

    while ((l = pump->in_flight.head) != NULL) {
        record_free(pump, l->data);
    }
}

/* ---- the rings -------------------------------------------------------- */

static void ring_failed(struct vwl_pump *pump, unsigned int index, int err)
{
    if (err == -EAGAIN) {
        vwl_session_ring_miss(pump->session, index);
    } else {
        vwl_session_ring_broken(pump->session, index, g_strerror(-err));
    }
}

static void publish(struct vwl_pump *pump, unsigned int index)
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
    }
}

static void run_request(struct vwl_pump *pump, struct vwl_chain *chain)
{
    struct record *record = record_new(pump, chain);
    struct vwl_request *request = &record->request;

    pump->requests++;
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
        answer(pump, record);
        return;
    }
    record->waits = true;
    g_queue_push_tail_link(&pump->in_flight, &record->link);
    if (vwl_core_execute(pump->core, request) == 0) {
        answer(pump, record);
    }
}

static void run_out(struct vwl_pump *pump)
{
    struct vwl_vq *vq;
    struct vwl_chain *chain;
    unsigned int budget = BUDGET;
    int got;

    pump->due[OUT] = false;
    if (!runs(pump, OUT)) {
        return;
    }
    vq = vwl_session_vq(pump->session, OUT);
    vwl_vq_want_kick(vq, false);
    for (;;) {
        got = vwl_vq_pop(vq, &chain);
        if (got == 0) {
            if (vwl_vq_want_kick(vq, true)) {
                continue;
            }
            break;
        }
        if (got == -ENOMEM) {
            log_host_bug(pump->log, "out queue: no memory for a request");
            vwl_vq_push(vq, &chain, 0);
            pump->pushed[OUT] = true;
        } else if (got < 0) {
            ring_failed(pump, OUT, got);
            break;
        } else {
            run_request(pump, chain);
        }
        if (--budget == 0) {
            pump->due[OUT] = true;
            break;
        }
        if (!runs(pump, OUT)) {
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
                              vwl_session_ring_size(pump->session, IN));
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
        vwl_vq_push(vq, &chain, 0);
        pump->pushed[IN] = true;
        return true;
    }
    if (got < 0) {
        pump->blocked_in = got == -EAGAIN;
        ring_failed(pump, IN, got);
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
    pump->pushed[IN] = true;
    return true;
}

static void run_in(struct vwl_pump *pump)
{
    struct vwl_vq *vq;
    unsigned int budget = BUDGET;

    pump->due[IN] = false;
    if (!runs(pump, IN)) {
        return;
    }
    vq = vwl_session_vq(pump->session, IN);
    pump->starved = false;
    pump->blocked_in = false;
    do {
        note_buffers(pump, vq);
    } while (vwl_vq_want_kick(vq, true) && --budget);
    budget = BUDGET;
    while (deliver(pump, vq)) {
        if (--budget == 0) {
            pump->due[IN] = true;
            break;
        }
    }
}

/* Ends every dispatch: what became due is done, what was pushed is published,
 * and the watches follow the state. */
static void settle(struct vwl_pump *pump)
{
    if (!pump->session) {
        return;
    }
    if (pump->due[OUT]) {
        run_out(pump);
    }
    if (pump->due[IN]) {
        run_in(pump);
    }
    publish(pump, OUT);
    publish(pump, IN);
    if (pump->due[OUT] || pump->due[IN]) {
        vwl_source_wake(pump->again);
    }
    for (unsigned int i = 0; i < VWL_SESSION_QUEUES; i++) {
        vwl_source_watch(pump->kick[i],
                         runs(pump, i) && !pump->bad_kick[i]
                             ? vwl_session_kick_fd(pump->session, i) : -1,
                         G_IO_IN);
    }
    vwl_source_watch(pump->core_in, vwl_core_in_fd(pump->core),
                     runs(pump, IN) && !pump->starved && !pump->blocked_in
                         ? G_IO_IN : 0);
    vwl_source_watch(pump->core_out, vwl_core_out_fd(pump->core),
                     pump->suspended ? 0 : G_IO_IN);
    vwl_source_watch(pump->socket, vwl_session_fd(pump->session),
                     G_IO_IN | (vwl_session_wants_write(pump->session)
                                    ? G_IO_OUT : 0));
    vwl_source_watch(pump->backchan,
                     vwl_backchan_fd(vwl_session_backchan(pump->session)),
                     G_IO_IN |
                         (vwl_backchan_wants_write(
                              vwl_session_backchan(pump->session))
                              ? G_IO_OUT : 0));
}

/* ---- what the core asks for ------------------------------------------- */

static void on_complete(void *opaque, struct vwl_request *request)
{
    struct vwl_pump *pump = opaque;
    struct record *record = request->user;

    if (pump->discarding || !pump->session) {
        record_free(pump, record);
    } else if (vwl_vq_is_started(vwl_session_vq(pump->session, OUT)) &&
               runs(pump, OUT)) {
        answer(pump, record);
    } else {
        record->done = true;
    }
}

static void on_map_reply(void *opaque, uint64_t cookie, int err)
{
    struct vwl_pump *pump = opaque;

    if (pump->asking) {
        pump->asked_done = true;
        pump->asked_err = err;
    } else {
        vwl_core_map_done(pump->core, cookie, err);
    }
}

static void on_unmap_reply(void *opaque, uint64_t cookie, int err)
{
    struct vwl_pump *pump = opaque;

    if (pump->asking) {
        pump->asked_done = true;
        pump->asked_err = err;
    } else {
        vwl_core_unmap_done(pump->core, cookie, err);
    }
}

static int asked(struct vwl_pump *pump, int err)
{
    pump->asking = false;
    if (err < 0) {
        return err;
    }
    return pump->asked_done ? pump->asked_err : -EINPROGRESS;
}

static int on_shm_map(void *opaque, uint64_t cookie, int fd,
                      uint64_t fd_offset, uint64_t shm_offset, uint64_t len,
                      bool writable)
{
    struct vwl_pump *pump = opaque;

    if (pump->host->shm_map) {
        return pump->host->shm_map(pump->host->opaque, fd, fd_offset,
                                   shm_offset, len, writable);
    }
    if (!pump->session) {
        return -ENOTCONN;
    }
    pump->asking = true;
    pump->asked_done = false;
    return asked(pump, vwl_backchan_shmem_map(
                           vwl_session_backchan(pump->session),
                           VIRTIO_WL_SHM_REGION_ID, fd, fd_offset, shm_offset,
                           len, writable, on_map_reply, pump, cookie));
}

static int on_shm_unmap(void *opaque, uint64_t cookie, uint64_t shm_offset,
                        uint64_t len)
{
    struct vwl_pump *pump = opaque;

    if (pump->host->shm_map) {
        return pump->host->shm_unmap
                   ? pump->host->shm_unmap(pump->host->opaque, shm_offset, len)
                   : -EOPNOTSUPP;
    }
    if (!pump->session) {
        return -ENOTCONN;
    }
    pump->asking = true;
    pump->asked_done = false;
    return asked(pump, vwl_backchan_shmem_unmap(
                           vwl_session_backchan(pump->session),
                           VIRTIO_WL_SHM_REGION_ID, shm_offset, len,
                           on_unmap_reply, pump, cookie));
}

static int on_shm_base(void *opaque, uint64_t *gpa)
{
    struct vwl_pump *pump = opaque;

    if (pump->host->shm_base) {
        return pump->host->shm_base(pump->host->opaque, gpa);
    }
    if (!pump->base_known) {
        return -EAGAIN;
    }
    *gpa = pump->base_gpa;
    return 0;
}

static void on_message_ready(void *opaque)
{
    struct vwl_pump *pump = opaque;

    if (!pump->starved && !pump->blocked_in) {
        pump->due[IN] = true;
    }
}

static const struct vwl_core_ops core_ops = {
    .complete = on_complete,
    .shm_map = on_shm_map,
    .shm_unmap = on_shm_unmap,
    .shm_base = on_shm_base,
    .message_ready = on_message_ready,
};

/* ---- what the session tells ------------------------------------------- */

static void on_reset(void *opaque, enum vwl_reset_reason reason)
{
    static const char *const names[] = {
        [VWL_RESET_STATUS] = "status 0",
        [VWL_RESET_DEVICE] = "RESET_DEVICE",
        [VWL_RESET_OWNER] = "a new handshake",
        [VWL_RESET_BASE] = "rings that start afresh",
        [VWL_RESET_CHANNEL] = "the back-end channel closed",
    };
    struct vwl_pump *pump = opaque;

    log_debug(pump->log, "device reset: %s", names[reason]);
    pump->resets++;
    vwl_core_reset(pump->core, pump->host->shm_map != NULL);
    drop_in_flight(pump);
    pump->pushed[IN] = pump->pushed[OUT] = false;
    pump->base_known = false;
    pump->applied_once = false;
}

static void apply_features(struct vwl_pump *pump)
{
    const uint64_t own = 1u << VIRTIO_WL_F_TRANS_FLAGS |
                         1u << VIRTIO_WL_F_SEND_FENCES |
                         1u << VIRTIO_WL_F_USE_SHMEM;
    bool shm = pump->host->shm_map ||
               vwl_backchan_dialect(vwl_session_backchan(pump->session)) !=
                   VWL_SHM_NONE;

    if (pump->applied_once && pump->applied == (pump->acked & own) &&
        pump->applied_shm == shm) {
        return;
    }
    if (pump->applied_once) {
        vwl_core_reset(pump->core, pump->host->shm_map != NULL);
        drop_in_flight(pump);
    }
    pump->applied_once = true;
    pump->applied = pump->acked & own;
    pump->applied_shm = shm;
    vwl_core_set_features(pump->core, pump->applied, shm);
}

static void on_ring_started(void *opaque, unsigned int index, bool keep)
{
    struct vwl_pump *pump = opaque;

    if (index == OUT) {
        unsigned int size = vwl_session_ring_size(pump->session, OUT);
        GList *next;

        apply_features(pump);
        vwl_core_set_in_flight_limit(pump->core, pump->max_in_flight
                                                     ? pump->max_in_flight
                                                     : MAX(size / 2, 1));
        if (!keep) {
            pump->discarding = true;
            vwl_core_fail_requests(pump->core, NULL, NULL);
            pump->discarding = false;
            drop_in_flight(pump);
        }
        for (GList *l = pump->in_flight.head; l; l = next) {
            struct record *record = l->data;

            next = l->next;
            if (record->done) {
                answer(pump, record);
            }
        }
    }
    pump->bad_kick[index] = false;
    pump->starved = pump->blocked_in = false;
    pump->due[IN] = pump->due[OUT] = true;
}

static void on_ring_changed(void *opaque, unsigned int index)
{
    struct vwl_pump *pump = opaque;

    pump->bad_kick[index] = false;
    pump->due[index] = true;
}

static void on_ring_kicked(void *opaque, unsigned int index)
{
    ((struct vwl_pump *)opaque)->due[index] = true;
}

static void on_ring_stopping(void *opaque, unsigned int index)
{
    struct vwl_pump *pump = opaque;

    publish(pump, index);
    pump->pushed[index] = false;
    vwl_source_watch(pump->kick[index], -1, 0);
}

static unsigned int on_ring_held(void *opaque, unsigned int index,
                                 struct vwl_chain *const **held)
{
    struct vwl_pump *pump = opaque;

    if (index != OUT) {
        return 0;
    }
    g_ptr_array_set_size(pump->held, 0);
    for (GList *l = pump->in_flight.head; l; l = l->next) {
        g_ptr_array_add(pump->held, ((struct record *)l->data)->chain);
    }
    *held = (struct vwl_chain *const *)pump->held->pdata;
    return pump->held->len;
}

static bool uses_range(void *opaque, const struct vwl_request *request)
{
    const uint64_t *range = opaque;
    const struct record *record = request->user;

    return vwl_chain_uses(record->chain, range[0], range[1]);
}

static void on_iotlb_invalidate(void *opaque, uint64_t iova, uint64_t size)
{
    struct vwl_pump *pump = opaque;
    uint64_t range[2] = { iova, size };

    vwl_core_fail_requests(pump->core, uses_range, range);
    publish(pump, OUT);
}

static void on_memory_changed(void *opaque)
{
    struct vwl_pump *pump = opaque;

    pump->blocked_in = false;
    pump->due[IN] = pump->due[OUT] = true;
    vwl_core_base_changed(pump->core);
}

static bool on_own_file(void *opaque, uint64_t dev, uint64_t ino,
                        uint64_t *shm_offset)
{
    return vwl_core_owns_file(((struct vwl_pump *)opaque)->core, dev, ino,
                              shm_offset);
}

static void on_base(void *opaque, uint64_t gpa)
{
    struct vwl_pump *pump = opaque;

    pump->base_known = true;
    pump->base_gpa = gpa;
    vwl_core_base_changed(pump->core);
}

static void on_features(void *opaque, uint64_t acked)
{
    ((struct vwl_pump *)opaque)->acked = acked;
}

static void on_backchan_changed(void *opaque)
{
    /* settle looks at it after every dispatch */
}

static const struct vwl_session_ops session_ops = {
    .reset = on_reset,
    .ring_started = on_ring_started,
    .ring_changed = on_ring_changed,
    .ring_stopping = on_ring_stopping,
    .ring_held = on_ring_held,
    .ring_kicked = on_ring_kicked,
    .iotlb_invalidate = on_iotlb_invalidate,
    .memory_changed = on_memory_changed,
    .own_file = on_own_file,
    .shm_base = on_base,
    .features = on_features,
    .backchan_changed = on_backchan_changed,
};

/* ---- sources ---------------------------------------------------------- */

/* The front-end is gone: its guest's connections close at once. */
static void lose_session(struct vwl_pump *pump)
{
    struct vwl_session *session = pump->session;

    pump->session = NULL;
    vwl_source_destroy(&pump->socket);
    vwl_source_destroy(&pump->backchan);
    vwl_source_destroy(&pump->again);
    vwl_source_destroy(&pump->core_in);
    vwl_source_destroy(&pump->core_out);
    for (unsigned int i = 0; i < VWL_SESSION_QUEUES; i++) {
        vwl_source_destroy(&pump->kick[i]);
    }
    vwl_core_reset(pump->core, pump->host->shm_map != NULL);
    drop_in_flight(pump);
    vwl_session_destroy(session);
}

static void on_socket(void *opaque, GIOCondition condition)
{
    struct vwl_pump *pump = opaque;

    if (vwl_session_dispatch(pump->session) < 0) {
        lose_session(pump);
        if (pump->host->disconnected) {
            pump->host->disconnected(pump->host->opaque);
        }
        return;
    }
    settle(pump);
}

static void on_backchan(void *opaque, GIOCondition condition)
{
    struct vwl_pump *pump = opaque;

    vwl_session_dispatch_backchan(pump->session);
    settle(pump);
}

static void on_kick(struct vwl_pump *pump, unsigned int index)
{
    int err = vwl_session_drain_kick(pump->session, index);

    if (err < 0 && err != -EAGAIN) {
        log_host_bug(pump->log, "ring %u: its kick descriptor is no good: %s",
                     index, g_strerror(-err));
        pump->bad_kick[index] = true;
    }
    pump->due[index] = true;
    settle(pump);
}

static void on_kick_in(void *opaque, GIOCondition condition)
{
    on_kick(opaque, IN);
}

static void on_kick_out(void *opaque, GIOCondition condition)
{
    on_kick(opaque, OUT);
}

static void on_core_in(void *opaque, GIOCondition condition)
{
    struct vwl_pump *pump = opaque;

    pump->due[IN] = true;
    settle(pump);
}

static void on_core_out(void *opaque, GIOCondition condition)
{
    struct vwl_pump *pump = opaque;

    vwl_core_dispatch_out(pump->core);
    settle(pump);
}

static void on_again(void *opaque, GIOCondition condition)
{
    settle(opaque);
}

/* ---- life ------------------------------------------------------------- */

int vwl_pump_create(const struct vwl_pump_config *config, struct vwl_log *log,
                    GMainContext *context, struct vwl_gate *gate, int *fd,
                    struct vwl_pump **out)
{
    struct vwl_pump *pump = g_new0(struct vwl_pump, 1);
    int err;

    pump->host = config->host;
    pump->log = log;
    pump->max_in_flight = config->max_in_flight;
    err = vwl_core_create(&config->core, &core_ops, pump, log, &pump->core);
    if (err < 0) {
        g_free(pump);
        return err;
    }
    pump->spare = g_ptr_array_new_with_free_func(g_free);
    pump->held = g_ptr_array_new();
    g_queue_init(&pump->in_flight);
    pump->session = vwl_session_create(&config->session, &session_ops, pump,
                                       log, fd);
    pump->socket = vwl_source_create(context, gate, "vwl front-end",
                                     vwl_session_fd(pump->session), G_IO_IN,
                                     on_socket, pump);
    pump->backchan = vwl_source_create(context, gate, "vwl back-end channel",
                                       -1, 0, on_backchan, pump);
    pump->kick[IN] = vwl_source_create(context, gate, "vwl kick in", -1, 0,
                                       on_kick_in, pump);
    pump->kick[OUT] = vwl_source_create(context, gate, "vwl kick out", -1, 0,
                                        on_kick_out, pump);
    pump->core_in = vwl_source_create(context, gate, "vwl host data", -1, 0,
                                      on_core_in, pump);
    pump->core_out = vwl_source_create(context, gate, "vwl host room",
                                       vwl_core_out_fd(pump->core), G_IO_IN,
                                       on_core_out, pump);
    pump->again = vwl_source_create(context, gate, "vwl again", -1, 0,
                                    on_again, pump);
    *out = pump;
    return 0;
}

void vwl_pump_destroy(struct vwl_pump *pump)
{
    if (pump->session) {
        lose_session(pump);
    }
    vwl_core_destroy(pump->core);
    g_ptr_array_unref(pump->held);
    g_ptr_array_set_free_func(pump->spare, g_free);
    g_ptr_array_unref(pump->spare);
    g_free(pump);
}

void vwl_pump_suspend(struct vwl_pump *pump, bool on)
{
    if (!pump->session || pump->suspended == on) {
        return;
    }
    if (on) {
        publish(pump, OUT);
        publish(pump, IN);
    }
    pump->suspended = on;
    vwl_session_suspend(pump->session, on);
    if (!on) {
        on_ring_started(pump, IN, true);
        if (vwl_session_ring_runs(pump->session, OUT)) {
            on_ring_started(pump, OUT, true);
        }
    }
    settle(pump);
}

void vwl_pump_stats(const struct vwl_pump *pump, struct vwl_stats *stats)
{
    vwl_core_stats(pump->core, stats);
    stats->in_flight = pump->in_flight.length;
    stats->requests += pump->requests;
    stats->refused += pump->refused;
    stats->resets += pump->resets;
    stats->sessions++;
}
