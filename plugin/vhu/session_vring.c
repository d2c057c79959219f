/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fd.h"

/* The ring of that number, or NULL and the answer says so. */
static struct vwl_session_ring *find_ring(struct vwl_session *session,
                                          uint64_t index,
                                          struct vwl_session_answer *answer)
{
    if (index < VIRTIO_WL_QUEUE_COUNT) {
        return &session->rings[index];
    }
    vwl_session_answer_refuse(answer, -EINVAL,
                              "ring %" PRIu64 " of a device that has %u", index,
                              VIRTIO_WL_QUEUE_COUNT);
    return NULL;
}

static struct vhost_user_vring_state get_state(const struct vwl_vhu_msg *msg)
{
    struct vhost_user_vring_state state;

    memcpy(&state, msg->payload, sizeof state);
    return state;
}

static int refuse_started(struct vwl_session_answer *answer, uint32_t index)
{
    return vwl_session_answer_refuse(answer, -EBUSY,
                                     "ring %" PRIu32 " is started", index);
}

/* What makes no sense leaves a stopped ring without the value: it does not
 * start until a good one comes. A started one goes on as it was. */
int vwl_session_set_vring_num(struct vwl_session *session,
                              struct vwl_vhu_msg *msg,
                              struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);
    struct vwl_session_ring *ring = find_ring(session, state.index, answer);

    if (!ring) {
        return -EINVAL;
    }
    if (vwl_vq_is_started(ring->vq)) {
        return state.num == ring->size ? 0
                                       : refuse_started(answer, state.index);
    }
    vwl_session_ring_touch(ring);
    ring->has &= ~(unsigned int)VWL_RING_SIZE;
    if (state.num == 0 || state.num > VWL_VQ_MAX_SIZE) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "ring %" PRIu32 ": a size of %" PRIu32
                                         " entries is not in 1 to %u",
                                         state.index, state.num,
                                         VWL_VQ_MAX_SIZE);
    }
    ring->has |= VWL_RING_SIZE;
    ring->size = state.num;
    vwl_session_rings_update(session);
    return 0;
}

/* virtio 1.2, sections 2.7 and 2.8: how the three parts are aligned. */
static int check_alignment(const struct vwl_session *session,
                           const struct vhost_user_vring_addr *parts,
                           struct vwl_session_answer *answer)
{
    bool packed = vwl_session_has_feature(session, VIRTIO_F_RING_PACKED);
    unsigned int align = packed ? 4 : 2;

    if (parts->descriptor % 16 || parts->used % 4 || parts->available % align) {
        return vwl_session_answer_refuse(
            answer, -EINVAL,
            "ring %" PRIu32 ": descriptors at 0x%" PRIx64 ", driver area at "
            "0x%" PRIx64 " and device area at 0x%" PRIx64
            " are not all aligned to 16, %u and 4 bytes",
            parts->index, (uint64_t)parts->descriptor,
            (uint64_t)parts->available, (uint64_t)parts->used, align);
    }
    return 0;
}

int vwl_session_set_vring_addr(struct vwl_session *session,
                               struct vwl_vhu_msg *msg,
                               struct vwl_session_answer *answer)
{
    struct vhost_user_vring_addr parts;
    struct vwl_session_ring *ring;
    bool log;

    memcpy(&parts, msg->payload, sizeof parts);
    ring = find_ring(session, parts.index, answer);
    if (!ring) {
        return -EINVAL;
    }
    log = parts.flags & VHOST_USER_VRING_ADDR_F_LOG;
    if (vwl_vq_is_started(ring->vq)) {
        if (parts.descriptor != ring->desc || parts.used != ring->device ||
            parts.available != ring->driver) {
            return refuse_started(answer, parts.index);
        }
        vwl_vq_set_log(ring->vq, log, parts.log);
    } else {
        int err = check_alignment(session, &parts, answer);

        vwl_session_ring_touch(ring);
        ring->has &= ~(unsigned int)VWL_RING_PARTS;
        if (err < 0) {
            return err;
        }
        ring->has |= VWL_RING_PARTS;
        ring->desc = parts.descriptor;
        ring->driver = parts.available;
        ring->device = parts.used;
    }
    ring->log_used = log;
    ring->log_gpa = parts.log;
    vwl_session_rings_update(session);
    return 0;
}

/* Split rings: an index of 16 bits. Packed ones: two of 15 bits with a wrap
 * counter each, within the ring as far as its size is known. */
static bool is_base(const struct vwl_session *session,
                    const struct vwl_session_ring *ring, uint32_t base)
{
    const uint32_t index = 0x7fff;

    if (!vwl_session_has_feature(session, VIRTIO_F_RING_PACKED)) {
        return base <= UINT16_MAX;
    }
    return !(ring->has & VWL_RING_SIZE) ||
           ((base & index) < ring->size && (base >> 16 & index) < ring->size);
}

