/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

/* What sommelier does first, with literal bytes: no dmabuf, a context, memory,
 * a message with it. */
static void test_first_steps(void)
{
    static const uint8_t probe[64] = { 0x07, 0x01 };
    static const uint8_t new_ctx[64] = { 0x04, 0x01, 0, 0, 0, 0, 0,
                                         0,    1,    0, 0, 0, 3 };
    static const uint8_t new_shm[64] = {
        0x00, 0x01, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0,
        0,    0,    0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x10,
    };
    static const uint8_t ctx_ok[32] = { 0x01, 0x10, 0, 0, 0, 0, 0, 0, 1,   0,
                                        0,    0,    3, 0, 0, 0, 0, 0, 0x10 };
    static const uint8_t shm_ok[32] = { 0x01, 0x10, 0, 0, 0, 0, 0, 0,   2,
                                        0,    0,    0, 0, 0, 0, 0, 0,   0,
                                        0,    0,    0, 0, 0, 0, 0, 0x20 };
    static const uint8_t send[] = { 0x02, 0x01, 0,   0,   0,   0,   0,  0, 1,
                                    0,    0,    0,   1,   0,   0,   0,  2, 0,
                                    0,    0,    'h', 'e', 'l', 'l', 'o' };
    struct core_rig *rig = core_rig_new(MODE_K23);
    uint8_t response[64], data[64];
    int compositor, fds[253];
    unsigned int n_fds;
    struct stat st;
    size_t n;

    g_assert_cmphex(ask(rig, probe, sizeof probe), ==, RESP_INVALID_CMD);
    g_assert_cmphex(ask_room(rig, new_ctx, 64, 64, response, &n), ==,
                    RESP_VFD_NEW);
    g_assert_cmpmem(response, n, ctx_ok, 32);
    g_assert_cmphex(ask_room(rig, new_shm, 64, 64, response, &n), ==,
                    RESP_VFD_NEW);
    g_assert_cmpmem(response, n, shm_ok, 32);
    g_assert_cmphex(ask_room(rig, send, sizeof send, 8, response, &n), ==,
                    RESP_OK);
    g_assert_cmpuint(n, ==, 4);
    compositor = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(socket_receive(compositor, data, sizeof data, fds, &n_fds),
                    ==, 5);
    g_assert_cmpmem(data, 5, "hello", 5);
    g_assert_cmpuint(n_fds, ==, 1);
    g_assert_cmpint(fstat(fds[0], &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 0x2000);
    close(fds[0]);
    close(compositor);
    expect_hup(rig, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    core_rig_free(rig);
}

/* Descriptors come once, with their message, however the one before it ends
 * with the guest's buffer. */
static void test_full_buffer(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    int keymap = sealed_file(5000, F_SEAL_SHRINK | F_SEAL_WRITE);
    char *full = g_malloc0(3968);
    size_t len;

    socket_send(compositor, full, 3968, NULL, 0);
    socket_send(compositor, "key", 3, &keymap, 1);
    expect_recv(rig, 1, 0, &len);
    g_assert_cmpuint(len, ==, 3968);
    expect_new(rig, 0, 0, 5000);
    expect_recv(rig, 1, 1, &len);
    g_assert_cmpuint(len, ==, 3);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_free(full);
    close(keymap);
    close(compositor);
    core_rig_free(rig);
}

/* The same when the process has few descriptors left, which it sees after a
 * while. */
static void test_full_buffer_tight(void)
{
    struct rlimit before, tight;

    getrlimit(RLIMIT_NOFILE, &before);
    tight = before;
    tight.rlim_cur = 200;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &tight), ==, 0);
    for (unsigned int i = 0; i < 256; i++) {
        test_full_buffer();
    }
    setrlimit(RLIMIT_NOFILE, &before);
}

static void test_receive(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    int keymap = sealed_file(5000, F_SEAL_SHRINK | F_SEAL_WRITE);
    const uint8_t *data;
    uint32_t id;
    size_t len;

    g_assert_false(is_readable(vwl_core_in_fd(rig->core)));
    socket_send(compositor, "hello", 5, NULL, 0);
    g_assert_true(is_readable(vwl_core_in_fd(rig->core)));
    data = expect_recv(rig, 1, 0, &len);
    g_assert_cmpmem(data, len, "hello", 5);
    g_assert_cmpint(next_message(rig), ==, 0);
    socket_send(compositor, "key", 3, &keymap, 1);
    id = expect_new(rig, 0, 0, 5000);
    g_assert_cmphex(id, ==, 0x40000000);
    data = expect_recv(rig, 1, 1, &len);
    g_assert_cmphex(get32(data - 4), ==, id);
    g_assert_cmpmem(data, len, "key", 3);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    g_assert_cmphex(ask_close(rig, id), ==, RESP_INVALID_ID);
    g_assert_cmpuint(rig->n_unmaps, ==, 1);
    close(keymap);
    close(compositor);
    core_rig_free(rig);
}

