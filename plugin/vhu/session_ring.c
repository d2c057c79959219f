/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"

void vwl_session_rings_init(struct vwl_session *session)
{
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        session->rings[i].vq = vwl_vq_create();
        session->rings[i].kick = -1;
        session->rings[i].call = -1;
        session->rings[i].err = -1;
    }
}

void vwl_session_rings_finish(struct vwl_session *session)
{
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        struct vwl_session_ring *ring = &session->rings[i];

        vwl_vq_destroy(ring->vq);
        vwl_fd_clear(&ring->kick);
        vwl_fd_clear(&ring->call);
        vwl_fd_clear(&ring->err);
    }
}

bool vwl_session_any_started(const struct vwl_session *session)
{
    return vwl_vq_is_started(session->rings[VIRTIO_WL_QUEUE_IN].vq) ||
           vwl_vq_is_started(session->rings[VIRTIO_WL_QUEUE_OUT].vq);
}

bool vwl_session_any_kicked(const struct vwl_session *session)
{
    return session->rings[VIRTIO_WL_QUEUE_IN].kicked ||
           session->rings[VIRTIO_WL_QUEUE_OUT].kicked;
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
    return ring->kicked && ring->enabled && ring->has_size && ring->has_addr &&
           ring->has_base && !session->features_refused;
}

/* A reset and a pause look the same on the wire but for the base that comes
 * with the next start. Decided once, when the out ring begins to run: the in
 * ring is configured before it, if at all. */
static bool decide(struct vwl_session *session)
{
    const struct vwl_session_ring *in = &session->rings[VIRTIO_WL_QUEUE_IN];
    uint32_t fresh = fresh_base(session);
    bool all_fresh = true;
    bool was_used = false;

    if (in->touched && !in->has_base) {
        return false;
    }
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        const struct vwl_session_ring *ring = &session->rings[i];

        if (vwl_vq_is_started(ring->vq) ||
            (ring->has_base && ring->base != fresh)) {
            all_fresh = false;
        }
        was_used |= ring->broken || (ring->has_answer && ring->answer != fresh);
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

    if (ring->running || ring->broken || !is_ready_to_run(session, ring)) {
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
            vwl_session_ring_broken(session, index, g_strerror(-err));
            return;
        }
    }
    ring->running = true;
    session->ops->ring_started(session->opaque, index, keep);
    if (ring->resumed && ring->running) {
        ring->resumed = false;
        session->ops->ring_kicked(session->opaque, index);
        vwl_session_call(session, index);
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
    ring->kicked = false;
    ring->has_base = false;
    ring->touched = false;
    ring->resumed = false;
    if (ring->kick >= 0) {
        int old = vwl_fd_steal(&ring->kick);

        session->ops->ring_changed(session->opaque, index);
        vwl_fd_clear(&old);
    }
    if (index == VIRTIO_WL_QUEUE_OUT) {
        session->decided = false;
    }
}

/* Connection, protocol features and back-end channel outlive it. */
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
        ring->broken = false;
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

/* ---- requests --------------------------------------------------------- */

static struct vwl_session_ring *find_ring(struct vwl_session *session,
                                          uint64_t index)
{
    return index < VIRTIO_WL_QUEUE_COUNT ? &session->rings[index] : NULL;
}

static struct vhost_user_vring_state get_state(const struct vwl_vhu_msg *msg)
{
    struct vhost_user_vring_state state;

    memcpy(&state, msg->payload, sizeof state);
    return state;
}

/* What makes no sense leaves a stopped ring without the value: it does not
 * start until a good one comes. A started one goes on as it was. */
int vwl_session_vring_num(struct vwl_session *session, struct vwl_vhu_msg *msg,
                          struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);
    struct vwl_session_ring *ring = find_ring(session, state.index);

    if (!ring) {
        return -EINVAL;
    }
    if (vwl_vq_is_started(ring->vq)) {
        return state.num == ring->size ? 0 : -EBUSY;
    }
    ring->touched = true;
    ring->has_size = state.num > 0 && state.num <= VWL_VQ_MAX_SIZE;
    if (!ring->has_size) {
        return -EINVAL;
    }
    ring->size = state.num;
    vwl_session_rings_update(session);
    return 0;
}

int vwl_session_vring_addr(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    bool packed = vwl_session_has_feature(session, VIRTIO_F_RING_PACKED);
    struct vhost_user_vring_addr addr;
    struct vwl_session_ring *ring;
    bool log;

    memcpy(&addr, msg->payload, sizeof addr);
    ring = find_ring(session, addr.index);
    if (!ring) {
        return -EINVAL;
    }
    log = addr.flags & VHOST_USER_VRING_ADDR_F_LOG;
    if (vwl_vq_is_started(ring->vq)) {
        if (addr.descriptor != ring->desc || addr.used != ring->device ||
            addr.available != ring->driver) {
            return -EBUSY;
        }
        vwl_vq_set_log(ring->vq, log, addr.log);
    } else {
        ring->touched = true;
        ring->has_addr = !(addr.descriptor & 15) && !(addr.used & 3) &&
                         !(addr.available & (packed ? 3 : 1));
        if (!ring->has_addr) {
            return -EINVAL;
        }
        ring->desc = addr.descriptor;
        ring->driver = addr.available;
        ring->device = addr.used;
    }
    ring->log_used = log;
    ring->log_gpa = addr.log;
    vwl_session_rings_update(session);
    return 0;
}

