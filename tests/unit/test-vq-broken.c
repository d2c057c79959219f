/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Split rings that no driver may write: each breaks the ring, and the reason is
 * said in words.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "ring.h"

static uint16_t used_index(struct guest *g)
{
    return get16(g->ram + DEVICE + 2);
}

/* Each row is written as descriptor 0 to 2 and an indirect table of 2, and
 * must break the ring. */
struct broken {
    const char *name;
    int rc;
    const char *why;
    struct {
        uint64_t address;
        uint32_t len;
        uint16_t flags, next;
    } d[3], t[2];
};

static const struct broken broken[] = {
    { "loop",
      -EPROTO,
      "the chain of descriptor 0 loops",
      { { GPA, 1, NEXT, 1 }, { GPA, 1, NEXT, 0 } } },
    { "loop-of-nothing",
      -EPROTO,
      "descriptor 0 points at itself",
      { { GPA, 0, NEXT, 0 } } },
    { "next-range",
      -EPROTO,
      "descriptor 0 points at 4 in a ring of 4 entries",
      { { GPA, 1, NEXT, 4 } } },
    { "order",
      -EPROTO,
      "piece 2 of a chain is readable but follows a writable one",
      { { GPA, 1, WRITE | NEXT, 1 }, { GPA, 1, 0, 0 } } },
    { "hole",
      -EFAULT,
      "a descriptor's address 0x40100000 is not in guest memory",
      { { GPA + 2 * HALF, 1, 0, 0 } } },
    { "past-end",
      -EFAULT,
      "a descriptor's address 0x40100000 is not in guest memory",
      { { GPA + 2 * HALF - 1, 2, 0, 0 } } },
    { "wrap",
      -EFAULT,
      "2 bytes at 0xffffffffffffffff reach past the last address",
      { { UINT64_MAX, 2, 0, 0 } } },
    { "table-next",
      -EPROTO,
      "descriptor 0 is indirect, and has a next one",
      { { GPA + TABLE, 32, INDIRECT | NEXT, 1 } } },
    { "table-empty",
      -EPROTO,
      "an indirect table of 0 bytes, which is no positive multiple of 16",
      { { GPA + TABLE, 0, INDIRECT, 0 } } },
    { "table-odd",
      -EPROTO,
      "an indirect table of 24 bytes, which is no positive multiple of 16",
      { { GPA + TABLE, 24, INDIRECT, 0 } } },
    { "table-hole",
      -EFAULT,
      "a descriptor's address 0x3ffffff0 is not in guest memory",
      { { GPA - 16, 32, INDIRECT, 0 } } },
    { "table-wrap",
      -EFAULT,
      "32 bytes at 0xfffffffffffffff0 reach past the last address",
      { { UINT64_MAX - 15, 32, INDIRECT, 0 } } },
    { "nested",
      -EPROTO,
      "entry 0 of an indirect table is another such table",
      { { GPA + TABLE, 32, INDIRECT, 0 } },
      { { GPA + TABLE, 32, INDIRECT, 0 } } },
    { "table-range",
      -EPROTO,
      "entry 0 of an indirect table of 2 points at 2",
      { { GPA + TABLE, 32, INDIRECT, 0 } },
      { { GPA, 1, NEXT, 2 } } },
    { "table-loop",
      -EPROTO,
      "entry 0 of an indirect table points at itself",
      { { GPA + TABLE, 32, INDIRECT, 0 } },
      { { GPA, 1, NEXT, 0 }, { GPA, 1, NEXT, 0 } } },
    { "table-ring",
      -EPROTO,
      "an indirect table of 2 entries loops",
      { { GPA + TABLE, 32, INDIRECT, 0 } },
      { { GPA, 1, NEXT, 1 }, { GPA, 1, NEXT, 0 } } },
    { "table-order",
      -EPROTO,
      "piece 2 of a chain is readable but follows a writable one",
      { { GPA, 1, WRITE | NEXT, 1 }, { GPA + TABLE, 32, INDIRECT, 0 } },
      { { GPA, 1, 0, 0 } } },
};

