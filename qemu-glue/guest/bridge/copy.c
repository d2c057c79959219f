/* SPDX-License-Identifier: BSD-3-Clause */
/* Damage, and reading it from a client's file. */
#include "shm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Maps are few in a process; smaller pools are read nearly as fast. */
#define MAP_MIN_BYTES (256 << 10)
#define MAX_MAPPED 16u

/* From here on the cache only delays: nobody here looks at it again. */
#define STREAM_MIN_BYTES ((size_t)512 << 10)
#define FETCH_AHEAD_BYTES 8192u

static int64_t end_of(int32_t at, int32_t size)
{
    return (int64_t)at + size;
}

static struct vwl_rect join(struct vwl_rect a, struct vwl_rect b)
{
    struct vwl_rect r = { MIN(a.x, b.x), MIN(a.y, b.y), 0, 0 };
    int64_t right = MAX(end_of(a.x, a.width), end_of(b.x, b.width));
    int64_t bottom = MAX(end_of(a.y, a.height), end_of(b.y, b.height));

    r.width = (int32_t)MIN(right - r.x, INT32_MAX);
    r.height = (int32_t)MIN(bottom - r.y, INT32_MAX);
    return r;
}

static bool covers(const struct vwl_rect *a, const struct vwl_rect *b)
{
    return a->x <= b->x && a->y <= b->y &&
           end_of(a->x, a->width) >= end_of(b->x, b->width) &&
           end_of(a->y, a->height) >= end_of(b->y, b->height);
}

void vwl_damage_add(struct vwl_damage *damage, struct vwl_rect rect)
{
    int64_t right = end_of(rect.x, rect.width);
    int64_t bottom = end_of(rect.y, rect.height);

    if (rect.width <= 0 || rect.height <= 0 || damage->all) {
        return;
    }
    if (right <= 0 || bottom <= 0) {
        return;
    }
    /* what is left of or above a buffer would only overflow in a join */
    rect.x = MAX(rect.x, 0);
    rect.y = MAX(rect.y, 0);
    rect.width = (int32_t)(MIN(right, INT32_MAX) - rect.x);
    rect.height = (int32_t)(MIN(bottom, INT32_MAX) - rect.y);
    for (unsigned int i = 0; i < damage->n; i++) {
        if (covers(&damage->rects[i], &rect)) {
            return;
        }
        if (covers(&rect, &damage->rects[i])) {
            damage->rects[i] = rect;
            return;
        }
    }
    if (damage->n < VWL_MAX_RECTS) {
        damage->rects[damage->n++] = rect;
        return;
    }
    for (unsigned int i = 0; i < damage->n; i++) {
        rect = join(rect, damage->rects[i]);
    }
    damage->rects[0] = rect;
    damage->n = 1;
}

static int32_t scaled(int64_t value, int32_t scale)
{
    return (int32_t)CLAMP(value * scale, INT32_MIN, INT32_MAX);
}

void vwl_damage_merge(struct vwl_damage *damage, const struct vwl_damage *more,
                      int32_t scale)
{
    damage->all |= more->all;
    for (unsigned int i = 0; i < more->n; i++) {
        const struct vwl_rect *r = &more->rects[i];

        vwl_damage_add(damage, (struct vwl_rect){
                                   scaled(r->x, scale),
                                   scaled(r->y, scale),
                                   scaled(r->width, scale),
                                   scaled(r->height, scale),
                               });
    }
}

void vwl_pool_unmap(struct vwl_client *client, struct vwl_pool *pool)
{
    if (pool->map != NULL) {
        munmap((void *)(uintptr_t)pool->map, pool->map_bytes);
        pool->map = NULL;
        client->n_mapped--;
    }
}

bool vwl_file_stays(int fd, int64_t bytes)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct statfs fs;
    struct stat st;

    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && fstat(fd, &st) == 0 &&
           st.st_size >= bytes && fstatfs(fd, &fs) == 0 &&
           fs.f_type == TMPFS_MAGIC;
}

void vwl_pool_map(struct vwl_client *client, struct vwl_pool *pool)
{
    void *map;

    vwl_pool_unmap(client, pool);
    if (pool->size < MAP_MIN_BYTES || client->n_mapped >= MAX_MAPPED ||
        !vwl_file_stays(pool->fd, pool->size)) {
        return;
    }
    map = mmap(NULL, (size_t)pool->size, PROT_READ, MAP_SHARED, pool->fd, 0);
    if (map != MAP_FAILED) {
        pool->map = map;
        pool->map_bytes = (size_t)pool->size;
        client->n_mapped++;
    }
}

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

static int read_piece(const struct vwl_buffer *buffer, size_t at, size_t len)
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

static int copy_rect(const struct vwl_buffer *buffer,
                     const struct vwl_rect *rect)
{
    size_t stride = (size_t)buffer->stride;
    size_t bpp = buffer->bytes_per_pixel;
    int64_t x0 = MAX(rect->x, 0), y0 = MAX(rect->y, 0);
    int64_t x1 = MIN(end_of(rect->x, rect->width), buffer->width);
    int64_t y1 = MIN(end_of(rect->y, rect->height), buffer->height);
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

int vwl_buffer_copy(struct vwl_buffer *buffer)
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
