/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "ring.h"

static void used_is(struct guest *g, unsigned int i, uint32_t id, uint32_t len)
{
    g_assert_cmpuint(get32(g->ram + DEVICE + 4 + 8 * i), ==, id);
    g_assert_cmpuint(get32(g->ram + DEVICE + 8 + 8 * i), ==, len);
}

static uint16_t used_index(struct guest *g)
{
    return get16(g->ram + DEVICE + 2);
}

static void test_request(void)
{
    struct guest g;
    struct vwl_chain *chain;
    char head[16] = "";

    guest_init(&g, false, 8);
    guest_start(&g);
    pop_nothing(&g);
    memcpy(g.ram + DATA, "hello", 5);
    memcpy(g.ram + DATA + 0x100, "world", 5);
    desc(&g, 5, GPA + DATA, 5, NEXT, 2);
    desc(&g, 2, GPA, 0, NEXT, 1); /* of no length: skipped */
    desc(&g, 1, GPA + DATA + 0x100, 5, NEXT, 7);
    desc(&g, 7, GPA + DATA + 0x200, 3, WRITE | NEXT, 0);
    desc(&g, 0, GPA + DATA + 0x300, 8, WRITE, 99);
    offer(&g, 5);
    g_assert_cmpuint(vwl_vq_waiting(g.vq), ==, 1);
    chain = pop(&g);
    pop_nothing(&g);
    g_assert_cmpuint(chain->n_out, ==, 2);
    g_assert_cmpuint(chain->out_bytes, ==, 10);
    g_assert_cmpuint(chain->n_in, ==, 2);
    g_assert_cmpuint(chain->in_bytes, ==, 11);
    g_assert_cmpuint(chain->in[1].gpa, ==, GPA + DATA + 0x300);
    g_assert_false(chain->resubmitted);
    g_assert_cmpuint(vwl_chain_token(chain), ==, GPA + DATA);
    g_assert_false(vwl_chain_uses(chain, 0, UINT64_MAX));
    g_assert_cmpuint(vwl_chain_read_head(chain, head, 7), ==, 7);
    g_assert_cmpstr(head, ==, "hellowo");
    g_assert_cmpuint(vwl_chain_read_head(chain, head, 16), ==, 10);
    g_assert_cmpuint(vwl_chain_write(chain, 1, "abcdefghijklm", 13), ==, 10);
    g_assert_cmpmem(g.ram + DATA + 0x200, 3, "\0ab", 3);
    g_assert_cmpmem(g.ram + DATA + 0x300, 9, "cdefghij\0", 9);
    g_assert_cmpuint(vwl_chain_write(chain, 11, "x", 1), ==, 0);
    vwl_vq_push(g.vq, &chain, 11);
    g_assert_null(chain);
    g_assert_cmpuint(used_index(&g), ==, 0); /* not before publish */
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    g_assert_cmpuint(used_index(&g), ==, 1);
    used_is(&g, 0, 5, 11);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 0);
    guest_finish(&g);
}

static void test_order_and_wrap(void)
{
    struct guest g;
    struct vwl_chain *a, *b, *c;

    guest_init(&g, false, 4);
    /* both indices two before the end of 16 bits */
    put16(g.ram + DRIVER + 2, 0xfffe);
    put16(g.ram + DEVICE + 2, 0xfffe);
    g.setup.base = 0xfffe;
    guest_start(&g);
    pop_nothing(&g);
    for (unsigned int i = 0; i < 3; i++) {
        desc(&g, i, GPA + DATA + i, 1, WRITE, 0);
        offer(&g, (uint16_t)i);
    }
    a = pop(&g);
    b = pop(&g);
    c = pop(&g);
    pop_nothing(&g);
    vwl_vq_push(g.vq, &c, 1);
    vwl_vq_push(g.vq, &a, 77); /* never more than there is room for */
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    g_assert_cmpuint(used_index(&g), ==, 0);
    used_is(&g, 2, 2, 1);
    used_is(&g, 3, 0, 1);
    vwl_vq_push(g.vq, &b, 0);
    g_assert_cmpuint(vwl_vq_stop(g.vq), ==, 1); /* and publishes */
    g_assert_cmpuint(used_index(&g), ==, 1);
    used_is(&g, 0, 1, 0);
    guest_finish(&g);
}

