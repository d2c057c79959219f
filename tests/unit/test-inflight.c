/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/inflight.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "fds.h"
#include "ring.h"

/* ---- the buffer ---- */

static void test_buffer(void)
{
    unsigned int before = count_fds();
    struct vwl_inflight *made = NULL, *opened = NULL;
    static const unsigned char zero[2 * 8256];
    unsigned char *second;
    uint64_t size = 7;
    int fd = -1;

    /* 16 + 16 * 256 = 4112; 32 + 32 * 256 = 8224 */
    g_assert_cmpuint(vwl_inflight_queue_bytes(false, 256), ==, 4160);
    g_assert_cmpuint(vwl_inflight_queue_bytes(true, 256), ==, 8256);
    g_assert_cmpuint(vwl_inflight_queue_bytes(false, 3), ==, 64);
    g_assert_cmpuint(vwl_inflight_queue_bytes(true, 32768), ==, 1048640);
    g_assert_cmpint(vwl_inflight_create(false, 0, 1, &made, &fd, &size), ==,
                    -EINVAL);
    g_assert_cmpint(vwl_inflight_create(false, 9, 1, &made, &fd, &size), ==,
                    -EINVAL);
    g_assert_cmpint(vwl_inflight_create(false, 1, 0, &made, &fd, &size), ==,
                    -EINVAL);
    g_assert_cmpint(vwl_inflight_create(false, 1, 32769, &made, &fd, &size), ==,
                    -EINVAL);
    g_assert_true(made == NULL && fd == -1 && size == 7);
    g_assert_cmpint(vwl_inflight_create(true, 2, 256, &made, &fd, &size), ==,
                    0);
    g_assert_cmpuint(size, ==, 2 * 8256);
    g_assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    g_assert_cmpint(ftruncate(fd, 0), ==, -1); /* nobody can take it away */
    g_assert_null(vwl_inflight_queue(made, 2, 256));
    g_assert_null(vwl_inflight_queue(made, 1, 128));
    second = vwl_inflight_queue(made, 1, 256);
    g_assert_cmpmem(vwl_inflight_queue(made, 0, 256), 2 * 8256, zero, 2 * 8256);
    second[5] = 99;

    g_assert_cmpint(vwl_inflight_open(true, fd, 0, size - 1, 2, 256, &opened),
                    ==, -EINVAL);
    g_assert_cmpint(vwl_inflight_open(true, fd, 64, size, 2, 256, &opened), ==,
                    -EINVAL);
    g_assert_cmpint(vwl_inflight_open(true, fd, UINT64_MAX - 7, size, 2, 256,
                                      &opened),
                    ==, -EINVAL);
    g_assert_cmpint(vwl_inflight_open(true, fd, 0, size, 2, 258, &opened), ==,
                    -EINVAL);
    g_assert_cmpint(vwl_inflight_open(true, fd, 0, size, 0, 256, &opened), ==,
                    -EINVAL);
    g_assert_cmpint(vwl_inflight_open(true, -1, 0, size, 2, 256, &opened), ==,
                    -EBADF);
    g_assert_null(opened);
    g_assert_cmpint(vwl_inflight_open(true, fd, 8256, 8256, 1, 256, &opened),
                    ==, 0);
    g_assert_cmpuint(((unsigned char *)vwl_inflight_queue(opened, 0, 256))[5],
                     ==, 99);
    vwl_inflight_destroy(opened);
    vwl_inflight_destroy(made);
    vwl_inflight_destroy(NULL);
    close(fd);
    g_assert_cmpuint(count_fds(), ==, before);
    g_assert_cmpuint(count_maps(), ==, 0);
}

/* ---- what a kill leaves behind ---- */

/* One store of the protocol: width bytes of value at offset of the region, or
 * of guest memory. */
struct store {
    bool in_ram;
    unsigned int offset, width;
    uint64_t value;
};

static void apply(struct guest *g, const struct store *store)
{
    unsigned char *at = (store->in_ram ? g->ram : g->region) + store->offset;

    memcpy(at, &store->value, store->width);
}