static void test_broken(gconstpointer data)
{
    const struct broken *row = data;
    struct guest g;
    struct vwl_chain *chain = NULL;

    guest_init(&g, false, 4);
    guest_start(&g);
    for (unsigned int i = 0; i < 3; i++) {
        desc(&g, i, row->d[i].address, row->d[i].len, row->d[i].flags,
             row->d[i].next);
    }
    for (unsigned int i = 0; i < 2; i++) {
        split_desc(g.ram + TABLE + 16 * i, row->t[i].address, row->t[i].len,
                   row->t[i].flags, row->t[i].next);
    }
    desc(&g, 3, GPA + DATA, 1, WRITE, 0);
    offer(&g, 3);
    offer(&g, 0);
    chain = pop(&g);
    pop_breaks(&g, row->rc);
    g_assert_cmpstr(vwl_vq_why(g.vq), ==, row->why);
    vwl_vq_push(g.vq, &chain, 1);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 0);
    g_assert_cmpuint(used_index(&g), ==, 0);
    /* until the next start */
    g.setup.base = 0;
    vwl_vq_stop(g.vq);
    guest_start(&g);
    g_assert_false(vwl_vq_is_broken(g.vq));
    chain = pop(&g);
    vwl_vq_push(g.vq, &chain, 1);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    guest_finish(&g);
}

static void test_broken_ring(void)
{
    struct guest g;
    struct vwl_chain *chain;

    guest_init(&g, false, 4);
    guest_start(&g);
    put16(g.ram + DRIVER + 2, 5); /* more than there are */
    g_assert_cmpuint(vwl_vq_waiting(g.vq), ==, 1);
    pop_breaks(&g, -EPROTO);
    g_assert_cmpstr(vwl_vq_why(g.vq), ==,
                    "available index 5 is more than 4 entries ahead of 0");
    vwl_vq_stop(g.vq);
    put16(g.ram + DRIVER + 2, 0xffff); /* backwards */
    guest_start(&g);
    pop_breaks(&g, -EPROTO);
    vwl_vq_stop(g.vq);
    put16(g.ram + DRIVER + 2, 0);
    guest_start(&g);
    offer(&g, 4); /* a head out of range */
    pop_breaks(&g, -EPROTO);
    g_assert_cmpstr(vwl_vq_why(g.vq), ==,
                    "descriptor 4 is available in a ring of 4 entries");
    vwl_vq_stop(g.vq);
    put16(g.ram + DRIVER + 2, 0);
    g.setup.indirect = false;
    guest_start(&g);
    desc(&g, 0, GPA + TABLE, 16, INDIRECT, 0);
    split_desc(g.ram + TABLE, GPA, 1, 0, 0);
    offer(&g, 0);
    pop_breaks(&g, -EPROTO);
    g_assert_cmpstr(vwl_vq_why(g.vq), ==,
                    "descriptor 0 is indirect, which was not negotiated");
    vwl_vq_stop(g.vq);
    g.setup.indirect = true;
    guest_start(&g);
    chain = pop(&g);
    g_assert_cmpuint(chain->out_bytes, ==, 1);
    vwl_vq_break(g.vq);
    g_assert_true(vwl_vq_is_broken(g.vq));
    vwl_chain_discard(&chain);
    guest_finish(&g);
}

/* Chains that were seen before the fault do not hide it: a device that looks
 * before it sleeps would never sleep. */
static void test_broken_while_full(void)
{
    struct guest g;
    struct vwl_chain *chain;

    guest_init(&g, false, 4);
    guest_start(&g);
    for (unsigned int i = 0; i < 2; i++) {
        desc(&g, i, GPA + DATA, 1, WRITE, 0);
        offer(&g, i);
    }
    chain = pop(&g);
    vwl_vq_unpop(g.vq, &chain);
    put16(g.ram + DRIVER + 2, 100);
    g_assert_true(vwl_vq_want_kick(g.vq, true));
    pop_breaks(&g, -EPROTO);
    guest_finish(&g);
}

