/* SPDX-License-Identifier: BSD-3-Clause */
#include "../guest/transport.h"
#include "driver.h"
#include "exports.h"
#include "transport_daemon.h"

#include <errno.h>
#include <glib-unix.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONNECT_MS 5000

/* Handles that are no VFDs: their number in the exports, and what they are. */
#define EXPORT (1u << 29)
#define EXPORT_FENCE (1u << 28)

struct sending {
    struct vwl_drv_request *request;
    vwl_transport_done_fn done;
    void *opaque;
};

struct loopback {
    struct vwl_transport base;
    struct vwl_drv *drv;
    struct vwl_fe *own;          /* driver and front-end are ours to destroy */
    struct vwl_exports *exports; /* NULL: there are none */
    int (*pipe)(void *opaque, uint32_t vfd); /* NULL: nobody knows */
    void *pipe_opaque;
    int epoll;
    GArray *sending;          /* of struct sending */
    uint64_t seen;            /* messages, at the last dispatch */
    struct vwl_inside inside; /* run NULL: it runs elsewhere, and calls */
    GSource *source;          /* for that one */
    unsigned int kicks;       /* that it was run for */
    void (*ready)(void *opaque);
    void *opaque;
    bool ran; /* the device did, and nothing else happened */
};

static struct loopback *loopback(struct vwl_transport *t)
{
    return (struct loopback *)(void *)t;
}

static struct vwl_drv *driver(struct vwl_transport *t)
{
    return loopback(t)->drv;
}

static int result(int r)
{
    switch (r) {
    case VIRTIO_WL_RESP_OK:
    case VIRTIO_WL_RESP_VFD_NEW:
    case VIRTIO_WL_RESP_VFD_NEW_DMABUF:
        return 0;
    case VIRTIO_WL_RESP_ERR:
        return -ENODEV;
    case VIRTIO_WL_RESP_OUT_OF_MEMORY:
        return -ENOMEM;
    case VIRTIO_WL_RESP_INVALID_ID:
        return -ENOENT;
    case VIRTIO_WL_RESP_INVALID_TYPE:
        return -EINVAL;
    case VIRTIO_WL_RESP_INVALID_FLAGS:
        return -EPERM;
    case VIRTIO_WL_RESP_INVALID_CMD:
        return -ENOTTY;
    default:
        return r < 0 ? r : -EPROTO;
    }
}

static int new_ctx(struct vwl_transport *t, const char *name, int *vfd)
{
    uint32_t id = vwl_drv_free_id(driver(t));
    int r = result(vwl_drv_new_ctx(driver(t), id, name));

    if (r == 0) {
        *vfd = (int)id;
    }
    return r;
}

static int map(struct vwl_transport *t, int vfd, size_t size, int writable,
               struct vwl_transport_mem *mem)
{
    struct vwl_drv_vfd *v = vwl_drv_find(driver(t), (uint32_t)vfd);
    void *ptr = vwl_drv_map(driver(t), (uint32_t)vfd);

    if (v == NULL || ptr == NULL) {
        return v == NULL ? -ENOENT : -EACCES;
    }
    if (size > v->size) {
        return -EINVAL;
    }
    *mem = (struct vwl_transport_mem){ vfd, ptr, v->size };
    return 0;
}

static int alloc(struct vwl_transport *t, size_t size,
                 struct vwl_transport_mem *mem)
{
    uint32_t id = vwl_drv_free_id(driver(t));
    int r;

    if (size == 0 || size > UINT32_MAX - 4095) {
        return -EINVAL;
    }
    size = (size + 4095) & ~(size_t)4095;
    r = result(vwl_drv_new(driver(t), id, (uint32_t)size));
    if (r == 0) {
        r = map(t, (int)id, size, 1, mem);
        if (r < 0) {
            vwl_drv_close(driver(t), id);
        }
    }
    return r;
}

static int alloc_dmabuf(struct vwl_transport *t, uint32_t width,
                        uint32_t height, uint32_t format,
                        struct vwl_transport_dmabuf *buffer)
{
    struct virtio_wl_ctrl_vfd_new_dmabuf answer;
    uint32_t id = vwl_drv_free_id(driver(t));
    int r = result(
        vwl_drv_new_dmabuf(driver(t), id, width, height, format, &answer));

