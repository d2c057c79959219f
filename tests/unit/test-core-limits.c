/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ask.h"
#include "base/locks.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

static bool was_logged(const struct core_rig *rig, const char *text)
{
    for (guint i = 0; i < rig->lines->len; i++) {
        if (strstr(rig->lines->pdata[i], text)) {
            return true;
        }
    }
    return false;
}

static void test_vfds(void)
{
    struct vwl_core_config limits = core_rig_limits;
    struct core_rig *rig;
    int compositor, fds[2];
    size_t len;

    limits.max_vfds = 4;
    rig = core_rig_new_limits(MODE_K23, &limits);
    compositor = open_ctx(rig, 1);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 3, VFD_READ, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 4, VFD_READ, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 5, VFD_READ, 0), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 5, 0, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, 5, VFD_READ_WRITE, 0), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_true(was_logged(rig, "limit of 4 VFDs"));
    g_assert_cmphex(ask_close(rig, 4), ==, RESP_OK);
    /* one fits, two do not: the context ends */
    fds[0] = fds[1] = sealed_file(100, 0);
    socket_send(compositor, "x", 1, fds, 1);
    g_assert_cmpint(next_message(rig), ==, 32);
    expect_recv(rig, 1, 1, &len);
    g_assert_cmphex(ask_close(rig, 0x40000000), ==, RESP_OK);
    socket_send(compositor, "x", 1, fds, 2);
    expect_hup(rig, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 4, VFD_READ, 0), ==,
                    RESP_VFD_NEW);
    close(fds[0]);
    close(compositor);
    core_rig_free(rig);
}

static void test_contexts(void)
{
    struct vwl_core_config limits = core_rig_limits;
    struct core_rig *rig;
    int a, b;

    limits.max_contexts = 2;
    rig = core_rig_new_limits(MODE_K23, &limits);
    a = open_ctx(rig, 1);
    b = open_ctx(rig, 2);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, 3, VFD_READ_WRITE, 0), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_true(was_logged(rig, "limit of 2 contexts"));
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    close(b);
    b = open_ctx(rig, 3);
    close(a);
    close(b);
    core_rig_free(rig);
}

/* Private copies count as well; a compositor's too big file is no error. */
static void test_shm_bytes(void)
{
    struct vwl_core_config limits = core_rig_limits;
    struct vwl_stats stats = { 0 };
    struct core_rig *rig;
    int compositor, fd;
    size_t len;

    limits.max_shm_bytes = 16384;
    rig = core_rig_new_limits(MODE_K23, &limits);
    fd = sealed_file(5000, F_SEAL_SEAL);
    compositor = open_ctx(rig, 1);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 20000), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 8192), ==, RESP_VFD_NEW);
    socket_send(compositor, "x", 1, &fd, 1);
    expect_new(rig, 0, 2, 5000);
    expect_recv(rig, 1, 1, &len);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.shm_bytes, ==, 16384);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 3, 0, 1), ==, RESP_OUT_OF_MEMORY);
    socket_send(compositor, "x", 1, &fd, 1);
    expect_new(rig, VFD_READ_WRITE, 0x100000, 0);
    g_assert_cmpmem(expect_recv(rig, 1, 1, &len), 1, "x", 1);
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 3, 0, 1), ==, RESP_VFD_NEW);
    close(fd);
    close(compositor);
    core_rig_free(rig);
}

static void test_window_full(void)
{
    struct vwl_core_config limits = core_rig_limits;
    struct core_rig *rig;

    limits.shm_window = 8192;
    rig = core_rig_new_limits(MODE_K23, &limits);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 1, 0, 12288), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 1, 0, 8192), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    core_rig_free(rig);
}

static void set_fd_limit(rlim_t n)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = n;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
}

/* valgrind keeps a limit of its own, which recvmsg does not know. */
static bool limit_is_real(rlim_t n)
{
    g_autofree char *text = NULL, *row = NULL;

    g_assert_true(g_file_get_contents("/proc/self/limits", &text, NULL, NULL));
    row = g_strdup_printf("Max open files            %ju ", (uintmax_t)n);
    return strstr(text, row) != NULL;
}