static void test_hold_over_stop(void)
{
    struct guest g;
    struct vwl_chain *a, *b, *c;

    guest_init(&g, false, 8);
    guest_start(&g);
    for (unsigned int i = 0; i < 4; i++) {
        desc(&g, i, GPA + DATA + i, 1, WRITE, 0);
        offer(&g, (uint16_t)i);
    }
    a = pop(&g);
    b = pop(&g);
    c = pop(&g);
    g.setup.base = vwl_vq_stop(g.vq);
    g_assert_cmpuint(g.setup.base, ==, 3);
    vwl_vq_push(g.vq, &c, 1); /* stopped: only freed */
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, &b, 1), ==, 0);
    vwl_vq_push(g.vq, &a, 1); /* not kept: only freed */
    vwl_vq_push(g.vq, &b, 1);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    g_assert_cmpuint(used_index(&g), ==, 1);
    used_is(&g, 0, 1, 1);
    a = pop(&g);
    g_assert_cmpuint(a->in[0].gpa, ==, GPA + DATA + 3);
    /* it outlives ring and memory table */
    vwl_vq_destroy(g.vq);
    g.vq = vwl_vq_create();
    vwl_mem_unref(g.mem);
    g.mem = vwl_mem_new();
    g_assert_cmpuint(vwl_chain_write(a, 0, "x", 1), ==, 1);
    g_assert_cmpint(g.ram[DATA + 3], ==, 'x');
    vwl_chain_discard(&a);
    g_assert_null(a);
    vwl_chain_discard(&a);
    guest_finish(&g);
}

static void test_regions(void)
{
    struct guest g;
    struct vwl_chain *chain;
    char text[8] = "";

    guest_init(&g, false, 4);
    guest_start(&g);
    memcpy(g.ram + HALF - 3, "abcdef", 6);
    desc(&g, 0, GPA + HALF - 3, 6, NEXT, 1);
    /* follow each other: one piece */
    desc(&g, 1, GPA + DATA, 0x1000, WRITE | NEXT, 2);
    desc(&g, 2, GPA + DATA + 0x1000, 0x1000, WRITE, 0);
    offer(&g, 0);
    chain = pop(&g);
    g_assert_cmpuint(chain->out_bytes, ==, 6);
    vwl_chain_read_head(chain, text, 8);
    g_assert_cmpstr(text, ==, "abcdef");
    g_assert_cmpuint(chain->n_in, ==, 1);
    g_assert_cmpuint(chain->in[0].len, ==, 0x2000);
    vwl_chain_discard(&chain);
    guest_finish(&g);
}

static void test_indirect(void)
{
    struct guest g;
    struct vwl_chain *chain;
    unsigned int n = 4000; /* in a ring of 4 */
    unsigned char *table;

    guest_init(&g, false, 4);
    guest_start(&g);
    /* the table crosses from one region into the other; one direct
     * descriptor before it */
    table = g.ram + HALF - 8 * 16;
    for (unsigned int i = 0; i < n; i++) {
        split_desc(table + 16 * i, GPA + DATA + 2 * i, 1,
                   (i + 1 < n ? NEXT : 0) | (i < n / 2 ? 0 : WRITE),
                   (uint16_t)(i + 1));
    }
    desc(&g, 3, GPA + DATA + 0x8000, 1, NEXT, 1);
    desc(&g, 1, GPA + HALF - 8 * 16, n * 16, INDIRECT | WRITE, 0);
    offer(&g, 3);
    chain = pop(&g);
    g_assert_cmpuint(chain->n_out, ==, n / 2 + 1);
    g_assert_cmpuint(chain->n_in, ==, n / 2);
    for (unsigned int i = 0; i < n / 2; i++) {
        g_assert_cmpuint(chain->in[i].gpa, ==, GPA + DATA + n + 2 * i);
    }
    g_assert_true((unsigned char *)chain->out[2].iov_base ==
                  (unsigned char *)chain->out[1].iov_base + 2);
    vwl_vq_push(g.vq, &chain, n / 2);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    used_is(&g, 0, 3, n / 2);
    guest_finish(&g);
}

