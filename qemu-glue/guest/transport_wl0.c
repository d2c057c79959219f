/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel driver's device: a handle is a file descriptor here. Its ioctls
 * are those that every virtio-wl driver for Linux has. */
#include "wl0.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS 64

static struct wl0 *of(struct vwl_transport *t)
{
    return (struct wl0 *)(void *)t;
}

static int make(struct vwl_transport *t, struct wl0_new *new, int *vfd)
{
    struct wl0 *wl0 = of(t);
    int r = wl0_make(wl0->path, &wl0->fd, new);

    if (r < 0) {
        return r;
    }
    wl0_learn_driver(wl0, r);
    *vfd = r;
    return 0;
}

static int new_ctx(struct vwl_transport *t, const char *name, int *vfd)
{
    struct wl0_new new;
    int r = wl0_fill_ctx(&new, name);

    return r < 0 ? r : make(t, &new, vfd);
}

static int map(struct vwl_transport *t, int vfd, size_t size, int writable,
               struct vwl_transport_mem *mem)
{
    void *ptr = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0),
                     MAP_SHARED, vfd, 0);

    if (ptr == MAP_FAILED) {
        return -errno;
    }
    *mem = (struct vwl_transport_mem){ vfd, ptr, size };
    return 0;
}

static int alloc(struct vwl_transport *t, size_t size,
                 struct vwl_transport_mem *mem)
{
    struct wl0_new new = { .type = WL0_NEW_ALLOC };
    int vfd = -1, r;

    if (size == 0 || size > UINT32_MAX - 4095) {
        return -EINVAL;
    }
    size = (size + 4095) & ~(size_t)4095;
    new.size = (uint32_t)size;
    r = make(t, &new, &vfd);
    if (r < 0) {
        return r;
    }
    r = map(t, vfd, size, 1, mem);
    if (r < 0) {
        close(vfd);
    }
    return r;
}

/* The driver tells strides and offsets, but no size. */
static size_t dmabuf_size(const struct wl0_new *new)
{
    size_t size = 0;

    for (unsigned int i = 0; i < 3; i++) {
        size_t lines = i == 0 ? new->dmabuf[1] : (new->dmabuf[1] + 1u) / 2;
        size_t end = new->dmabuf[6 + i] + new->dmabuf[3 + i] * lines;

        size = end > size ? end : size;
    }
    return (size + 4095) & ~(size_t)4095;
}

static int alloc_dmabuf(struct vwl_transport *t, uint32_t width,
                        uint32_t height, uint32_t format,
                        struct vwl_transport_dmabuf *buffer)
{
    struct wl0_new new = { .type = WL0_NEW_DMABUF,
                           .dmabuf = { width, height, format } };
    int vfd = -1, r = make(t, &new, &vfd);

    if (r < 0) {
        return r;
    }
    memcpy(buffer->stride, new.dmabuf + 3, sizeof buffer->stride);
    memcpy(buffer->offset, new.dmabuf + 6, sizeof buffer->offset);
    r = map(t, vfd, dmabuf_size(&new), 1, &buffer->mem);
    if (r < 0) {
        close(vfd);
    }
    return r;
}

static int dmabuf_sync(struct vwl_transport *t, int vfd, uint32_t flags)
{
    return ioctl(vfd, WL0_IOC_DMABUF_SYNC, &flags) < 0 ? -errno : 0;
}

static void unmap(struct vwl_transport *t, struct vwl_transport_mem *mem)
{
    if (mem->ptr != NULL) {
        munmap(mem->ptr, mem->size);
    }
    mem->ptr = NULL;
}

static int make_pipe(struct vwl_transport *t, int guest_writes, int *vfd)
{
    struct wl0_new new = {
        .type = guest_writes ? WL0_NEW_PIPE_WRITE : WL0_NEW_PIPE_READ,
    };

    return make(t, &new, vfd);
}

static int send_one(int vfd, const uint8_t *data, size_t len, const int *vfds,
                    unsigned int n_vfds)
{
    struct wl0_txn *txn = malloc(sizeof *txn + len);
    int r;

    if (txn == NULL) {
        return -ENOMEM;
    }
    for (unsigned int i = 0; i < VWL_TRANSPORT_MAX_VFDS; i++) {
        txn->fds[i] = i < n_vfds ? vfds[i] : -1;
    }
    txn->len = (uint32_t)len;
    memcpy(txn->data, data, len);
    r = ioctl(vfd, WL0_IOC_SEND, txn) < 0 ? -errno : 0;
    free(txn);
    return r;
}

static int send_all(struct vwl_transport *t, int vfd, const void *data,
                    size_t len, const int *vfds, unsigned int n_vfds)
{
    const uint8_t *at = data;

    if (n_vfds > VWL_TRANSPORT_MAX_VFDS) {
        return -EINVAL;
    }
    while (len != 0) {
        size_t n = len < WL0_MAX_SEND ? len : WL0_MAX_SEND;
        int r = send_one(vfd, at, n, vfds, n_vfds);

        if (r < 0) {
            return r;
        }
        n_vfds = 0;
        at += n;
        len -= n;
    }
    return 0;
}

static int poll_now(int vfd, int timeout_ms)
{
    struct pollfd p = { vfd, POLLIN, 0 };
    int r = poll(&p, 1, timeout_ms);

    if (r < 0) {
        return errno == EINTR ? 0 : -errno;
    }
    /* that a SEND failed is no reason to receive, and might wait */
    return r == 1 && (p.revents & ~POLLERR) != 0;
}