/* No descriptor to be had: an answer, and a host message that was cut off
 * ends its context. Afterwards all goes on. */
static void test_no_descriptors(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), other = open_ctx(rig, 2);
    int fds[8], n_fds, highest = dup(compositor);
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 8; i++) {
        fds[i] = sealed_file(100, 0);
    }
    close(highest);
    n_fds = count_fds();
    socket_send(compositor, "data", 4, fds, 8);
    set_fd_limit((rlim_t)fds[7] + 1);
    if (!limit_is_real((rlim_t)fds[7] + 1)) {
        g_test_skip("the limit cannot be set");
        goto out;
    }
    g_assert_cmpint(fcntl(0, F_DUPFD_CLOEXEC, 0), >=, 0); /* fills `highest` */
    g_assert_cmpint(fcntl(0, F_DUPFD_CLOEXEC, 0), ==, -1);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 3, 0, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 3, VFD_WRITE, 0), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, 3, VFD_READ_WRITE, 0), ==,
                    RESP_OUT_OF_MEMORY);
    expect_hup(rig, 1);
    g_assert_true(was_logged(rig, "no room for the descriptors"));
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_ERR);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, "x", 1), ==, RESP_OK);
    set_fd_limit(limit.rlim_cur);
    close(highest);
    /* what did come was closed, and the context's own socket */
    while (count_fds() != (unsigned int)n_fds - 1) {
        g_usleep(1000); /* threads do that */
    }
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 3, 0, 4096), ==, RESP_VFD_NEW);
out:
    set_fd_limit(limit.rlim_cur);
    for (int i = 0; i < 8; i++) {
        close(fds[i]);
    }
    close(compositor);
    close(other);
    core_rig_free(rig);
}

/* 10,000 of them and 500 contexts; all back to the start. */
static void test_many(void)
{
    struct core_rig *rig;
    struct rlimit limit;
    struct vwl_stats stats = { 0 };

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < 13000) {
        g_test_skip("needs 13,000 descriptors");
        return;
    }
    set_fd_limit(limit.rlim_max);
    rig = core_rig_new(MODE_K23);
    for (uint32_t i = 1; i <= 500; i++) {
        g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, i, VFD_READ_WRITE, 0), ==,
                        RESP_VFD_NEW);
    }
    for (uint32_t i = 501; i <= 10500; i++) {
        g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, i, 0, 4096), ==,
                        RESP_VFD_NEW);
    }
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.vfds, ==, 10500);
    g_assert_cmpuint(stats.contexts, ==, 500);
    g_assert_cmpuint(stats.shm_mappings, ==, 10000);
    for (uint32_t i = 1; i <= 10500; i++) {
        g_assert_cmphex(ask_close(rig, i), ==, RESP_OK);
    }
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.vfds, ==, 0);
    g_assert_cmpuint(stats.contexts, ==, 0);
    g_assert_cmpuint(stats.shm_bytes, ==, 0);
    set_fd_limit(limit.rlim_cur);
    core_rig_free(rig);
}

/* It does not look at every request whether there is room again. */
static void until_made(struct core_rig *rig, uint32_t id, uint32_t size)
{
    uint32_t type;

    do {
        type = ask_new(rig, CMD_VFD_NEW, id, 0, size);
    } while (type == RESP_OUT_OF_MEMORY);
    g_assert_cmphex(type, ==, RESP_VFD_NEW);
}

/* What the guest closes, and the peer still has, counts: a descriptor in its
 * queue, one that it took, and a mapping. */
