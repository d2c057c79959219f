/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "ring.h"

/* Used slot i: id, length, flags with the device's wrap counter. */
static void used_is(struct guest *g, unsigned int i, uint16_t id, uint32_t len,
                    uint16_t flags)
{
    const unsigned char *at = g->ram + DESC + 16 * i;

    g_assert_cmpuint(get16(at + 12), ==, id);
    g_assert_cmpuint(get32(at + 8), ==, len);
    g_assert_cmphex(get16(at + 14), ==, flags);
}

static void give(struct guest *g, struct vwl_chain **chain, uint32_t written,
                 int call)
{
    vwl_vq_push(g->vq, chain, written);
    g_assert_cmpint(vwl_vq_publish(g->vq), ==, call);
}

static void test_request(void)
{
    struct guest g;
    struct vwl_chain *chain;
    char head[8] = "";

    guest_init(&g, true, 5); /* no power of two */
    guest_start(&g);
    pop_nothing(&g);
    memcpy(g.ram + DATA, "hello", 5);
    slot(&g, 0, GPA + DATA, 5, 9, NEXT | ROUND(1));
    slot(&g, 1, GPA, 0, 9, NEXT | ROUND(1)); /* of no length */
    slot(&g, 2, GPA + DATA + 0x100, 8, 0x1234, WRITE | ROUND(1));
    g_assert_cmpuint(vwl_vq_waiting(g.vq), ==, 1);
    chain = pop(&g);
    pop_nothing(&g);
    g_assert_cmpuint(chain->n_out, ==, 1);
    g_assert_cmpuint(chain->n_in, ==, 1);
    g_assert_cmpuint(vwl_chain_token(chain), ==, GPA + DATA);
    g_assert_cmpuint(vwl_chain_read_head(chain, head, 8), ==, 5);
    g_assert_cmpstr(head, ==, "hello");
    vwl_vq_push(g.vq, &chain, 8);
    g_assert_cmphex(get16(g.ram + 14), ==, 0x0081); /* not before publish */
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    used_is(&g, 0, 0x1234, 8, 0x8082);
    g_assert_cmphex(get16(g.ram + 16 * 2 + 14), ==, 0x0082); /* untouched */
    /* nothing written: no WRITE; round the end: two slots, then wrap 0 */
    slot(&g, 3, GPA + DATA, 1, 7, ROUND(1));
    slot(&g, 4, GPA + DATA, 1, 8, NEXT | ROUND(1));
    slot(&g, 0, GPA + DATA, 1, 8, WRITE | ROUND(0));
    chain = pop(&g);
    give(&g, &chain, 0, 1);
    used_is(&g, 3, 7, 0, 0x8080);
    chain = pop(&g);
    give(&g, &chain, 1, 1);
    used_is(&g, 4, 8, 1, 0x8082);
    pop_nothing(&g);
    /* next slot 1, both counters 0 */
    g_assert_cmphex(vwl_vq_stop(g.vq), ==, 0x00010001);
    g.setup.base = 0x00010001;
    guest_start(&g);
    slot(&g, 1, GPA + DATA, 1, 3, WRITE | ROUND(0));
    chain = pop(&g);
    give(&g, &chain, 1, 1);
    used_is(&g, 1, 3, 1, 0x0002);
    guest_finish(&g);
}

