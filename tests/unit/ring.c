/* SPDX-License-Identifier: BSD-3-Clause */
#include "ring.h"

#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"

void add_region(struct vwl_mem **mem, uint64_t gpa, uint64_t size, uint64_t uva,
                uint64_t offset, int fd)
{
    struct vwl_mem_region region = { gpa, size, uva, offset };
    struct vwl_mem *more = NULL;

    g_assert_cmpint(vwl_mem_add(*mem, &region, fd, &more), ==, 0);
    vwl_mem_unref(*mem);
    *mem = more;
}

void guest_init(struct guest *g, bool packed, uint32_t size)
{
    memset(g, 0, sizeof *g);
    g->fds_before = count_fds();
    g->fd = make_memfd(2 * HALF);
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

void guest_start(struct guest *g)
{
    g_assert_cmpint(vwl_vq_start(g->vq, &g->setup, NULL, 0), ==, 0);
}

void guest_finish(struct guest *g)
{
    vwl_vq_stop(g->vq);
    vwl_vq_destroy(g->vq);
    vwl_mem_unref(g->mem);
    munmap(g->ram, 2 * HALF);
    close(g->fd);
    g_assert_cmpuint(count_fds(), ==, g->fds_before);
    g_assert_cmpuint(count_maps(), ==, 0);
}

void split_desc(unsigned char *at, uint64_t address, uint32_t len,
                uint16_t flags, uint16_t next)
{
    put64(at, address);
    put32(at + 8, len);
    put16(at + 12, flags);
    put16(at + 14, next);
}

void desc(struct guest *g, unsigned int i, uint64_t address, uint32_t len,
          uint16_t flags, uint16_t next)
{
    split_desc(g->ram + DESC + 16 * i, address, len, flags, next);
}

void offer(struct guest *g, uint16_t head)
{
    unsigned char *avail = g->ram + DRIVER;
    uint16_t index = get16(avail + 2);

    put16(avail + 4 + 2 * (index % g->setup.size), head);
    put16(avail + 2, (uint16_t)(index + 1));
}

void slot(struct guest *g, unsigned int i, uint64_t address, uint32_t len,
          uint16_t id, uint16_t flags)
{
    unsigned char *at = g->ram + DESC + 16 * i;

    put64(at, address);
    put32(at + 8, len);
    put16(at + 12, id);
    put16(at + 14, flags);
}

struct vwl_chain *pop(struct guest *g)
{
    struct vwl_chain *chain = NULL;

    g_assert_cmpint(vwl_vq_pop(g->vq, &chain), ==, 1);
    g_assert_nonnull(chain);
    return chain;
}

void pop_nothing(struct guest *g)
{
    struct vwl_chain *chain = (struct vwl_chain *)&g->fd;

    g_assert_cmpint(vwl_vq_pop(g->vq, &chain), ==, 0);
    g_assert_true(chain == (struct vwl_chain *)&g->fd);
}

void pop_breaks(struct guest *g, int rc)
{
    struct vwl_chain *chain = (struct vwl_chain *)&g->fd;

    g_assert_cmpint(vwl_vq_pop(g->vq, &chain), ==, rc);
    g_assert_true(vwl_vq_is_broken(g->vq));
    g_assert_cmpint(vwl_vq_pop(g->vq, &chain), ==, rc);
    g_assert_true(chain == (struct vwl_chain *)&g->fd);
    g_assert_false(vwl_vq_want_kick(g->vq, true));
}
