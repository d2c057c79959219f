/* SPDX-License-Identifier: BSD-3-Clause */
/* The requests of the back-end in every dialect, byte by byte. */
#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "back.h"
#include "fds.h"
#include "socket.h"

static void test_standard(void)
{
    int file = make_memfd(0x10000);
    struct back b;

    back_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(back_map(&b, file, 7, true), ==, -EINPROGRESS);
    back_expect(&b,
                "09000000 09000000 28000000 0000000000000000"
                "0030000000000000 0060452301000000 0020000000000000"
                "0100000000000000",
                file);
    back_expect_done(&b, "");
    g_assert_cmpuint(vwl_backchan_pending(b.chan), ==, 1);
    back_reply(&b, "09000000 05000000 08000000 0000000000000000");
    back_expect_done(&b, "7:0 ");
    g_assert_cmpint(back_map(&b, file, 8, false), ==, -EINPROGRESS);
    back_expect(&b,
                "09000000 09000000 28000000 0000000000000000"
                "0030000000000000 0060452301000000 0020000000000000"
                "0000000000000000",
                file);
    back_reply(&b, "09000000 05000000 08000000 0100000000000000");
    back_expect_done(&b, "8:-5 ");
    g_assert_cmpint(back_unmap(&b, 9), ==, -EINPROGRESS);
    back_expect(&b,
                "0a000000 09000000 28000000 0000000000000000"
                "0000000000000000 0060452301000000 0020000000000000"
                "0000000000000000",
                -1);
    /* the number of an errno, as crosvm answers */
    back_reply(&b, "0a000000 05000000 08000000 eaffffffffffffff");
    back_expect_done(&b, "9:-22 ");
    g_assert_cmpuint(vwl_backchan_pending(b.chan), ==, 0);
    back_finish(&b);
    close(file);
}

static void test_standard_unanswered(void)
{
    int file = make_memfd(0x10000);
    struct back b;

    back_init(&b, VWL_SHM_STANDARD, false);
    g_assert_cmpint(back_map(&b, file, 1, true), ==, 0);
    back_expect(&b,
                "09000000 01000000 28000000 0000000000000000"
                "0030000000000000 0060452301000000 0020000000000000"
                "0100000000000000",
                file);
    back_expect_done(&b, ""); /* it was when the call returned */
    g_assert_cmpuint(vwl_backchan_pending(b.chan), ==, 0);
    back_finish(&b);
    close(file);
}

static void test_private(void)
{
    int file = make_memfd(0x10000);
    struct back b;

    for (int ack = 0; ack < 2; ack++) {
        back_init(&b, VWL_SHM_PRIVATE, ack);
        g_assert_cmpint(back_map(&b, file, 1, true), ==, -EINPROGRESS);
        back_expect(&b,
                    ack ? "e8030000 09000000 20000000 0300000000000000"
                          "0060452301000000 0030000000000000 0020000000000000"
                        : "e8030000 01000000 20000000 0300000000000000"
                          "0060452301000000 0030000000000000 0020000000000000",
                    file);
        back_expect_done(&b, ""); /* answered always */
        g_assert_cmpint(back_map(&b, file, 2, false), ==, -EINPROGRESS);
        close(expect_hex(b.front,
                         ack ? "e8030000 09000000 20000000 0100000000000000"
                               "0060452301000000 0030000000000000"
                               "0020000000000000"
                             : "e8030000 01000000 20000000 0100000000000000"
                               "0060452301000000 0030000000000000"
                               "0020000000000000"));
        g_assert_cmpint(back_unmap(&b, 3), ==, -EINPROGRESS);
        back_expect(&b,
                    ack ? "e9030000 09000000 18000000 0000000000000000"
                          "0060452301000000 0020000000000000"
                        : "e9030000 01000000 18000000 0000000000000000"
                          "0060452301000000 0020000000000000",
                    -1);
        back_reply(&b, "e8030000 05000000 08000000 0000000000000000"
                       "e8030000 05000000 08000000 efffffffffffffff");
        back_expect_done(&b, "1:0 2:-17 ");
        back_reply(&b, "e9030000 05000000 08000000 0000000000000000");
        back_expect_done(&b, "3:0 ");
        back_finish(&b);
    }
    close(file);
}

static void test_vring_and_iotlb(void)
{
    struct vhost_user_iotlb miss = {
        .iova = 0x1122334455667788,
        .permission = 3,
        .type = 1,
    };
    struct back b;

    back_init(&b, VWL_SHM_NONE, true);
    g_assert_cmpint(vwl_backchan_iotlb(b.chan, &miss, back_on_done, &b, 1), ==,
                    -EINPROGRESS);
    back_expect(&b,
                "01000000 09000000 20000000 8877665544332211"
                "0000000000000000 0000000000000000 0301000000000000",
                -1);
    g_assert_cmpint(vwl_backchan_config_change(b.chan, back_on_done, &b, 2), ==,
                    -EINPROGRESS);
    back_expect(&b, "02000000 09000000 00000000", -1);
    g_assert_cmpint(vwl_backchan_vring_call(b.chan, 1), ==, 0);
    back_expect(&b, "04000000 09000000 08000000 01000000 00000000", -1);
    g_assert_cmpint(vwl_backchan_vring_err(b.chan, 1), ==, -EINPROGRESS);
    back_expect(&b, "05000000 09000000 08000000 01000000 00000000", -1);
    back_reply(&b, "01000000 05000000 08000000 0000000000000000"
                   "02000000 05000000 08000000 0000000000000000"
                   "04000000 05000000 08000000 0000000000000000"
                   "05000000 05000000 08000000 0100000000000000");
    back_expect_done(&b, "1:0 2:0 ");
    g_assert_cmpuint(vwl_backchan_pending(b.chan), ==, 0);
    back_finish(&b);
}