/* A new process takes the ring over: which ids come again, in which order,
 * and where it goes on. */
static void resume_is(struct guest *g, unsigned int step, const char *want,
                      uint32_t want_base)
{
    g_autofree unsigned char *ram = g_memdup2(g->ram, 0x30000);
    unsigned char region[sizeof g->region];
    g_autoptr(GString) seen = g_string_new("");
    struct vwl_chain *chain;

    memcpy(region, g->region, sizeof region);
    /* twice: the first is killed as soon as it has started */
    for (unsigned int i = 0; i < 2; i++) {
        struct vwl_vq *vq = vwl_vq_create();

        g_string_truncate(seen, 0);
        g_assert_cmpint(vwl_vq_start(vq, &g->setup, NULL, 0), ==, 0);
        while (i == 1 && vwl_vq_pop(vq, &chain) == 1) {
            g_string_append_printf(seen, "%u%s ", chain->id,
                                   chain->resubmitted ? "" : "new");
            vwl_chain_discard(&chain);
        }
        g_assert_false(vwl_vq_is_broken(vq));
        if (g_strcmp0(seen->str, want) != 0 && i == 1) {
            g_error("step %u: '%s', not '%s'", step, seen->str, want);
        }
        if (i == 1) {
            g_assert_cmphex(vwl_vq_stop(vq), ==, want_base);
        }
        vwl_vq_destroy(vq);
    }
    memcpy(g->ram, ram, 0x30000);
    memcpy(g->region, region, sizeof region);
}

#define SPLIT(i) (16 + 16 * (i))

static void split_ready(struct guest *g, uint16_t index)
{
    guest_init(g, false, 4);
    g->setup.inflight = g->region;
    g->setup.base = 0x77; /* whatever it says */
    for (unsigned int i = 0; i < 4; i++) {
        desc(g, i, GPA + DATA + i, 1, WRITE, 0);
    }
    put16(g->ram + DRIVER + 2, index);
    put16(g->ram + DEVICE + 2, index);
    put16(g->region + 8, 1);
    put16(g->region + 10, 4);
    put16(g->region + 14, index);
}

static void test_split_take(void)
{
    static const struct store stores[] = {
        { false, SPLIT(2) + 8, 8, 41 }, /* counter */
        { false, SPLIT(2), 1, 1 },      /* inflight */
    };
    struct guest g;

    split_ready(&g, 0xffff);
    offer(&g, 2);
    offer(&g, 1);
    resume_is(&g, 0, "2new 1new ", 1);
    apply(&g, &stores[0]);
    resume_is(&g, 1, "2new 1new ", 1);
    apply(&g, &stores[1]);
    resume_is(&g, 2, "2 1new ", 1);
    guest_finish(&g);
}

static void test_split_give(void)
{
    /* heads 1 and 0 as one batch, 3 stays; the ring's used index was 5 */
    static const struct store stores[] = {
        { false, SPLIT(1) + 6, 2, 3 }, /* next = last_batch_head */
        { false, 12, 2, 1 },           /* last_batch_head */
        { false, SPLIT(0) + 6, 2, 1 }, { false, 12, 2, 0 },
        { true, DEVICE + 2, 2, 7 },                         /* the used index */
        { false, SPLIT(1), 1, 0 },                          /* inflight */
        { false, SPLIT(0), 1, 0 },     { false, 14, 2, 7 }, /* used_idx */
    };
    struct guest g;

    split_ready(&g, 5);
    offer(&g, 3);
    offer(&g, 0);
    offer(&g, 1);
    put16(g.region + 12, 3);
    for (unsigned int i = 0; i < 4; i++) {
        g.region[SPLIT(i)] = i != 2;
        put64(g.region + SPLIT(i) + 8, i == 0 ? 8 : i == 1 ? 9 : 7);
    }
    for (unsigned int i = 0; i <= G_N_ELEMENTS(stores); i++) {
        resume_is(&g, i, i < 5 ? "3 0 1 " : "3 ", 8);
        if (i < G_N_ELEMENTS(stores)) {
            apply(&g, &stores[i]);
        }
    }
    guest_finish(&g);
}

