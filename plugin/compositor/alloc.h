/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one kind of allocator is to the set of them (allocator.h), and what all
 * kinds share. A new kind is a file with its table, a row in allocator.c, and
 * a word in the list of allocator.h. Device thread, but for open and close.
 */
#ifndef VWL_COMPOSITOR_ALLOC_H
#define VWL_COMPOSITOR_ALLOC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "compositor/format.h"

struct vwl_allocator;

struct vwl_allocator_ops {
    const char *name;
    /* path may be NULL: the usual one. Sets fd and data. */
    int (*open)(struct vwl_allocator *allocator, const char *path);
    int (*alloc)(struct vwl_allocator *allocator,
                 const struct vwl_format *format,
                 const struct vwl_buffer_wish *wish, struct vwl_buffer *out);
    void (*close)(struct vwl_allocator *allocator); /* data; may be NULL */
};

struct vwl_allocator {
    const struct vwl_allocator_ops *ops;
    int fd;
    dev_t nodes[2]; /* of its DRM device, primary and render; 0: none */
    void *data;
};

extern const struct vwl_allocator_ops vwl_allocator_udmabuf;
extern const struct vwl_allocator_ops vwl_allocator_heap;
extern const struct vwl_allocator_ops vwl_allocator_dumb;
extern const struct vwl_allocator_ops vwl_allocator_gbm;

/* Opens a device node. -ENOTTY: it is something else. */
int vwl_alloc_open(const char *path, int *fd);
/* Checks what a driver made of a layout: the dmabuf in out->fd must be as long
 * as that says; size_bytes becomes its length in whole pages. -ENOSPC: that is
 * more than max_bytes. clear: zeroes it, for drivers that give out memory as it
 * was. */
int vwl_alloc_settle(struct vwl_buffer *out, uint64_t max_bytes, bool clear);

#endif
