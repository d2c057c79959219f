/*
 * Vhost-user virtio-wl device: messages of vhost-user, for the relay
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/virtio/vhost-user-wl-message.h"
#include <poll.h>
#include <sys/socket.h>

typedef union Control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int) * WL_MSG_FDS_MAX)];
} Control;

void vhost_user_wl_message_close_fds(WLMessage *msg)
{
    for (unsigned i = 0; i < msg->n_fds; i++) {
        close(msg->fds[i]);
    }
    msg->n_fds = 0;
}

/* 0: what failed for now, as n and errno say, can be tried again. */
static int wait_for(int sock, short events, ssize_t n, const WLPatience *p)
{
    struct pollfd fds[2] = { { sock, events, 0 }, { p->stop, POLLIN, 0 } };
    int64_t left;
    int ret;

    if (n == 0) {
        return -ECONNRESET;
    }
    if (errno == EINTR) {
        return 0;
    }
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
        return -errno;
    }
    left = p->until - g_get_monotonic_time();
    if (left <= 0) {
        return -ETIMEDOUT;
    }
    ret = poll(fds, G_N_ELEMENTS(fds), (left + 999) / 1000);
    if (ret < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    return fds[1].revents ? -ECANCELED : 0;
}

/* Those beyond what a message may have would be lost: a protocol error. */
static int take_fds(struct msghdr *head, WLMessage *msg)
{
    int ret = head->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
            if (msg->n_fds == WL_MSG_FDS_MAX) {
                close(fd);
                ret = -EPROTO;
            } else {
                msg->fds[msg->n_fds++] = fd;
            }
        }
    }
    return ret;
}

static int recv_all(int sock, void *to, size_t size, WLMessage *msg,
                    const WLPatience *p)
{
    size_t done = 0;

    while (done < size) {
        Control control;
        struct iovec iov = { (char *)to + done, size - done };
        struct msghdr head = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof(control),
        };
        ssize_t n = recvmsg(sock, &head, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        int ret = n > 0 ? take_fds(&head, msg) : wait_for(sock, POLLIN, n, p);

        if (ret < 0) {
            return ret;
        }
        done += MAX(n, 0);
    }
    return 0;
}

int vhost_user_wl_message_recv(int sock, WLMessage *msg, const WLPatience *p)
{
    int ret;

    msg->n_fds = 0;
    ret = recv_all(sock, &msg->head, sizeof(msg->head), msg, p);
    if (ret == 0 &&
        ((msg->head.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
         msg->head.size > sizeof(msg->payload))) {
        ret = -EPROTO;
    }
    if (ret == 0) {
        ret = recv_all(sock, &msg->payload, msg->head.size, msg, p);
    }
    if (ret < 0) {
        vhost_user_wl_message_close_fds(msg);
    }
    return ret;
}

int vhost_user_wl_message_send(int sock, const WLMessage *msg,
                               const WLPatience *p)
{
    size_t size = sizeof(msg->head) + msg->head.size, done = 0;
    Control control = {};
    struct msghdr head = { .msg_iovlen = 1 };

    QEMU_BUILD_BUG_ON(offsetof(WLMessage, payload) !=
                      offsetof(WLMessage, head) + sizeof(msg->head));
    if (msg->n_fds) {
        head.msg_control = &control;
        head.msg_controllen = CMSG_SPACE(sizeof(int) * msg->n_fds);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int) * msg->n_fds);
        memcpy(CMSG_DATA(&control.head), msg->fds, sizeof(int) * msg->n_fds);
    }
    while (done < size) {
        struct iovec iov = { (char *)&msg->head + done, size - done };
        ssize_t n;

        head.msg_iov = &iov;
        n = sendmsg(sock, &head, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0) {
            int ret = wait_for(sock, POLLOUT, n, p);

            if (ret < 0) {
                return ret;
            }
            continue;
        }
        done += n;
        /* with the first byte */
        head.msg_control = NULL;
        head.msg_controllen = 0;
    }
    return 0;
}

bool vhost_user_wl_message_is_answered(const WLMessage *msg, uint64_t acked)
{
    switch (msg->head.request) {
    case VHOST_USER_GET_FEATURES:
    case VHOST_USER_GET_VRING_BASE:
    case VHOST_USER_GET_PROTOCOL_FEATURES:
    case VHOST_USER_GET_QUEUE_NUM:
    case VHOST_USER_GET_CONFIG:
    case VHOST_USER_GET_INFLIGHT_FD:
    case VHOST_USER_GET_STATUS:
    case VHOST_USER_GET_SHMEM_CONFIG:
        return true;
    case VHOST_USER_SET_LOG_BASE:
        return acked & (1ULL << VHOST_USER_PROTOCOL_F_LOG_SHMFD);
    default:
        return msg->head.flags & VHOST_USER_NEED_REPLY_MASK;
    }
}

int vhost_user_wl_message_answer(int sock, const WLMessage *msg, uint64_t value,
                                 const WLPatience *p)
{
    WLMessage *answer = g_new(WLMessage, 1);
    int ret;

    answer->head = (struct vhost_user_header){
        .request = msg->head.request,
        .flags = VHOST_USER_VERSION | VHOST_USER_REPLY_MASK,
        .size = sizeof(value),
    };
    answer->payload.u64 = value;
    answer->n_fds = 0;
    ret = vhost_user_wl_message_send(sock, answer, p);
    g_free(answer);
    return ret;
}