    if (r < 0) {
        return r;
    }
    *buffer = (struct vwl_transport_dmabuf){
        .stride = { answer.stride0, answer.stride1, answer.stride2 },
        .offset = { answer.offset0, answer.offset1, answer.offset2 },
    };
    r = map(t, (int)id, answer.size, 1, &buffer->mem);
    if (r < 0) {
        vwl_drv_close(driver(t), id);
    }
    return r;
}

static int dmabuf_sync(struct vwl_transport *t, int vfd, uint32_t flags)
{
    return result(vwl_drv_dmabuf_sync(driver(t), (uint32_t)vfd, flags));
}

static void unmap(struct vwl_transport *t, struct vwl_transport_mem *mem)
{
    mem->ptr = NULL; /* the window is mapped as a whole */
}

static int make_pipe(struct vwl_transport *t, int guest_writes, int *vfd)
{
    uint32_t id = vwl_drv_free_id(driver(t));
    int r = result(vwl_drv_new_pipe(driver(t), id,
                                    guest_writes ? VIRTIO_WL_VFD_WRITE
                                                 : VIRTIO_WL_VFD_READ));

    if (r == 0) {
        *vfd = (int)id;
    }
    return r;
}

static int send_all(struct vwl_transport *t, int vfd, const void *data,
                    size_t len, const int *vfds, unsigned int n_vfds)
{
    uint32_t ids[VWL_TRANSPORT_MAX_VFDS];

    if (n_vfds > VWL_TRANSPORT_MAX_VFDS) {
        return -EINVAL;
    }
    for (unsigned int i = 0; i < n_vfds; i++) {
        ids[i] = (uint32_t)vfds[i];
    }
    return result(
        vwl_drv_send(driver(t), (uint32_t)vfd, ids, n_vfds, data, len));
}

static ssize_t receive(struct vwl_transport *t, int vfd, void *data, size_t cap,
                       int *vfds, unsigned int *n_vfds, int timeout_ms)
{
    uint32_t ids[VWL_TRANSPORT_MAX_VFDS];
    unsigned int n = MIN(*n_vfds, VWL_TRANSPORT_MAX_VFDS);
    int64_t r = vwl_drv_recv(driver(t), (uint32_t)vfd, data, cap, ids, &n,
                             timeout_ms);

    if (r < 0) {
        return (ssize_t)r;
    }
    for (unsigned int i = 0; i < n; i++) {
        vfds[i] = (int)ids[i];
    }
    *n_vfds = n;
    return (ssize_t)r;
}

static int poll_one(struct vwl_transport *t, int vfd, int timeout_ms)
{
    int r = vwl_drv_wait_readable(driver(t), (uint32_t)vfd, timeout_ms);

    return r == 0 ? 1 : r == -ETIMEDOUT ? 0 : r;
}

static bool is_export(int handle)
{
    return (uint32_t)handle >> 29 == 1;
}

static int close_one(struct vwl_transport *t, int vfd)
{
    if (is_export(vfd)) {
        vwl_exports_remove(loopback(t)->exports,
                           (uint32_t)vfd & VWL_EXPORTS_MAX_ID);
        return 0;
    }
    return result(vwl_drv_close(driver(t), (uint32_t)vfd));
}

static int loop_fd(struct vwl_transport *t)
{
    return loopback(t)->epoll;
}

static int watch(struct vwl_transport *t, int vfd, int on)
{
    return 0; /* one descriptor tells of all */
}

static bool is_done(const struct loopback *l, guint i)
{
    return g_array_index(l->sending, struct sending, i).request->done;
}

static int pending(struct vwl_transport *t)
{
    struct loopback *l = loopback(t);

    for (guint i = 0; i < l->sending->len; i++) {
        if (is_done(l, i)) {
            return 1;
        }
    }
    return l->seen != l->drv->received_messages ||
           (l->inside.run != NULL && vwl_drv_has_used(l->drv));
}

static void tell_done(struct loopback *l)
{
    for (guint i = 0; i < l->sending->len;) {
        struct sending s = g_array_index(l->sending, struct sending, i);

        if (!s.request->done) {
            i++;
            continue;
        }
        g_array_remove_index(l->sending, i);
        s.done(s.opaque, result((int)vwl_drv_request_type(s.request)));
        vwl_drv_request_free(l->drv, s.request);
    }
}

static int dispatch(struct vwl_transport *t)
{
    struct loopback *l = loopback(t);
    int r = l->ran ? 0 : vwl_fe_turn(l->drv->fe, 0);

    l->ran = false;
    vwl_drv_collect(l->drv);
    l->seen = l->drv->received_messages;
    tell_done(l);
    return r < 0 ? r : 0;
}