/* Of a VFD that is watched, epoll has told whether there may be something. */
static int poll_one(struct vwl_transport *t, int vfd, int timeout_ms)
{
    struct wl0_vfd *v = wl0_vfd(of(t), vfd);
    int r;

    if (v == NULL || !v->watched || timeout_ms != 0) {
        return poll_now(vfd, timeout_ms);
    }
    if (!v->ready) {
        return 0;
    }
    r = poll_now(vfd, 0);
    v->ready = r != 0;
    return r;
}

static ssize_t receive(struct vwl_transport *t, int vfd, void *data, size_t cap,
                       int *vfds, unsigned int *n_vfds, int timeout_ms)
{
    union {
        struct wl0_txn txn;
        uint8_t space[sizeof(struct wl0_txn) + WL0_MAX_SEND];
    } in;
    size_t room = cap < WL0_MAX_SEND ? cap : WL0_MAX_SEND;
    ssize_t r = poll_one(t, vfd, timeout_ms);

    if (r <= 0) {
        return r == 0 ? -ETIMEDOUT : r;
    }
    in.txn.len = (uint32_t)room;
    if (ioctl(vfd, WL0_IOC_RECV, &in.txn) < 0) {
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    }
    r = (ssize_t)(in.txn.len < room ? in.txn.len : room);
    memcpy(data, in.txn.data, (size_t)r);
    for (*n_vfds = 0;
         *n_vfds < VWL_TRANSPORT_MAX_VFDS && in.txn.fds[*n_vfds] >= 0;
         (*n_vfds)++) {
        vfds[*n_vfds] = in.txn.fds[*n_vfds];
    }
    return r;
}

static int loop_fd(struct vwl_transport *t)
{
    return of(t)->epoll;
}

static int watch(struct vwl_transport *t, int vfd, int on)
{
    struct wl0 *wl0 = of(t);
    struct wl0_vfd *v = wl0_vfd(wl0, vfd);

    if (v == NULL) {
        return -ENOMEM;
    }
    v->watched = on != 0;
    v->ready = on != 0; /* to be found out */
    wl0_set_events(wl0, vfd);
    return 0;
}

static int close_one(struct vwl_transport *t, int vfd)
{
    struct wl0 *wl0 = of(t);
    struct wl0_vfd *v = wl0_vfd(wl0, vfd);

    if (v != NULL) {
        wl0_jobs_forget(wl0, vfd);
        /* a thread may hold the same file */
        epoll_ctl(wl0->epoll, EPOLL_CTL_DEL, vfd, NULL);
        *v = (struct wl0_vfd){ 0 };
    }
    return close(vfd) < 0 ? -errno : 0;
}

static int pending(struct vwl_transport *t)
{
    return of(t)->ended.first != NULL;
}

static void take_event(struct wl0 *wl0, const struct epoll_event *event)
{
    int vfd = event->data.fd;
    struct wl0_vfd *v = wl0_vfd(wl0, vfd);

    if (vfd == wl0_jobs_fd(wl0)) {
        wl0_jobs_collect(wl0);
        return;
    }
    if (v == NULL) {
        return;
    }
    if ((event->events & ~(uint32_t)EPOLLOUT) != 0) {
        v->ready = true;
    }
    if (v->n_sends != 0 && (event->events & ~(uint32_t)EPOLLIN) != 0) {
        wl0_jobs_go_on(wl0, vfd);
    }
}

static int dispatch(struct vwl_transport *t)
{
    struct wl0 *wl0 = of(t);
    struct epoll_event events[EVENTS];
    int n;

    do {
        n = epoll_wait(wl0->epoll, events, EVENTS, 0);
        for (int i = 0; i < n; i++) {
            take_event(wl0, &events[i]);
        }
    } while (n == EVENTS);
    wl0_jobs_tell(wl0);
    return 0;
}

static void destroy(struct vwl_transport *t)
{
    struct wl0 *wl0 = of(t);

    wl0_jobs_finish(wl0);
    if (wl0->epoll >= 0) {
        close(wl0->epoll);
    }
    if (wl0->fd >= 0) {
        close(wl0->fd);
    }
    free(wl0->vfds);
    free(wl0->path);
    free(wl0);
}

static const struct vwl_transport_ops ops = {
    .name = "wl0",
    .new_ctx = new_ctx,
    .alloc = alloc,
    .unmap = unmap,
    .map = map,
    .pipe = make_pipe,
    .send = send_all,
    .recv = receive,
    .poll = poll_one,
    .close = close_one,
    .fd = loop_fd,
    .watch = watch,
    .pending = pending,
    .dispatch = dispatch,
    .send_async = wl0_send_async,
    .new_ctx_async = wl0_new_ctx_async,
    .alloc_dmabuf = alloc_dmabuf,
    .dmabuf_sync = dmabuf_sync,
    .pages = wl0_pages,
    .pages_intact = wl0_pages_intact,
    .gpu = wl0_gpu,
    .gpu_waits = true,
    .import = wl0_import,
    .send_checked = wl0_send_checked,
    .export_fence = wl0_export_fence,
    .destroy = destroy,
};

struct vwl_transport *vwl_transport_wl0(const char *path)
{
    struct wl0 *wl0 = calloc(1, sizeof *wl0);

    if (wl0 == NULL) {
        return NULL;
    }
    wl0->base.ops = &ops;
    wl0_jobs_init(wl0);
    wl0->path = strdup(path != NULL ? path : "/dev/wl0");
    wl0->epoll = epoll_create1(EPOLL_CLOEXEC);
    wl0->fd = wl0->path == NULL ? -1 : open(wl0->path, O_RDWR | O_CLOEXEC);
    if (wl0->fd < 0 || wl0->epoll < 0) {
        int err = errno;

        destroy(&wl0->base);
        errno = err;
        return NULL;
    }
    return &wl0->base;
}

void vwl_transport_wl0_use_threads(struct vwl_transport *t)
{
    of(t)->known = true;
    of(t)->own = false;
}
