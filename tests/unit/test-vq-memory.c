/* SPDX-License-Identifier: BSD-3-Clause */
/* The split ring with an IOTLB, and with a dirty log. */
#include <errno.h>
#include <glib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "ring.h"

static void test_iotlb(void)
{
    struct guest g;
    struct vwl_iotlb *tlb = vwl_iotlb_create();
    struct vwl_chain *chain = NULL;
    struct vwl_mem *none;
    uint64_t iova;
    unsigned int access;

    guest_init(&g, false, 8);
    g.setup.iotlb = tlb;
    g.setup.desc = 0x10000;
    g.setup.driver = 0x11000;
    g.setup.device = 0x12fe0; /* crosses into the next page */
    for (unsigned int i = 0; i < 4; i++) {
        static const unsigned int rights[4] = { 1, 1, 2, 2 };
        static const uint64_t at[4] = { 0x10000, 0x11000, 0x12fe0, 0x13000 };

        g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, NULL, 0), ==, -EAGAIN);
        g_assert_false(vwl_vq_is_started(g.vq));
        vwl_vq_miss(g.vq, &iova, &access);
        g_assert_cmpuint(iova, ==, at[i]);
        g_assert_cmpuint(access, ==, rights[i]);
        vwl_iotlb_update(tlb, iova & ~0xfffull, 0x1000, UVA + i * 0x1000,
                         access);
    }
    guest_start(&g);
    desc(&g, 0, 0x50ff0, 0x20, NEXT, 1);
    desc(&g, 1, 0x60000, 8, WRITE, 0);
    offer(&g, 0);
    for (unsigned int i = 0; i < 3; i++) {
        static const uint64_t want[3] = { 0x50ff0, 0x51000, 0x60000 };

        g_assert_cmpint(vwl_vq_pop(g.vq, &chain), ==, -EAGAIN);
        g_assert_null(chain);
        g_assert_cmpuint(vwl_vq_waiting(g.vq), ==, 1);
        vwl_vq_miss(g.vq, &iova, &access);
        g_assert_cmpuint(iova, ==, want[i]);
        g_assert_cmpuint(access, ==, i < 2 ? 1 : 2);
        vwl_iotlb_update(tlb, iova & ~0xfffull, 0x1000, UVA + DATA + i * 0x2000,
                         access);
    }
    chain = pop(&g);
    g_assert_cmpuint(chain->n_out, ==, 2);
    g_assert_cmpuint(chain->in[0].gpa, ==, GPA + DATA + 0x4000);
    g_assert_true(vwl_chain_uses(chain, 0x5100f, 1));
    g_assert_false(vwl_chain_uses(chain, 0x51010, 0x1000));
    g_assert_true(vwl_chain_uses(chain, 0x50000, 0xff1));
    g_assert_false(vwl_chain_uses(chain, 0x50000, 0xff0));
    g_assert_true(vwl_chain_uses(chain, 0x60007, UINT64_MAX));
    g_assert_false(vwl_chain_uses(chain, 0x60000, 0));
    /* the used ring's translation goes: what is pushed waits */
    vwl_iotlb_invalidate(tlb, 0x13000, 1);
    g_assert_cmpint(vwl_vq_refresh(g.vq, g.mem), ==, -EAGAIN);
    vwl_vq_push(g.vq, &chain, 8);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, -EAGAIN);
    g_assert_cmpint(vwl_vq_pop(g.vq, &chain), ==, -EAGAIN);
    g_assert_false(vwl_vq_is_broken(g.vq));
    vwl_vq_miss(g.vq, &iova, &access);
    g_assert_cmpuint(iova, ==, 0x13000);
    vwl_iotlb_update(tlb, 0x13000, 0x1000, UVA + 0x3000, 2);
    g_assert_cmpint(vwl_vq_refresh(g.vq, NULL), ==, 0);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    g_assert_cmpuint(get32(g.ram + DEVICE + 0xfe0 + 8), ==, 8);
    g_assert_cmpuint(get16(g.ram + DEVICE + 0xfe0 + 2), ==, 1);
    /* a translation to nowhere */
    desc(&g, 1, 0x70000, 8, WRITE, 0);
    vwl_iotlb_update(tlb, 0x70000, 0x1000, 0x1000, 2);
    offer(&g, 1);
    pop_breaks(&g, -EFAULT);
    vwl_vq_stop(g.vq);
    /* and of a ring part: not in one piece, then not in memory */
    vwl_iotlb_update(tlb, 0x13000, 0x1000, UVA + 0x4000, 2);
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, NULL, 0), ==, -EFAULT);
    vwl_iotlb_update(tlb, 0x13000, 0x1000, UVA + 0x3000, 2);
    guest_start(&g);
    none = vwl_mem_new();
    g_assert_cmpint(vwl_vq_refresh(g.vq, none), ==, -EFAULT);
    vwl_mem_unref(none);
    pop_breaks(&g, -EFAULT);
    guest_finish(&g);
    vwl_iotlb_destroy(tlb);
}

