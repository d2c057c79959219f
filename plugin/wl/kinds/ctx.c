/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/fd.h"
#include "wl/answer.h"
#include "wl/inbox/recv.h"
#include "wl/peer/closer.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* A full backlog is not signalled when it empties: ask again. */
#define CONNECT_FIRST_MS 20
#define CONNECT_LAST_MS 100
#define CONNECT_TOTAL_MS 900

static void end_context(struct vwl_vfd *vfd, const char *why, int err)
{
    log_host_bug(vfd->core->log, "ctx 0x%" PRIx32 ": %s: %s; it is closed",
                 vfd->id, why, g_strerror(-err));
    vwl_vfd_hang_up(vfd);
}

static ssize_t ctx_receive(struct vwl_vfd *vfd, const struct iovec *buffer,
                           unsigned int n_buffer)
{
    struct vwl_recv recv;
    int fds[VWL_PEER_MAX_FDS];
    unsigned int n_fds = 0;
    ssize_t n;

    vwl_recv_begin(&recv, buffer, n_buffer);
    n = vwl_peer_read_fds(vfd->fd, recv.iov, recv.n_iov, fds, &n_fds);
    if (n == -EAGAIN) {
        return 0;
    }
    if (n <= 0) {
        vwl_closer_close_all(vfd->core->closer, fds, n_fds);
        if (n == -EMFILE) {
            end_context(vfd, "descriptors were cut off", (int)n);
        } else {
            vwl_vfd_in_end(vfd);
        }
        return 0;
    }
    if (n_fds) {
        int err = vwl_group_receive(vfd, fds, n_fds, recv.iov, recv.n_iov,
                                    (size_t)n);

        if (err < 0) {
            end_context(vfd, "a descriptor of its peer", err);
        }
        return 0;
    }
    return vwl_recv_end(&recv, vfd, (size_t)n);
}

static int ctx_fd_to_send(const struct vwl_vfd *vfd)
{
    return vfd->fd;
}

static void ctx_finish(struct vwl_vfd *vfd)
{
    if (vfd->group) {
        struct vwl_group *group = vfd->group;

        vfd->group = NULL;
        vwl_group_destroy(group);
    }
}

const struct vwl_vfd_ops vwl_ctx_ops = {
    .kind = VWL_VFD_CTX,
    .name = "ctx",
    .takes_fds = true,
    .receive = ctx_receive,
    .fd_to_send = ctx_fd_to_send,
    .finish = ctx_finish,
};

static int connect_by_path(struct vwl_vfd *vfd)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    size_t len = strlen(vfd->path);
    int err;

    if (vfd->fd < 0) {
        vfd->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                         0);
        err = vfd->fd < 0 ? -errno : vwl_fd_admit(vfd->fd);
        if (err < 0) {
            return err;
        }
    }
    if (len >= sizeof sun.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(sun.sun_path, vfd->path, len);
    return connect(vfd->fd, (struct sockaddr *)&sun, sizeof sun) < 0 ? -errno
                                                                     : 0;
}

static int ask_host(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = vfd };
    uint64_t now = vwl_clock_us();
    size_t index = 0;
    int err;

    if (!core->ops->socket_connect) {
        return -EOPNOTSUPP;
    }
    while (core->config.sockets[index].path != vfd->path) {
        index++;
    }
    err = core->ops->socket_connect(core->opaque, index, &vfd->answer_fd);
    if (err < 0) {
        return err;
    }
    err = vwl_fd_admit(vfd->answer_fd);
    if (err == 0 &&
        epoll_ctl(core->out_epoll, EPOLL_CTL_ADD, vfd->answer_fd, &event) < 0) {
        err = -errno;
    }
    if (err < 0) {
        vwl_fd_clear(&vfd->answer_fd);
        return err;
    }
    vwl_timer_set(&core->timers, &vfd->timer,
                  vfd->deadline_us > now
                      ? (unsigned int)((vfd->deadline_us - now) / 1000) + 1
                      : 1);
    return -EINPROGRESS;
}