/* The region's own bytes, and a chain that the process still holds. */
static void test_split_bytes(void)
{
    struct guest g;
    struct vwl_chain *a, *b, *c;

    guest_init(&g, false, 4);
    g.setup.inflight = g.region;
    put16(g.ram + DRIVER + 2, 9);
    put16(g.ram + DEVICE + 2, 9);
    g.setup.base = 9;
    guest_start(&g);
    g_assert_cmpmem(g.region, 16, "\0\0\0\0\0\0\0\0\1\0\4\0\0\0\x09\0", 16);
    for (unsigned int i = 0; i < 4; i++) {
        desc(&g, i, GPA + DATA + i, 1, WRITE, 0);
    }
    offer(&g, 3);
    offer(&g, 1);
    offer(&g, 2);
    a = pop(&g);
    b = pop(&g);
    c = pop(&g);
    g_assert_cmpuint(g.region[SPLIT(0)], ==, 0);
    g_assert_cmpuint(g.region[SPLIT(1)], ==, 1);
    g_assert_cmpuint(g.region[SPLIT(3)], ==, 1);
    g_assert_cmpuint(get64(g.region + SPLIT(3) + 8), <,
                     get64(g.region + SPLIT(1) + 8));
    vwl_vq_unpop(g.vq, &c);
    g_assert_cmpuint(g.region[SPLIT(2)], ==, 0);
    vwl_vq_unpop(g.vq, &b);
    g_assert_cmpuint(g.region[SPLIT(1)], ==, 0);
    b = pop(&g);
    g_assert_cmpuint(b->id, ==, 1);
    vwl_vq_push(g.vq, &a, 1);
    g_assert_cmpuint(g.region[SPLIT(3)], ==, 1);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    g_assert_cmpuint(g.region[SPLIT(3)], ==, 0);
    g_assert_cmpuint(get16(g.region + 12), ==, 3);
    g_assert_cmpuint(get16(g.region + 14), ==, 10);
    vwl_vq_stop(g.vq);
    g.setup.base = 0;
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, &b, 1), ==, 0);
    c = pop(&g);
    g_assert_cmpuint(c->id, ==, 2); /* 1 does not come back */
    g_assert_false(c->resubmitted);
    vwl_vq_push(g.vq, &c, 1);
    vwl_vq_push(g.vq, &b, 1);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    g_assert_cmpuint(get16(g.region + 14), ==, 12);
    /* a head that is out already */
    offer(&g, 0);
    offer(&g, 0);
    a = pop(&g);
    pop_breaks(&g, -EPROTO);
    vwl_chain_discard(&a);
    guest_finish(&g);
}

#define PACKED(i) (32 + 32 * (i))

static void packed_ready(struct guest *g, uint16_t used, bool wrap)
{
    guest_init(g, true, 4);
    g->setup.inflight = g->region;
    put16(g->region + 8, 1);
    put16(g->region + 10, 4);
    put16(g->region + 16, used);
    put16(g->region + 18, used);
    g->region[20] = g->region[21] = wrap;
    for (unsigned int i = 0; i < 4; i++) {
        put16(g->region + PACKED(i) + 2, (uint16_t)(i + 1));
    }
}

static void copy_slot(struct guest *g, unsigned int entry, uint16_t id,
                      uint16_t flags)
{
    unsigned char *at = g->region + PACKED(entry);

    put16(at + 16, id);
    put16(at + 18, flags);
    put32(at + 20, 1);
    put64(at + 24, GPA + DATA);
}