/* One descriptor over many translations, though they follow each other. */
static void test_many_translations(void)
{
    struct guest g;
    struct vwl_iotlb *tlb = vwl_iotlb_create();
    struct vwl_chain *chain;

    guest_init(&g, false, 8);
    g.setup.iotlb = tlb;
    g.setup.desc = 0x10000;
    g.setup.driver = 0x11000;
    g.setup.device = 0x12000;
    vwl_iotlb_update(tlb, 0x10000, 0x3000, UVA, 3);
    for (unsigned int i = 0; i <= VWL_CHAIN_MAX_STEPS; i++) {
        vwl_iotlb_update(tlb, 0x100000 + i * 16, 16, UVA + DATA + i * 16, 3);
    }
    guest_start(&g);
    desc(&g, 0, 0x100000, VWL_CHAIN_MAX_STEPS * 16, 0, 0);
    offer(&g, 0);
    chain = pop(&g);
    g_assert_cmpuint(chain->n_out, ==, 1);
    g_assert_cmpuint(chain->steps, ==, VWL_CHAIN_MAX_STEPS);
    vwl_vq_push(g.vq, &chain, 0);
    desc(&g, 0, 0x100000, VWL_CHAIN_MAX_STEPS * 16 + 1, 0, 0);
    offer(&g, 0);
    pop_breaks(&g, -EPROTO);
    guest_finish(&g);
    vwl_iotlb_destroy(tlb);
}

/* Readable and writable bytes side by side, on two pages: what is found again
 * are the writable ones, where the pages are then. */
