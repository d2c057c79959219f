/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers where no GPU is: ordinary memory that the kernel wraps as a dmabuf.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "compositor/alloc.h"

static int open_udmabuf(struct vwl_allocator *allocator, const char *path)
{
    return vwl_alloc_open(path ? path : "/dev/udmabuf", &allocator->fd);
}

static int alloc_udmabuf(struct vwl_allocator *allocator,
                         const struct vwl_format *format,
                         const struct vwl_buffer_wish *wish,
                         struct vwl_buffer *out)
{
    struct vwl_buffer made;
    struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC };
    int err = vwl_format_layout(format, wish, 0, &made);

    if (err == 0) {
        err = vwl_sealed_memfd("vwl-buffer", made.size_bytes, &made.map_fd);
    }
    if (err < 0) {
        return err;
    }
    create.memfd = (uint32_t)made.map_fd;
    create.size = made.size_bytes;
    made.fd = ioctl(allocator->fd, UDMABUF_CREATE, &create);
    err = made.fd < 0 ? -errno
                      : vwl_alloc_settle(&made, wish->max_bytes, false);
    if (err < 0) {
        vwl_fd_clear(&made.fd);
        vwl_fd_clear(&made.map_fd);
        return err;
    }
    *out = made;
    return 0;
}

const struct vwl_allocator_ops vwl_allocator_udmabuf = {
    .name = "udmabuf",
    .open = open_udmabuf,
    .alloc = alloc_udmabuf,
};

static int open_heap(struct vwl_allocator *allocator, const char *path)
{
    return vwl_alloc_open(path ? path : "/dev/dma_heap/system", &allocator->fd);
}

static int alloc_heap(struct vwl_allocator *allocator,
                      const struct vwl_format *format,
                      const struct vwl_buffer_wish *wish,
                      struct vwl_buffer *out)
{
    struct vwl_buffer made;
    struct dma_heap_allocation_data data = { .fd_flags = O_RDWR | O_CLOEXEC };
    int err = vwl_format_layout(format, wish, 0, &made);

    if (err < 0) {
        return err;
    }
    data.len = made.size_bytes;
    if (ioctl(allocator->fd, DMA_HEAP_IOCTL_ALLOC, &data) < 0) {
        return -errno;
    }
    made.fd = (int)data.fd;
    err = vwl_alloc_settle(&made, wish->max_bytes, false);
    if (err < 0) {
        vwl_fd_clear(&made.fd);
        return err;
    }
    *out = made;
    return 0;
}

const struct vwl_allocator_ops vwl_allocator_heap = {
    .name = "heap",
    .open = open_heap,
    .alloc = alloc_heap,
};