/* A table of zero-length entries and one of more pieces than allowed. */
static void test_too_long(void)
{
    struct guest g;
    unsigned char *big;
    uint64_t gpa = 0x80000000;
    int fd;

    guest_init(&g, false, 4);
    fd = make_memfd(0x400000);
    add_region(&g.mem, gpa, 0x400000, 0x1000, 0, fd);
    g.setup.mem = g.mem;
    g.setup.packed = true;
    g.setup.base = 0x80008000u;
    big = mmap(NULL, 0x400000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (unsigned int i = 0; i < 0x40000; i++) {
        put64(big + 16 * i, GPA + DATA + 2 * (i & 1));
        put32(big + 16 * i + 8, 1);
    }
    guest_start(&g);
    slot(&g, 0, gpa, 0x40000, 1, INDIRECT | ROUND(1)); /* exactly 16384 */
    {
        struct vwl_chain *chain = pop(&g);

        g_assert_cmpuint(chain->n_out, ==, 16384);
        g_assert_cmpuint(chain->steps, ==, 16384);
        g_assert_cmpuint(vwl_chain_heap_bytes(chain), ==, 16384 * 16);
        vwl_vq_push(g.vq, &chain, 0);
        g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    }
    slot(&g, 1, gpa, 0x40010, 1, INDIRECT | ROUND(1));
    pop_breaks(&g, -EPROTO);
    munmap(big, 0x400000);
    close(fd);
    guest_finish(&g);
}

static void test_start_refused(void)
{
    struct guest g;
    struct vwl_vq_setup good;

    guest_init(&g, false, 8);
    good = g.setup;
#define REFUSED(field, value, rc, words)                                \
    do {                                                                \
        g.setup = good;                                                 \
        g.setup.field = (value);                                        \
        g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, NULL, 0), ==, rc); \
        g_assert_false(vwl_vq_is_started(g.vq));                        \
        g_assert_cmpstr(vwl_vq_why(g.vq), ==, words);                   \
    } while (0)
    REFUSED(size, 0, -EINVAL,
            "a size of 0 entries, which must be a power of 2");
    REFUSED(size, 7, -EINVAL,
            "a size of 7 entries, which must be a power of 2");
    REFUSED(size, 0x10000, -EINVAL,
            "a size of 65536 entries, which must be a power of 2");
    REFUSED(base, 0x10000, -EINVAL,
            "a base of 0x10000 is not in a ring of 8 entries");
    REFUSED(desc, UVA + 8, -EINVAL,
            "its descriptor area at 0x7f1200000008 is not aligned to 16 bytes");
    REFUSED(driver, UVA + 1, -EINVAL,
            "its driver area at 0x7f1200000001 is not aligned to 2 bytes");
    REFUSED(device, UVA + 2, -EINVAL,
            "its device area at 0x7f1200000002 is not aligned to 4 bytes");
    REFUSED(desc, UVA + HALF, -EFAULT,
            "its descriptor area, 128 bytes at 0x7f1200080000, is not in guest "
            "memory");
    REFUSED(desc, GPA, -EFAULT,
            "its descriptor area, 128 bytes at 0x40000000, is not in guest "
            "memory");
    REFUSED(driver, UVA + HALF - 18, -EFAULT,
            "its driver area, 20 bytes at 0x7f120007ffee, is not in guest "
            "memory");
    REFUSED(device, UVA + HALF - 64, -EFAULT,
            "its device area, 68 bytes at 0x7f120007ffc0, is not in guest "
            "memory");
#undef REFUSED
    /* the last that fits: 4 + 2 * 8 and 4 + 8 * 8 bytes */
    g.setup = good;
    g.setup.driver = UVA + HALF - 20;
    guest_start(&g);
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, NULL, 0), ==, -EINVAL);
    vwl_vq_stop(g.vq);
    g.setup.event_idx = true; /* two bytes more */
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, NULL, 0), ==, -EFAULT);
    guest_finish(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (unsigned int i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autofree char *path = g_strdup_printf("/vq-broken/%s",
                                                broken[i].name);

        g_test_add_data_func(path, &broken[i], test_broken);
    }
    g_test_add_func("/vq-broken/ring", test_broken_ring);
    g_test_add_func("/vq-broken/while-full", test_broken_while_full);
    g_test_add_func("/vq-broken/too-long", test_too_long);
    g_test_add_func("/vq-broken/start-refused", test_start_refused);
    return g_test_run();
}
