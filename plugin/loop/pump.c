/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/pump_priv.h"

#include <errno.h>

#include "base/clock.h"
#include "base/closer.h"
#include "base/look.h"
#include "wl/snapshot/snapshot.h"

/* The shortest time of polling is this part of the longest. */
#define POLL_PARTS 16
/* So long others of the context wait for their turn. */
#define TURN_US 100
/* How often the ring is looked at for each look at all else. */
#define SPIN_LOOKS 32
/* When the kernel has no memory for a socket, which is ready nonetheless. */
#define STARVED_MS 10

/* True: a request is there; false: it is time, or there is something else. */
static bool spin(struct vwl_pump *pump, uint64_t end_us)
{
    struct vwl_vq *vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_OUT);

    for (unsigned int n = 1; vwl_vq_waiting(vq) == 0; n++) {
        if (n % SPIN_LOOKS == 0 &&
            (vwl_gate_has_news(pump->gate) || vwl_clock_us() >= end_us)) {
            return false;
        }
        vwl_breathe();
    }
    return true;
}

/* Where something came, more may come soon: the ring is looked at in place of
 * sleep, without asking for a kick. True: the rings are to be run at once.
 * Else, if polling goes on, it does by way of the context, where all others
 * have their turns. */
static bool poll_rings(struct vwl_pump *pump, uint64_t turn_end_us)
{
    uint64_t now_us;
    bool at_once = false;

    if (!pump->moved && !pump->polling) {
        return false;
    }
    now_us = vwl_clock_us();
    if (pump->moved) {
        if (pump->polling) {
            pump->poll_us = MIN(pump->poll_us * 2, pump->poll_max_us);
        }
        pump->polling = true;
        pump->poll_end_us = now_us + pump->poll_us;
    } else if (now_us >= pump->poll_end_us) {
        pump->poll_us = MAX(pump->poll_us / 2,
                            MAX(pump->poll_max_us / POLL_PARTS, 1));
        pump->polling = false; /* the next look asks for a kick */
        at_once = true;
    }
    pump->moved = false;
    if (now_us < turn_end_us && pump->polling &&
        vwl_pump_runs(pump, VIRTIO_WL_QUEUE_OUT)) {
        at_once = spin(pump, MIN(pump->poll_end_us, turn_end_us));
    }
    pump->ring[VIRTIO_WL_QUEUE_OUT].is_due = true;
    return at_once;
}

static void watch_socket(struct vwl_source *source, struct vwl_watched *watched,
                         GIOCondition condition, bool is_starved)
{
    vwl_source_watch(source, watched, is_starved ? 0 : condition);
    if (is_starved) {
        vwl_source_wake_in(source, STARVED_MS);
    }
}

static void watch_front_end(struct vwl_pump *pump)
{
    struct vwl_session *session = pump->session;
    struct vwl_backchan *chan = vwl_session_backchan(session);

    watch_socket(pump->socket, vwl_session_socket(session),
                 (vwl_session_wants_read(session) ? G_IO_IN : 0) |
                     (vwl_session_wants_write(session) ? G_IO_OUT : 0),
                 vwl_session_is_starved(session));
    watch_socket(pump->backchan, vwl_backchan_socket(chan),
                 G_IO_IN | (vwl_backchan_wants_write(chan) ? G_IO_OUT : 0),
                 vwl_backchan_is_starved(chan));
}

static void watch_kick(struct vwl_pump *pump, unsigned int index)
{
    struct vwl_pump_ring *ring = &pump->ring[index];
    bool wanted = vwl_pump_runs(pump, index) && !ring->is_deaf;
    int err = vwl_source_watch_edges(
        ring->kick, wanted ? vwl_session_kick(pump->session, index) : NULL);

    if (err < 0) {
        log_host_bug(pump->log, "ring %u: kick descriptor unusable: %s", index,
                     g_strerror(-err));
        ring->is_deaf = true;
    }
}

/* The guest stands still, and what compositors say is kept for it. Not while a
 * snapshot is made of it, and not while nobody may have moved. */
static bool hoards(struct vwl_pump *pump)
{
    return !pump->suspended && !pump->transfer &&
           !vwl_pump_is_restoring(pump) &&
           !vwl_session_ring_runs(pump->session, VIRTIO_WL_QUEUE_IN);
}

static void run_rings(struct vwl_pump *pump)
{
    if (pump->ring[VIRTIO_WL_QUEUE_OUT].is_due) {
        vwl_pump_run_out(pump);
    }
    if (pump->ring[VIRTIO_WL_QUEUE_IN].is_due) {
        vwl_pump_run_in(pump);
    }
    vwl_pump_publish(pump, VIRTIO_WL_QUEUE_OUT);
    vwl_pump_publish(pump, VIRTIO_WL_QUEUE_IN);
}

/* Ends every dispatch: what became due is done, what was pushed is published,
 * and the watches follow the state. */
