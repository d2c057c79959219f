/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/fd.h"

int vwl_session_set_log_base(struct vwl_session *session,
                             struct vwl_vhu_msg *msg,
                             struct vwl_session_answer *answer)
{
    struct vhost_user_log log;
    int err;

    memcpy(&log, msg->payload, sizeof log);
    err = vwl_dirty_set_base(session->dirty, msg->fds[0], log.offset, log.size);
    if (err < 0) {
        return vwl_session_answer_refuse(
            answer, err,
            "no log of %" PRIu64 " bytes at %" PRIu64 " of its file: %s",
            (uint64_t)log.size, (uint64_t)log.offset, g_strerror(-err));
    }
    return 0;
}

int vwl_session_set_log_fd(struct vwl_session *session, struct vwl_vhu_msg *msg,
                           struct vwl_session_answer *answer)
{
    if (!vwl_session_is_anonymous(msg->fds[0])) {
        return vwl_session_answer_refuse(answer, -EBADF,
                                         "its descriptor is no eventfd");
    }
    vwl_dirty_set_fd(session->dirty, &msg->fds[0]);
    return 0;
}

void vwl_session_flush_log(struct vwl_session *session)
{
    vwl_dirty_flush(session->dirty);
}

static bool offers_inflight(const struct vwl_session *session)
{
    return vwl_session_offers_protocol(session,
                                       VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
}

static int refuse_size(struct vwl_session_answer *answer, uint32_t bytes)
{
    return vwl_session_answer_refuse(answer, -EINVAL,
                                     "%" PRIu32 " bytes of payload instead of "
                                     "20, or 24 with padding",
                                     bytes);
}

static struct vhost_user_inflight get_wire(const struct vwl_vhu_msg *msg)
{
    struct vhost_user_inflight wire = { 0 };

    memcpy(&wire, msg->payload, MIN(msg->size, sizeof wire));
    return wire;
}

/* With the compiler's padding at the end, or without. */
static bool is_whole(const struct vwl_vhu_msg *msg)
{
    return msg->size == sizeof(struct vhost_user_inflight) ||
           msg->size == G_STRUCT_OFFSET(struct vhost_user_inflight, padding);
}

/* No buffer (size 0 and no descriptor) is an answer, too. */
int vwl_session_get_inflight(struct vwl_session *session,
                             struct vwl_vhu_msg *msg,
                             struct vwl_session_answer *answer)
{
    struct vhost_user_inflight wire = get_wire(msg);
    struct vwl_inflight *inflight = NULL;
    uint64_t size = 0;
    int err = -EOPNOTSUPP;

    if (!is_whole(msg)) {
        return refuse_size(answer, msg->size);
    }
    if (offers_inflight(session)) {
        err = vwl_inflight_create(vwl_session_has_feature(session,
                                                          VIRTIO_F_RING_PACKED),
                                  wire.num_queues, wire.queue_size, &inflight,
                                  &answer->fd, &size);
    }
    if (err < 0) {
        log_host_bug(session->log,
                     "no in-flight buffer for %u queues of %u entries: %s",
                     wire.num_queues, wire.queue_size,
                     err == -EINVAL ? "1 to 8 of up to 32768 may be asked for"
                     : err == -EOPNOTSUPP ? "it is not offered"
                                          : g_strerror(-err));
    }
    vwl_inflight_destroy(inflight);
    wire.mmap_size = err < 0 ? 0 : size;
    wire.mmap_offset = 0;
    vwl_session_answer_body(answer, &wire, msg->size);
    return 0;
}

int vwl_session_set_inflight(struct vwl_session *session,
                             struct vwl_vhu_msg *msg,
                             struct vwl_session_answer *answer)
{
    struct vhost_user_inflight wire = get_wire(msg);
    struct vwl_inflight *inflight = NULL;
    int err;

    if (!offers_inflight(session)) {
        return vwl_session_answer_refuse(answer, -EOPNOTSUPP,
                                         "INFLIGHT_SHMFD was not offered");
    }
    if (!is_whole(msg)) {
        return refuse_size(answer, msg->size);
    }
    if (vwl_session_any_started(session)) {
        return vwl_session_answer_refuse(answer, -EBUSY, "a ring is started");
    }
    err = vwl_inflight_open(vwl_session_has_feature(session,
                                                    VIRTIO_F_RING_PACKED),
                            msg->fds[0], wire.mmap_offset, wire.mmap_size,
                            wire.num_queues, wire.queue_size, &inflight);
    if (err < 0) {
        return vwl_session_answer_refuse(answer, err,
                                         "%u queues of %u entries do not fit "
                                         "into %" PRIu64 " bytes of its file: "
                                         "%s",
                                         wire.num_queues, wire.queue_size,
                                         (uint64_t)wire.mmap_size,
                                         g_strerror(-err));
    }
    vwl_inflight_destroy(session->inflight);
    session->inflight = inflight;
    return 0;
}