/* 60 descriptors in one message: several complete messages, none lost, and the
 * data not before the descriptors that it may speak of. */
static void test_many_descriptors(void)
{
    static const unsigned int groups[] = { 28, 28, 4 };
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    int fds[60], keymap = sealed_file(100, 0);
    uint32_t expected = 0x40000000;
    GByteArray *all = g_byte_array_new();

    for (int i = 0; i < 60; i++) {
        fds[i] = keymap;
    }
    socket_send(compositor, "0123456789", 10, fds, 60);
    for (int g = 0; g < 3; g++) {
        const uint8_t *data;
        size_t len;

        for (unsigned int i = 0; i < groups[g]; i++) {
            g_assert_cmpint(next_message(rig), ==, 32);
            g_assert_cmphex(get32(rig->message), ==, CMD_VFD_NEW);
            g_assert_cmphex(get32(rig->message + 8), ==, expected + i);
        }
        data = expect_recv(rig, 1, groups[g], &len);
        for (unsigned int i = 0; i < groups[g]; i++) {
            g_assert_cmphex(get32(rig->message + 16 + 4 * i), ==, expected + i);
        }
        g_byte_array_append(all, data, (guint)len);
        expected += groups[g];
    }
    g_assert_cmpmem(all->data, all->len, "0123456789", 10);
    g_assert_cmpint(next_message(rig), ==, 0);
    /* fewer bytes than groups: the last one carries more */
    socket_send(compositor, "x", 1, fds, 60);
    for (int i = 0; i < 60; i++) {
        g_assert_cmpint(next_message(rig), ==, 32);
    }
    g_assert_cmpint(next_message(rig), ==, 16 + 240 + 1);
    g_assert_cmpuint(get32(rig->message + 12), ==, 60);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_byte_array_unref(all);
    close(keymap);
    close(compositor);
    core_rig_free(rig);
}

/* Whatever comes, the data arrives, with an id for each. */
static void test_odd_descriptors(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), listener, pair[2];
    int odd = sealed_file(5000, 0), n = 0, fds[16];
    struct {
        uint32_t flags;
        uint64_t pfn;
        uint32_t size;
    } told[16];
    const uint8_t *data;
    uint32_t ids[16];
    size_t len;

#define ADD(fd, flags_, pfn_, size_) \
    do {                             \
        fds[n] = (fd);               \
        told[n].flags = (flags_);    \
        told[n].pfn = (pfn_);        \
        told[n].size = (size_);      \
        n++;                         \
    } while (0)
    ADD(sealed_file(8192, F_SEAL_SHRINK), 0, 0, 8192);
    ADD(sealed_file(8192, 0), 0, 2, 8192);
    ADD(sealed_file(4096, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE), 0, 4, 4096);
    ADD(odd, 0, 5, 5000);
    ADD(sealed_file(0, 0), 0, 0x100000, 0);
    ADD(open("/dev/null", O_RDWR | O_CLOEXEC), 3, 0x100000, 0);
    ADD(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 2, 0x100000, 0);
    ADD(open("/", O_PATH | O_CLOEXEC), 0, 0x100000, 0);
    ADD(open("/dev/null", O_WRONLY | O_CLOEXEC), 1, 0x100000, 0);
    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ADD(listener, 3, 0x100000, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                    ==, 0);
    ADD(pair[0], 3, 0x100000, 0);
    {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", odd);

        ADD(open(path, O_WRONLY | O_CLOEXEC), 1, 0x100000, 0);
    }
#undef ADD
    lseek(odd, 33, SEEK_SET);
    socket_send(compositor, "data", 4, fds, (unsigned int)n);
    for (int i = 0; i < n; i++) {
        ids[i] = expect_new(rig, told[i].flags, told[i].pfn, told[i].size);
    }
    data = expect_recv(rig, 1, (uint32_t)n, &len);
    g_assert_cmpmem(data, len, "data", 4);
    g_assert_cmpint(lseek(odd, 0, SEEK_CUR), ==, 33);
    /* nothing is done with them, but they can be closed */
    g_assert_cmphex(ask_send(rig, ids[5], NULL, 0, "x", 1), ==, RESP_ERR);
    g_assert_cmphex(ask_send(rig, 1, &ids[5], 1, "x", 1), ==,
                    RESP_INVALID_TYPE);
    g_assert_cmphex(ask_send(rig, 1, &ids[3], 1, "x", 1), ==, RESP_OK);
    for (int i = 0; i < n; i++) {
        g_assert_cmphex(ask_close(rig, ids[i]), ==, RESP_OK);
        close(fds[i]);
    }
    close(pair[1]);
    close(compositor);
    core_rig_free(rig);
}