static void settle(struct vwl_pump *pump)
{
    if (!pump->session) {
        return;
    }
    if (vwl_pump_is_restoring(pump)) {
        vwl_pump_restored_go_on(pump);
    }
    run_rings(pump);
    if (pump->poll_max_us) {
        uint64_t turn_end_us = vwl_clock_us() + TURN_US;

        while (poll_rings(pump, turn_end_us)) {
            run_rings(pump);
        }
        vwl_gate_polls(pump->gate, pump->polling);
    }
    if (pump->bulk) {
        pump->bulk = false;
        vwl_gate_offer(pump->gate);
    }
    if (pump->ring[VIRTIO_WL_QUEUE_OUT].is_due ||
        pump->ring[VIRTIO_WL_QUEUE_IN].is_due) {
        vwl_source_wake(pump->again);
    }
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        watch_kick(pump, i);
    }
    vwl_source_watch(pump->core_in, vwl_core_in(pump->core),
                     hoards(pump) || (vwl_pump_runs(pump, VIRTIO_WL_QUEUE_IN) &&
                                      pump->in == VWL_IN_OPEN)
                         ? G_IO_IN
                         : 0);
    vwl_source_watch(pump->core_out, vwl_core_out(pump->core),
                     pump->suspended ? 0 : G_IO_IN);
    watch_front_end(pump);
}

/* ---- sources ---------------------------------------------------------- */

/* The front-end is gone: its guest's connections close at once. */
static void lose_session(struct vwl_pump *pump)
{
    struct vwl_session *session = pump->session;

    pump->session = NULL;
    vwl_source_destroy(&pump->socket);
    vwl_source_destroy(&pump->backchan);
    vwl_source_destroy(&pump->again);
    vwl_source_destroy(&pump->state);
    vwl_scout_destroy(g_steal_pointer(&pump->scout));
    vwl_contexts_destroy(g_steal_pointer(&pump->contexts));
    vwl_pump_state_drop(pump);
    vwl_source_destroy(&pump->core_in);
    vwl_source_destroy(&pump->core_out);
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        vwl_source_destroy(&pump->ring[i].kick);
    }
    vwl_core_reset(pump->core, pump->host->shm_map != NULL);
    vwl_pump_drop_all(pump);
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
    pump->ring[index].is_due = true;
    settle(pump);
}

static void on_kick_in(void *opaque, GIOCondition condition)
{
    on_kick(opaque, VIRTIO_WL_QUEUE_IN);
}

static void on_kick_out(void *opaque, GIOCondition condition)
{
    on_kick(opaque, VIRTIO_WL_QUEUE_OUT);
}

static void on_core_in(void *opaque, GIOCondition condition)
{
    struct vwl_pump *pump = opaque;

    if (hoards(pump)) {
        vwl_core_hoard(pump->core);
    } else {
        pump->ring[VIRTIO_WL_QUEUE_IN].is_due = true;
    }
    settle(pump);
}

static void on_core_out(void *opaque, GIOCondition condition)
{
    struct vwl_pump *pump = opaque;

    vwl_core_dispatch_out(pump->core);
    settle(pump);
}

static void on_state(void *opaque, GIOCondition condition)
{
    vwl_pump_state_run(opaque);
    settle(opaque);
}

static void on_probed(void *opaque)
{
    struct vwl_pump *pump = opaque;

    vwl_core_buffers_changed(pump->core);
    settle(pump);
}

static void on_again(void *opaque, GIOCondition condition)
{
    settle(opaque);
}

static bool has_requests(void *opaque)
{
    struct vwl_pump *pump = opaque;

    return vwl_pump_runs(pump, VIRTIO_WL_QUEUE_OUT) &&
           vwl_vq_waiting(vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_OUT)) >
               0;
}

static bool asks_for_kicks(void *opaque)
{
    struct vwl_pump *pump = opaque;
    struct vwl_vq *vq = vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_OUT);
    bool more = vwl_vq_want_kick(vq, true);

    vwl_session_flush_log(pump->session); /* that was a write, too */
    return more && vwl_pump_runs(pump, VIRTIO_WL_QUEUE_OUT);
}

static const struct vwl_glance ring_glance = {
    .look = has_requests,
    .end = asks_for_kicks,
};

/* ---- life ------------------------------------------------------------- */

static struct vwl_contexts *create_contexts(
    const struct vwl_pump_config *config, struct vwl_log *log,
    struct vwl_gate *gate, struct vwl_closer *closer)
{
    const struct vwl_contexts_config contexts = {
        .mode = config->host->socket_connect ? VWL_SECURITY_CONTEXT_OFF
                                             : config->security_context,
        .name = config->name,
        .sockets = config->core.sockets,
        .n_sockets = config->core.n_sockets,
        .closer = closer,
        .rules = config->core.rules,
    };

    return vwl_contexts_create(&contexts, log, gate);
}

