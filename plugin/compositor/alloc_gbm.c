/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers of a GPU's own, by Mesa's gbm. Opening the device loads Mesa's
 * driver for it, so it is done once and early.
 */
#include <errno.h>
#include <fcntl.h>
#include <gbm.h>
#include <xf86drm.h>

#include "base/fd.h"
#include "compositor/alloc.h"

static int open_gbm(struct vwl_allocator *allocator, const char *path)
{
    int fd = -1, err = vwl_alloc_open(path, &fd);

    if (err < 0) {
        return err;
    }
    /* of a primary node, given by path */
    if (drmIsMaster(fd)) {
        drmDropMaster(fd);
    }
    allocator->data = gbm_create_device(fd);
    if (!allocator->data) {
        vwl_fd_clear(&fd);
        return -EOPNOTSUPP;
    }
    allocator->fd = fd;
    return 0;
}

static void close_gbm(struct vwl_allocator *allocator)
{
    gbm_device_destroy(allocator->data);
}

/* Few drivers make buffers of several planes: those are lines of bytes. */
static struct gbm_bo *create(struct gbm_device *device,
                             const struct vwl_format *format,
                             const struct vwl_buffer_wish *wish,
                             const struct vwl_buffer *ours)
{
    if (format->n_planes == 1) {
        return gbm_bo_create(device, wish->width, wish->height, format->fourcc,
                             GBM_BO_USE_LINEAR);
    }
    return gbm_bo_create(device, ours->stride[0],
                         vwl_format_lines(format, wish->height), GBM_FORMAT_R8,
                         GBM_BO_USE_LINEAR);
}

static int alloc_gbm(struct vwl_allocator *allocator,
                     const struct vwl_format *format,
                     const struct vwl_buffer_wish *wish, struct vwl_buffer *out)
{
    struct vwl_buffer made;
    struct gbm_bo *bo;
    int err = vwl_format_layout(format, wish, 0, &made);

    if (err < 0) {
        return err;
    }
    errno = 0;
    bo = create(allocator->data, format, wish, &made);
    if (!bo) {
        return errno ? -errno : -ENOMEM;
    }
    err = vwl_format_layout(format, wish, gbm_bo_get_stride(bo), &made);
    /* what gbm_bo_get_fd gives cannot be written to with every driver */
    if (err == 0 && drmPrimeHandleToFD(allocator->fd, gbm_bo_get_handle(bo).u32,
                                       DRM_CLOEXEC | DRM_RDWR, &made.fd) < 0) {
        err = -errno;
    }
    err = err < 0 ? err : vwl_alloc_settle(&made, wish->max_bytes, true);
    gbm_bo_destroy(bo);
    if (err < 0) {
        vwl_fd_clear(&made.fd);
        return err;
    }
    *out = made;
    return 0;
}

const struct vwl_allocator_ops vwl_allocator_gbm = {
    .name = "gbm",
    .open = open_gbm,
    .alloc = alloc_gbm,
    .close = close_gbm,
};
