/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The loopback driver's rings against literal bytes: the device's own ring
 * code takes no part, so that one misreading cannot pass twice.
 */
#include "ring.h"

#include <errno.h>
#include <string.h>

static _Alignas(16) uint8_t desc[64], driver[64], device[64], table[64];

static void setup(struct vwl_ring *ring, bool packed, bool event_idx)
{
    memset(desc, 0, sizeof desc);
    memset(driver, 0, sizeof driver);
    memset(device, 0, sizeof device);
    memset(table, 0, sizeof table);
    vwl_ring_init(ring, packed, event_idx, 4, desc, driver, device);
}

static const struct vwl_ring_piece two[] = {
    { 0x1122334455667788, 0x40, false },
    { 0x1000, 0x3f, true },
};

static void test_sizes(void)
{
    size_t a, b, c;

    vwl_ring_area_sizes(false, 256, &a, &b, &c);
    g_assert_cmpuint(a, ==, 4096);
    g_assert_cmpuint(b, ==, 518);
    g_assert_cmpuint(c, ==, 2054);
    vwl_ring_area_sizes(true, 256, &a, &b, &c);
    g_assert_cmpuint(a, ==, 4096);
    g_assert_cmpuint(b, ==, 4);
    g_assert_cmpuint(c, ==, 4);
    g_assert_cmphex(vwl_ring_fresh_base(false), ==, 0);
    g_assert_cmphex(vwl_ring_fresh_base(true), ==, 0x80008000);
}

static void test_split(void)
{
    static const uint8_t
        chain[32] = {
            0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
            0x40, 0,    0,    0,    1,    0,    1,    0, /* NEXT, 1 */
            0,    0x10, 0,    0,    0,    0,    0,    0,
            0x3f, 0,    0,    0,    2,    0, /* WRITE */
        };
    struct vwl_ring ring;
    uint32_t len = 0;
    bool bad;

    setup(&ring, false, false);
    g_assert_cmpint(vwl_ring_add(&ring, two, 2, NULL, 0, &len), ==, 0);
    g_assert_cmpmem(desc, 30, chain, 30);
    g_assert_cmpmem(driver, 6, "\0\0\1\0\0\0", 6);
    g_assert_true(vwl_ring_kick_due(&ring));
    g_assert_false(vwl_ring_kick_due(&ring)); /* nothing was added */
    device[0] = 1;                            /* NO_NOTIFY */
    g_assert_cmpint(vwl_ring_add(&ring, two, 2, NULL, 0, &ring), ==, 0);
    g_assert_cmpmem(driver, 8, "\0\0\2\0\0\0\2\0", 8);
    g_assert_false(vwl_ring_kick_due(&ring));
    g_assert_cmpint(vwl_ring_add(&ring, two, 1, NULL, 0, &ring), ==, -ENOSPC);
    g_assert_null(vwl_ring_take(&ring, &len, &bad));
    /* used: head 2, 8 bytes; then a head that was never given */
    memcpy(device, "\0\0\2\0\2\0\0\0\x08\0\0\0\3\0\0\0\0\0\0\0", 20);
    g_assert_true(vwl_ring_take(&ring, &len, &bad) == &ring);
    g_assert_cmpuint(len, ==, 8);
    g_assert_null(vwl_ring_take(&ring, &len, &bad));
    g_assert_true(bad);
    g_assert_true(vwl_ring_forget(&ring) == &len);
    g_assert_null(vwl_ring_forget(&ring));
    vwl_ring_finish(&ring);
}

static void test_split_indirect(void)
{
    static const uint8_t one[16] = {
        0, 0, 0xee, 0xff, 0, 0, 0, 0, 32, 0, 0, 0, 4, 0, /* INDIRECT */
    };
    static const uint8_t entries[32] = {
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x40, 0, 0,
        0,    1,    0,    1,    0,    0,    0x10, 0,    0,    0, 0,
        0,    0,    0x3f, 0,    0,    0,    2,    0,    0,    0,
    };
    struct vwl_ring ring;

    setup(&ring, false, false);
    g_assert_cmpint(vwl_ring_add(&ring, two, 2, table, 0xffee0000, &ring), ==,
                    0);
    g_assert_cmpmem(desc, 14, one, 14);
    g_assert_cmpmem(table, 32, entries, 32);
    g_assert_cmpuint(ring.free, ==, 3);
    vwl_ring_finish(&ring);
}

static void test_split_event(void)
{
    struct vwl_ring ring;
    uint32_t len;

    setup(&ring, false, true);
    g_assert_cmpint(vwl_ring_add(&ring, two, 1, NULL, 0, &ring), ==, 0);
    g_assert_true(vwl_ring_kick_due(&ring)); /* avail_event 0 */
    g_assert_cmpint(vwl_ring_add(&ring, two, 1, NULL, 0, &ring), ==, 0);
    g_assert_false(vwl_ring_kick_due(&ring));
    device[4 + 8 * 4] = 2; /* avail_event */
    g_assert_cmpint(vwl_ring_add(&ring, two, 1, NULL, 0, &ring), ==, 0);
    g_assert_true(vwl_ring_kick_due(&ring));
    memcpy(device, "\0\0\1\0\0\0\0\0\1\0\0\0", 12);
    g_assert_true(vwl_ring_take(&ring, &len, NULL) == &ring);
    g_assert_null(vwl_ring_take(&ring, &len, NULL));
    g_assert_cmpuint(driver[4 + 2 * 4], ==, 1); /* used_event */
    vwl_ring_finish(&ring);
}