static void test_order(void)
{
    struct guest g;
    struct vwl_chain *a, *b, *c;

    guest_init(&g, true, 4);
    guest_start(&g);
    slot(&g, 0, GPA + DATA, 1, 0, NEXT | WRITE | ROUND(1));
    slot(&g, 1, GPA + DATA + 8, 1, 0, WRITE | ROUND(1));
    slot(&g, 2, GPA + DATA + 16, 1, 1, WRITE | ROUND(1));
    slot(&g, 3, GPA + DATA + 24, 1, 2, WRITE | ROUND(1));
    a = pop(&g);
    b = pop(&g);
    c = pop(&g);
    vwl_vq_push(g.vq, &c, 1);
    vwl_vq_push(g.vq, &a, 2);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    used_is(&g, 0, 2, 1, 0x8082); /* one slot */
    used_is(&g, 1, 0, 2, 0x8082); /* two, so that the next is slot 3 */
    /* b stays over a stop; next available 0 of round 0, next used 3 of 1 */
    g.setup.base = vwl_vq_stop(g.vq);
    g_assert_cmphex(g.setup.base, ==, 0x80030000);
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, &b, 1), ==, 0);
    give(&g, &b, 1, 1);
    used_is(&g, 3, 1, 1, 0x8082);
    g_assert_cmphex(vwl_vq_stop(g.vq), ==, 0x00000000);
    guest_finish(&g);
}

/* A chain that is longer than the ring into which it would go back. */
static void test_shorter_ring(void)
{
    struct vwl_chain *chain;
    struct guest g;

    guest_init(&g, true, 4);
    guest_start(&g);
    slot(&g, 0, GPA + DATA, 1, 0, NEXT | WRITE | ROUND(1));
    slot(&g, 1, GPA + DATA + 8, 1, 0, NEXT | WRITE | ROUND(1));
    slot(&g, 2, GPA + DATA + 16, 1, 0, WRITE | ROUND(1));
    chain = pop(&g);
    vwl_vq_stop(g.vq);
    g.setup.base = 0x80008000u;
    g.setup.size = 2;
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, &chain, 1), ==, -EINVAL);
    g.setup.size = 3;
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, &chain, 1), ==, 0);
    give(&g, &chain, 1, 1);
    used_is(&g, 0, 0, 1, 0x8082);
    guest_finish(&g);
}

static void test_indirect(void)
{
    struct guest g;
    struct vwl_chain *chain;

    guest_init(&g, true, 2);
    guest_start(&g);
    for (unsigned int i = 0; i < 3000; i++) {
        unsigned char *at = g.ram + TABLE + 16 * i;

        put64(at, GPA + DATA + 2 * i);
        put32(at + 8, 1);
        put16(at + 12, 0xffff);                  /* an id means nothing here */
        put16(at + 14, i < 1000 ? NEXT : WRITE); /* nor does NEXT */
    }
    slot(&g, 0, GPA + TABLE, 3000 * 16, 5, INDIRECT | WRITE | ROUND(1));
    chain = pop(&g);
    g_assert_cmpuint(chain->n_out, ==, 1000);
    g_assert_cmpuint(chain->n_in, ==, 2000);
    g_assert_cmpuint(chain->in[1999].gpa, ==, GPA + DATA + 5998);
    give(&g, &chain, 2000, 1);
    used_is(&g, 0, 5, 2000, 0x8082);
    g_assert_cmphex(vwl_vq_stop(g.vq), ==, 0x80018001);
    guest_finish(&g);
}

struct broken {
    const char *name;
    int rc;
    const char *why;
    uint64_t address[2];
    uint32_t len[2];
    uint16_t flags[2];
    uint16_t in_table; /* flags of the table's only entry */
};

