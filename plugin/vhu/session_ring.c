/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"

void vwl_session_rings_init(struct vwl_session *session)
{
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        struct vwl_session_ring *ring = &session->rings[i];

        ring->vq = vwl_vq_create();
        vwl_watched_init(&ring->kick);
        ring->call.fd = ring->err.fd = -1;
    }
}

void vwl_session_rings_finish(struct vwl_session *session)
{
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        struct vwl_session_ring *ring = &session->rings[i];

        vwl_vq_destroy(ring->vq);
        vwl_watched_clear(&ring->kick);
        vwl_session_notifier_set(&ring->call, -1);
        vwl_session_notifier_set(&ring->err, -1);
    }
}

bool vwl_session_any_started(const struct vwl_session *session)
{
    return vwl_vq_is_started(session->rings[VIRTIO_WL_QUEUE_IN].vq) ||
           vwl_vq_is_started(session->rings[VIRTIO_WL_QUEUE_OUT].vq);
}

bool vwl_session_any_kicked(const struct vwl_session *session)
{
    return session->rings[VIRTIO_WL_QUEUE_IN].state >= VWL_RING_KICKED ||
           session->rings[VIRTIO_WL_QUEUE_OUT].state >= VWL_RING_KICKED;
}

/* ---- start and stop --------------------------------------------------- */

static uint32_t fresh_base(const struct vwl_session *session)
{
    return vwl_session_has_feature(session, VIRTIO_F_RING_PACKED)
               ? VWL_VQ_PACKED_FRESH_BASE
               : 0;
}

static bool is_ready_to_run(const struct vwl_session *session,
                            const struct vwl_session_ring *ring)
{
    return ring->state >= VWL_RING_KICKED && ring->enabled &&
           ring->has == VWL_RING_ALL && !session->features_refused;
}

static bool has_base(const struct vwl_session_ring *ring)
{
    return ring->has & VWL_RING_BASE;
}

/* The specification has a front-end stop rings with GET_VRING_BASE and hand
 * that number back with SET_VRING_BASE when they go on. A reset and a pause
 * look the same on the wire but for the base of the next start, which is that
 * of a fresh ring after a reset. Decided once, when the out ring begins to run:
 * the in ring is configured before it, if at all. */
static bool decide(struct vwl_session *session)
{
    const struct vwl_session_ring *in = &session->rings[VIRTIO_WL_QUEUE_IN];
    uint32_t fresh = fresh_base(session);
    bool all_fresh = true;
    bool was_used = false;

    if (in->state >= VWL_RING_TOUCHED && !has_base(in)) {
        return false;
    }
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        const struct vwl_session_ring *ring = &session->rings[i];

        if (vwl_vq_is_started(ring->vq) ||
            (has_base(ring) && ring->base != fresh)) {
            all_fresh = false;
        }
        was_used |= ring->was_broken ||
                    (ring->has_answer && ring->answer != fresh);
    }
    session->decided = true;
    if (all_fresh && was_used) {
        vwl_session_device_reset(session, VWL_RESET_BASE);
    }
    return true;
}

static int start_vq(struct vwl_session *session, unsigned int index, bool keep)
{
    struct vwl_session_ring *ring = &session->rings[index];
    struct vwl_chain *const *held = NULL;
    unsigned int n_held = 0;
    struct vwl_vq_setup setup = {
        .packed = vwl_session_has_feature(session, VIRTIO_F_RING_PACKED),
        .event_idx = vwl_session_has_feature(session, VIRTIO_RING_F_EVENT_IDX),
        .indirect = vwl_session_has_feature(session,
                                            VIRTIO_RING_F_INDIRECT_DESC),
        .size = ring->size,
        .desc = ring->desc,
        .driver = ring->driver,
        .device = ring->device,
        .log_used = ring->log_used,
        .log_gpa = ring->log_gpa,
        .base = ring->base,
        .mem = session->mem,
        .iotlb = vwl_session_has_feature(session, VIRTIO_F_ACCESS_PLATFORM)
                     ? session->iotlb
                     : NULL,
        .dirty = session->dirty,
    };
    int err;

    if (session->inflight) {
        if (vwl_inflight_is_packed(session->inflight) == setup.packed) {
            setup.inflight = vwl_inflight_queue(session->inflight,
                                                (uint16_t)index,
                                                (uint16_t)ring->size);
        }
        if (!setup.inflight) {
            log_host_bug(session->log,
                         "ring %u: the in-flight buffer has no "
                         "queue of %u entries for it",
                         index, ring->size);
        }
    }
    if (keep) {
        n_held = session->ops->ring_held(session->opaque, index, &held);
    }
    err = vwl_vq_start(ring->vq, &setup, held, n_held);
    if (err == 0) {
        ring->resumed = setup.inflight != NULL;
    }
    return err;
}