static void test_packed(void)
{
    static const uint8_t chain[32] = {
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
        0x40, 0,    0,    0,    0,    0,    0x81, 0, /* id 0, AVAIL NEXT */
        0,    0x10, 0,    0,    0,    0,    0,    0,
        0x3f, 0,    0,    0,    0,    0,    0x82, 0, /* AVAIL WRITE */
    };
    struct vwl_ring ring;
    uint32_t len;
    bool bad;

    setup(&ring, true, false);
    g_assert_cmpint(vwl_ring_add(&ring, two, 2, NULL, 0, &len), ==, 0);
    g_assert_cmpmem(desc, 32, chain, 32);
    g_assert_cmpint(vwl_ring_add(&ring, two, 2, NULL, 0, &ring), ==, 0);
    g_assert_cmpmem(desc + 44, 4, "\1\0\x81\0", 4); /* id 1 */
    g_assert_cmpint(vwl_ring_add(&ring, two, 1, NULL, 0, &ring), ==, -ENOSPC);
    g_assert_true(vwl_ring_kick_due(&ring));
    g_assert_null(vwl_ring_take(&ring, &len, &bad));
    /* Used out of order, at slot 0: id 1, 5 bytes, AVAIL USED WRITE. */
    memcpy(desc + 8, "\5\0\0\0\1\0\x82\x80", 8);
    g_assert_true(vwl_ring_take(&ring, &len, &bad) == &ring);
    g_assert_cmpuint(len, ==, 5);
    g_assert_null(vwl_ring_take(&ring, &len, &bad));
    /* The next chain wraps: its counter is 0, so AVAIL 0 and USED 1. */
    g_assert_cmpint(vwl_ring_add(&ring, two, 2, NULL, 0, &ring), ==, 0);
    g_assert_cmpmem(desc + 12, 4, "\1\0\1\x80", 4);
    g_assert_cmpmem(desc + 28, 4, "\1\0\2\x80", 4);
    vwl_ring_finish(&ring);
}

static void test_packed_indirect(void)
{
    static const uint8_t entries[32] = {
        0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x40, 0, 0,
        0,    0,    0,    0,    0,    0,    0x10, 0,    0,    0, 0,
        0,    0,    0x3f, 0,    0,    0,    0,    0,    2,    0,
    };
    struct vwl_ring ring;

    setup(&ring, true, false);
    g_assert_cmpint(vwl_ring_add(&ring, two, 2, table, 0xffee0000, &ring), ==,
                    0);
    g_assert_cmpmem(desc, 16, "\0\0\xee\xff\0\0\0\0\x20\0\0\0\0\0\x84\0", 16);
    g_assert_cmpmem(table, 32, entries, 32);
    vwl_ring_finish(&ring);
}

static void test_packed_event(void)
{
    struct vwl_ring ring;

    setup(&ring, true, true);
    g_assert_cmpmem(driver, 4, "\0\x80\2\0", 4); /* slot 0, wrap 1, DESC */
    memcpy(device, "\0\x80\2\0", 4);
    g_assert_cmpint(vwl_ring_add(&ring, two, 1, NULL, 0, &ring), ==, 0);
    g_assert_true(vwl_ring_kick_due(&ring));
    g_assert_cmpint(vwl_ring_add(&ring, two, 1, NULL, 0, &ring), ==, 0);
    g_assert_false(vwl_ring_kick_due(&ring));
    memcpy(device, "\3\x80\2\0", 4);
    g_assert_cmpint(vwl_ring_add(&ring, two, 1, NULL, 0, &ring), ==, 0);
    g_assert_false(vwl_ring_kick_due(&ring)); /* slot 2 */
    g_assert_cmpint(vwl_ring_add(&ring, two, 1, NULL, 0, &ring), ==, 0);
    g_assert_true(vwl_ring_kick_due(&ring)); /* slot 3, and wrapped */
    device[2] = 1;                           /* never */
    vwl_ring_finish(&ring);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loopback-ring/sizes", test_sizes);
    g_test_add_func("/loopback-ring/split", test_split);
    g_test_add_func("/loopback-ring/split-indirect", test_split_indirect);
    g_test_add_func("/loopback-ring/split-event", test_split_event);
    g_test_add_func("/loopback-ring/packed", test_packed);
    g_test_add_func("/loopback-ring/packed-indirect", test_packed_indirect);
    g_test_add_func("/loopback-ring/packed-event", test_packed_event);
    return g_test_run();
}