static const struct broken broken[] = {
    { "endless",
      -EPROTO,
      "a chain from slot 0 on is longer than the ring",
      { GPA, GPA },
      { 1, 1 },
      { NEXT, NEXT } },
    { "order",
      -EPROTO,
      "piece 2 of a chain is readable but follows a writable one",
      { GPA, GPA },
      { 1, 1 },
      { NEXT | WRITE, 0 } },
    { "hole",
      -EFAULT,
      "a descriptor's address 0x1000 is not in guest memory",
      { 0x1000 },
      { 1 },
      { 0 } },
    { "wrap",
      -EFAULT,
      "2 bytes at 0xffffffffffffffff reach past the last address",
      { UINT64_MAX },
      { 2 },
      { 0 } },
    { "table-next",
      -EPROTO,
      "the descriptor with buffer id 0 is indirect, and has a next one",
      { GPA + TABLE, GPA },
      { 16, 1 },
      { INDIRECT | NEXT, 0 } },
    { "table-empty",
      -EPROTO,
      "an indirect table of 0 bytes, which is no positive multiple of 16",
      { GPA + TABLE },
      { 0 },
      { INDIRECT } },
    { "table-odd",
      -EPROTO,
      "an indirect table of 17 bytes, which is no positive multiple of 16",
      { GPA + TABLE },
      { 17 },
      { INDIRECT } },
    { "nested",
      -EPROTO,
      "entry 0 of an indirect table is another such table",
      { GPA + TABLE },
      { 16 },
      { INDIRECT },
      INDIRECT },
};

static void test_broken(gconstpointer data)
{
    const struct broken *row = data;
    struct guest g;
    unsigned char before[32];

    guest_init(&g, true, 2);
    guest_start(&g);
    put64(g.ram + TABLE, GPA);
    put32(g.ram + TABLE + 8, 1);
    put16(g.ram + TABLE + 14, row->in_table);
    for (unsigned int i = 0; i < 2; i++) {
        slot(&g, i, row->address[i], row->len[i], 0, row->flags[i] | ROUND(1));
    }
    memcpy(before, g.ram + DESC, 32);
    pop_breaks(&g, row->rc);
    g_assert_cmpstr(vwl_vq_why(g.vq), ==, row->why);
    g_assert_cmpmem(g.ram + DESC, 32, before, 32);
    guest_finish(&g);
}

static void test_start_refused(void)
{
    struct guest g;
    struct vwl_vq_setup good;

    guest_init(&g, true, 7);
    good = g.setup;
#define REFUSED(field, value, rc)                                       \
    do {                                                                \
        g.setup = good;                                                 \
        g.setup.field = (value);                                        \
        g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, NULL, 0), ==, rc); \
        g_assert_false(vwl_vq_is_started(g.vq));                        \
    } while (0)
    REFUSED(size, 0, -EINVAL);
    REFUSED(size, 32769, -EINVAL);
    REFUSED(base, 0x80008007u, -EINVAL);
    REFUSED(base, 0x80078000u, -EINVAL);
    REFUSED(desc, UVA + 8, -EINVAL);
    REFUSED(driver, UVA + 2, -EINVAL);
    REFUSED(device, UVA + 2, -EINVAL);
    REFUSED(desc, UVA + HALF - 96, -EFAULT);
    REFUSED(driver, UVA + HALF, -EFAULT);
#undef REFUSED
    g.setup = good;
    g.setup.base = 0x80068006u;
    g.setup.desc = UVA + HALF - 112;
    guest_start(&g);
    guest_finish(&g);
}

/* One chain of one slot at the driver's next place. */
static int turn(struct guest *g, unsigned int *place)
{
    struct vwl_chain *chain;

    slot(g, *place % 3, GPA, 1, 0, ROUND(*place / 3 % 2 == 0));
    (*place)++;
    chain = pop(g);
    vwl_vq_push(g->vq, &chain, 0);
    return vwl_vq_publish(g->vq);
}

static void test_notify(void)
{
    struct guest g;
    unsigned int place = 0;

    guest_init(&g, true, 3);
    put16(g.ram + DEVICE + 2, 1);
    guest_start(&g);
    g_assert_cmpuint(get16(g.ram + DEVICE + 2), ==, 0);
    vwl_vq_want_kick(g.vq, false);
    g_assert_cmpuint(get16(g.ram + DEVICE + 2), ==, 1);
    slot(&g, 0, GPA, 1, 0, ROUND(1));
    g_assert_true(vwl_vq_want_kick(g.vq, true));
    g_assert_cmpuint(get16(g.ram + DEVICE + 2), ==, 0);
    g_assert_cmpint(turn(&g, &place), ==, 1);
    g_assert_false(vwl_vq_want_kick(g.vq, true));
    put16(g.ram + DRIVER + 2, 1);
    g_assert_cmpint(turn(&g, &place), ==, 0);
    put16(g.ram + DRIVER + 2, 2); /* means nothing without the event index */
    g_assert_cmpint(turn(&g, &place), ==, 1);
    guest_finish(&g);
}

