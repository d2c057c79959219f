/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a buffer's pixels from a client's file. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "guard.h"
#include "shmbuf.h"

/* From here on the cache only delays: nobody here looks at it again. */
#define STREAM_MIN_BYTES ((size_t)512 << 10)
#define FETCH_AHEAD_BYTES 8192u
/* So much between two rows is copied along, and read along. */
#define GAP_BYTES 256u
#define READ_GAP_BYTES 4096u
#define BATCH_ROWS 64u

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
    memcpy(to, from, len);
}

static void stream_end(void)
{
    _mm_sfence();
}
#else
static void stream(char *to, const char *from, size_t len)
{
    memcpy(to, from, len);
}

static void stream_end(void)
{
}
#endif

/* Rows of a picture between two places, each with a stride of its own. */
struct rows {
    char *to;
    size_t to_stride;
    size_t from, from_stride; /* of the file */
    size_t width, n;          /* bytes of a row, and how many */
};

/* Rows that follow each other at both ends without much between them are one:
 * what is between them belongs to the buffer, and is not looked at. */
static void join_rows(struct rows *rows)
{
    if (rows->to_stride == rows->from_stride &&
        rows->from_stride - rows->width <= GAP_BYTES) {
        rows->width += rows->from_stride * (rows->n - 1);
        rows->n = 1;
    }
}

struct mapped {
    const struct rows *rows;
    const char *map;
};

static void copy_mapped(void *opaque)
{
    const struct mapped *mapped = opaque;
    const struct rows *rows = mapped->rows;
    const char *from = mapped->map + rows->from;
    bool past_cache = rows->width * rows->n >= STREAM_MIN_BYTES;
    char *to = rows->to;

    for (size_t i = 0; i < rows->n; i++) {
        if (past_cache) {
            stream(to, from, rows->width);
        } else {
            memcpy(to, from, rows->width);
        }
        to += rows->to_stride;
        from += rows->from_stride;
    }
}

static int read_row(const struct rows *rows, size_t row, int fd)
{
    char *to = rows->to + row * rows->to_stride;
    size_t at = rows->from + row * rows->from_stride, len = rows->width;

    while (len != 0) {
        ssize_t n = pread(fd, to, len, (off_t)at);

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

/* As many rows by one call as it can, the gaps between them into a place that
 * nobody looks at; so many were read whole. */
static size_t read_batch(const struct rows *rows, size_t first, int fd)
{
    char gap[READ_GAP_BYTES];
    struct iovec iov[BATCH_ROWS * 2];
    size_t n = MIN(rows->n - first, BATCH_ROWS);
    size_t between = rows->from_stride - rows->width;
    int count = 0;
    ssize_t got;

    if (between > READ_GAP_BYTES || n < 2) {
        return 0;
    }
    for (size_t i = first; i < first + n; i++) {
        if (i != first && between != 0) {
            iov[count++] = (struct iovec){ gap, between };
        }
        iov[count++] = (struct iovec){ rows->to + i * rows->to_stride,
                                       rows->width };
    }
    got = preadv(fd, iov, count,
                 (off_t)(rows->from + first * rows->from_stride));
    return got < 0 ? 0 : ((size_t)got + between) / rows->from_stride;
}

static int read_rows(const struct rows *rows, int fd)
{
    size_t done = 0;
    int r = 0;

    while (r == 0 && done < rows->n) {
        size_t n = read_batch(rows, done, fd);

        if (n == 0) {
            r = read_row(rows, done, fd);
            n = 1;
        }
        done += n;
    }
    return r;
}

static int copy_rows(struct vwl_client *client, const struct vwl_shmbuf *buffer,
                     struct rows *rows)
{
    struct vwl_pool *pool = buffer->pool;
    const struct mapped mapped = { rows, pool->map };
    bool whole;

    join_rows(rows);
    if (pool->map == NULL) {
        return read_rows(rows, pool->fd);
    }
    whole = vwl_guard(pool->map, pool->map_bytes, copy_mapped,
                      (void *)(uintptr_t)&mapped);
    stream_end();
    if (whole) {
        return 0;
    }
    vwl_pool_tear(client, pool);
    return read_rows(rows, pool->fd);
}

static int copy_rect(struct vwl_client *client, struct vwl_shmbuf *buffer,
                     const struct vwl_rect *rect)
{
    size_t bpp = buffer->bytes_per_pixel;
    int64_t x0 = MAX(rect->x, 0), y0 = MAX(rect->y, 0);
    int64_t x1 = MIN((int64_t)rect->x + rect->width, buffer->width);
    int64_t y1 = MIN((int64_t)rect->y + rect->height, buffer->height);
    size_t to_stride = (size_t)buffer->host_stride;
    size_t from_stride = (size_t)buffer->stride;
    struct rows rows;

    if (x0 >= x1 || y0 >= y1) {
        return 0;
    }
    rows = (struct rows){
        .to = (char *)buffer->memory->mem.ptr + (size_t)y0 * to_stride +
              (size_t)x0 * bpp,
        .to_stride = to_stride,
        .from = (size_t)buffer->offset + (size_t)y0 * from_stride +
                (size_t)x0 * bpp,
        .from_stride = from_stride,
        .width = (size_t)(x1 - x0) * bpp,
        .n = (size_t)(y1 - y0),
    };
    buffer->copied += rows.width * rows.n;
    return copy_rows(client, buffer, &rows);
}

/* With all planes that may follow the first: laid out as in the file. */
static int copy_planes(struct vwl_client *client,
                       const struct vwl_shmbuf *buffer)
{
    struct rows rows = {
        .to = buffer->memory->mem.ptr,
        .to_stride = buffer->extent,
        .from = (size_t)buffer->offset,
        .from_stride = buffer->extent,
        .width = buffer->extent,
        .n = 1,
    };

    return copy_rows(client, buffer, &rows);
}

int vwl_copy_stale(struct vwl_client *client, struct vwl_shmbuf *buffer)
{
    struct vwl_damage *stale = &buffer->stale;
    int r = 0;

    if (buffer->memory->in_place) {
        stale->all = false;
        stale->n = 0;
        return vwl_transport_pages_intact(client->bridge->transport,
                                          buffer->memory->mem.vfd);
    }
    if (stale->all) {
        stale->rects[0] = (struct vwl_rect){ 0, 0, buffer->width,
                                             buffer->height };
        stale->n = 1;
    }
    if (buffer->bytes_per_pixel == 0 && stale->n != 0) {
        r = copy_planes(client, buffer);
        stale->n = 0;
    }
    for (unsigned int i = 0; r == 0 && i < stale->n; i++) {
        r = copy_rect(client, buffer, &stale->rects[i]);
    }
    stale->all = false;
    stale->n = 0;
    return r;
}