int vwl_pump_create(const struct vwl_pump_config *config, struct vwl_log *log,
                    struct vwl_gate *gate, int *fd, struct vwl_pump **out)
{
    struct vwl_pump *pump = g_new0(struct vwl_pump, 1);
    struct vwl_core_config core = config->core;
    int err;

    pump->closer = core.closer = vwl_closer_create();
    pump->host = config->host;
    core.asks_again = pump->host->socket_connect &&
                      pump->host->socket_connect_again;
    pump->log = log;
    pump->gate = gate;
    pump->max_in_flight = config->max_in_flight;
    pump->max_copied_bytes = config->core.max_queued_bytes;
    pump->poll_max_us = pump->poll_us = config->poll_us;
    pump->allocators = config->allocators;
    pump->pages = config->pages;
    err = vwl_core_create(&core, &vwl_pump_core_ops, pump, log, &pump->core);
    if (err < 0) {
        vwl_closer_destroy(pump->closer);
        g_free(pump);
        return err;
    }
    pump->spare = g_ptr_array_new_with_free_func(g_free);
    pump->held = g_ptr_array_new();
    g_queue_init(&pump->in_flight);
    pump->session = vwl_session_create(&config->session, &vwl_pump_session_ops,
                                       pump, log, fd);
    pump->socket = vwl_source_create(gate, "vwl front-end", on_socket, pump);
    pump->backchan = vwl_source_create(gate, "vwl back-end channel",
                                       on_backchan, pump);
    pump->ring[VIRTIO_WL_QUEUE_IN].kick = vwl_source_create(gate, "vwl kick in",
                                                            on_kick_in, pump);
    pump->ring[VIRTIO_WL_QUEUE_OUT].kick = vwl_source_create(gate,
                                                             "vwl kick out",
                                                             on_kick_out, pump);
    vwl_source_set_glance(pump->ring[VIRTIO_WL_QUEUE_OUT].kick, &ring_glance);
    pump->core_in = vwl_source_create(gate, "vwl host data", on_core_in, pump);
    pump->core_out = vwl_source_create(gate, "vwl host room", on_core_out,
                                       pump);
    pump->again = vwl_source_create(gate, "vwl again", on_again, pump);
    pump->state = vwl_source_create(gate, "vwl device state", on_state, pump);
    pump->scout = vwl_scout_create(&config->core, config->host, log, gate,
                                   pump->closer, on_probed, pump);
    pump->contexts = create_contexts(config, log, gate, pump->closer);
    pump->state_err = -ENODATA;
    settle(pump);
    *out = pump;
    return 0;
}

void vwl_pump_destroy(struct vwl_pump *pump)
{
    if (pump->session) {
        lose_session(pump);
    }
    vwl_core_destroy(pump->core);
    vwl_closer_destroy(pump->closer);
    g_ptr_array_unref(pump->held);
    g_ptr_array_unref(pump->spare);
    g_free(pump);
}

void vwl_pump_suspend(struct vwl_pump *pump, bool on)
{
    if (!pump->session || pump->suspended == on) {
        return;
    }
    if (on) {
        vwl_pump_publish(pump, VIRTIO_WL_QUEUE_OUT);
        vwl_pump_publish(pump, VIRTIO_WL_QUEUE_IN);
    }
    pump->suspended = on;
    vwl_session_suspend(pump->session, on);
    if (!on) {
        vwl_pump_session_ops.ring_started(pump, VIRTIO_WL_QUEUE_IN, true);
        if (vwl_session_ring_runs(pump->session, VIRTIO_WL_QUEUE_OUT)) {
            vwl_pump_session_ops.ring_started(pump, VIRTIO_WL_QUEUE_OUT, true);
        }
    }
    settle(pump);
}

void vwl_pump_windows(const struct vwl_pump *pump, GString *lines)
{
    vwl_core_windows(pump->core, lines);
}

int vwl_pump_pipe(struct vwl_pump *pump, uint32_t vfd)
{
    return pump->session ? vwl_core_pipe(pump->core, vfd) : -ENOTCONN;
}

void vwl_pump_stats(const struct vwl_pump *pump, struct vwl_stats *stats)
{
    struct vwl_stats now = { 0 };

    vwl_core_stats(pump->core, &now);
    stats->vfds = now.vfds;
    stats->contexts = now.contexts;
    stats->shm_bytes = now.shm_bytes;
    stats->shm_mappings = now.shm_mappings;
    stats->in_flight = now.in_flight;
    stats->queued_bytes = now.queued_bytes;
    stats->dmabufs = now.dmabufs;
    stats->guest_pages = now.guest_pages;
    stats->guest_pages_bytes = now.guest_pages_bytes;
    vwl_pump_probe_stats(pump, stats);
    stats->requests += now.requests;
    stats->refused += now.refused;
    stats->messages += now.messages;
    stats->sent_bytes += now.sent_bytes;
    stats->received_bytes += now.received_bytes;
    stats->hangups += now.hangups;
    stats->resets += now.resets;
    stats->sessions++;
}