static void test_notify_event(void)
{
    struct guest g;
    unsigned int place = 0;

    guest_init(&g, true, 3);
    g.setup.event_idx = true;
    guest_start(&g);
    g_assert_cmphex(get16(g.ram + DEVICE), ==, 0x8000);
    g_assert_cmpuint(get16(g.ram + DEVICE + 2), ==, 2);
    put16(g.ram + DRIVER + 2, 2);
    put16(g.ram + DRIVER, 0x8001);
    g_assert_cmpint(turn(&g, &place), ==, 1); /* the first always */
    g_assert_cmpint(turn(&g, &place), ==, 1); /* slot 1 of round 1 */
    put16(g.ram + DRIVER, 0x0000);            /* slot 0 of the next round */
    g_assert_cmpint(turn(&g, &place), ==, 0); /* was slot 2 */
    g_assert_cmpint(turn(&g, &place), ==, 1);
    put16(g.ram + DRIVER, 0x0002);
    g_assert_cmpint(turn(&g, &place), ==, 0); /* slot 1 */
    g_assert_cmpint(turn(&g, &place), ==, 1); /* slot 2, round 0, the last */
    put16(g.ram + DRIVER, 0x0002);            /* of the round before */
    g_assert_cmpint(turn(&g, &place), ==, 0);
    put16(g.ram + DRIVER + 2, 1);
    g_assert_cmpint(turn(&g, &place), ==, 0);
    put16(g.ram + DRIVER + 2, 0);
    g_assert_cmpint(turn(&g, &place), ==, 1);
    g_assert_false(vwl_vq_want_kick(g.vq, true));
    g_assert_cmphex(get16(g.ram + DEVICE), ==, 0x0000); /* place 9 */
    g_assert_false(vwl_vq_want_kick(g.vq, false));
    g_assert_cmpuint(get16(g.ram + DEVICE + 2), ==, 1);
    guest_finish(&g);
}

static void note(void *opaque, uint64_t address)
{
    g_string_append_printf(opaque, "%x ", (unsigned int)(address - GPA));
}

static void scan_is(struct guest *g, const char *want, unsigned int n)
{
    GString *seen = g_string_new("");

    g_assert_cmpuint(vwl_vq_scan(g->vq, note, seen), ==, n);
    g_assert_cmpstr(seen->str, ==, want);
    g_string_free(seen, TRUE);
}

static void test_scan_unpop(void)
{
    struct guest g;
    struct vwl_chain *chain;

    guest_init(&g, true, 4);
    guest_start(&g);
    scan_is(&g, "", 0);
    slot(&g, 0, GPA + 1, 1, 0, NEXT | ROUND(1));
    slot(&g, 1, GPA + 2, 1, 0, ROUND(1));
    slot(&g, 2, GPA + 3, 1, 1, ROUND(1));
    scan_is(&g, "1 3 ", 2);
    slot(&g, 3, GPA + 4, 1, 2, ROUND(1));
    chain = pop(&g);
    vwl_vq_unpop(g.vq, &chain);
    scan_is(&g, "4 ", 1);
    chain = pop(&g);
    g_assert_cmpuint(vwl_chain_token(chain), ==, GPA + 1);
    give(&g, &chain, 0, 1);
    scan_is(&g, "", 0);
    slot(&g, 0, GPA + 5, 1, 3, ROUND(0));
    chain = pop(&g);
    give(&g, &chain, 0, 1);
    chain = pop(&g);
    give(&g, &chain, 0, 1);
    chain = pop(&g); /* before it was seen */
    vwl_vq_unpop(g.vq, &chain);
    scan_is(&g, "5 ", 1);
    scan_is(&g, "", 0);
    chain = pop(&g);
    g_assert_cmpuint(vwl_chain_token(chain), ==, GPA + 5);
    vwl_chain_discard(&chain);
    guest_finish(&g);
}