static void start_ring(struct vwl_session *session, unsigned int index)
{
    struct vwl_session_ring *ring = &session->rings[index];
    bool keep = true;

    if (ring->state == VWL_RING_RUNNING || ring->broken ||
        !is_ready_to_run(session, ring)) {
        return;
    }
    if (!vwl_vq_is_started(ring->vq)) {
        int err;

        keep = ring->has_answer && ring->answer == ring->base;
        err = start_vq(session, index, keep);
        if (err == -EAGAIN) {
            vwl_session_ask_miss(session, index);
            return;
        }
        if (err < 0) {
            vwl_session_ring_refused(session, index, vwl_vq_why(ring->vq));
            return;
        }
    }
    ring->was_broken = false;
    ring->state = VWL_RING_RUNNING;
    session->ops->ring_started(session->opaque, index, keep);
    if (ring->resumed && ring->state == VWL_RING_RUNNING) {
        ring->resumed = false;
        session->ops->ring_changed(session->opaque, index);
        vwl_session_call(session, index);
    }
}

void vwl_session_ring_touch(struct vwl_session_ring *ring)
{
    ring->state = MAX(ring->state, VWL_RING_TOUCHED);
}

void vwl_session_ring_kick(struct vwl_session *session, unsigned int index)
{
    struct vwl_session_ring *ring = &session->rings[index];

    ring->state = MAX(ring->state, VWL_RING_KICKED);
    if (ring->state == VWL_RING_RUNNING) {
        session->ops->ring_changed(session->opaque, index);
    } else {
        vwl_session_rings_update(session);
    }
}

void vwl_session_rings_update(struct vwl_session *session)
{
    vwl_backchan_hold(session->backchan,
                      session->suspended || !vwl_session_any_kicked(session));
    if (session->suspended) {
        return;
    }
    if (!session->decided &&
        !(is_ready_to_run(session, &session->rings[VIRTIO_WL_QUEUE_OUT]) &&
          decide(session))) {
        return;
    }
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        start_ring(session, i);
    }
}

void vwl_session_ring_stop(struct vwl_session *session, unsigned int index)
{
    struct vwl_session_ring *ring = &session->rings[index];

    vwl_session_ring_pause(session, index);
    if (vwl_vq_is_started(ring->vq)) {
        ring->base = vwl_vq_stop(ring->vq);
        ring->answer = ring->base;
        ring->has_answer = true;
        vwl_dirty_flush(session->dirty);
    }
    ring->state = VWL_RING_IDLE;
    /* the specification knows no state that outlives a stop */
    ring->was_broken |= ring->broken;
    ring->broken = false;
    ring->has &= ~(unsigned int)VWL_RING_BASE;
    ring->resumed = false;
    if (ring->kick.fd >= 0) {
        vwl_watched_clear(&ring->kick);
        session->ops->ring_changed(session->opaque, index);
    }
    if (index == VIRTIO_WL_QUEUE_OUT) {
        session->decided = false;
    }
}

void vwl_session_device_reset(struct vwl_session *session,
                              enum vwl_reset_reason reason)
{
    bool enabled = session->features_set &&
                   !vwl_session_has_feature(session,
                                            VHOST_USER_F_PROTOCOL_FEATURES);

    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        struct vwl_session_ring *ring = &session->rings[i];

        if (reason != VWL_RESET_BASE) {
            vwl_session_ring_stop(session, i);
            ring->enabled = enabled;
        }
        ring->has_answer = false;
        ring->broken = ring->was_broken = false;
    }
    if (reason != VWL_RESET_BASE) {
        vwl_iotlb_clear(session->iotlb);
        vwl_session_forget_misses(session);
        vwl_inflight_destroy(session->inflight);
        session->inflight = NULL;
        session->status = 0;
    }
    session->ops->reset(session->opaque, reason);
}

/* ---- views ------------------------------------------------------------ */

struct vwl_vq *vwl_session_vq(struct vwl_session *session, unsigned int index)
{
    return session->rings[index].vq;
}

bool vwl_session_ring_runs(const struct vwl_session *session,
                           unsigned int index)
{
    return session->rings[index].state == VWL_RING_RUNNING;
}

struct vwl_watched *vwl_session_kick(struct vwl_session *session,
                                     unsigned int index)
{
    return &session->rings[index].kick;
}

unsigned int vwl_session_ring_size(const struct vwl_session *session,
                                   unsigned int index)
{
    return session->rings[index].size;
}