static void test_notify_flags(void)
{
    struct guest g;
    struct vwl_chain *chain;

    guest_init(&g, false, 4);
    put16(g.ram + DEVICE, 1);
    guest_start(&g);
    g_assert_cmpuint(get16(g.ram + DEVICE), ==, 0);
    g_assert_false(vwl_vq_want_kick(g.vq, false));
    g_assert_cmpuint(get16(g.ram + DEVICE), ==, 1);
    g_assert_false(vwl_vq_want_kick(g.vq, true));
    g_assert_cmpuint(get16(g.ram + DEVICE), ==, 0);
    desc(&g, 0, GPA, 1, 0, 0);
    for (unsigned int i = 0; i < 2; i++) {
        offer(&g, 0);
        g_assert_true(vwl_vq_want_kick(g.vq, true));
        chain = pop(&g);
        vwl_vq_push(g.vq, &chain, 0);
        put16(g.ram + DRIVER, i == 0 ? 1 : 0); /* NO_INTERRUPT */
        g_assert_cmpint(vwl_vq_publish(g.vq), ==, i == 0 ? 0 : 1);
    }
    guest_finish(&g);
}

static int turn(struct guest *g, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        struct vwl_chain *chain;

        offer(g, 0);
        chain = pop(g);
        vwl_vq_push(g->vq, &chain, 0);
    }
    return vwl_vq_publish(g->vq);
}

static void test_notify_event(void)
{
    struct guest g;
    unsigned char *used_event, *avail_event;

    guest_init(&g, false, 4);
    g.setup.event_idx = true;
    g.setup.base = 0xfffc;
    put16(g.ram + DRIVER + 2, 0xfffc);
    put16(g.ram + DEVICE + 2, 0xfffc);
    used_event = g.ram + DRIVER + 4 + 2 * 4;
    avail_event = g.ram + DEVICE + 4 + 8 * 4;
    desc(&g, 0, GPA, 1, 0, 0);
    guest_start(&g);
    g_assert_cmpuint(get16(avail_event), ==, 0xfffc);
    put16(used_event, 0x1234);
    g_assert_cmpint(turn(&g, 1), ==, 1); /* the first time always */
    put16(used_event, 0xfffe); /* call when the entry 0xfffe is used */
    g_assert_cmpint(turn(&g, 1), ==, 0);
    g_assert_cmpint(turn(&g, 1), ==, 1);
    g_assert_cmpint(turn(&g, 1), ==, 0);
    g_assert_cmpuint(used_index(&g), ==, 0);
    put16(used_event, 1);
    g_assert_cmpint(turn(&g, 3), ==, 1); /* 0 to 2, 1 among them */
    put16(used_event, 2);
    g_assert_cmpint(turn(&g, 3), ==, 0); /* passed already */
    put16(used_event, 6);
    g_assert_cmpint(turn(&g, 1), ==, 1);
    g_assert_false(vwl_vq_want_kick(g.vq, true));
    g_assert_cmpuint(get16(avail_event), ==, 7);
    g_assert_cmpuint(get16(g.ram + DEVICE), ==, 0);
    g_assert_false(vwl_vq_want_kick(g.vq, false));
    g_assert_cmpuint(get16(g.ram + DEVICE), ==, 0);
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
    struct vwl_chain *chain, *other;

    guest_init(&g, false, 4);
    guest_start(&g);
    for (unsigned int i = 0; i < 4; i++) {
        desc(&g, i, GPA + i, 1, WRITE, 0);
    }
    scan_is(&g, "", 0);
    offer(&g, 1);
    offer(&g, 2);
    scan_is(&g, "1 2 ", 2);
    scan_is(&g, "", 0);
    offer(&g, 3);
    chain = pop(&g);
    g_assert_cmpuint(vwl_chain_token(chain), ==, GPA + 1);
    vwl_vq_unpop(g.vq, &chain);
    g_assert_null(chain);
    scan_is(&g, "3 ", 1);
    chain = pop(&g);
    g_assert_cmpuint(vwl_chain_token(chain), ==, GPA + 1);
    vwl_vq_push(g.vq, &chain, 0);
    chain = pop(&g);
    vwl_vq_push(g.vq, &chain, 0);
    chain = pop(&g);
    vwl_vq_push(g.vq, &chain, 0);
    vwl_vq_publish(g.vq);
    /* popped before it was seen, and put back: seen once all the same */
    offer(&g, 0);
    offer(&g, 1);
    chain = pop(&g);
    scan_is(&g, "0 1 ", 2);
    vwl_vq_unpop(g.vq, &chain);
    scan_is(&g, "", 0);
    g_assert_cmpuint(vwl_vq_waiting(g.vq), ==, 2);
    chain = pop(&g);
    other = pop(&g);
    vwl_vq_unpop(g.vq, &chain); /* not the last: our caller's fault */
    g_assert_true(vwl_vq_is_broken(g.vq));
    vwl_chain_discard(&other);
    guest_finish(&g);
}