/* A call that nobody answered yet makes no second one; the answer does. */
static void test_calls_merge(void)
{
    struct back b;

    back_init(&b, VWL_SHM_NONE, true);
    for (int i = 0; i < 100000; i++) {
        g_assert_cmpint(vwl_backchan_vring_call(b.chan, 0), ==, 0);
    }
    back_expect(&b, "04000000 09000000 08000000 00000000 00000000", -1);
    back_reply(&b, "04000000 05000000 08000000 0000000000000000");
    back_expect(&b, "04000000 09000000 08000000 00000000 00000000", -1);
    back_reply(&b, "04000000 05000000 08000000 0000000000000000");
    expect_silence(b.front);
    g_assert_cmpint(vwl_backchan_vring_call(b.chan, 0), ==, 0);
    back_expect(&b, "04000000 09000000 08000000 00000000 00000000", -1);
    g_assert_cmpint(vwl_backchan_vring_call(b.chan, 256), ==, -EINVAL);
    back_finish(&b);
    back_init(&b, VWL_SHM_NONE, false);
    for (int i = 0; i < 3; i++) {
        g_assert_cmpint(vwl_backchan_vring_call(b.chan, 1), ==, 0);
        back_expect(&b, "04000000 01000000 08000000 01000000 00000000", -1);
    }
    back_finish(&b);
}

static void test_host_notifier(void)
{
    struct vhost_user_vring_area area = { 1, 0x1000, 0x2000 };
    struct vhost_user_vring_area none = { 0x101, 0, 0 };
    int file = make_memfd(0x4000);
    struct back b;

    back_init(&b, VWL_SHM_NONE, true);
    g_assert_cmpint(vwl_backchan_vring_host_notifier(b.chan, &area, file,
                                                     back_on_done, &b, 1),
                    ==, -EINPROGRESS);
    back_expect(&b,
                "03000000 09000000 18000000 0100000000000000"
                "0010000000000000 0020000000000000",
                file);
    g_assert_cmpint(vwl_backchan_vring_host_notifier(b.chan, &none, -1,
                                                     back_on_done, &b, 2),
                    ==, -EINPROGRESS);
    back_expect(&b,
                "03000000 09000000 18000000 0101000000000000"
                "0000000000000000 0000000000000000",
                -1);
    g_assert_cmpint(vwl_backchan_vring_host_notifier(b.chan, &area, -1,
                                                     back_on_done, &b, 2),
                    ==, -EINVAL);
    back_finish(&b);
    close(file);
}

static void test_gpu_and_external(void)
{
    struct vhost_user_gpu_map gpu = {
        .shmid = 2,
        .shm_offset = 0x1000,
        .len = 0x2000,
        .memory_idx = 3,
        .handle_type = 4,
    };
    struct vhost_user_external_map external = {
        .shmid = 5,
        .shm_offset = 0x1000,
        .len = 0x2000,
        .ptr = 0x7f0011223344,
    };
    int file = make_memfd(0x4000);
    struct back b;

    for (unsigned int i = 0; i < 16; i++) {
        gpu.device_uuid[i] = (uint8_t)i;
        gpu.driver_uuid[i] = (uint8_t)(0xf0 + i);
    }
    back_init(&b, VWL_SHM_PRIVATE, false);
    g_assert_cmpint(vwl_backchan_gpu_map(b.chan, &gpu, file, back_on_done, &b,
                                         1),
                    ==, -EINPROGRESS);
    back_expect(&b,
                "ee030000 01000000 40000000 0200000000000000"
                "0010000000000000 0020000000000000 03000000 04000000"
                "000102030405060708090a0b0c0d0e0f"
                "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
                file);
    g_assert_cmpint(vwl_backchan_external_map(b.chan, &external, back_on_done,
                                              &b, 2),
                    ==, -EINPROGRESS);
    back_expect(&b,
                "ef030000 01000000 20000000 0500000000000000"
                "0010000000000000 0020000000000000 4433221100 7f0000",
                -1);
    back_expect_done(&b, "");
    back_reply(&b, "ee030000 05000000 08000000 0000000000000000"
                   "ef030000 05000000 08000000 0000000000000000");
    back_expect_done(&b, "1:0 2:0 ");
    g_assert_cmpint(vwl_backchan_gpu_map(b.chan, &gpu, -1, back_on_done, &b, 1),
                    ==, -EINVAL);
    back_finish(&b);
    back_init(&b, VWL_SHM_STANDARD, true);
    g_assert_cmpint(vwl_backchan_gpu_map(b.chan, &gpu, file, back_on_done, &b,
                                         1),
                    ==, -EOPNOTSUPP);
    g_assert_cmpint(vwl_backchan_external_map(b.chan, &external, back_on_done,
                                              &b, 2),
                    ==, -EOPNOTSUPP);
    expect_silence(b.front);
    back_finish(&b);
    close(file);
}

