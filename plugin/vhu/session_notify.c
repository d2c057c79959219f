/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"

/* ---- descriptors ------------------------------------------------------ */

bool vwl_session_is_anonymous(int fd)
{
    struct statx st;

    return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
                 STATX_TYPE | STATX_MODE, &st) == 0 &&
           (st.stx_mode & S_IFMT) == 0;
}

void vwl_session_notifier_set(struct vwl_session_notifier *notifier, int fd)
{
    int flags = fd < 0 ? O_NONBLOCK : fcntl(fd, F_GETFL);

    vwl_fd_clear(&notifier->fd);
    notifier->fd = fd;
    notifier->may_block = flags < 0 || !(flags & O_NONBLOCK);
}

static bool is_ready(int fd, short events)
{
    struct pollfd pfd = { .fd = fd, .events = events };
    int n;

    do {
        n = poll(&pfd, 1, 0);
    } while (n < 0 && errno == EINTR);
    return n == 1 && (pfd.revents & events);
}

/* A full eventfd has a signal pending anyway. */
static void notifier_signal(const struct vwl_session_notifier *notifier)
{
    const uint64_t one = 1;
    ssize_t n;

    if (notifier->may_block && !is_ready(notifier->fd, POLLOUT)) {
        return;
    }
    do {
        n = write(notifier->fd, &one, sizeof one);
    } while (n < 0 && errno == EINTR);
}

void vwl_session_call(struct vwl_session *session, unsigned int index)
{
    struct vwl_session_ring *ring = &session->rings[index];

    vwl_dirty_flush(session->dirty);
    if (!vwl_vq_is_started(ring->vq)) {
        return;
    }
    if (ring->call.fd >= 0) {
        notifier_signal(&ring->call);
    } else if (vwl_session_has_protocol(
                   session, VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS)) {
        vwl_backchan_vring_call(session->backchan, index);
    }
}

/* ---- faults ----------------------------------------------------------- */

static const char *queue_name(unsigned int index)
{
    return index == VIRTIO_WL_QUEUE_IN ? "in" : "out";
}

static void ring_break(struct vwl_session *session, unsigned int index)
{
    struct vwl_session_ring *ring = &session->rings[index];

    ring->broken = true;
    if (ring->state == VWL_RING_RUNNING) {
        ring->state = VWL_RING_KICKED;
    }
    vwl_vq_break(ring->vq);
    if (ring->err.fd >= 0) {
        notifier_signal(&ring->err);
    } else if (vwl_session_has_protocol(
                   session, VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS)) {
        vwl_backchan_vring_err(session->backchan, index);
    }
    if (vwl_session_has_protocol(session, VHOST_USER_PROTOCOL_F_CONFIG)) {
        vwl_backchan_config_change(session->backchan, NULL, NULL, 0);
    }
}

void vwl_session_ring_broken(struct vwl_session *session, unsigned int index,
                             const char *why)
{
    if (!session->rings[index].broken) {
        log_guest_bug(session->log, "ring %u (%s queue) is broken: %s", index,
                      queue_name(index), why);
        ring_break(session, index);
    }
}

void vwl_session_ring_refused(struct vwl_session *session, unsigned int index,
                              const char *why)
{
    log_host_bug(session->log, "ring %u (%s queue) cannot be started: %s",
                 index, queue_name(index), why);
    ring_break(session, index);
}

void vwl_session_ring_pause(struct vwl_session *session, unsigned int index)
{
    struct vwl_session_ring *ring = &session->rings[index];

    if (ring->state == VWL_RING_RUNNING) {
        session->ops->ring_stopping(session->opaque, index);
        if (ring->state == VWL_RING_RUNNING) {
            ring->state = VWL_RING_KICKED;
        }
    }
}

void vwl_session_ring_fault(struct vwl_session *session, unsigned int index,
                            const char *why)
{
    vwl_session_ring_pause(session, index);
    vwl_session_ring_broken(session, index, why);
}
