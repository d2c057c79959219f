/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define DIRECTION_LOAD 1
#define PHASE_STOPPED 0
#define NO_DESCRIPTOR 0x100u

bool vwl_session_is_still(const struct vwl_session *session)
{
    return session->suspended || !vwl_session_any_started(session);
}

static int refuse_state(struct vwl_session_answer *answer)
{
    return vwl_session_answer_refuse(answer, -EOPNOTSUPP,
                                     "DEVICE_STATE was not negotiated");
}

int vwl_session_set_state_fd(struct vwl_session *session,
                             struct vwl_vhu_msg *msg,
                             struct vwl_session_answer *answer)
{
    struct vhost_user_device_state state;
    struct stat st;
    int err;

    memcpy(&state, msg->payload, sizeof state);
    if (!vwl_session_has_protocol(session,
                                  VHOST_USER_PROTOCOL_F_DEVICE_STATE) ||
        !session->ops->state_start) {
        return refuse_state(answer);
    }
    if (state.direction > DIRECTION_LOAD || state.phase != PHASE_STOPPED) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "direction %u in phase %u is unknown",
                                         state.direction, state.phase);
    }
    if (vwl_session_any_started(session)) {
        return vwl_session_answer_refuse(answer, -EBUSY, "a ring is started");
    }
    if (fstat(msg->fds[0], &st) < 0 ||
        (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode) &&
         !S_ISREG(st.st_mode))) {
        return vwl_session_answer_refuse(answer, -EBADF,
                                         "its descriptor is no pipe, socket or "
                                         "file");
    }
    err = session->ops->state_start(session->opaque,
                                    state.direction != DIRECTION_LOAD,
                                    &msg->fds[0]);
    if (err < 0) {
        return vwl_session_answer_errno(answer, err, "the transfer");
    }
    vwl_session_answer_u64(answer, NO_DESCRIPTOR);
    return 0;
}

int vwl_session_check_state(struct vwl_session *session,
                            struct vwl_vhu_msg *msg,
                            struct vwl_session_answer *answer)
{
    int err;

    if (!vwl_session_has_protocol(session,
                                  VHOST_USER_PROTOCOL_F_DEVICE_STATE) ||
        !session->ops->state_check) {
        return refuse_state(answer);
    }
    if (session->checking) {
        return vwl_session_answer_refuse(answer, -EBUSY,
                                         "one before it waits for its answer");
    }
    err = session->ops->state_check(session->opaque);
    session->checking = err == -EINPROGRESS;
    return err < 0 && !session->checking
               ? vwl_session_answer_errno(answer, err,
                                          "how the last transfer ended")
               : err;
}

void vwl_session_state_done(struct vwl_session *session, int err)
{
    uint64_t value = err < 0;

    if (session->checking && !session->fatal) {
        session->checking = false;
        vwl_vhu_write(session->writer, session->socket.fd,
                      VHOST_USER_CHECK_DEVICE_STATE,
                      VHOST_USER_VERSION | VHOST_USER_REPLY_MASK, &value,
                      sizeof value, -1);
    }
}

bool vwl_session_ring_base(const struct vwl_session *session,
                           unsigned int index, uint32_t *base)
{
    const struct vwl_session_ring *ring = &session->rings[index];

    *base = vwl_vq_is_started(ring->vq) ? vwl_vq_base(ring->vq) : ring->answer;
    return vwl_vq_is_started(ring->vq) || ring->has_answer;
}

void vwl_session_ring_restore(struct vwl_session *session, unsigned int index,
                              bool used, uint32_t base)
{
    struct vwl_session_ring *ring = &session->rings[index];

    ring->broken = ring->was_broken = false;
    if (vwl_vq_is_started(ring->vq)) {
        /* suspended: it goes on from there */
        vwl_vq_stop(ring->vq);
        ring->has |= VWL_RING_BASE;
        ring->base = base;
    }
    ring->has_answer = used;
    ring->answer = base;
}