static void test_unpop_several(void)
{
    struct guest g;
    struct vwl_chain *first, *second, *third;

    guest_init(&g, true, 4);
    g.setup.base |= 3 | 3u << 16;
    guest_start(&g);
    slot(&g, 3, GPA + 1, 1, 0, ROUND(1));
    slot(&g, 0, GPA + 2, 1, 0, NEXT | ROUND(0));
    slot(&g, 1, GPA + 3, 1, 1, ROUND(0));
    slot(&g, 2, GPA + 4, 1, 2, ROUND(0));
    first = pop(&g);
    second = pop(&g);
    third = pop(&g);
    g_assert_cmpuint(vwl_chain_token(third), ==, GPA + 4);
    vwl_vq_unpop(g.vq, &third);
    vwl_vq_unpop(g.vq, &second);
    vwl_vq_unpop(g.vq, &first);
    first = pop(&g);
    second = pop(&g);
    g_assert_cmpuint(vwl_chain_token(first), ==, GPA + 1);
    g_assert_cmpuint(vwl_chain_token(second), ==, GPA + 2);
    give(&g, &first, 3, 1);
    vwl_vq_unpop(g.vq, &second);
    second = pop(&g);
    g_assert_cmpuint(vwl_chain_token(second), ==, GPA + 2);
    vwl_chain_discard(&second);
    guest_finish(&g);
}

static void test_dirty(void)
{
    struct guest g;
    struct vwl_dirty *dirty = vwl_dirty_create();
    struct vwl_chain *chain;
    unsigned char *log;
    int fd;

    guest_init(&g, true, 300); /* slots in pages 0x40000 and 0x40001 */
    g.setup.driver = UVA + 0x6000;
    g.setup.device = UVA + 0x7000;
    fd = make_memfd(0x10000);
    log = mmap(NULL, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_cmpint(vwl_dirty_set_base(dirty, fd, 0, 0x10000), ==, 0);
    vwl_dirty_enable(dirty, true);
    g.setup.dirty = dirty;
    g.setup.log_gpa = 0x5000000;
    g.setup.base = 0x81008100;
    guest_start(&g);
    slot(&g, 256, GPA + DATA, 0x1000, 0, WRITE | ROUND(1));
    chain = pop(&g);
    give(&g, &chain, 1, 1);
    g_assert_cmphex(log[0x8000], ==, 0x00);
    g_assert_cmphex(log[0x8002], ==, 0x01);
    g_assert_cmphex(log[0x5000 / 8], ==, 0x00);
    vwl_vq_set_log(g.vq, true, 0x5000000);
    slot(&g, 257, GPA + DATA, 0x1000, 0, WRITE | ROUND(1));
    chain = pop(&g);
    give(&g, &chain, 0, 1);
    g_assert_cmphex(log[0x8000], ==, 0x02);
    vwl_vq_want_kick(g.vq, true);
    g_assert_cmphex(log[0x5000 / 8], ==, 0x01);
    vwl_vq_stop(g.vq);
    vwl_dirty_destroy(dirty);
    munmap(log, 0x10000);
    close(fd);
    guest_finish(&g);
}

static void test_iotlb(void)
{
    struct guest g;
    struct vwl_iotlb *tlb = vwl_iotlb_create();
    struct vwl_chain *chain = NULL;
    uint64_t iova;
    unsigned int access;

    guest_init(&g, true, 4);
    g.setup.iotlb = tlb;
    vwl_iotlb_update(tlb, UVA, 0x4000, UVA, 1);
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, NULL, 0), ==, -EAGAIN);
    vwl_vq_miss(g.vq, &iova, &access);
    g_assert_cmpuint(iova, ==, UVA);
    g_assert_cmpuint(access, ==, 3); /* slots are read and written */
    vwl_iotlb_update(tlb, UVA, 0x4000, UVA, 3);
    guest_start(&g);
    slot(&g, 0, 0x9000, 0x10, 0, NEXT | ROUND(1));
    slot(&g, 1, 0xa000, 0x20, 0, INDIRECT | ROUND(1));
    put64(g.ram + DATA, 0xb000);
    put32(g.ram + DATA + 8, 1);
    put64(g.ram + DATA + 16, 0xc000);
    put32(g.ram + DATA + 24, 1);
    put16(g.ram + DATA + 30, WRITE);
    for (unsigned int i = 0; i < 4; i++) {
        g_assert_cmpint(vwl_vq_pop(g.vq, &chain), ==, -EAGAIN);
        vwl_vq_miss(g.vq, &iova, &access);
        g_assert_cmpuint(iova, ==, 0x9000 + i * 0x1000);
        g_assert_cmpuint(access, ==, i == 3 ? 2 : 1);
        vwl_iotlb_update(tlb, iova, 0x1000, UVA + DATA, access);
    }
    chain = pop(&g);
    g_assert_cmpuint(chain->out_bytes, ==, 0x11);
    give(&g, &chain, 1, 1);
    used_is(&g, 0, 0, 1, 0x8082);
    guest_finish(&g);
    vwl_iotlb_destroy(tlb);
}

