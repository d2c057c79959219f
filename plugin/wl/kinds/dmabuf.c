/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/le.h"
#include "wl/answer.h"
#include "wl/kinds/dmabuf.h"
#include "wl/outbox/wait.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* How long a request waits for somebody to know what the compositor takes. */
#define OFFER_MS 1000

static int dmabuf_fd_to_send(const struct vwl_vfd *vfd)
{
    return vfd->send_fd;
}

/* ---- synchronising ------------------------------------------------------ */

/* What must be over before the processor may go on: writes of devices before
 * it reads, their reads, too, before it writes. */
static short awaited(uint32_t flags)
{
    if (flags & VIRTIO_WL_DMABUF_SYNC_END) {
        return 0;
    }
    return flags & VIRTIO_WL_DMABUF_SYNC_WRITE ? POLLOUT : POLLIN;
}

static uint32_t flags_of(const struct vwl_request *request)
{
    return vwl_le_get32(request->head + 12);
}

static bool is_ready(const struct vwl_vfd *vfd, uint32_t flags)
{
    struct pollfd p = { .fd = vfd->send_fd, .events = awaited(flags) };

    return p.events == 0 || poll(&p, 1, 0) != 0;
}

static int carry_out(const struct vwl_vfd *vfd, uint32_t flags)
{
    struct dma_buf_sync sync = { .flags = flags };
    int ret;

    do {
        ret = ioctl(vfd->send_fd, DMA_BUF_IOCTL_SYNC, &sync);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -EIO : 0;
}

/* False: it cannot be watched. */
static bool watch(struct vwl_vfd *vfd)
{
    uint32_t wanted = 0;
    struct epoll_event event = { .data.ptr = vfd };
    int how;

    if (vfd->first_wait) {
        /* EPOLLIN and EPOLLOUT have the values of POLLIN and POLLOUT */
        wanted = (uint32_t)awaited(flags_of(vfd->first_wait));
    }
    if (wanted == vfd->dmabuf->watched) {
        return true;
    }
    how = !wanted                ? EPOLL_CTL_DEL
          : vfd->dmabuf->watched ? EPOLL_CTL_MOD
                                 : EPOLL_CTL_ADD;
    vfd->dmabuf->watched = wanted;
    event.events = wanted;
    return epoll_ctl(vfd->core->out_epoll, how, vfd->send_fd, &event) == 0 ||
           !wanted;
}

static void on_ready(struct vwl_vfd *vfd)
{
    while (vfd->first_wait && is_ready(vfd, flags_of(vfd->first_wait))) {
        vwl_wait_complete(vfd, carry_out(vfd, flags_of(vfd->first_wait)));
    }
    if (!watch(vfd)) {
        vwl_wait_fail(vfd, -EIO);
    }
}

int vwl_dmabuf_sync(struct vwl_vfd *vfd, struct vwl_request *request)
{
    int ret;

    if (vfd->send_fd < 0) {
        return -EPIPE;
    }
    if (!vfd->first_wait && is_ready(vfd, flags_of(request))) {
        return carry_out(vfd, flags_of(request));
    }
    ret = vwl_vfd_wait(vfd, request);
    if (ret == -EINPROGRESS && !watch(vfd)) {
        vwl_wait_fail(vfd, -EIO);
    }
    return ret;
}

static void unwatch(struct vwl_vfd *vfd)
{
    struct epoll_event event = { 0 };

    if (vfd->dmabuf && vfd->dmabuf->watched) {
        epoll_ctl(vfd->core->out_epoll, EPOLL_CTL_DEL, vfd->send_fd, &event);
        vfd->dmabuf->watched = 0;
    }
}

static void forget(struct vwl_vfd *vfd)
{
    vfd->core->n_dmabufs -= vfd->dmabuf != NULL;
    g_clear_pointer(&vfd->dmabuf, g_free);
}

const struct vwl_vfd_ops vwl_vfd_dmabuf_ops = {
    .kind = VWL_VFD_DMABUF,
    .name = "dmabuf",
    .send_refusal = -VWL_EBADTYPE,
    .fd_to_send = dmabuf_fd_to_send,
    .on_ready = on_ready,
    .finish = unwatch,
    .free = forget,
};

/* ---- making ------------------------------------------------------------- */

static int offer(struct vwl_core *core)
{
    return core->ops->buffer_offer ? core->ops->buffer_offer(core->opaque)
                                   : -EOPNOTSUPP;
}

bool vwl_dmabuf_offered(struct vwl_core *core)
{
    return offer(core) != -EOPNOTSUPP;
}

/* EBADCMD is what the guest's probe gets, and nobody else. */
static int alloc(struct vwl_vfd *vfd, struct vwl_buffer *made)
{
    struct vwl_core *core = vfd->core;
    struct vwl_buffer_wish wish = vfd->dmabuf->wish;
    int err;

    wish.max_bytes = MIN(vwl_core_shm_left(core), core->config.shm_window);
    err = core->ops->buffer_alloc(core->opaque, &wish, made);
    if (err == -VWL_EBADCMD) {
        err = -EIO;
    }
    if (err < 0) {
        log_guest_bug(core->log,
                      "dmabuf 0x%" PRIx32 ": %" PRIu32 "x%" PRIu32
                      " of format 0x%08" PRIx32 " cannot be had: %s",
                      vfd->id, wish.width, wish.height, wish.format,
                      g_strerror(-err));
    }
    return err;
}

static int make(struct vwl_vfd *vfd)
{
    struct vwl_buffer made;
    int err = offer(vfd->core);

    if (err == -EOPNOTSUPP) {
        return -VWL_EBADCMD;
    }
    err = err < 0 ? err : alloc(vfd, &made);
    if (err < 0) {
        return err;
    }
    vfd->send_fd = made.fd;
    vfd->copy_fd = made.map_fd;
    vfd->size_bytes = made.size_bytes;
    vfd->dmabuf->layout = made;
    err = vwl_shm_charge(vfd, made.size_bytes);
    return err < 0 ? err
                   : vwl_shm_map(vfd, made.map_fd >= 0 ? made.map_fd : made.fd,
                                 made.size_bytes);
}

static void retry(struct vwl_vfd *vfd, bool last)
{
    int err = offer(vfd->core);

    if (err == -EINPROGRESS && !last) {
        return;
    }
    vwl_list_remove(&vfd->base_waiter);
    vwl_timer_cancel(&vfd->core->timers, &vfd->timer);
    err = err == -EINPROGRESS ? -VWL_EBADCMD : make(vfd);
    if (err != -EINPROGRESS) {
        vwl_vfd_creation_end(vfd, err);
    }
}

static void on_offer_late(struct vwl_timer *timer)
{
    retry(vwl_list_entry(timer, struct vwl_vfd, timer), true);
}

void vwl_dmabuf_offer_changed(struct vwl_core *core)
{
    struct vwl_list *link = core->buffer_waiters.next;

    while (link != &core->buffer_waiters) {
        struct vwl_vfd *vfd = vwl_list_entry(link, struct vwl_vfd, base_waiter);

        link = link->next;
        retry(vfd, false);
    }
}

static int start(struct vwl_vfd *vfd, struct vwl_request *request)
{
    struct vwl_core *core = vfd->core;
    int err = make(vfd);

    if (err != -EINPROGRESS) {
        return err;
    }
    if (vfd->send_fd < 0) {
        vwl_list_insert(&core->buffer_waiters, &vfd->base_waiter);
        vwl_timer_init(&vfd->timer, on_offer_late);
        vwl_timer_set(&core->timers, &vfd->timer, OFFER_MS);
    }
    err = vwl_vfd_creation_wait(vfd, request);
    return err < 0 ? err : -EINPROGRESS;
}

int vwl_dmabuf_create(struct vwl_core *core, struct vwl_request *request,
                      uint32_t id, const struct vwl_buffer_wish *wish)
{
    struct vwl_vfd *vfd;
    int err = vwl_vfd_create(core, &vwl_vfd_dmabuf_ops, id, &vfd);

    if (err < 0) {
        return err;
    }
    err = vwl_dmabuf_adopt(vfd);
    if (err == 0) {
        vfd->dmabuf->wish = *wish;
        err = start(vfd, request);
    }
    if (err < 0 && err != -EINPROGRESS) {
        vwl_vfd_close(vfd, true);
    } else if (err == 0) {
        vfd->is_known = true;
        vwl_answer_new(core, request, vfd);
    }
    return err;
}

int vwl_dmabuf_adopt(struct vwl_vfd *vfd)
{
    vfd->dmabuf = g_try_new0(struct vwl_dmabuf, 1);
    if (!vfd->dmabuf) {
        return -ENOMEM;
    }
    vfd->ops = &vwl_vfd_dmabuf_ops;
    vfd->core->n_dmabufs++;
    return 0;
}