/* Without TRANS_FLAGS: memory is WRITE|MAP, all else 0; "none" is 0 without
 * USE_SHMEM. */
static void test_old_mode(void)
{
    struct core_rig *rig = core_rig_new(MODE_OLD);
    int compositor,
        fds[2] = { sealed_file(100, 0), open("/dev/null", O_RDWR | O_CLOEXEC) };
    size_t len;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, 1,
                            VIRTIO_WL_VFD_LEGACY_CONTROL, 0),
                    ==, RESP_VFD_NEW);
    compositor = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC);
    socket_send(compositor, "data", 4, fds, 2);
    expect_new(rig, VIRTIO_WL_VFD_LEGACY_WRITE | VIRTIO_WL_VFD_LEGACY_MAP,
               0xfe00001, 100); /* behind the anchor */
    expect_new(rig, 0, 0, 0);
    expect_recv(rig, 1, 2, &len);
    close(fds[0]);
    close(fds[1]);
    close(compositor);
    core_rig_free(rig);
}

/* What was sent before the end comes before the end, and the end once. */
static void test_hang_up(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    g_autofree char *big = g_malloc0(10000);
    size_t got = 0, len;

    socket_send(compositor, big, 10000, NULL, 0);
    close(compositor);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_ERR);
    while (got < 10000) {
        expect_recv(rig, 1, 0, &len);
        g_assert_cmpuint(len, <=, 3968);
        got += len;
    }
    expect_hup(rig, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_false(is_readable(vwl_core_in_fd(rig->core)));
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_ERR);
    g_assert_cmpint(next_message(rig), ==, 0);
    core_rig_free(rig);
}

/* A buffer too small for a record gets no part of it; data is split to fit. */
static void test_small_buffers(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), keymap = sealed_file(100, 0);
    const uint8_t *data;
    size_t len;

    socket_send(compositor, "abcdefgh", 8, &keymap, 1);
    rig->message_room = 31;
    g_assert_cmpint(next_message(rig), ==, -ENOBUFS);
    g_assert_cmpint(next_message(rig), ==, -ENOBUFS);
    rig->message_room = 32;
    expect_new(rig, 0, 0, 100);
    rig->message_room = 20;
    g_assert_cmpint(next_message(rig), ==, -ENOBUFS);
    rig->message_room = 23;
    data = expect_recv(rig, 1, 1, &len);
    g_assert_cmpmem(data, len, "abc", 3);
    data = expect_recv(rig, 1, 0, &len);
    g_assert_cmpmem(data, len, "defgh", 5);
    g_assert_cmpint(next_message(rig), ==, 0);
    /* not even a byte of data fits */
    socket_send(compositor, "ij", 2, NULL, 0);
    rig->message_room = 16;
    g_assert_cmpint(next_message(rig), ==, -ENOBUFS);
    rig->message_room = 17;
    data = expect_recv(rig, 1, 0, &len);
    g_assert_cmpmem(data, len, "i", 1);
    data = expect_recv(rig, 1, 0, &len);
    g_assert_cmpmem(data, len, "j", 1);
    close(compositor);
    rig->message_room = 11;
    g_assert_cmpint(next_message(rig), ==, -ENOBUFS);
    rig->message_room = 12;
    expect_hup(rig, 1);
    close(keymap);
    core_rig_free(rig);
}

/* Each in turn with a quantum of a few messages, however much one has. */
static void test_round_robin(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int flood = open_ctx(rig, 1), quiet = open_ctx(rig, 2);
    g_autofree char *big = g_malloc0(100000);
    unsigned int before = 0;

    socket_send(flood, big, 100000, NULL, 0);
    g_assert_cmpint(next_message(rig), ==, 16 + 3968);
    socket_send(quiet, "x", 1, NULL, 0);
    do {
        g_assert_cmpint(next_message(rig), >, 16);
        before++;
    } while (get32(rig->message + 8) != 2);
    g_assert_cmpuint(before, <=, 6);
    close(flood);
    close(quiet);
    core_rig_free(rig);
}

/* Queued messages and the VFDs that only they announce go with the context. */
static void test_close_with_messages(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct vwl_stats stats = { 0 };
    int compositor = open_ctx(rig, 1), fds[40];
    uint32_t id;

    for (int i = 0; i < 40; i++) {
        fds[i] = sealed_file(100, 0);
    }
    socket_send(compositor, "data", 4, fds, 40);
    id = expect_new(rig, 0, 0, 100);
    /* what the guest was not told of, it cannot name */
    g_assert_cmphex(ask_close(rig, id + 1), ==, RESP_INVALID_ID);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.vfds, ==, 41);
    g_assert_cmpuint(stats.queued_bytes, >, 0);
    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    g_assert_cmpint(next_message(rig), ==, 0);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.vfds, ==, 0);
    g_assert_cmpuint(stats.queued_bytes, ==, 0);
    g_assert_cmpuint(stats.shm_bytes, ==, 0);
    g_assert_cmpuint(stats.shm_mappings, ==, 0);
    /* the id is free at once */
    close(compositor);
    compositor = open_ctx(rig, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    for (int i = 0; i < 40; i++) {
        close(fds[i]);
    }
    close(compositor);
    core_rig_free(rig);
}