/* Several go back, the last one first, and come again in their order. */
static void test_unpop_several(void)
{
    struct guest g;
    struct vwl_chain *chains[4];

    guest_init(&g, false, 4);
    guest_start(&g);
    scan_is(&g, "", 0);
    for (unsigned int i = 0; i < 4; i++) {
        desc(&g, i, GPA + i, 1, WRITE, 0);
        offer(&g, i);
    }
    for (unsigned int i = 0; i < 4; i++) {
        chains[i] = pop(&g);
    }
    for (unsigned int i = 4; i-- > 1;) {
        vwl_vq_unpop(g.vq, &chains[i]);
    }
    vwl_vq_push(g.vq, &chains[0], 0);
    g_assert_cmpuint(vwl_vq_waiting(g.vq), ==, 3);
    scan_is(&g, "0 1 2 3 ", 4);
    for (unsigned int i = 1; i < 4; i++) {
        chains[i] = pop(&g);
        g_assert_cmpuint(vwl_chain_token(chains[i]), ==, GPA + i);
    }
    /* one behind it was given back */
    vwl_vq_push(g.vq, &chains[3], 0);
    vwl_vq_unpop(g.vq, &chains[2]);
    g_assert_true(vwl_vq_is_broken(g.vq));
    vwl_chain_discard(&chains[1]);
    guest_finish(&g);
}

/* The driver sends a kick only if the event is among what it adds just now:
 * one for an entry that was seen and left alone would end all kicks. */
static void test_scan_event(void)
{
    struct guest g;
    unsigned char *avail_event;
    struct vwl_chain *chain;

    guest_init(&g, false, 4);
    g.setup.event_idx = true;
    avail_event = g.ram + DEVICE + 4 + 8 * 4;
    for (unsigned int i = 0; i < 4; i++) {
        desc(&g, i, GPA + i, 1, WRITE, 0);
    }
    guest_start(&g);
    scan_is(&g, "", 0);
    offer(&g, 0);
    offer(&g, 1);
    g_assert_true(vwl_vq_want_kick(g.vq, true)); /* not seen */
    scan_is(&g, "0 1 ", 2);
    g_assert_false(vwl_vq_want_kick(g.vq, true));
    g_assert_cmpuint(get16(avail_event), ==, 2);
    chain = pop(&g);
    vwl_vq_push(g.vq, &chain, 0);
    g_assert_false(vwl_vq_want_kick(g.vq, true));
    g_assert_cmpuint(get16(avail_event), ==, 2);
    offer(&g, 2);
    g_assert_true(vwl_vq_want_kick(g.vq, true));
    scan_is(&g, "2 ", 1);
    g_assert_false(vwl_vq_want_kick(g.vq, true));
    g_assert_cmpuint(get16(avail_event), ==, 3);
    guest_finish(&g);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vq-split/request", test_request);
    g_test_add_func("/vq-split/order-and-wrap", test_order_and_wrap);
    g_test_add_func("/vq-split/hold-over-stop", test_hold_over_stop);
    g_test_add_func("/vq-split/regions", test_regions);
    g_test_add_func("/vq-split/indirect", test_indirect);
    g_test_add_func("/vq-split/notify-flags", test_notify_flags);
    g_test_add_func("/vq-split/notify-event", test_notify_event);
    g_test_add_func("/vq-split/scan-unpop", test_scan_unpop);
    g_test_add_func("/vq-split/unpop-several", test_unpop_several);
    g_test_add_func("/vq-split/scan-event", test_scan_event);
    return g_test_run();
}
