/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <string.h>

#include "base/fd.h"

/* Requests of one dispatch: then the other sources have a turn. */
#define BUDGET 64

/* How a request is answered. */
enum answer_kind {
    ACK,    /* u64 0 or not, if asked */
    STATUS, /* the same, always */
    LOGGED, /* always once LOG_SHMFD was acknowledged */
    VALUE,  /* a u64, always; 0 when refused */
    BODY,   /* a payload, always; empty when refused */
};

struct route {
    uint32_t request;
    enum answer_kind kind;
    vwl_session_serve *serve;
    uint64_t refusal; /* of STATUS; 0 is 1 */
};

/* clang-format off */
static const struct route routes[] = {
    { VHOST_USER_GET_FEATURES, VALUE, vwl_session_get_features },
    { VHOST_USER_SET_FEATURES, ACK, vwl_session_set_features },
    { VHOST_USER_SET_OWNER, ACK, vwl_session_set_owner },
    { VHOST_USER_RESET_OWNER, ACK, vwl_session_reset_owner },
    { VHOST_USER_SET_MEM_TABLE, ACK, vwl_session_set_mem_table },
    { VHOST_USER_SET_LOG_BASE, LOGGED, vwl_session_set_log_base },
    { VHOST_USER_SET_LOG_FD, ACK, vwl_session_set_log_fd },
    { VHOST_USER_SET_VRING_NUM, ACK, vwl_session_vring_num },
    { VHOST_USER_SET_VRING_ADDR, ACK, vwl_session_vring_addr },
    { VHOST_USER_SET_VRING_BASE, ACK, vwl_session_vring_base },
    { VHOST_USER_GET_VRING_BASE, BODY, vwl_session_get_vring_base },
    { VHOST_USER_SET_VRING_KICK, ACK, vwl_session_vring_kick },
    { VHOST_USER_SET_VRING_CALL, ACK, vwl_session_vring_call },
    { VHOST_USER_SET_VRING_ERR, ACK, vwl_session_vring_err },
    { VHOST_USER_GET_PROTOCOL_FEATURES, VALUE,
      vwl_session_get_protocol_features },
    { VHOST_USER_SET_PROTOCOL_FEATURES, ACK, vwl_session_set_protocol_features },
    { VHOST_USER_GET_QUEUE_NUM, VALUE, vwl_session_get_queue_num },
    { VHOST_USER_SET_VRING_ENABLE, ACK, vwl_session_vring_enable },
    { VHOST_USER_SET_BACKEND_REQ_FD, ACK, vwl_session_set_backend_fd },
    { VHOST_USER_IOTLB_MSG, STATUS, vwl_session_iotlb_msg },
    { VHOST_USER_GET_CONFIG, BODY, vwl_session_get_config },
    { VHOST_USER_SET_CONFIG, ACK, vwl_session_refuse },
    { VHOST_USER_GET_INFLIGHT_FD, BODY, vwl_session_get_inflight },
    { VHOST_USER_SET_INFLIGHT_FD, ACK, vwl_session_set_inflight },
    { VHOST_USER_RESET_DEVICE, ACK, vwl_session_reset_device },
    { VHOST_USER_VRING_KICK, ACK, vwl_session_inband_kick },
    { VHOST_USER_GET_MAX_MEM_SLOTS, VALUE, vwl_session_get_mem_slots },
    { VHOST_USER_ADD_MEM_REG, ACK, vwl_session_add_region },
    { VHOST_USER_REM_MEM_REG, ACK, vwl_session_remove_region },
    { VHOST_USER_SET_STATUS, ACK, vwl_session_set_status },
    { VHOST_USER_GET_STATUS, VALUE, vwl_session_get_status },
    /* bit 8 says that no descriptor comes back */
    { VHOST_USER_SET_DEVICE_STATE_FD, STATUS, vwl_session_set_state_fd, 0x101 },
    { VHOST_USER_CHECK_DEVICE_STATE, STATUS, vwl_session_check_state },
    { VHOST_USER_GET_SHMEM_CONFIG, BODY, vwl_session_get_shmem_config },
    { VHOST_USER_GET_SHARED_MEMORY_REGIONS, BODY,
      vwl_session_get_private_regions },
};
/* clang-format on */

static const struct route *find_route(uint32_t request)
{
    for (size_t i = 0; i < G_N_ELEMENTS(routes); i++) {
        if (routes[i].request == request) {
            return &routes[i];
        }
    }
    return NULL;
}

struct vwl_session *vwl_session_create(const struct vwl_session_config *config,
                                       const struct vwl_session_ops *ops,
                                       void *opaque, struct vwl_log *log,
                                       int *fd)
{
    struct vwl_session *session = g_new0(struct vwl_session, 1);

    session->config = *config;
    session->ops = ops;
    session->opaque = opaque;
    session->log = log;
    session->fd = vwl_fd_steal(fd);
    session->offered = config->features | BIT(VHOST_USER_F_PROTOCOL_FEATURES);
    vwl_vhu_reader_init(&session->reader);
    session->writer = vwl_vhu_writer_create();
    session->backchan = vwl_backchan_create(log);
    vwl_backchan_hold(session->backchan, true);
    session->dirty = vwl_dirty_create();
    vwl_session_memory_init(session);
    vwl_session_rings_init(session);
    return session;
}

void vwl_session_destroy(struct vwl_session *session)
{
    if (!session) {
        return;
    }
    vwl_backchan_destroy(session->backchan);
    vwl_session_rings_finish(session);
    vwl_inflight_destroy(session->inflight);
    vwl_session_memory_finish(session);
    vwl_dirty_destroy(session->dirty);
    vwl_vhu_reader_finish(&session->reader);
    vwl_vhu_writer_destroy(session->writer);
    vwl_fd_clear(&session->fd);
    g_free(session);
}