static void test_scan_event(void)
{
    struct guest g;

    guest_init(&g, true, 4);
    g.setup.event_idx = true;
    guest_start(&g);
    scan_is(&g, "", 0);
    slot(&g, 0, GPA + 1, 1, 0, ROUND(1));
    slot(&g, 1, GPA + 2, 1, 1, ROUND(1));
    g_assert_true(vwl_vq_want_kick(g.vq, true)); /* not seen */
    scan_is(&g, "1 2 ", 2);
    g_assert_false(vwl_vq_want_kick(g.vq, true));
    g_assert_cmphex(get16(g.ram + DEVICE), ==, 0x8002);
    slot(&g, 2, GPA + 3, 1, 2, ROUND(1));
    slot(&g, 3, GPA + 4, 1, 3, ROUND(1));
    g_assert_true(vwl_vq_want_kick(g.vq, true));
    scan_is(&g, "3 4 ", 2);
    g_assert_false(vwl_vq_want_kick(g.vq, true));
    g_assert_cmphex(get16(g.ram + DEVICE), ==, 0x0000); /* next round */
    guest_finish(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vq-packed/request", test_request);
    g_test_add_func("/vq-packed/order", test_order);
    g_test_add_func("/vq-packed/shorter-ring", test_shorter_ring);
    g_test_add_func("/vq-packed/indirect", test_indirect);
    for (unsigned int i = 0; i < G_N_ELEMENTS(broken); i++) {
        g_autofree char *path = g_strdup_printf("/vq-packed/broken/%s",
                                                broken[i].name);

        g_test_add_data_func(path, &broken[i], test_broken);
    }
    g_test_add_func("/vq-packed/start-refused", test_start_refused);
    g_test_add_func("/vq-packed/notify", test_notify);
    g_test_add_func("/vq-packed/notify-event", test_notify_event);
    g_test_add_func("/vq-packed/scan-unpop", test_scan_unpop);
    g_test_add_func("/vq-packed/unpop-several", test_unpop_several);
    g_test_add_func("/vq-packed/scan-event", test_scan_event);
    g_test_add_func("/vq-packed/dirty", test_dirty);
    g_test_add_func("/vq-packed/iotlb", test_iotlb);
    return g_test_run();
}