static void test_held(void)
{
    struct vwl_core_config limits = core_rig_limits;
    struct core_rig *rig;
    int compositor, fds[253];
    unsigned int n_fds;
    uint32_t id = 2;
    char byte;
    void *map;

    limits.max_shm_bytes = 1024 * 1024;
    limits.locks = vwl_locks_open();
    g_assert_nonnull(limits.locks);
    rig = core_rig_new_limits(MODE_K23, &limits);
    compositor = open_ctx(rig, 1);
    for (unsigned int i = 0; i < 4; i++) {
        g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, id, 0, 256 * 1024), ==,
                        RESP_VFD_NEW);
        g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
        g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
        id++;
    }
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, id, 0, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_true(was_logged(rig, "1048576 bytes in 4 files"));
    /* one is taken and dropped */
    g_assert_cmpint(socket_receive(compositor, &byte, 1, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 1);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, id, 0, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[0], 0);
    g_assert_true(map != MAP_FAILED);
    close(fds[0]);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, id, 0, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    munmap(map, 4096);
    until_made(rig, id, 256 * 1024);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, id + 1, 0, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    /* never sent: nobody else has it */
    g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, id, 0, 256 * 1024), ==,
                    RESP_VFD_NEW);
    close(compositor); /* with all that is in its queue */
    until_made(rig, id + 1, 768 * 1024);
    core_rig_free(rig);
    vwl_locks_close(limits.locks);
}

/* A reader that keeps its buffers cannot have them all, and goes on when it
 * gives them back. */
static void test_buffer_share(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int hog = open_ctx(rig, 1), other = open_ctx(rig, 2);
    g_autofree char *big = g_malloc0(190000);
    unsigned int n_free = 16, kept = 0;

    socket_send(hog, big, 190000, NULL, 0);
    vwl_core_buffers_free(rig->core, n_free, 16);
    while (next_message(rig) > 0) {
        kept++;
        vwl_core_buffers_free(rig->core, --n_free, 16);
    }
    g_assert_cmpuint(kept, ==, 8);
    g_assert_false(is_readable(vwl_core_in_fd(rig->core)));
    socket_send(other, "x", 1, NULL, 0);
    g_assert_cmpint(next_message(rig), ==, 17);
    g_assert_cmpuint(get32(rig->message + 8), ==, 2);
    n_free--;
    for (uint64_t token = 0; token < 8; token++) {
        vwl_core_buffer_returned(rig->core, token);
        n_free++;
        vwl_core_buffers_free(rig->core, n_free, 16);
    }
    g_assert_true(is_readable(vwl_core_in_fd(rig->core)));
    g_assert_cmpint(next_message(rig), >, 17);
    close(hog);
    close(other);
    core_rig_free(rig);
}

/* A driver that posts other buffers than it was given is not held back for
 * those that it never gives back. */
static void test_fresh_buffers(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int hog = open_ctx(rig, 1);
    g_autofree char *big = g_malloc0(190000);
    size_t got = 0, len;

    socket_send(hog, big, 190000, NULL, 0);
    while (got < 190000) {
        vwl_core_buffer_returned(rig->core, 100000 + rig->token);
        vwl_core_buffers_free(rig->core, 16, 16);
        expect_recv(rig, 1, 0, &len);
        got += len;
    }
    close(hog);
    core_rig_free(rig);
}

/* The guest posts nothing: nothing is read, nothing grows. */
static void test_no_buffers(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int flood = open_ctx(rig, 1);
    g_autofree char *big = g_malloc0(190000);
    struct vwl_stats stats = { 0 };

    socket_send(flood, big, 190000, NULL, 0);
    for (uint32_t i = 0; i < 1000; i++) {
        g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_WRITE, 0), ==,
                        RESP_VFD_NEW);
        g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
        vwl_core_dispatch_out(rig->core);
    }
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.queued_bytes, ==, 0);
    g_assert_cmpuint(stats.messages, ==, 0);
    /* a refill resumes it */
    g_assert_true(is_readable(vwl_core_in_fd(rig->core)));
    g_assert_cmpint(next_message(rig), ==, 16 + 3968);
    close(flood);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/limits/vfds", test_vfds);
    g_test_add_func("/core/limits/contexts", test_contexts);
    g_test_add_func("/core/limits/shm-bytes", test_shm_bytes);
    g_test_add_func("/core/limits/held-by-peer", test_held);
    g_test_add_func("/core/limits/window-full", test_window_full);
    g_test_add_func("/core/limits/no-descriptors", test_no_descriptors);
    g_test_add_func("/core/limits/many", test_many);
    g_test_add_func("/core/limits/buffer-share", test_buffer_share);
    g_test_add_func("/core/limits/fresh-buffers", test_fresh_buffers);
    g_test_add_func("/core/limits/no-buffers", test_no_buffers);
    return g_test_run();
}