static void test_found_again(void)
{
    struct guest g;
    struct vwl_iotlb *tlb = vwl_iotlb_create();
    struct vwl_chain *chain;
    uint64_t iova;
    unsigned int access;

    guest_init(&g, false, 8);
    g.setup.iotlb = tlb;
    g.setup.desc = 0x10000;
    g.setup.driver = 0x11000;
    g.setup.device = 0x12000;
    for (unsigned int i = 0; i < 3; i++) {
        vwl_iotlb_update(tlb, 0x10000 + i * 0x1000, 0x1000, UVA + i * 0x1000,
                         3);
    }
    vwl_iotlb_update(tlb, 0x50000, 0x2000, UVA + DATA, 3);
    guest_start(&g);
    desc(&g, 0, 0x50ff0, 8, NEXT, 1);
    desc(&g, 1, 0x50ff8, 0x10, WRITE, 0);
    offer(&g, 0);
    chain = pop(&g);
    g_assert_cmpint(vwl_chain_find(g.vq, chain), ==, 0);
    g_assert_cmpuint(chain->n_out, ==, 1);
    vwl_chain_forget(chain);
    g_assert_cmpuint(chain->n_out, ==, 0);
    g_assert_cmpuint(chain->n_in, ==, 0);
    g_assert_cmpuint(vwl_chain_write(chain, 0, "12345678", 8), ==, 0);
    vwl_iotlb_invalidate(tlb, 0, UINT64_MAX);
    vwl_iotlb_update(tlb, 0x50000, 0x1000, UVA + DATA + 0x3000, 2);
    g_assert_cmpint(vwl_chain_find(g.vq, chain), ==, -EAGAIN);
    vwl_vq_miss(g.vq, &iova, &access);
    g_assert_cmpuint(iova, ==, 0x51000);
    g_assert_cmpuint(access, ==, VWL_ACCESS_WRITE);
    vwl_iotlb_update(tlb, 0x51000, 0x1000, UVA + DATA, 2);
    g_assert_cmpint(vwl_chain_find(g.vq, chain), ==, 0);
    g_assert_cmpuint(chain->n_out, ==, 0);
    g_assert_cmpuint(chain->n_in, ==, 2);
    g_assert_cmpuint(chain->in_bytes, ==, 0x10);
    g_assert_cmpuint(chain->in[0].gpa, ==, GPA + DATA + 0x3ff8);
    g_assert_cmpuint(chain->in[1].gpa, ==, GPA + DATA);
    g_assert_false(vwl_chain_uses(chain, 0x50ff0, 8));
    g_assert_true(vwl_chain_uses(chain, 0x51007, 1));
    g_assert_cmpuint(vwl_chain_write(chain, 0, "0123456789abcdef", 16), ==, 16);
    g_assert_cmpmem(g.ram + DATA + 0x3ff8, 8, "01234567", 8);
    g_assert_cmpmem(g.ram + DATA, 8, "89abcdef", 8);
    /* to nowhere */
    vwl_chain_forget(chain);
    vwl_iotlb_update(tlb, 0x51000, 0x1000, 0x1000, 2);
    g_assert_cmpint(vwl_chain_find(g.vq, chain), ==, -EFAULT);
    vwl_vq_push(g.vq, &chain, 16);
    guest_finish(&g);
    vwl_iotlb_destroy(tlb);
}

static void test_dirty(void)
{
    struct guest g;
    struct vwl_dirty *dirty = vwl_dirty_create();
    struct vwl_chain *chain;
    unsigned char *log;
    int fd;

    guest_init(&g, false, 8);
    fd = make_memfd(0x10000);
    log = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_cmpint(vwl_dirty_set_base(dirty, fd, 0, 0x10000), ==, 0);
    vwl_dirty_enable(dirty, true);
    g.setup.dirty = dirty;
    guest_start(&g);
    desc(&g, 0, GPA + DATA, 0x800, WRITE | NEXT, 1);
    desc(&g, 1, GPA + DATA + 0x5000, 0x4000, WRITE, 0);
    offer(&g, 0);
    offer(&g, 0);
    chain = pop(&g);
    vwl_vq_push(g.vq, &chain, 0x1801); /* 0x800 and 0x1001 */
    vwl_vq_publish(g.vq);
    g_assert_cmphex(log[0x8000], ==, 0);    /* the used ring: not logged */
    g_assert_cmphex(log[0x8002], ==, 0x61); /* 0x40010, 0x40015, 0x40016 */
    g_assert_cmphex(log[0x8003], ==, 0);
    vwl_vq_set_log(g.vq, true, 0x3000000 + 0xffe);
    chain = pop(&g);
    vwl_vq_push(g.vq, &chain, 0);
    vwl_vq_publish(g.vq);
    /* element 1 and the index: both after 0x3001000 */
    g_assert_cmphex(log[0x3000000 / 4096 / 8], ==, 0x02);
    vwl_vq_want_kick(g.vq, true);
    g_assert_cmphex(log[0x3000000 / 4096 / 8], ==, 0x03);
    vwl_vq_stop(g.vq);
    vwl_dirty_destroy(dirty);
    munmap(log, 0x10000);
    close(fd);
    guest_finish(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vq-memory/iotlb", test_iotlb);
    g_test_add_func("/vq-memory/found-again", test_found_again);
    g_test_add_func("/vq-memory/many-translations", test_many_translations);
    g_test_add_func("/vq-memory/dirty", test_dirty);
    return g_test_run();
}