/* As try_connect. */
static int take_answer(struct vwl_vfd *vfd)
{
    vwl_autofd int fd = -1;
    int err = vwl_fd_take_answer(vfd->answer_fd, &fd);

    if (err == -EINPROGRESS) {
        return err;
    }
    vwl_fd_clear(&vfd->answer_fd);
    if (err == 0) {
        err = vwl_fd_admit(fd);
    }
    if (err == 0) {
        vfd->fd = vwl_fd_steal(&fd);
    }
    return err;
}

/* 0; -EAGAIN: the backlog is full; -EINPROGRESS: the host was asked; else it
 * cannot be connected. */
static int try_connect(struct vwl_vfd *vfd)
{
    int err = ask_host(vfd);

    return err == -EOPNOTSUPP ? connect_by_path(vfd) : err;
}

static int connected(struct vwl_vfd *vfd)
{
    vfd->how = VWL_PEER_SOCKET;
    vfd->flags = VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE;
    vfd->enrolled = true;
    vwl_vfd_watch(vfd);
    return vfd->in_watched ? 0 : -ENOMEM;
}

static void log_refusal(struct vwl_vfd *vfd, int err)
{
    log_host_bug(vfd->core->log, "ctx 0x%" PRIx32 ": connecting to %s: %s",
                 vfd->id, vfd->path, g_strerror(-err));
}

/* After another attempt. */
static void go_on(struct vwl_vfd *vfd, int err)
{
    if (err == -EINPROGRESS) {
        return;
    }
    if (err == -EAGAIN && vwl_clock_us() < vfd->deadline_us) {
        vfd->retry_ms = MIN(vfd->retry_ms * 2, CONNECT_LAST_MS);
        vwl_timer_set(&vfd->core->timers, &vfd->timer, vfd->retry_ms);
        return;
    }
    if (err < 0) {
        log_refusal(vfd, err);
    } else {
        err = connected(vfd);
    }
    vwl_vfd_creation_end(vfd, err);
}

void vwl_ctx_answered(struct vwl_vfd *vfd)
{
    go_on(vfd, take_answer(vfd));
}

static void on_timer(struct vwl_timer *timer)
{
    struct vwl_vfd *vfd = vwl_list_entry(timer, struct vwl_vfd, timer);
    int err;

    if (vfd->answer_fd < 0) {
        err = try_connect(vfd);
    } else {
        err = take_answer(vfd); /* it may lie there since a pause */
        err = err == -EINPROGRESS ? -ETIMEDOUT : err;
    }
    go_on(vfd, err);
}

static int connect_start(struct vwl_vfd *vfd, struct vwl_request *request)
{
    int err, wait_err;

    vwl_timer_init(&vfd->timer, on_timer);
    vfd->retry_ms = CONNECT_FIRST_MS;
    vfd->deadline_us = vwl_clock_us() + CONNECT_TOTAL_MS * UINT64_C(1000);
    err = try_connect(vfd);
    if (err == 0) {
        return connected(vfd);
    }
    if (err == -EAGAIN || err == -EINPROGRESS) {
        wait_err = vwl_vfd_creation_wait(vfd, request);
        if (wait_err == 0) {
            if (err == -EAGAIN) {
                vwl_timer_set(&vfd->core->timers, &vfd->timer, vfd->retry_ms);
            }
            return -EINPROGRESS;
        }
        err = wait_err;
    }
    log_refusal(vfd, err);
    return err;
}

int vwl_ctx_create(struct vwl_core *core, struct vwl_request *request,
                   uint32_t id, const char *path)
{
    struct vwl_vfd *vfd;
    int err;

    if (core->n_contexts >= core->config.max_contexts) {
        log_guest_bug(core->log,
                      "ctx 0x%" PRIx32 ": the limit of %" PRIu32
                      " contexts is reached",
                      id, core->config.max_contexts);
        return -ENOSPC;
    }
    err = vwl_vfd_create(core, &vwl_ctx_ops, id, &vfd);
    if (err < 0) {
        return err;
    }
    vfd->is_context = true;
    core->n_contexts++;
    vfd->path = path;
    err = connect_start(vfd, request);
    if (err < 0 && err != -EINPROGRESS) {
        vwl_vfd_close(vfd, true);
    } else if (err == 0) {
        vfd->is_known = true;
        vwl_answer_new(core, request, vfd);
    }
    return err;
}