int vwl_session_set_vring_base(struct vwl_session *session,
                               struct vwl_vhu_msg *msg,
                               struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);
    struct vwl_session_ring *ring = find_ring(session, state.index, answer);

    if (!ring) {
        return -EINVAL;
    }
    if (vwl_vq_is_started(ring->vq)) {
        return refuse_started(answer, state.index);
    }
    vwl_session_ring_touch(ring);
    ring->has &= ~(unsigned int)VWL_RING_BASE;
    if (!is_base(session, ring, state.num)) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "ring %" PRIu32 ": no ring of its "
                                         "size goes on at 0x%" PRIx32,
                                         state.index, state.num);
    }
    ring->has |= VWL_RING_BASE;
    ring->base = state.num;
    vwl_session_rings_update(session);
    return 0;
}

int vwl_session_get_vring_base(struct vwl_session *session,
                               struct vwl_vhu_msg *msg,
                               struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);
    struct vwl_session_ring *ring = find_ring(session, state.index, answer);

    if (!ring) {
        return -EINVAL;
    }
    vwl_session_ring_stop(session, state.index);
    vwl_session_rings_update(session);
    state.num = ring->base;
    vwl_session_answer_body(answer, &state, sizeof state);
    return 0;
}

/* The ring and the descriptor that came for it: -1 in polling mode. */
static int take_vring_fd(struct vwl_session *session, struct vwl_vhu_msg *msg,
                         struct vwl_session_answer *answer, unsigned int *index,
                         int *fd)
{
    unsigned int wanted;
    uint64_t value;

    memcpy(&value, msg->payload, sizeof value);
    wanted = value & VHOST_USER_VRING_NOFD_MASK ? 0 : 1;
    if (!find_ring(session, value & VHOST_USER_VRING_INDEX_MASK, answer)) {
        return -EINVAL;
    }
    if (msg->n_fds != wanted) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "%u descriptors although bit 8 says "
                                         "%u",
                                         msg->n_fds, wanted);
    }
    if (wanted && !vwl_session_is_anonymous(msg->fds[0])) {
        return vwl_session_answer_refuse(answer, -EBADF,
                                         "its descriptor is no eventfd");
    }
    *index = value & VHOST_USER_VRING_INDEX_MASK;
    *fd = wanted ? vwl_fd_steal(&msg->fds[0]) : -1;
    return 0;
}

int vwl_session_set_vring_kick(struct vwl_session *session,
                               struct vwl_vhu_msg *msg,
                               struct vwl_session_answer *answer)
{
    struct vwl_session_ring *ring;
    unsigned int index = 0;
    bool had_one;
    int fd = -1;
    int err = take_vring_fd(session, msg, answer, &index, &fd);

    if (err < 0) {
        return err;
    }
    ring = &session->rings[index];
    had_one = ring->kick.fd >= 0;
    vwl_watched_set(&ring->kick, fd);
    if (had_one && ring->state != VWL_RING_RUNNING) {
        session->ops->ring_changed(session->opaque, index);
    }
    /* one may have gone to the descriptor before */
    vwl_session_ring_kick(session, index);
    return 0;
}

int vwl_session_set_vring_call(struct vwl_session *session,
                               struct vwl_vhu_msg *msg,
                               struct vwl_session_answer *answer)
{
    unsigned int index = 0;
    int fd = -1;
    int err = take_vring_fd(session, msg, answer, &index, &fd);

    if (err < 0) {
        return err;
    }
    vwl_session_notifier_set(&session->rings[index].call, fd);
    if (session->rings[index].state == VWL_RING_RUNNING) {
        vwl_session_call(session, index); /* one may have gone to the old */
    }
    return 0;
}

int vwl_session_set_vring_err(struct vwl_session *session,
                              struct vwl_vhu_msg *msg,
                              struct vwl_session_answer *answer)
{
    unsigned int index = 0;
    int fd = -1;
    int err = take_vring_fd(session, msg, answer, &index, &fd);

    if (err == 0) {
        vwl_session_notifier_set(&session->rings[index].err, fd);
    }
    return err;
}

int vwl_session_set_vring_enable(struct vwl_session *session,
                                 struct vwl_vhu_msg *msg,
                                 struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);
    struct vwl_session_ring *ring = find_ring(session, state.index, answer);

    if (!ring) {
        return -EINVAL;
    }
    if (state.num > 1) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "ring %" PRIu32 ": %" PRIu32
                                         " is neither 0 nor 1",
                                         state.index, state.num);
    }
    ring->enabled = state.num;
    if (!ring->enabled) {
        vwl_session_ring_pause(session, state.index);
    }
    vwl_session_rings_update(session);
    return 0;
}

int vwl_session_vring_kick(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    struct vhost_user_vring_state state = get_state(msg);

    if (!find_ring(session, state.index, answer)) {
        return -EINVAL;
    }
    if (!vwl_session_has_protocol(session,
                                  VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS)) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "in-band notifications were not "
                                         "negotiated");
    }
    vwl_session_ring_kick(session, state.index);
    return 0;
}
