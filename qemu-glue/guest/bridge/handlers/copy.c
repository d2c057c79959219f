/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a buffer's pixels from a client's file. */
#include <errno.h>
#include <string.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "shmbuf.h"

/* From here on the cache only delays: nobody here looks at it again. */
#define STREAM_MIN_BYTES ((size_t)512 << 10)
#define FETCH_AHEAD_BYTES 8192u

#ifdef __SSE2__
/* Past the cache, since memory that was not read need not be fetched first.
 * The processor's own prefetching ends with each page. */
static void stream(char *to, const char *from, size_t len)
{
    size_t head = -(uintptr_t)to & 15;

    memcpy(to, from, head);
    to += head;
    from += head;
    len -= head;
    for (; len >= 64; to += 64, from += 64, len -= 64) {
        _mm_prefetch((const char *)((uintptr_t)from + FETCH_AHEAD_BYTES),
                     _MM_HINT_T0);
        for (unsigned int i = 0; i < 64; i += 16) {
            _mm_stream_si128((__m128i *)(void *)(to + i),
                             _mm_loadu_si128(
                                 (const __m128i *)(const void *)(from + i)));
        }
    }
    _mm_sfence();
    memcpy(to, from, len);
}
#else
static void stream(char *to, const char *from, size_t len)
{
    memcpy(to, from, len);
}
#endif

static void copy_piece(char *to, const char *from, size_t len)
{
    if (len >= STREAM_MIN_BYTES) {
        stream(to, from, len);
    } else {
        memcpy(to, from, len);
    }
}

static int read_piece(const struct vwl_shmbuf *buffer, size_t at, size_t len)
{
    const struct vwl_pool *pool = buffer->pool;
    char *to = (char *)buffer->memory->mem.ptr + at;

    if (pool->map != NULL) {
        copy_piece(to, pool->map + buffer->offset + at, len);
        return 0;
    }
    while (len != 0) {
        ssize_t n = pread(pool->fd, to, len, (off_t)buffer->offset + (off_t)at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? -ENODATA : -errno;
        }
        to += n;
        at += (size_t)n;
        len -= (size_t)n;
    }
    return 0;
}

static int copy_rect(const struct vwl_shmbuf *buffer,
                     const struct vwl_rect *rect)
{
    size_t stride = (size_t)buffer->stride;
    size_t bpp = buffer->bytes_per_pixel;
    int64_t x0 = MAX(rect->x, 0), y0 = MAX(rect->y, 0);
    int64_t x1 = MIN((int64_t)rect->x + rect->width, buffer->width);
    int64_t y1 = MIN((int64_t)rect->y + rect->height, buffer->height);
    size_t left, width;
    int r = 0;

    if (x0 >= x1 || y0 >= y1) {
        return 0;
    }
    left = (size_t)x0 * bpp;
    width = (size_t)(x1 - x0) * bpp;
    if (width * 2 > stride) {
        return read_piece(buffer, (size_t)y0 * stride,
                          (size_t)(y1 - y0) * stride);
    }
    for (int64_t y = y0; r == 0 && y < y1; y++) {
        r = read_piece(buffer, (size_t)y * stride + left, width);
    }
    return r;
}

int vwl_copy_stale(struct vwl_shmbuf *buffer)
{
    struct vwl_damage *stale = &buffer->stale;
    int r = 0;

    if (buffer->bytes_per_pixel == 0 && stale->n != 0) {
        stale->all = true; /* there are planes behind the first */
    }
    if (stale->all) {
        r = read_piece(buffer, 0, buffer->extent);
    }
    for (unsigned int i = 0; !stale->all && r == 0 && i < stale->n; i++) {
        r = copy_rect(buffer, &stale->rects[i]);
    }
    stale->all = false;
    stale->n = 0;
    return r;
}
