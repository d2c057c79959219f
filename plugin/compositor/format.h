/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Pixel formats that guests may have buffers of, and where their planes lie in
 * one linear piece of memory. Numbers come from the guest: nothing here wraps.
 */
#ifndef VWL_COMPOSITOR_FORMAT_H
#define VWL_COMPOSITOR_FORMAT_H

#include <stdint.h>

#include "base/buffer.h"

struct vwl_format {
    uint32_t fourcc;
    uint8_t n_planes;
    uint8_t bytes[VWL_BUFFER_PLANES]; /* of one sample of a plane */
    uint8_t subsampling; /* of planes 1 and up, both ways; 1: none */
};

/* NULL: not known. */
const struct vwl_format *vwl_format_find(uint32_t fourcc);
/* All of them, *n in number. */
const struct vwl_format *vwl_format_list(unsigned int *n);

/* Fills in strides, offsets and size (of whole pages). stride0 is that of the
 * first plane if an allocator insists on one; 0: chosen so that GPUs can take
 * it. -EINVAL: no pixels, or stride0 does not fit; -ENOSPC: longer than
 * wish->max_bytes or than 32 bits can say. */
int vwl_format_layout(const struct vwl_format *format,
                      const struct vwl_buffer_wish *wish, uint32_t stride0,
                      struct vwl_buffer *out);

/* How many lines of the first plane's stride hold the whole buffer. */
uint32_t vwl_format_lines(const struct vwl_format *format, uint32_t height);

#endif
