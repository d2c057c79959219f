/* SPDX-License-Identifier: BSD-3-Clause */
#include "compositor/format.h"

#include <drm_fourcc.h>
#include <errno.h>
#include <glib.h>
#include <stddef.h>

#include "base/page.h"

/* What GPUs of today want of the stride of a linear buffer that they import;
 * twice that where another plane's is half of it. */
#define STRIDE_ALIGNMENT 256u

#define PACKED(name, size)                \
    {                                     \
        DRM_FORMAT_##name, 1, { size }, 1 \
    }

static const struct vwl_format formats[] = {
    PACKED(XRGB8888, 4),
    PACKED(ARGB8888, 4),
    PACKED(XBGR8888, 4),
    PACKED(ABGR8888, 4),
    PACKED(RGBX8888, 4),
    PACKED(RGBA8888, 4),
    PACKED(BGRX8888, 4),
    PACKED(BGRA8888, 4),
    PACKED(XRGB2101010, 4),
    PACKED(ARGB2101010, 4),
    PACKED(XBGR2101010, 4),
    PACKED(ABGR2101010, 4),
    PACKED(XBGR16161616F, 8),
    PACKED(ABGR16161616F, 8),
    PACKED(RGB888, 3),
    PACKED(BGR888, 3),
    PACKED(RGB565, 2),
    PACKED(BGR565, 2),
    PACKED(R8, 1),
    PACKED(GR88, 2),
    { DRM_FORMAT_NV12, 2, { 1, 2 }, 2 },
    { DRM_FORMAT_NV21, 2, { 1, 2 }, 2 },
    { DRM_FORMAT_P010, 2, { 2, 4 }, 2 },
    { DRM_FORMAT_YUV420, 3, { 1, 1, 1 }, 2 },
    { DRM_FORMAT_YVU420, 3, { 1, 1, 1 }, 2 },
};

const struct vwl_format *vwl_format_list(unsigned int *n)
{
    *n = G_N_ELEMENTS(formats);
    return formats;
}

const struct vwl_format *vwl_format_find(uint32_t fourcc)
{
    for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (formats[i].fourcc == fourcc) {
            return &formats[i];
        }
    }
    return NULL;
}

static uint64_t round_up(uint64_t value, uint32_t to)
{
    return (value + to - 1) / to * to;
}

static uint32_t samples(uint32_t pixels, uint32_t subsampling)
{
    return pixels / subsampling + (pixels % subsampling != 0);
}

/* Interleaved chroma has the stride of luma, separate planes have half. */
static uint64_t plane_stride(const struct vwl_format *format,
                             unsigned int plane, uint64_t stride0)
{
    return plane == 0 ? stride0
                      : stride0 * format->bytes[plane] /
                            ((uint64_t)format->bytes[0] * format->subsampling);
}

static uint64_t least_stride(const struct vwl_format *format,
                             unsigned int plane, uint32_t width)
{
    uint32_t n = plane == 0 ? width : samples(width, format->subsampling);

    return (uint64_t)n * format->bytes[plane];
}

uint32_t vwl_format_lines(const struct vwl_format *format, uint32_t height)
{
    uint64_t lines = height;

    for (unsigned int i = 1; i < format->n_planes; i++) {
        lines += samples(height, format->subsampling) *
                     (uint64_t)format->bytes[i] /
                     ((uint64_t)format->bytes[0] * format->subsampling) +
                 1;
    }
    return (uint32_t)MIN(lines, UINT32_MAX);
}

int vwl_format_layout(const struct vwl_format *format,
                      const struct vwl_buffer_wish *wish, uint32_t stride0,
                      struct vwl_buffer *out)
{
    uint32_t alignment = STRIDE_ALIGNMENT *
                         (format->n_planes == 3 ? format->subsampling : 1);
    uint64_t first = stride0 ? stride0
                             : round_up(least_stride(format, 0, wish->width),
                                        alignment);
    struct vwl_buffer made = { .fd = -1, .map_fd = -1 };
    uint64_t end = 0, most = MIN(wish->max_bytes, UINT32_MAX);

    if (wish->width == 0 || wish->height == 0 ||
        first % format->subsampling != 0) {
        return -EINVAL;
    }
    for (unsigned int i = 0; i < format->n_planes; i++) {
        uint64_t stride = plane_stride(format, i, first), bytes;
        uint32_t lines = i == 0 ? wish->height
                                : samples(wish->height, format->subsampling);

        if (stride < least_stride(format, i, wish->width)) {
            return -EINVAL;
        }
        if (stride > most || end > most ||
            !g_uint64_checked_mul(&bytes, stride, lines) ||
            bytes > most - end) {
            return -ENOSPC;
        }
        made.stride[i] = (uint32_t)stride;
        made.offset[i] = (uint32_t)end;
        end += bytes;
    }
    made.size_bytes = vwl_page_up(end);
    if (made.size_bytes > most) {
        return -ENOSPC;
    }
    *out = made;
    return 0;
}
