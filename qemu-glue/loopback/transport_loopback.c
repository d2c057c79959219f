/* SPDX-License-Identifier: BSD-3-Clause */
#include "../guest/transport.h"
#include "driver.h"
#include "transport_daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CONNECT_MS 5000

struct loopback {
    struct vwl_transport base;
    struct vwl_drv *drv;
    struct vwl_fe *own; /* driver and front-end are ours to destroy */
};

static struct vwl_drv *driver(struct vwl_transport *t)
{
    return ((struct loopback *)(void *)t)->drv;
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

static void unmap(struct vwl_transport *t, struct vwl_transport_mem *mem)
{
    mem->ptr = NULL; /* the window is mapped as a whole */
}

static int make_pipe(struct vwl_transport *t, int guest_writes, int *vfd)
{
    uint32_t id = vwl_drv_free_id(driver(t));
    int r = result(vwl_drv_new_pipe(driver(t), id, guest_writes ?
                                    VIRTIO_WL_VFD_WRITE :
                                    VIRTIO_WL_VFD_READ));

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
    return result(vwl_drv_send(driver(t), (uint32_t)vfd, ids, n_vfds, data,
                               len));
}

static ssize_t receive(struct vwl_transport *t, int vfd, void *data,
                       size_t cap, int *vfds, unsigned int *n_vfds,
                       int timeout_ms)
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

static int close_one(struct vwl_transport *t, int vfd)
{
    return result(vwl_drv_close(driver(t), (uint32_t)vfd));
}

static void destroy(struct vwl_transport *t)
{
    struct loopback *loopback = (struct loopback *)(void *)t;

    if (loopback->own != NULL) {
        vwl_drv_destroy(loopback->drv);
        vwl_fe_destroy(loopback->own);
    }
    free(loopback);
}

static const struct vwl_transport_ops ops = {
    .name = "loopback", .new_ctx = new_ctx, .alloc = alloc, .unmap = unmap,
    .map = map, .pipe = make_pipe, .send = send_all, .recv = receive,
    .poll = poll_one, .close = close_one, .destroy = destroy,
};

struct vwl_transport *vwl_transport_loopback(struct vwl_drv *drv)
{
    struct loopback *loopback = calloc(1, sizeof *loopback);

    if (loopback == NULL) {
        return NULL;
    }
    loopback->base.ops = &ops;
    loopback->drv = drv;
    return &loopback->base;
}

static int start(const char *path, struct vwl_fe **fe, struct vwl_drv **drv)
{
    int fd = -1, r = vwl_fe_connect(path, CONNECT_MS, &fd);

    if (r == 0) {
        r = vwl_fe_create(NULL, &fd, fe);
        if (r < 0) {
            close(fd);
        }
    }
    if (r == 0) {
        r = vwl_fe_handshake(*fe);
    }
    if (r == 0) {
        r = vwl_drv_create(*fe, NULL, drv);
    }
    return r;
}

struct vwl_transport *vwl_transport_daemon(const char *path)
{
    struct vwl_transport *t = NULL;
    struct vwl_drv *drv = NULL;
    struct vwl_fe *fe = NULL;
    int r = start(path, &fe, &drv);

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
    ((struct loopback *)(void *)t)->own = fe;
    return t;
}
