/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>

#include "base/fd.h"

/* Requests of one dispatch: then the other sources have a turn. */
#define BUDGET 64

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
    vwl_watched_init(&session->socket);
    vwl_watched_set(&session->socket, vwl_fd_steal(fd));
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
    vwl_watched_clear(&session->socket);
    g_free(session);
}

struct vwl_watched *vwl_session_socket(struct vwl_session *session)
{
    return &session->socket;
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

struct vwl_backchan *vwl_session_backchan(struct vwl_session *session)
{
    return session->backchan;
}

const struct vwl_mem *vwl_session_mem(const struct vwl_session *session)
{
    return session->mem;
}

/* Whether an answer is due is only known afterwards: SET_PROTOCOL_FEATURES
 * may be the one that makes it so. */
static bool is_due(const struct vwl_session *session,
                   enum vwl_session_reply reply, const struct vwl_vhu_msg *msg)
{
    bool asked = msg->flags & VHOST_USER_NEED_REPLY_MASK &&
                 vwl_session_has_protocol(session,
                                          VHOST_USER_PROTOCOL_F_REPLY_ACK);

    switch (reply) {
    case VWL_REPLY_ACK:
        return asked;
    case VWL_REPLY_LOGGED:
        return asked ||
               vwl_session_has_protocol(session,
                                        VHOST_USER_PROTOCOL_F_LOG_SHMFD);
    default:
        return true;
    }
}

/* An answer that says no. */
static void make_refusal(struct vwl_session_answer *answer,
                         const struct vwl_session_row *row)
{
    vwl_fd_clear(&answer->fd);
    switch (row ? row->reply : VWL_REPLY_ACK) {
    case VWL_REPLY_VALUE:
        vwl_session_answer_u64(answer, 0);
        break;
    case VWL_REPLY_BODY:
        answer->size = 0;
        break;
    default:
        vwl_session_answer_u64(answer, row && row->refusal ? row->refusal : 1);
        break;
    }
}

static int check_shape(const struct vwl_vhu_row *shape,
                       const struct vwl_vhu_msg *msg,
                       struct vwl_session_answer *answer)
{
    if (msg->fds_lost) {
        return vwl_session_answer_refuse(answer, -EMFILE,
                                         "this process has no room for its "
                                         "descriptors");
    }
    if (msg->size < shape->min_size || msg->size > shape->max_size) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "%u bytes of payload instead of "
                                         "%u to %u",
                                         msg->size, shape->min_size,
                                         shape->max_size);
    }
    if (msg->n_fds < shape->min_fds || msg->n_fds > shape->max_fds) {
        return vwl_session_answer_refuse(answer, -EINVAL,
                                         "%u descriptors instead of %u to %u",
                                         msg->n_fds, shape->min_fds,
                                         shape->max_fds);
    }
    return 0;
}

static int run_handler(struct vwl_session *session,
                       const struct vwl_session_row *row,
                       struct vwl_vhu_msg *msg,
                       struct vwl_session_answer *answer)
{
    int err;

    if (!row) {
        return vwl_session_answer_refuse(answer, -EOPNOTSUPP,
                                         "a message that is not known");
    }
    if (!row->serve) {
        return vwl_session_answer_refuse(answer, -EOPNOTSUPP,
                                         "not a part of this device");
    }
    err = check_shape(&row->shape, msg, answer);
    return err < 0 ? err : row->serve(session, msg, answer);
}

static void send_answer(struct vwl_session *session,
                        const struct vwl_session_row *row, uint32_t request,
                        struct vwl_session_answer *answer)
{
    int err = vwl_vhu_write(session->writer, session->socket.fd, request,
                            VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
                            answer->payload, answer->size, answer->fd);

    if (err == -ECONNRESET) {
        session->fatal = err;
    } else if (err < 0) {
        /* No descriptor to let the answer wait with: say so instead. */
        make_refusal(answer, row);
        vwl_vhu_write(session->writer, session->socket.fd, request,
                      VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
                      answer->payload, answer->size, -1);
    }
}

static void serve(struct vwl_session *session, struct vwl_vhu_msg *msg)
{
    const struct vwl_session_row *row = vwl_session_row(msg->request);
    enum vwl_session_reply reply = row ? row->reply : VWL_REPLY_ACK;
    struct vwl_session_answer answer = { .fd = -1 };
    int err = run_handler(session, row, msg, &answer);

    if (err == -EINPROGRESS) {
        return;
    }
    if (err < 0) {
        log_host_bug(session->log, "request %u (%s) refused: %s", msg->request,
                     row ? row->shape.name : "?",
                     answer.why[0] ? answer.why : g_strerror(-err));
        make_refusal(&answer, row);
    } else if (answer.size == 0 && reply != VWL_REPLY_VALUE &&
               reply != VWL_REPLY_BODY) {
        vwl_session_answer_u64(&answer, 0);
    }
    if (!session->fatal && is_due(session, reply, msg)) {
        send_answer(session, row, msg->request, &answer);
    }
    vwl_fd_clear(&answer.fd);
}

int vwl_session_dispatch(struct vwl_session *session)
{
    struct vwl_vhu_msg msg;
    const char *why = "?";

    if (!session->fatal &&
        vwl_vhu_flush(session->writer, session->socket.fd) < 0) {
        session->fatal = -ECONNRESET;
    }
    vwl_vhu_msg_init(&msg);
    /* No request is read while an answer waits: a front-end that does not
     * read its answers stops itself. */
    for (int i = 0; i < BUDGET && !session->fatal &&
                    !vwl_vhu_writer_pending(session->writer);
         i++) {
        int got = vwl_vhu_read(&session->reader, session->socket.fd, &msg,
                               &why);

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