static void test_packed_take(void)
{
    static const struct store stores[] = {
        { false, PACKED(0) + 6, 2, 2 }, /* num */
        { false, PACKED(0) + 4, 2, 1 }, /* last */
        { false, PACKED(0) + 8, 8, 5 }, /* counter */
        { false, PACKED(0), 1, 1 },     /* inflight */
        { false, 12, 2, 2 },            /* free_head */
        { false, 14, 2, 2 },            /* old_free_head */
    };
    struct guest g;

    packed_ready(&g, 2, true);
    slot(&g, 2, GPA + DATA, 1, 3, NEXT | ROUND(1));
    slot(&g, 3, GPA + DATA, 1, 3, WRITE | ROUND(1));
    copy_slot(&g, 0, 3, NEXT | ROUND(1));
    copy_slot(&g, 1, 3, WRITE | ROUND(1));
    for (unsigned int i = 0; i <= G_N_ELEMENTS(stores); i++) {
        /* next used 2 of round 1, next available 0 of round 0 */
        resume_is(&g, i, i < 6 ? "3new " : "3 ", 0x80020000);
        if (i < G_N_ELEMENTS(stores)) {
            apply(&g, &stores[i]);
        }
    }
    guest_finish(&g);
}

/* Id 3 (entries 0 and 1) and id 4 (entry 2) are in flight from slot `used`
 * on; 4 is given back. */
static void packed_two(struct guest *g, uint16_t used, bool wrap)
{
    packed_ready(g, used, wrap);
    for (unsigned int i = 0; i < 3; i++) {
        bool round = used + i < 4 ? wrap : !wrap;
        uint16_t flags = i == 0 ? NEXT : WRITE;

        slot(g, (used + i) % 4, GPA + DATA, 1, i < 2 ? 3 : 4,
             flags | ROUND(round));
        copy_slot(g, i, i < 2 ? 3 : 4, flags | ROUND(round));
    }
    g->region[PACKED(0)] = g->region[PACKED(2)] = 1;
    put16(g->region + PACKED(0) + 4, 1);
    put16(g->region + PACKED(0) + 6, 2);
    put64(g->region + PACKED(0) + 8, 20);
    put16(g->region + PACKED(2) + 4, 2);
    put16(g->region + PACKED(2) + 6, 1);
    put64(g->region + PACKED(2) + 8, 19);
    put16(g->region + 12, 3);
    put16(g->region + 14, 3);
}

static void test_packed_give(void)
{
    static const struct store stores[] = {
        { false, PACKED(2) + 2, 2, 3 }, /* last's next = free_head */
        { false, 12, 2, 2 },            /* free_head */
        { false, 16, 2, 1 },            /* used_idx */
        { true, DESC + 14, 2, 0x8082 }, /* the used slot's flags */
        { false, PACKED(2), 1, 0 },     /* inflight */
        { false, 14, 2, 2 },            /* old_free_head */
        { false, 18, 2, 1 },            /* old_used_idx */
    };
    struct guest g;

    packed_two(&g, 0, true);
    for (unsigned int i = 0; i <= G_N_ELEMENTS(stores); i++) {
        resume_is(&g, i, i < 4 ? "4 3 " : "3 ",
                  i < 4 ? 0x80008003 : 0x80018003);
        if (i < G_N_ELEMENTS(stores)) {
            apply(&g, &stores[i]);
        }
    }
    guest_finish(&g);
}

/* The same where the used index passes the end of the ring, and the driver has
 * offered that very slot again before the next process looks. */
static void test_packed_give_wrap(void)
{
    static const struct store stores[] = {
        { false, PACKED(2) + 2, 2, 3 },
        { false, 12, 2, 2 },
        { false, 16, 2, 0 }, /* used_idx */
        { false, 20, 1, 0 }, /* used_wrap */
        { true, DESC + 3 * 16 + 14, 2, 0x8082 },
        { false, PACKED(2), 1, 0 },
        { false, 14, 2, 2 },
        { false, 18, 2, 0 }, /* old_used_idx */
        { false, 21, 1, 0 }, /* old_used_wrap */
    };
    struct guest g;

    packed_two(&g, 3, true);
    for (unsigned int i = 0; i <= G_N_ELEMENTS(stores); i++) {
        /* next available: slot 2 of round 0 */
        resume_is(&g, i, i < 5 ? "4 3 " : "3 ",
                  i < 5 ? 0x80030002 : 0x00000002);
        if (i < G_N_ELEMENTS(stores)) {
            apply(&g, &stores[i]);
        }
        if (i == 4) {
            slot(&g, 2, GPA + DATA, 1, 9, ROUND(1)); /* old news */
            slot(&g, 3, GPA + DATA, 1, 9, ROUND(0));
        }
    }
    guest_finish(&g);
}