static void run_device(struct loopback *l)
{
    l->kicks = l->drv->fe->kicks;
    l->inside.run(l->inside.opaque);
}

/* What it has done lies in the rings. */
static gboolean on_device(gint fd, GIOCondition condition, gpointer opaque)
{
    struct loopback *l = opaque;

    run_device(l);
    if (l->ready != NULL) {
        l->ran = true;
        l->ready(l->opaque);
        l->ran = false;
    }
    return G_SOURCE_CONTINUE;
}

static int settle(struct vwl_transport *t)
{
    struct loopback *l = loopback(t);

    if (l->inside.run == NULL || l->kicks == l->drv->fe->kicks) {
        return 0;
    }
    run_device(l);
    l->ran = pending(t) == 1;
    return l->ran;
}

static void notify(struct vwl_transport *t, void (*fn)(void *opaque),
                   void *opaque)
{
    loopback(t)->ready = fn;
    loopback(t)->opaque = opaque;
}

static int send_async(struct vwl_transport *t, int vfd, const void *data,
                      size_t len, const int *vfds, unsigned int n_vfds,
                      vwl_transport_done_fn done, void *opaque)
{
    struct sending s = { NULL, done, opaque };
    uint32_t ids[VWL_TRANSPORT_MAX_VFDS];

    if (n_vfds > VWL_TRANSPORT_MAX_VFDS) {
        return -EINVAL;
    }
    for (unsigned int i = 0; i < n_vfds; i++) {
        ids[i] = (uint32_t)vfds[i];
    }
    s.request = vwl_drv_send_async(driver(t), (uint32_t)vfd, ids, n_vfds, data,
                                   len);
    if (s.request == NULL) {
        return -EBUSY;
    }
    g_array_append_val(loopback(t)->sending, s);
    return 0;
}

/* Host and guest are one machine: what the host says of devices is true. */
static int gpu(struct vwl_transport *t, struct vwl_transport_gpu *out)
{
    bool all = loopback(t)->exports != NULL;

    *out = (struct vwl_transport_gpu){
        .buffers = all,
        .fences = all,
        .feedback = all,
    };
    return 0;
}

static int import(struct vwl_transport *t, bool fence, int *fd, int *handle)
{
    struct vwl_exports *exports = loopback(t)->exports;
    int r = exports != NULL ? vwl_exports_add(exports, fd) : -ENOTTY;

    if (r < 0) {
        return r;
    }
    *handle = (int)(EXPORT | (fence ? EXPORT_FENCE : 0) | (uint32_t)r);
    return 0;
}

static int send_checked(struct vwl_transport *t, int vfd, const void *data,
                        size_t len, const int *vfds, unsigned int n_vfds,
                        vwl_transport_done_fn done, void *opaque)
{
    struct vwl_drv_foreign entries[VWL_TRANSPORT_MAX_VFDS];
    struct sending s = { NULL, done, opaque };

    if (n_vfds > VWL_TRANSPORT_MAX_VFDS) {
        return -EINVAL;
    }
    for (unsigned int i = 0; i < n_vfds; i++) {
        uint32_t handle = (uint32_t)vfds[i];

        entries[i] = (struct vwl_drv_foreign){
            VIRTIO_WL_FOREIGN_LOCAL,
            handle,
        };
        if (is_export(vfds[i])) {
            entries[i].kind = handle & EXPORT_FENCE
                                  ? VIRTIO_WL_FOREIGN_VIRTGPU_FENCE
                                  : VIRTIO_WL_FOREIGN_VIRTGPU;
            entries[i].value = handle & VWL_EXPORTS_MAX_ID;
        }
    }
    s.request = vwl_drv_send_foreign_async(driver(t), (uint32_t)vfd, entries,
                                           n_vfds, data, len);
    if (s.request == NULL) {
        return -EBUSY;
    }
    g_array_append_val(loopback(t)->sending, s);
    return 0;
}

static int host_pipe(struct vwl_transport *t, int vfd)
{
    const struct loopback *l = loopback(t);

    return l->pipe != NULL ? l->pipe(l->pipe_opaque, (uint32_t)vfd) : -ENOTTY;
}

