/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A buffer of pixels that devices can use: what a guest wishes for, and what
 * an allocator made of it. Shared by the core, which knows no allocators, and
 * the allocators, which know no guest.
 */
#ifndef VWL_BASE_BUFFER_H
#define VWL_BASE_BUFFER_H

#include <stdint.h>

#define VWL_BUFFER_PLANES 3

struct vwl_buffer_wish {
    uint32_t width, height; /* pixels; anything at all */
    uint32_t format;        /* DRM fourcc; anything at all */
    uint64_t max_bytes;     /* it may not be longer */
};

struct vwl_buffer {
    int fd;              /* the dmabuf */
    int map_fd;          /* the same memory as a plain file, which is easier to
                            map; -1: there is none */
    uint64_t size_bytes; /* whole pages */
    uint32_t stride[VWL_BUFFER_PLANES]; /* bytes; 0 for planes it lacks */
    uint32_t offset[VWL_BUFFER_PLANES];
};

#endif
