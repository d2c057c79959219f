/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * DRM dumb buffers: what a primary node without a render node can make.
 */
#include <errno.h>
#include <fcntl.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "base/fd.h"
#include "compositor/alloc.h"

static int open_dumb(struct vwl_allocator *allocator, const char *path)
{
    uint64_t dumb = 0, prime = 0;
    int fd = -1, err;

    err = vwl_alloc_open(path, &fd);
    if (err < 0) {
        return err;
    }
    /* who opens it first is its master, and a compositor wants to be that */
    if (drmIsMaster(fd)) {
        drmDropMaster(fd);
    }
    if (drmGetCap(fd, DRM_CAP_DUMB_BUFFER, &dumb) < 0 || !dumb ||
        drmGetCap(fd, DRM_CAP_PRIME, &prime) < 0 ||
        !(prime & DRM_PRIME_CAP_EXPORT)) {
        vwl_fd_clear(&fd);
        return -EOPNOTSUPP;
    }
    allocator->fd = fd;
    return 0;
}

/* Drivers choose the stride; what is not packed RGB is laid out in it. */
static int ask(int fd, const struct vwl_format *format,
               const struct vwl_buffer_wish *wish,
               const struct vwl_buffer *ours, struct drm_mode_create_dumb *dumb)
{
    bool packed = format->n_planes == 1;

    *dumb = (struct drm_mode_create_dumb){
        .width = packed ? wish->width : ours->stride[0],
        .height = packed ? wish->height
                         : vwl_format_lines(format, wish->height),
        .bpp = packed ? format->bytes[0] * 8u : 8,
    };
    return drmIoctl(fd, DRM_IOCTL_MODE_CREATE_DUMB, dumb) < 0 ? -errno : 0;
}

static int alloc_dumb(struct vwl_allocator *allocator,
                      const struct vwl_format *format,
                      const struct vwl_buffer_wish *wish,
                      struct vwl_buffer *out)
{
    struct drm_mode_create_dumb dumb;
    struct drm_mode_destroy_dumb destroy;
    struct vwl_buffer made;
    int err = vwl_format_layout(format, wish, 0, &made);

    if (err == 0) {
        err = ask(allocator->fd, format, wish, &made, &dumb);
    }
    if (err < 0) {
        return err;
    }
    err = vwl_format_layout(format, wish, dumb.pitch, &made);
    if (err == 0 && drmPrimeHandleToFD(allocator->fd, dumb.handle,
                                       DRM_CLOEXEC | DRM_RDWR, &made.fd) < 0) {
        err = -errno;
    }
    destroy.handle = dumb.handle;
    drmIoctl(allocator->fd, DRM_IOCTL_MODE_DESTROY_DUMB, &destroy);
    if (err == 0) {
        err = vwl_alloc_settle(&made, wish->max_bytes, false);
    }
    if (err < 0) {
        vwl_fd_clear(&made.fd);
        return err;
    }
    *out = made;
    return 0;
}

const struct vwl_allocator_ops vwl_allocator_dumb = {
    .name = "dumb",
    .open = open_dumb,
    .alloc = alloc_dumb,
};
