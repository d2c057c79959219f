/* SPDX-License-Identifier: BSD-3-Clause */
#include "core_rig.h"

/* What sommelier does first, with literal bytes: no dmabuf, a context, memory,
 * a message with it. */
static void test_first_steps(void)
{
    static const uint8_t probe[64] = { 0x07, 0x01 };
    static const uint8_t new_ctx[64] = { 0x04, 0x01, 0, 0, 0, 0, 0, 0,
                                         1, 0, 0, 0, 3 };
    static const uint8_t new_shm[64] = {
        0x00, 0x01, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 1, 0x10,
    };
    static const uint8_t ctx_ok[32] = { 0x01, 0x10, 0, 0, 0, 0, 0, 0,
                                        1, 0, 0, 0, 3, 0, 0, 0,
                                        0, 0, 0x10 };
    static const uint8_t shm_ok[32] = { 0x01, 0x10, 0, 0, 0, 0, 0, 0,
                                        2, 0, 0, 0, 0, 0, 0, 0,
                                        0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20 };
    static const uint8_t send[] = { 0x02, 0x01, 0, 0, 0, 0, 0, 0,
                                    1, 0, 0, 0, 1, 0, 0, 0,
                                    2, 0, 0, 0, 'h', 'e', 'l', 'l', 'o' };
    struct rig *rig = rig_new(MODE_K23);
    uint8_t response[64], data[64];
    int compositor, fds[253];
    unsigned int n_fds;
    struct stat st;
    size_t n;

    g_assert_cmphex(ask(rig, probe, sizeof probe), ==, 0x1105);
    g_assert_cmphex(ask_room(rig, new_ctx, 64, 64, response, &n), ==, 0x1001);
    g_assert_cmpmem(response, n, ctx_ok, 32);
    g_assert_cmphex(ask_room(rig, new_shm, 64, 64, response, &n), ==, 0x1001);
    g_assert_cmpmem(response, n, shm_ok, 32);
    g_assert_cmphex(ask_room(rig, send, sizeof send, 8, response, &n), ==,
                    0x1000);
    g_assert_cmpuint(n, ==, 4);
    compositor = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(host_receive(compositor, data, sizeof data, fds, &n_fds),
                    ==, 5);
    g_assert_cmpmem(data, 5, "hello", 5);
    g_assert_cmpuint(n_fds, ==, 1);
    g_assert_cmpint(fstat(fds[0], &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 0x2000);
    close(fds[0]);
    close(compositor);
    rig_expect_hup(rig, 1);
    g_assert_cmpint(rig_next(rig), ==, 0);
    rig_free(rig);
}

static void test_receive(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int compositor = rig_context(rig, 1);
    int keymap = sealed_file(5000, F_SEAL_SHRINK | F_SEAL_WRITE);
    const uint8_t *data;
    uint32_t id;
    size_t len;

    g_assert_false(is_readable(vwl_core_in_fd(rig->core)));
    host_send(compositor, "hello", 5, NULL, 0);
    g_assert_true(is_readable(vwl_core_in_fd(rig->core)));
    data = rig_expect_recv(rig, 1, 0, &len);
    g_assert_cmpmem(data, len, "hello", 5);
    g_assert_cmpint(rig_next(rig), ==, 0);
    host_send(compositor, "key", 3, &keymap, 1);
    id = rig_expect_new(rig, 0, 0, 5000);
    g_assert_cmphex(id, ==, 0x40000000);
    data = rig_expect_recv(rig, 1, 1, &len);
    g_assert_cmphex(get32(data - 4), ==, id);
    g_assert_cmpmem(data, len, "key", 3);
    g_assert_cmpint(rig_next(rig), ==, 0);
    g_assert_cmphex(ask_close(rig, id), ==, 0x1000);
    g_assert_cmphex(ask_close(rig, id), ==, 0x1102);
    g_assert_cmpuint(rig->n_unmaps, ==, 1);
    close(keymap);
    close(compositor);
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/ctx/first-steps", test_first_steps);
    g_test_add_func("/core/ctx/receive", test_receive);
    return g_test_run();
}