static void test_packed_bytes(void)
{
    struct guest g;
    struct vwl_chain *a, *b;
    unsigned char *at;

    guest_init(&g, true, 4);
    g.setup.inflight = g.region;
    g.setup.base = 0x80028002;
    guest_start(&g);
    g_assert_cmpmem(g.region, 32,
                    "\0\0\0\0\0\0\0\0\1\0\4\0\0\0\0\0"
                    "\2\0\2\0\1\1\0\0\0\0\0\0\0\0\0\0",
                    32);
    for (unsigned int i = 0; i < 4; i++) {
        g_assert_cmpuint(get16(g.region + PACKED(i) + 2), ==, i + 1);
    }
    slot(&g, 2, GPA + DATA, 16, 0, NEXT | ROUND(1));
    slot(&g, 3, GPA + DATA + 64, 32, 7, WRITE | ROUND(1));
    slot(&g, 0, GPA + DATA, 1, 8, WRITE | ROUND(0));
    a = pop(&g);
    b = pop(&g);
    g_assert_cmpuint(get16(g.region + 12), ==, 3);
    g_assert_cmpuint(get16(g.region + 14), ==, 3);
    at = g.region + PACKED(0);
    g_assert_cmpuint(at[0], ==, 1);
    g_assert_cmpuint(get16(at + 4), ==, 1);
    g_assert_cmpuint(get16(at + 6), ==, 2);
    g_assert_cmphex(get16(at + 18), ==, 0x0081);
    g_assert_cmpuint(get32(at + 32 + 20), ==, 32);
    g_assert_cmphex(get64(at + 32 + 24), ==, GPA + DATA + 64);
    g_assert_cmpuint(get16(at + 32 + 16), ==, 7);
    vwl_vq_unpop(g.vq, &b);
    g_assert_cmpuint(g.region[PACKED(2)], ==, 0);
    g_assert_cmpuint(get16(g.region + 12), ==, 2);
    g_assert_cmpuint(get16(g.region + 14), ==, 2);
    vwl_vq_unpop(g.vq, &a);
    g_assert_cmpuint(g.region[PACKED(0)], ==, 0);
    g_assert_cmpuint(get16(g.region + 12), ==, 0);
    a = pop(&g);
    b = pop(&g);
    vwl_vq_push(g.vq, &b, 1);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    g_assert_cmpuint(g.region[PACKED(2)], ==, 0);
    g_assert_cmpmem(g.region + 12, 10, "\2\0\2\0\3\0\3\0\1\1", 10);
    /* held over a stop: does not come back */
    vwl_vq_stop(g.vq);
    g_assert_cmpint(vwl_vq_start(g.vq, &g.setup, &a, 1), ==, 0);
    pop_nothing(&g);
    vwl_vq_push(g.vq, &a, 32);
    g_assert_cmpint(vwl_vq_publish(g.vq), ==, 1);
    /* free_head 0, used index 3 + 2 = 1 of round 0 */
    g_assert_cmpmem(g.region + 12, 10, "\0\0\0\0\1\0\1\0\0\0", 10);
    g_assert_cmphex(vwl_vq_stop(g.vq), ==, 0x00010001);
    guest_finish(&g);
}

/* ---- a region that somebody else wrote to ---- */