int vwl_session_vring_base(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);
    struct vwl_session_ring *ring = find_ring(session, state.index);

    if (!ring) {
        return -EINVAL;
    }
    if (vwl_vq_is_started(ring->vq)) {
        return -EBUSY;
    }
    ring->touched = true;
    ring->has_base = true;
    ring->base = state.num;
    vwl_session_rings_update(session);
    return 0;
}

int vwl_session_get_vring_base(struct vwl_session *session,
                               struct vwl_vhu_msg *msg,
                               struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);
    struct vwl_session_ring *ring = find_ring(session, state.index);

    if (!ring) {
        return -EINVAL;
    }
    vwl_session_ring_stop(session, state.index);
    vwl_session_rings_update(session);
    state.num = ring->base;
    memcpy(answer->payload, &state, sizeof state);
    answer->size = sizeof state;
    return 0;
}

/* The descriptor that came (-1 in polling mode), for one of two vrings. */
static int take_vring_fd(struct vwl_session *session, struct vwl_vhu_msg *msg,
                         unsigned int *index, int *fd)
{
    uint64_t value;
    bool none;

    memcpy(&value, msg->payload, sizeof value);
    none = value & VHOST_USER_VRING_NOFD_MASK;
    if (!find_ring(session, value & VHOST_USER_VRING_INDEX_MASK) ||
        msg->n_fds != (none ? 0 : 1)) {
        return -EINVAL;
    }
    if (!none && !vwl_session_is_anonymous(msg->fds[0])) {
        return -EBADF;
    }
    *index = value & VHOST_USER_VRING_INDEX_MASK;
    *fd = none ? -1 : vwl_fd_steal(&msg->fds[0]);
    return 0;
}

int vwl_session_vring_kick(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    struct vwl_session_ring *ring;
    unsigned int index;
    int fd, old;
    bool ran;
    int err = take_vring_fd(session, msg, &index, &fd);

    if (err < 0) {
        return err;
    }
    ring = &session->rings[index];
    ran = ring->running;
    old = ring->kick;
    ring->kick = fd;
    ring->kicked = true;
    ring->touched = true;
    if (old >= 0 || ran) {
        session->ops->ring_changed(session->opaque, index);
    }
    vwl_fd_clear(&old);
    if (ran) {
        /* A kick may have gone to the descriptor before. */
        session->ops->ring_kicked(session->opaque, index);
    } else {
        vwl_session_rings_update(session);
    }
    return 0;
}

int vwl_session_vring_call(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    struct vwl_session_ring *ring;
    unsigned int index;
    int fd;
    int err = take_vring_fd(session, msg, &index, &fd);

    if (err < 0) {
        return err;
    }
    ring = &session->rings[index];
    vwl_fd_clear(&ring->call);
    ring->call = fd;
    ring->call_may_block = fd >= 0 && vwl_session_may_block(fd);
    if (ring->running) {
        vwl_session_call(session, index); /* one may have gone to the old */
    }
    return 0;
}

int vwl_session_vring_err(struct vwl_session *session, struct vwl_vhu_msg *msg,
                          struct vwl_session_answer *answer)
{
    struct vwl_session_ring *ring;
    unsigned int index;
    int fd;
    int err = take_vring_fd(session, msg, &index, &fd);

    if (err < 0) {
        return err;
    }
    ring = &session->rings[index];
    vwl_fd_clear(&ring->err);
    ring->err = fd;
    ring->err_may_block = fd >= 0 && vwl_session_may_block(fd);
    return 0;
}

int vwl_session_vring_enable(struct vwl_session *session,
                             struct vwl_vhu_msg *msg,
                             struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);
    struct vwl_session_ring *ring = find_ring(session, state.index);

    if (!ring || state.num > 1) {
        return -EINVAL;
    }
    ring->enabled = state.num;
    if (!ring->enabled) {
        vwl_session_ring_pause(session, state.index);
    }
    vwl_session_rings_update(session);
    return 0;
}

int vwl_session_inband_kick(struct vwl_session *session,
                            struct vwl_vhu_msg *msg,
                            struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);
    struct vwl_session_ring *ring = find_ring(session, state.index);

    if (!ring ||
        !vwl_session_has_protocol(session,
                                  VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS)) {
        return -EINVAL;
    }
    ring->kicked = true;
    ring->touched = true;
    if (ring->running) {
        session->ops->ring_kicked(session->opaque, state.index);
    } else {
        vwl_session_rings_update(session);
    }
    return 0;
}

/* ---- views ------------------------------------------------------------ */

struct vwl_vq *vwl_session_vq(struct vwl_session *session, unsigned int index)
{
    return session->rings[index].vq;
}

bool vwl_session_ring_runs(const struct vwl_session *session,
                           unsigned int index)
{
    return session->rings[index].running;
}

int vwl_session_kick_fd(const struct vwl_session *session, unsigned int index)
{
    return session->rings[index].kick;
}

unsigned int vwl_session_ring_size(const struct vwl_session *session,
                                   unsigned int index)
{
    return session->rings[index].size;
}
