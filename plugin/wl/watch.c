/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/watch.h"

#include <errno.h>
#include <sys/epoll.h>

#include "wl/outbox/foreign.h"
#include "wl/state.h"
#include "wl/vfd.h"

static bool watch_in_wanted(const struct vwl_vfd *vfd)
{
    return vfd->in == VWL_IN_OPEN && vfd->fd >= 0 && !vfd->pause &&
           vfd->ops->receive &&
           (vfd->flags & (VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_FENCE));
}

static int watch_failed(const struct vwl_vfd *vfd)
{
    int err = -errno;

    log_host_bug(vfd->core->log,
                 "%s 0x%" PRIx32 ": epoll does not take its descriptor: %s",
                 vfd->ops->name, vfd->id, g_strerror(-err));
    return err;
}

int vwl_watch_in(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = vfd };
    bool wanted = watch_in_wanted(vfd);

    if (wanted == vfd->in_watched) {
        return 0;
    }
    vfd->in_watched = wanted;
    if (!wanted) {
        epoll_ctl(core->in.fd, EPOLL_CTL_DEL, vfd->fd, &event);
    } else if (epoll_ctl(core->in.fd, EPOLL_CTL_ADD, vfd->fd, &event) < 0) {
        vfd->in_watched = false;
        return watch_failed(vfd);
    }
    return 0;
}

static uint32_t watch_out_wanted(const struct vwl_vfd *vfd)
{
    if (vfd->in == VWL_IN_UNREADY || vfd->fd < 0 || vfd->send_broken) {
        return 0;
    }
    if (vfd->outbox.len > 0 ||
        (vfd->first_wait && !vwl_foreign_is_due(vfd->first_wait))) {
        return EPOLLOUT | EPOLLERR;
    }
    /* that its reader is gone is told by nothing else */
    return vfd->ops->writes_alone && vfd->flags == VIRTIO_WL_VFD_WRITE
               ? EPOLLERR
               : 0;
}

int vwl_watch_out(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;
    uint32_t wanted = watch_out_wanted(vfd);
    struct epoll_event event = { .events = wanted, .data.ptr = vfd };
    int how = vfd->out_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (wanted == vfd->out_watched) {
        return 0;
    }
    vfd->out_watched = wanted;
    if (!wanted) {
        epoll_ctl(core->out.fd, EPOLL_CTL_DEL, vfd->fd, &event);
    } else if (epoll_ctl(core->out.fd, how, vfd->fd, &event) < 0) {
        vfd->out_watched = 0;
        return watch_failed(vfd);
    }
    return 0;
}

void vwl_watch_end(struct vwl_vfd *vfd)
{
    struct epoll_event event = { 0 };

    if (vfd->in_watched) {
        epoll_ctl(vfd->core->in.fd, EPOLL_CTL_DEL, vfd->fd, &event);
        vfd->in_watched = false;
    }
    if (vfd->out_watched) {
        epoll_ctl(vfd->core->out.fd, EPOLL_CTL_DEL, vfd->fd, &event);
        vfd->out_watched = 0;
    }
}