/* Descriptors without data ride with the next data, in order. */
static void test_descriptors_alone(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fds[253];
    uint32_t ids[28], id = 50;
    unsigned int n_fds;
    struct stat st;
    char data[8];

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 50, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 51, 0, 8192), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, NULL, 0), ==, RESP_OK);
    g_assert_false(is_readable(compositor));
    g_assert_cmphex(ask_close(rig, 50), ==, RESP_OK);
    id = 51;
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, data, 8, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 2);
    for (unsigned int i = 0; i < 2; i++) {
        g_assert_cmpint(fstat(fds[i], &st), ==, 0);
        g_assert_cmpint(st.st_size, ==, i ? 8192 : 4096);
        close(fds[i]);
    }
    /* there is a bound */
    for (int i = 0; i < 28; i++) {
        ids[i] = 51;
    }
    g_assert_cmphex(ask_send(rig, 1, ids, 28, NULL, 0), ==, RESP_OK);
    g_assert_cmphex(ask_send(rig, 1, ids, 28, NULL, 0), ==, RESP_OK);
    g_assert_cmphex(ask_send(rig, 1, ids, 1, NULL, 0), ==, RESP_ERR);
    g_assert_cmphex(ask_send(rig, 1, ids, 28, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, data, 8, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 84);
    for (unsigned int i = 0; i < n_fds; i++) {
        close(fds[i]);
    }
    close(compositor);
    core_rig_free(rig);
}

/* A context's own socket, sent to itself: closing still ends it. */
static void test_own_socket(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fds[253];
    unsigned int n_fds;
    uint32_t id = 1;
    char data[8];

    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, data, 8, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 1);
    socket_send(compositor, "y", 1, fds, 1);
    expect_new(rig, VFD_READ_WRITE, 0x100000, 0);
    g_assert_cmpint(next_message(rig), >, 16);
    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    g_assert_cmpint(read(compositor, data, 1), ==, 0);
    expect_hup(rig, 0x40000000);
    g_assert_cmpint(next_message(rig), ==, 0);
    close(fds[0]);
    close(compositor);
    core_rig_free(rig);
}

/* Descriptors that come through a received socket are dropped, not leaked. */
static void test_received_socket(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), pair[2];
    uint32_t id;
    size_t len;
    char data[8];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                    ==, 0);
    socket_send(compositor, "x", 1, &pair[0], 1);
    close(pair[0]);
    id = expect_new(rig, VFD_READ_WRITE, 0x100000, 0);
    expect_recv(rig, 1, 1, &len);
    socket_send(pair[1], "in", 2, &compositor, 1);
    g_assert_cmpmem(expect_recv(rig, id, 0, &len), 2, "in", 2);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "out", 3), ==, RESP_OK);
    g_assert_cmpint(read(pair[1], data, 8), ==, 3);
    g_assert_cmphex(ask_send(rig, id, &id, 1, "out", 3), ==, RESP_INVALID_TYPE);
    close(pair[1]);
    expect_hup(rig, id);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "out", 3), ==, RESP_ERR);
    g_assert_cmpint(next_message(rig), ==, 0);
    close(compositor);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/ctx/first-steps", test_first_steps);
    g_test_add_func("/core/ctx/receive", test_receive);
    g_test_add_func("/core/ctx/many-descriptors", test_many_descriptors);
    g_test_add_func("/core/ctx/odd-descriptors", test_odd_descriptors);
    g_test_add_func("/core/ctx/old-mode", test_old_mode);
    g_test_add_func("/core/ctx/hang-up", test_hang_up);
    g_test_add_func("/core/ctx/small-buffers", test_small_buffers);
    g_test_add_func("/core/ctx/round-robin", test_round_robin);
    g_test_add_func("/core/ctx/close-with-messages", test_close_with_messages);
    g_test_add_func("/core/ctx/full-buffer", test_full_buffer);
    g_test_add_func("/core/ctx/full-buffer-tight", test_full_buffer_tight);
    g_test_add_func("/core/ctx/descriptors-alone", test_descriptors_alone);
    g_test_add_func("/core/ctx/own-socket", test_own_socket);
    g_test_add_func("/core/ctx/received-socket", test_received_socket);
    return g_test_run();
}
