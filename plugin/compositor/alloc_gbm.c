/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers of a GPU's own, by Mesa's gbm. Opening the device loads gbm, and
 * Mesa's driver for it, so it is done once and early. Whoever has no use for
 * them does not pay for either: few hosts name this allocator.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gbm.h>
#include <glib.h>
#include <xf86drm.h>

#include "base/fd.h"
#include "compositor/alloc.h"

#define LIBRARY "libgbm.so.1"

#define FUNCTIONS(DO)      \
    DO(gbm_create_device)  \
    DO(gbm_device_destroy) \
    DO(gbm_bo_create)      \
    DO(gbm_bo_destroy)     \
    DO(gbm_bo_get_stride)  \
    DO(gbm_bo_get_handle)

/* Each under its own name and with the type that the header gives it. */
struct gbm {
    struct gbm_device *device;
#define FIELD(name) __typeof__(&name) name;
    FUNCTIONS(FIELD)
#undef FIELD
};

/* It stays loaded: drivers leave things behind that call into it. */
static bool gbm_load(struct gbm *gbm)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    bool all = library;

#define FIND(name)                                                 \
    *(void **)&gbm->name = library ? dlsym(library, #name) : NULL; \
    all = all && gbm->name;
    FUNCTIONS(FIND)
#undef FIND
    if (library) {
        dlclose(library);
    }
    return all;
}

static int open_gbm(struct vwl_allocator *allocator, const char *path)
{
    int fd = -1, err = vwl_alloc_open(path, &fd);
    g_autofree struct gbm *gbm = NULL;

    if (err < 0) {
        return err;
    }
    gbm = g_new0(struct gbm, 1);
    if (!gbm_load(gbm)) {
        vwl_fd_clear(&fd);
        return -ENOPKG;
    }
    /* of a primary node, given by path */
    if (drmIsMaster(fd)) {
        drmDropMaster(fd);
    }
    gbm->device = gbm->gbm_create_device(fd);
    if (!gbm->device) {
        vwl_fd_clear(&fd);
        return -EOPNOTSUPP;
    }
    allocator->data = g_steal_pointer(&gbm);
    allocator->fd = fd;
    return 0;
}

static void close_gbm(struct vwl_allocator *allocator)
{
    struct gbm *gbm = allocator->data;

    gbm->gbm_device_destroy(gbm->device);
    g_free(gbm);
}

/* Few drivers make buffers of several planes: those are lines of bytes. */
static struct gbm_bo *create(const struct gbm *gbm,
                             const struct vwl_format *format,
                             const struct vwl_buffer_wish *wish,
                             const struct vwl_buffer *ours)
{
    if (format->n_planes == 1) {
        return gbm->gbm_bo_create(gbm->device, wish->width, wish->height,
                                  format->fourcc, GBM_BO_USE_LINEAR);
    }
    return gbm->gbm_bo_create(gbm->device, ours->stride[0],
                              vwl_format_lines(format, wish->height),
                              GBM_FORMAT_R8, GBM_BO_USE_LINEAR);
}

static int alloc_gbm(struct vwl_allocator *allocator,
                     const struct vwl_format *format,
                     const struct vwl_buffer_wish *wish, struct vwl_buffer *out)
{
    const struct gbm *gbm = allocator->data;
    struct vwl_buffer made;
    struct gbm_bo *bo;
    int err = vwl_format_layout(format, wish, 0, &made);

    if (err < 0) {
        return err;
    }
    errno = 0;
    bo = create(gbm, format, wish, &made);
    if (!bo) {
        return errno ? -errno : -ENOMEM;
    }
    err = vwl_format_layout(format, wish, gbm->gbm_bo_get_stride(bo), &made);
    /* what gbm_bo_get_fd gives cannot be written to with every driver */
    if (err == 0 &&
        drmPrimeHandleToFD(allocator->fd, gbm->gbm_bo_get_handle(bo).u32,
                           DRM_CLOEXEC | DRM_RDWR, &made.fd) < 0) {
        err = -errno;
    }
    err = err < 0 ? err : vwl_alloc_settle(&made, wish->max_bytes, true);
    gbm->gbm_bo_destroy(bo);
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