int vwl_session_fd(const struct vwl_session *session)
{
    return session->fd;
}

bool vwl_session_wants_write(const struct vwl_session *session)
{
    return vwl_vhu_writer_pending(session->writer);
}

bool vwl_session_wants_read(const struct vwl_session *session)
{
    return !vwl_vhu_writer_pending(session->writer);
}

bool vwl_session_is_starved(const struct vwl_session *session)
{
    return vwl_vhu_writer_pending(session->writer)
               ? vwl_vhu_writer_starved(session->writer)
               : session->reader.starved;
}

uint64_t vwl_session_features(const struct vwl_session *session)
{
    return session->acked;
}

struct vwl_backchan *vwl_session_backchan(struct vwl_session *session)
{
    return session->backchan;
}

static bool is_well_formed(const struct vwl_vhu_row *row,
                           const struct vwl_vhu_msg *msg)
{
    return msg->size >= row->min_size && msg->size <= row->max_size &&
           msg->n_fds >= row->min_fds && msg->n_fds <= row->max_fds &&
           !msg->fds_lost;
}

/* Whether an answer is due is only known afterwards: SET_PROTOCOL_FEATURES
 * may be the one that makes it so. */
static bool is_due(const struct vwl_session *session, enum answer_kind kind,
                   const struct vwl_vhu_msg *msg)
{
    bool asked = msg->flags & VHOST_USER_NEED_REPLY_MASK &&
                 vwl_session_has_protocol(session,
                                          VHOST_USER_PROTOCOL_F_REPLY_ACK);

    switch (kind) {
    case ACK:
        return asked;
    case LOGGED:
        return asked ||
               vwl_session_has_protocol(session,
                                        VHOST_USER_PROTOCOL_F_LOG_SHMFD);
    default:
        return true;
    }
}

static void refuse(struct vwl_session_answer *answer, const struct route *route)
{
    vwl_fd_clear(&answer->fd);
    switch (route ? route->kind : ACK) {
    case VALUE:
        vwl_session_answer_u64(answer, 0);
        break;
    case BODY:
        answer->size = 0;
        break;
    default:
        vwl_session_answer_u64(answer,
                               route && route->refusal ? route->refusal : 1);
        break;
    }
}

static void serve(struct vwl_session *session, struct vwl_vhu_msg *msg)
{
    const struct vwl_vhu_row *row = vwl_vhu_row(msg->request);
    const struct route *route = find_route(msg->request);
    struct vwl_session_answer answer = { .fd = -1 };
    const char *why = NULL;
    int err;

    if (!row || !route) {
        why = row ? "not a part of this device" : "not known";
    } else if (msg->fds_lost) {
        why = "no descriptors are left for its own";
    } else if (!is_well_formed(row, msg)) {
        why = "wrong size or number of descriptors";
    } else if ((err = route->serve(session, msg, &answer)) == -EINPROGRESS) {
        return;
    } else if (err < 0) {
        why = g_strerror(-err);
    } else if (answer.size == 0 &&
               (route->kind == ACK || route->kind == STATUS ||
                route->kind == LOGGED)) {
        vwl_session_answer_u64(&answer, 0);
    }
    if (why) {
        log_host_bug(session->log, "request %u (%s) refused: %s", msg->request,
                     row ? row->name : "?", why);
        refuse(&answer, route);
    }
    if (!session->fatal && is_due(session, route ? route->kind : ACK, msg)) {
        err = vwl_vhu_write(session->writer, session->fd, msg->request,
                            VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
                            answer.payload, answer.size, answer.fd);
        if (err == -ECONNRESET) {
            session->fatal = err;
        } else if (err < 0) {
            /* No descriptor to let the answer wait with: say so instead. */
            refuse(&answer, route);
            vwl_vhu_write(session->writer, session->fd, msg->request,
                          VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
                          answer.payload, answer.size, -1);
        }
    }
    vwl_fd_clear(&answer.fd);
}

int vwl_session_dispatch(struct vwl_session *session)
{
    struct vwl_vhu_msg msg;
    const char *why = "?";

    if (!session->fatal && vwl_vhu_flush(session->writer, session->fd) < 0) {
        session->fatal = -ECONNRESET;
    }
    vwl_vhu_msg_init(&msg);
    /* No request is read while an answer waits: a front-end that does not
     * read its answers stops itself. */
    for (int i = 0; i < BUDGET && !session->fatal &&
                    !vwl_vhu_writer_pending(session->writer);
         i++) {
        int got = vwl_vhu_read(&session->reader, session->fd, &msg, &why);

        if (got == 0) {
            break;
        }
        if (got > 0 && msg.flags & VHOST_USER_REPLY_MASK) {
            why = "a reply to nothing";
            got = -EPROTO;
        }
        if (got < 0) {
            vwl_vhu_msg_finish(&msg);
            if (got == -EPROTO) {
                log_host_bug(session->log, "malformed stream: %s", why);
            }
            session->fatal = got;
            break;
        }
        serve(session, &msg);
        vwl_vhu_msg_finish(&msg);
    }
    return session->fatal;
}

void vwl_session_dispatch_backchan(struct vwl_session *session)
{
    if (vwl_backchan_dispatch(session->backchan) < 0) {
        session->ops->backchan_changed(session->opaque);
        if (!vwl_session_any_kicked(session)) {
            vwl_session_device_reset(session, VWL_RESET_CHANNEL);
        }
    }
}

void vwl_session_suspend(struct vwl_session *session, bool on)
{
    session->suspended = on;
    if (on) {
        for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
            vwl_session_ring_pause(session, i);
        }
    }
    vwl_session_rings_update(session);
}