static void destroy(struct vwl_transport *t)
{
    struct loopback *l = loopback(t);

    for (guint i = 0; i < l->sending->len; i++) {
        vwl_drv_request_free(
            l->drv, g_array_index(l->sending, struct sending, i).request);
    }
    g_array_unref(l->sending);
    if (l->source != NULL) {
        g_source_destroy(l->source);
        g_source_unref(l->source);
    }
    close(l->epoll);
    if (l->own != NULL) {
        vwl_drv_destroy(l->drv);
        vwl_fe_destroy(l->own);
    }
    free(l);
}

static const struct vwl_transport_ops ops = {
    .name = "loopback",
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
    .settle = settle,
    .notify = notify,
    .send_async = send_async,
    .alloc_dmabuf = alloc_dmabuf,
    .dmabuf_sync = dmabuf_sync,
    .gpu = gpu,
    .import = import,
    .send_checked = send_checked,
    .host_pipe = host_pipe,
    .destroy = destroy,
};

static void add(struct loopback *l, int fd)
{
    struct epoll_event event = { .events = EPOLLIN };

    if (fd >= 0) {
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event);
    }
}

struct vwl_transport *vwl_transport_loopback(struct vwl_drv *drv)
{
    struct loopback *l = calloc(1, sizeof *l);

    if (l == NULL) {
        return NULL;
    }
    l->base.ops = &ops;
    l->drv = drv;
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l->epoll < 0) {
        free(l);
        return NULL;
    }
    l->sending = g_array_new(FALSE, FALSE, sizeof(struct sending));
    add(l, drv->fe->fd);
    add(l, drv->fe->backend);
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        add(l, drv->fe->ring[i].call);
        add(l, drv->fe->ring[i].err);
    }
    return &l->base;
}

static int start(int *fd, const struct vwl_inside *device, struct vwl_fe **fe,
                 struct vwl_drv **drv)
{
    const struct vwl_fe_options options = {
        .plain_table = true,
        .no_table_update = true,
        .warm = true,
    };
    const struct vwl_drv_options driver_options = { .hold_buffers = true };
    int r = vwl_fe_create(&options, fd, fe);

    if (r == 0 && device != NULL) {
        vwl_fe_watch(*fe, device->fd, device->run, device->opaque);
    }
    if (r == 0) {
        r = vwl_fe_handshake(*fe);
    }
    if (r == 0) {
        r = vwl_drv_create(*fe, &driver_options, drv);
    }
    return r;
}

struct vwl_transport *vwl_transport_daemon(const char *path)
{
    struct vwl_transport *t;
    int fd = -1, r = vwl_fe_connect(path, CONNECT_MS, &fd);

    if (r < 0) {
        errno = -r;
        return NULL;
    }
    t = vwl_transport_connected(&fd, NULL);
    if (fd >= 0) {
        r = errno;
        close(fd);
        errno = r;
    }
    return t;
}

static void take_inside(struct loopback *l, const struct vwl_inside *device)
{
    l->inside = *device;
    vwl_drv_set_calls(l->drv, false);
    l->source = g_unix_fd_source_new(device->fd, G_IO_IN);
    /* or GLib takes the descriptor out of its set around every dispatch */
    g_source_set_can_recurse(l->source, TRUE);
    g_source_set_callback(l->source, G_SOURCE_FUNC(on_device), l, NULL);
    g_source_attach(l->source, g_main_context_get_thread_default());
}

struct vwl_transport *vwl_transport_connected(int *fd,
                                              const struct vwl_inside *device)
{
    struct vwl_transport *t = NULL;
    struct vwl_drv *drv = NULL;
    struct vwl_fe *fe = NULL;
    int r = start(fd, device, &fe, &drv);

    if (r == 0) {
        t = vwl_transport_loopback(drv);
        r = t == NULL ? -ENOMEM : 0;
    }
    if (r < 0) {
        vwl_drv_destroy(drv);
        vwl_fe_destroy(fe);
        errno = -r;
        return NULL;
    }
    loopback(t)->own = fe;
    if (device != NULL) {
        take_inside(loopback(t), device);
    }
    return t;
}

void vwl_transport_use_exports(struct vwl_transport *t,
                               struct vwl_exports *exports)
{
    loopback(t)->exports = exports;
}

void vwl_transport_use_pipes(struct vwl_transport *t,
                             int (*pipe)(void *opaque, uint32_t vfd),
                             void *opaque)
{
    loopback(t)->pipe = pipe;
    loopback(t)->pipe_opaque = opaque;
}
