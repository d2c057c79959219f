/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of the guest layer: a little guest whose memory is a memfd of
 * 1 MiB, in two regions that follow each other in guest addresses but lie far
 * apart in the front-end's, and the driver's half of both ring formats written
 * out from the virtio specification: bytes at offsets, nothing of the device's.
 */
#ifndef TESTS_UNIT_RING_H
#define TESTS_UNIT_RING_H

#include <dirent.h>
#include <errno.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest/inflight.h"
#include "guest/vq.h"

#define GPA 0x40000000ull
#define UVA 0x7f1200000000ull
#define UVA_HIGH 0x7e0000000000ull
#define HALF 0x80000u

/* Offsets in memory. */
#define DESC 0x0000u
#define DRIVER 0x1000u
#define DEVICE 0x2000u
#define DATA 0x10000u
#define TABLE 0x20000u

struct guest {
    int fd;
    unsigned char *ram;
    unsigned char region[8192]; /* in-flight, of one queue */
    struct vwl_mem *mem;
    struct vwl_vq *vq;
    struct vwl_vq_setup setup;
    unsigned int fds_before;
};

static inline unsigned int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int n = 0;

    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

/* Mappings of memfds in this process. */
static inline unsigned int count_maps(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned int n = 0;

    while (fgets(line, sizeof line, maps)) {
        n += strstr(line, "memfd:") != NULL;
    }
    fclose(maps);
    return n;
}

static inline int memfd(const char *name, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    return fd;
}

static inline void add_region(struct vwl_mem **mem, uint64_t gpa, uint64_t size,
                              uint64_t uva, uint64_t offset, int fd)
{
    struct vwl_mem_region region = { gpa, size, uva, offset };
    struct vwl_mem *more = NULL;

    g_assert_cmpint(vwl_mem_add(*mem, &region, fd, &more), ==, 0);
    vwl_mem_unref(*mem);
    *mem = more;
}

static inline void guest_init(struct guest *g, bool packed, uint32_t size)
{
    memset(g, 0, sizeof *g);
    g->fds_before = count_fds();
    g->fd = memfd("guest", 2 * HALF);
    g->ram = mmap(NULL, 2 * HALF, PROT_READ | PROT_WRITE, MAP_SHARED, g->fd, 0);
    g_assert_true(g->ram != MAP_FAILED);
    g->mem = vwl_mem_new();
    add_region(&g->mem, GPA, HALF, UVA, 0, g->fd);
    add_region(&g->mem, GPA + HALF, HALF, UVA_HIGH, HALF, g->fd);
    g->vq = vwl_vq_create();
    g->setup = (struct vwl_vq_setup){
        .packed = packed,
        .indirect = true,
        .size = size,
        .desc = UVA + DESC,
        .driver = UVA + DRIVER,
        .device = UVA + DEVICE,
        .base = packed ? 0x80008000u : 0,
        .mem = g->mem,
    };
}

static inline void guest_start(struct guest *g)
{
    g_assert_cmpint(vwl_vq_start(g->vq, &g->setup, NULL, 0), ==, 0);
}

static inline void guest_finish(struct guest *g)
{
    vwl_vq_stop(g->vq);
    vwl_vq_destroy(g->vq);
    vwl_mem_unref(g->mem);
    munmap(g->ram, 2 * HALF);
    close(g->fd);
    g_assert_cmpuint(count_fds(), ==, g->fds_before);
    g_assert_cmpuint(count_maps(), ==, 0);
}

static inline void put16(void *at, uint16_t v)
{
    memcpy(at, &v, 2);
}

static inline void put32(void *at, uint32_t v)
{
    memcpy(at, &v, 4);
}

static inline void put64(void *at, uint64_t v)
{
    memcpy(at, &v, 8);
}

static inline uint16_t get16(const void *at)
{
    uint16_t v;

    memcpy(&v, at, 2);
    return v;
}

static inline uint32_t get32(const void *at)
{
    uint32_t v;

    memcpy(&v, at, 4);
    return v;
}

static inline uint64_t get64(const void *at)
{
    uint64_t v;

    memcpy(&v, at, 8);
    return v;
}

#define NEXT 1u
#define WRITE 2u
#define INDIRECT 4u

/* A split descriptor (2.7.5): address, length, flags, next. */
static inline void split_desc(unsigned char *at, uint64_t address, uint32_t len,
                              uint16_t flags, uint16_t next)
{
    put64(at, address);
    put32(at + 8, len);
    put16(at + 12, flags);
    put16(at + 14, next);
}

/* Descriptor i of the split ring. */
static inline void desc(struct guest *g, unsigned int i, uint64_t address,
                        uint32_t len, uint16_t flags, uint16_t next)
{
    split_desc(g->ram + DESC + 16 * i, address, len, flags, next);
}

/* Makes head available (2.7.6): ring[index % size], then index. */
static inline void offer(struct guest *g, uint16_t head)
{
    unsigned char *avail = g->ram + DRIVER;
    uint16_t index = get16(avail + 2);

    put16(avail + 4 + 2 * (index % g->setup.size), head);
    put16(avail + 2, (uint16_t)(index + 1));
}

/* A packed slot (2.8.5): address, length, id, flags. avail: the flags' AVAIL
 * and USED bits for a driver's wrap counter. */
#define ROUND(wrap) ((wrap) ? 0x0080u : 0x8000u)

static inline void slot(struct guest *g, unsigned int i, uint64_t address,
                        uint32_t len, uint16_t id, uint16_t flags)
{
    unsigned char *at = g->ram + DESC + 16 * i;

    put64(at, address);
    put32(at + 8, len);
    put16(at + 12, id);
    put16(at + 14, flags);
}

static inline struct vwl_chain *pop(struct guest *g)
{
    struct vwl_chain *chain = NULL;

    g_assert_cmpint(vwl_vq_pop(g->vq, &chain), ==, 1);
    g_assert_nonnull(chain);
    return chain;
}

static inline void pop_nothing(struct guest *g)
{
    struct vwl_chain *chain = (struct vwl_chain *)&g->fd;

    g_assert_cmpint(vwl_vq_pop(g->vq, &chain), ==, 0);
    g_assert_true(chain == (struct vwl_chain *)&g->fd);
}

/* The ring must break with rc, once and for all, touching nothing. */
static inline void pop_breaks(struct guest *g, int rc)
{
    struct vwl_chain *chain = (struct vwl_chain *)&g->fd;

    g_assert_cmpint(vwl_vq_pop(g->vq, &chain), ==, rc);
    g_assert_true(vwl_vq_is_broken(g->vq));
    g_assert_cmpint(vwl_vq_pop(g->vq, &chain), ==, rc);
    g_assert_true(chain == (struct vwl_chain *)&g->fd);
    g_assert_false(vwl_vq_want_kick(g->vq, true));
}

#endif