static void test_fs(void)
{
    static const char *const heads[] = {
        "ea030000 09000000 00010000",
        "eb030000 09000000 00010000",
        "ec030000 09000000 00010000",
        "ed030000 09000000 00010000",
    };
    struct vhost_user_fs_backend msg = { { 0 } };
    int file = make_memfd(0x4000);
    struct back b;

    msg.fd_offset[0] = 0x11;
    msg.cache_offset[1] = 0x22;
    msg.len[2] = 0x33;
    msg.flags[7] = 0x44;
    back_init(&b, VWL_SHM_PRIVATE, true);
    for (unsigned int i = 0; i < 4; i++) {
        bool with_fd = i == 0 || i == 3;
        int other = with_fd ? -1 : file;
        GString *text = g_string_new(heads[i]);

        for (unsigned int j = 0; j < 32; j++) {
            g_string_append(text, j == 0    ? "1100000000000000"
                                  : j == 9  ? "2200000000000000"
                                  : j == 18 ? "3300000000000000"
                                  : j == 31 ? "4400000000000000"
                                            : "0000000000000000");
        }
        g_assert_cmpint(vwl_backchan_fs(b.chan, 1002 + i, &msg, other,
                                        back_on_done, &b, i),
                        ==, -EINVAL);
        g_assert_cmpint(vwl_backchan_fs(b.chan, 1002 + i, &msg,
                                        with_fd ? file : -1, back_on_done, &b,
                                        i),
                        ==, -EINPROGRESS);
        back_expect(&b, text->str, with_fd ? file : -1);
        g_string_free(text, TRUE);
    }
    back_reply(&b, "ea030000 05000000 08000000 0000000000000000"
                   "eb030000 05000000 08000000 0000000000000000"
                   "ec030000 05000000 08000000 0000000000000000"
                   "ed030000 05000000 08000000 0000000000000000");
    back_expect_done(&b, "0:0 1:0 2:0 3:0 ");
    g_assert_cmpint(vwl_backchan_fs(b.chan, 1001, &msg, -1, back_on_done, &b,
                                    0),
                    ==, -EINVAL);
    g_assert_cmpint(vwl_backchan_fs(b.chan, 1006, &msg, file, back_on_done, &b,
                                    0),
                    ==, -EINVAL);
    back_finish(&b);
    close(file);
}

static void test_refused(void)
{
    int file = make_memfd(0x10000);
    struct back b;

    back_init(&b, VWL_SHM_STANDARD, true);
    static const uint64_t bad[][3] = {
        /* fd offset, shm offset, length */
        { 0, 0, 0 },
        { 1, 0, 0x1000 },
        { 0, 1, 0x1000 },
        { 0, 0, 0x1001 },
        { 0, 0xfffffffffffff000, 0x2000 },
        { 0xfffffffffffff000, 0, 0x2000 },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmpint(vwl_backchan_shmem_map(b.chan, 0, file, bad[i][0],
                                               bad[i][1], bad[i][2], true,
                                               back_on_done, &b, 1),
                        ==, -EINVAL);
    }
    g_assert_cmpint(back_map(&b, -1, 1, true), ==, -EINVAL);
    expect_silence(b.front);
    vwl_backchan_configure(b.chan, VWL_SHM_NONE, true);
    g_assert_cmpint(back_map(&b, file, 1, true), ==, -EOPNOTSUPP);
    g_assert_cmpint(back_unmap(&b, 1), ==, -EOPNOTSUPP);
    close(b.front);
    b.front = -1;
    g_assert_cmpint(vwl_backchan_dispatch(b.chan), ==, -ECONNRESET);
    g_assert_cmpint(vwl_backchan_socket(b.chan)->fd, ==, -1);
    vwl_backchan_configure(b.chan, VWL_SHM_STANDARD, true);
    g_assert_cmpint(back_map(&b, file, 1, true), ==, -ENOTCONN);
    back_expect_done(&b, "");
    back_finish(&b);
    close(file);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/backchan/standard", test_standard);
    g_test_add_func("/backchan/standard-unanswered", test_standard_unanswered);
    g_test_add_func("/backchan/private", test_private);
    g_test_add_func("/backchan/vring-and-iotlb", test_vring_and_iotlb);
    g_test_add_func("/backchan/calls-merge", test_calls_merge);
    g_test_add_func("/backchan/host-notifier", test_host_notifier);
    g_test_add_func("/backchan/gpu-and-external", test_gpu_and_external);
    g_test_add_func("/backchan/fs", test_fs);
    g_test_add_func("/backchan/refused", test_refused);
    return g_test_run();
}