static void refused(struct guest *g, unsigned int offset, uint16_t value)
{
    unsigned char keep[2];

    memcpy(keep, g->region + offset, 2);
    put16(g->region + offset, value);
    g_assert_cmpint(vwl_vq_start(g->vq, &g->setup, NULL, 0), ==, -EINVAL);
    g_assert_false(vwl_vq_is_started(g->vq));
    memcpy(g->region + offset, keep, 2);
}

static void test_refused(void)
{
    struct guest g;

    split_ready(&g, 5);
    refused(&g, 8, 2);       /* version */
    refused(&g, 10, 8);      /* desc_num */
    refused(&g, 14, 0);      /* used_idx: 5 behind in a ring of 4 */
    put16(g.region + 14, 3); /* 2 behind */
    refused(&g, 12, 4);      /* last_batch_head */
    refused(&g, SPLIT(0) + 6, 4);
    guest_start(&g);
    guest_finish(&g);

    packed_two(&g, 0, true);
    refused(&g, 8, 2);
    refused(&g, 10, 5);
    refused(&g, 16, 4);
    refused(&g, 18, 4);
    refused(&g, PACKED(0) + 6, 4); /* more slots than there are */
    guest_start(&g);
    guest_finish(&g);
}

/* Nothing in it may be trusted: whatever it says, no harm is done. */
static void test_garbage(gconstpointer data)
{
    bool packed = data != NULL;
    struct guest g;

    guest_init(&g, packed, 4);
    g.setup.inflight = g.region;
    for (unsigned int round = 0; round < 20000; round++) {
        struct vwl_chain *chain;

        for (unsigned int i = 0; i < 32 + 32 * 4; i++) {
            /* small numbers, so that much of it is taken for good */
            g.region[i] = g_test_rand_int_range(0, 3) == 0
                              ? (unsigned char)g_test_rand_int_range(0, 6)
                              : 0;
        }
        for (unsigned int i = 0; i < 64; i++) {
            g.ram[DESC + i] = (unsigned char)g_test_rand_int();
        }
        put16(g.region + 8, 1);
        put16(g.region + 10, 4);
        put16(g.ram + DRIVER + 2, (uint16_t)g_test_rand_int_range(0, 6));
        put16(g.ram + DEVICE + 2, (uint16_t)g_test_rand_int_range(0, 6));
        if (vwl_vq_start(g.vq, &g.setup, NULL, 0) < 0) {
            continue;
        }
        for (unsigned int i = 0; i < 9 && vwl_vq_pop(g.vq, &chain) == 1; i++) {
            vwl_vq_push(g.vq, &chain, 1);
            vwl_vq_publish(g.vq);
        }
        vwl_vq_stop(g.vq);
    }
    guest_finish(&g);
}

/* One from the front-end cannot be cut off, where it can be sealed. */
static void test_cut(void)
{
    struct vwl_inflight *opened = NULL;
    int fd = sealed_file(0x10000, 0);

    g_assert_cmpint(vwl_inflight_open(false, fd, 0, 0x10000, 2, 256, &opened),
                    ==, 0);
    g_assert_cmpint(ftruncate(fd, 0x1000), ==, -1);
    g_assert_cmpint(errno, ==, EPERM);
    vwl_inflight_destroy(opened);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inflight/buffer", test_buffer);
    g_test_add_func("/inflight/split/take", test_split_take);
    g_test_add_func("/inflight/split/give", test_split_give);
    g_test_add_func("/inflight/split/bytes", test_split_bytes);
    g_test_add_func("/inflight/packed/take", test_packed_take);
    g_test_add_func("/inflight/packed/give", test_packed_give);
    g_test_add_func("/inflight/packed/give-wrap", test_packed_give_wrap);
    g_test_add_func("/inflight/packed/bytes", test_packed_bytes);
    g_test_add_func("/inflight/refused", test_refused);
    g_test_add_data_func("/inflight/garbage/split", NULL, test_garbage);
    g_test_add_data_func("/inflight/garbage/packed", "", test_garbage);
    g_test_add_func("/inflight/cut", test_cut);
    return g_test_run();
}
