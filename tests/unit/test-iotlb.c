/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/iotlb.h"

#include <errno.h>
#include <glib.h>

#define R VWL_ACCESS_READ
#define W VWL_ACCESS_WRITE

static void hit(struct vwl_iotlb *tlb, uint64_t iova, uint64_t max,
                unsigned int access, uint64_t want_uva, uint64_t want_len)
{
    uint64_t uva = 0, len = 0;

    g_assert_true(vwl_iotlb_lookup(tlb, iova, max, access, &uva, &len));
    g_assert_cmpuint(uva, ==, want_uva);
    g_assert_cmpuint(len, ==, want_len);
}

static void miss(struct vwl_iotlb *tlb, uint64_t iova, unsigned int access)
{
    uint64_t uva = 7, len = 8;

    g_assert_false(vwl_iotlb_lookup(tlb, iova, 1, access, &uva, &len));
    g_assert_cmpuint(uva, ==, 7);
    g_assert_cmpuint(len, ==, 8);
}

static void test_lookup(void)
{
    struct vwl_iotlb *tlb = vwl_iotlb_create();
    uint64_t uva, len;

    miss(tlb, 0, R);
    g_assert_cmpint(vwl_iotlb_update(tlb, 0, 0, 0, R), ==, -EINVAL);
    g_assert_cmpint(vwl_iotlb_update(tlb, 0, 1, 0, 0), ==, -EINVAL);
    g_assert_cmpint(vwl_iotlb_update(tlb, 0, 1, 0, 4), ==, -EINVAL);
    g_assert_cmpint(vwl_iotlb_update(tlb, 2, UINT64_MAX, 0, R), ==, -EINVAL);
    g_assert_cmpint(vwl_iotlb_update(tlb, 0, 2, UINT64_MAX, R), ==, -EINVAL);
    g_assert_cmpint(vwl_iotlb_update(tlb, 0x1000, 0x1000, 0x70000, R), ==, 0);
    g_assert_cmpint(vwl_iotlb_update(tlb, 0x2000, 0x1000, 0x50000, R | W), ==,
                    0);
    hit(tlb, 0x1000, 1, R, 0x70000, 1);
    hit(tlb, 0x1fff, 99, R, 0x70fff, 1);
    hit(tlb, 0x2001, 0x10000, R | W, 0x50001, 0xfff);
    miss(tlb, 0xfff, R);
    miss(tlb, 0x3000, R);
    miss(tlb, 0x1000, W);
    miss(tlb, 0x1000, R | W);
    g_assert_false(vwl_iotlb_lookup(tlb, 0x1000, 0, R, &uva, &len));
    /* the end of the address space, and all of it */
    g_assert_cmpint(vwl_iotlb_update(tlb, UINT64_MAX, 1, 5, R), ==, 0);
    hit(tlb, UINT64_MAX, 9, R, 5, 1);
    g_assert_cmpint(vwl_iotlb_update(tlb, 0, UINT64_MAX, 0, R), ==, 0);
    hit(tlb, 3, UINT64_MAX, R, 3, UINT64_MAX - 3);
    vwl_iotlb_destroy(tlb);
    vwl_iotlb_destroy(NULL);
}

static void test_replace(void)
{
    struct vwl_iotlb *tlb = vwl_iotlb_create();

    for (unsigned int i = 0; i < 8; i++) {
        g_assert_cmpint(vwl_iotlb_update(tlb, i * 0x1000, 0x1000, i * 0x10000,
                                         R),
                        ==, 0);
    }
    /* touches the ends of 2 and 5, covers 3 and 4 */
    g_assert_cmpint(vwl_iotlb_update(tlb, 0x2fff, 0x2002, 0x900000, W), ==, 0);
    hit(tlb, 0x1fff, 1, R, 0x10fff, 1);
    miss(tlb, 0x2000, R);
    hit(tlb, 0x2fff, 1, W, 0x900000, 1);
    hit(tlb, 0x5000, 9, W, 0x902001, 1);
    miss(tlb, 0x5001, R);
    hit(tlb, 0x6000, 1, R, 0x60000, 1);

    vwl_iotlb_invalidate(tlb, 0x3000, 0);
    hit(tlb, 0x3000, 1, W, 0x900001, 1);
    vwl_iotlb_invalidate(tlb, 0x3000, 1);
    miss(tlb, 0x2fff, W);
    vwl_iotlb_invalidate(tlb, 0x6fff, UINT64_MAX); /* wraps: to the end */
    miss(tlb, 0x6000, R);
    miss(tlb, 0x7000, R);
    hit(tlb, 0x1000, 1, R, 0x10000, 1);
    vwl_iotlb_clear(tlb);
    miss(tlb, 0, R);
    vwl_iotlb_destroy(tlb);
}

static void test_bounded(void)
{
    struct vwl_iotlb *tlb = vwl_iotlb_create();
    unsigned int n = 132 * 1024;

    for (unsigned int i = 0; i <= n; i++) {
        g_assert_cmpint(vwl_iotlb_update(tlb, i * 0x2000ull, 0x1000,
                                         i * 0x1000ull, R),
                        ==, 0);
    }
    miss(tlb, 0, R); /* the oldest went */
    for (unsigned int i = 1; i <= n; i++) {
        hit(tlb, i * 0x2000ull, 1, R, i * 0x1000ull, 1);
    }
    vwl_iotlb_destroy(tlb);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/iotlb/lookup", test_lookup);
    g_test_add_func("/iotlb/replace", test_replace);
    g_test_add_func("/iotlb/bounded", test_bounded);
    return g_test_run();
}
