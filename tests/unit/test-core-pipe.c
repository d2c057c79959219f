/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

/* SIGPIPE keeps its default action in this program: one would end it. */

/* Sends the pipe's other end to the compositor of context 1. */
static int remote_end(struct core_rig *rig, int compositor, uint32_t id)
{
    unsigned int n_fds;
    int fds[253];
    char data[8];

    g_assert_cmphex(ask_send(rig, 1, &id, 1, "p", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, data, 8, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 1);
    /* programs expect a blocking one */
    g_assert_cmphex(fcntl(fds[0], F_GETFL) & O_NONBLOCK, ==, 0);
    return fds[0];
}

/* The pipe's id, from the compositor of context 1. */
static uint32_t give(struct core_rig *rig, int compositor, int fd,
                     uint32_t flags)
{
    uint32_t id;
    size_t len;

    socket_send(compositor, "p", 1, &fd, 1);
    id = expect_new(rig, flags, 0x100000, 0);
    expect_recv(rig, 1, 1, &len);
    return id;
}

static void test_guest_reads(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), end;
    uint32_t id = 2;
    size_t len;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_READ, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, "x", 1), ==, RESP_ERR);
    end = remote_end(rig, compositor, 2);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "p", 1), ==, RESP_INVALID_TYPE);
    g_assert_cmpint(write(end, "clip", 4), ==, 4);
    g_assert_cmpmem(expect_recv(rig, 2, 0, &len), 4, "clip", 4);
    g_assert_cmpuint(len, ==, 4);
    g_assert_cmpint(write(end, "board", 5), ==, 5);
    close(end);
    g_assert_cmpmem(expect_recv(rig, 2, 0, &len), 5, "board", 5);
    expect_hup(rig, 2);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    close(compositor);
    core_rig_free(rig);
}

static void test_guest_writes(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), end;
    uint32_t id = 2;
    char data[16];

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 2, &id, 1, "x", 1), ==, RESP_INVALID_TYPE);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, "early ", 6), ==, RESP_OK);
    end = remote_end(rig, compositor, 2);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, "late", 4), ==, RESP_OK);
    g_assert_cmpint(read(end, data, sizeof data), ==, 10);
    g_assert_cmpmem(data, 10, "early late", 10);
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    g_assert_cmpint(read(end, data, sizeof data), ==, 0);
    close(end);
    close(compositor);
    core_rig_free(rig);
}

/* Hangs up once, does not spin, raises no signal. */
static void reader_gone(struct core_rig *rig, uint32_t id)
{
    g_assert_true(is_readable(vwl_core_out_fd(rig->core)));
    vwl_core_dispatch_out(rig->core);
    g_assert_cmpuint(rig->n_ready, >, 0);
    expect_hup(rig, id);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "x", 1), ==, RESP_ERR);
    vwl_core_dispatch_out(rig->core);
    g_assert_cmpint(next_message(rig), ==, 0);
}

static void test_reader_gone(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fds[2];
    uint32_t id;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    close(remote_end(rig, compositor, 2));
    reader_gone(rig, 2);
    /* before anything is noticed */
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 3, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    close(remote_end(rig, compositor, 3));
    g_assert_cmphex(ask_send(rig, 3, NULL, 0, "x", 1), ==, RESP_ERR);
    expect_hup(rig, 3);
    g_assert_cmpint(next_message(rig), ==, 0);
    /* the same for pipes from the host */
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    id = give(rig, compositor, fds[1], 1);
    close(fds[0]);
    reader_gone(rig, id);
    close(fds[1]);
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    id = give(rig, compositor, fds[1], 1);
    close(fds[0]);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "x", 1), ==, RESP_ERR);
    expect_hup(rig, id);
    g_assert_cmpint(next_message(rig), ==, 0);
    close(fds[1]);
    close(compositor);
    core_rig_free(rig);
}

/* A pipe that others share stays blocking and never blocks us: what it does
 * not take is kept, in order. */
static void test_shared_full(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fds[2];
    g_autofree char *big = g_malloc(300000), *back = g_malloc(300001);
    struct asked *asked;
    size_t got = 0;
    uint32_t id;

    for (int i = 0; i < 300000; i++) {
        big[i] = (char)(i * 31 >> 3);
    }
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    id = give(rig, compositor, fds[1], 1);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, big, 60000), ==, RESP_OK);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, big + 60000, 40000), ==,
                    RESP_OK);
    asked = send_init(id, NULL, 0, big + 100000, 200000);
    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    while (got < 300000) {
        ssize_t n = read(fds[0], back + got, 300001 - got);

        g_assert_cmpint(n, >, 0);
        got += (size_t)n;
        if (got < 300000) {
            g_assert_true(is_readable(vwl_core_out_fd(rig->core)));
            vwl_core_dispatch_out(rig->core);
        }
    }
    g_assert_cmpmem(back, got, big, 300000);
    vwl_core_dispatch_out(rig->core);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_OK);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    g_assert_cmphex(fcntl(fds[1], F_GETFL) & O_NONBLOCK, ==, 0);
    asked_free(asked);
    close(fds[0]);
    close(fds[1]);
    close(compositor);
    core_rig_free(rig);
}

static void test_shared_read(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fds[2];
    char big[9000] = { 0 };
    size_t len, got = 0;
    uint32_t id;

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    id = give(rig, compositor, fds[0], 2);
    /* the other holder takes it first: nothing to read, no waiting */
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    g_assert_true(is_readable(vwl_core_in_fd(rig->core)));
    g_assert_cmpint(read(fds[0], big, 1), ==, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmpint(write(fds[1], big, sizeof big), ==, sizeof big);
    close(fds[1]);
    while (got < sizeof big) {
        expect_recv(rig, id, 0, &len);
        got += len;
    }
    expect_hup(rig, id);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "x", 1), ==, RESP_ERR);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_INVALID_TYPE);
    g_assert_cmpint(next_message(rig), ==, 0);
    close(fds[0]);
    close(compositor);
    core_rig_free(rig);
}

/* Answered for, then closed by the guest: it still arrives. */
static void test_linger(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), end;
    g_autofree char *big = g_malloc0(200000);
    struct vwl_stats stats = { 0 };
    size_t got = 0;
    ssize_t n;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    end = remote_end(rig, compositor, 2);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, big, 60000), ==, RESP_OK);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, big, 60000), ==, RESP_OK);
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    /* its id is free */
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    while ((n = read(end, big, 200000)) > 0) {
        got += (size_t)n;
        vwl_core_dispatch_out(rig->core);
    }
    g_assert_cmpint(n, ==, 0);
    g_assert_cmpuint(got, ==, 120000);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.vfds, ==, 2);
    close(end);
    close(compositor);
    core_rig_free(rig);
}

static void expect_itself(struct core_rig *rig, uint32_t id, int fd)
{
    int same = vwl_core_pipe(rig->core, id);
    struct stat a, b;

    g_assert_cmpint(same, >=, 0);
    g_assert_cmpint(same, !=, fd);
    g_assert_cmpint(fcntl(same, F_GETFD), ==, FD_CLOEXEC);
    g_assert_cmpint(fstat(fd, &a), ==, 0);
    g_assert_cmpint(fstat(same, &b), ==, 0);
    g_assert_cmpuint(a.st_ino, ==, b.st_ino);
    g_assert_cmpint(fcntl(same, F_GETFL) & O_ACCMODE, ==, O_WRONLY);
    close(same);
}

/* For a host that lets its guest have the pipe itself: what a host peer sent to
 * be written, and only while nothing is on its way there. */
static void test_itself(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fds[2];
    g_autofree char *big = g_malloc0(90000);
    uint32_t reads, writes;

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    reads = give(rig, compositor, fds[0], VFD_READ);
    writes = give(rig, compositor, fds[1], VFD_WRITE);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    expect_itself(rig, writes, fds[1]);
    g_assert_cmpint(vwl_core_pipe(rig->core, reads), ==, -EOPNOTSUPP);
    g_assert_cmpint(vwl_core_pipe(rig->core, 1), ==, -EOPNOTSUPP);
    g_assert_cmpint(vwl_core_pipe(rig->core, 2), ==, -EOPNOTSUPP);
    g_assert_cmpint(vwl_core_pipe(rig->core, 3), ==, -ENOENT);
    /* more than the pipe holds: the rest waits for its turn */
    g_assert_cmphex(ask_send(rig, writes, NULL, 0, big, 60000), ==, RESP_OK);
    g_assert_cmphex(ask_send(rig, writes, NULL, 0, big, 30000), ==, RESP_OK);
    g_assert_cmpint(vwl_core_pipe(rig->core, writes), ==, -EOPNOTSUPP);
    for (size_t got = 0; got < 90000;) {
        ssize_t n = read(fds[0], big, 90000);

        g_assert_cmpint(n, >, 0);
        got += (size_t)n;
        vwl_core_dispatch_out(rig->core);
    }
    expect_itself(rig, writes, fds[1]);
    close(fds[0]);
    close(fds[1]);
    close(compositor);
    core_rig_free(rig);
}

static uint8_t byte_at(size_t at)
{
    return (uint8_t)((uint32_t)at * 2654435761u >> 23);
}

/* Some of what the guest sent; what the pipe does not hold is the device's. */
static size_t read_some(int end, size_t from, size_t len)
{
    uint8_t bytes[20000];
    ssize_t n = read(end, bytes, len);

    g_assert_cmpint(n, >=, 0);
    for (size_t i = 0; i < (size_t)n; i++) {
        g_assert_cmpuint(bytes[i], ==, byte_at(from + i));
    }
    return (size_t)n;
}

/* And the device writes what has room now. */
static size_t take_some(struct core_rig *rig, int end, size_t from, size_t len)
{
    size_t n = read_some(end, from, len);

    g_assert_cmpuint(n, >, 0);
    while (is_readable(vwl_core_out_fd(rig->core))) {
        vwl_core_dispatch_out(rig->core);
    }
    return n;
}

/* In pieces of all sizes, while it is full: each byte once, in order. */
static void test_in_pieces(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), end;
    size_t sent = 0, taken = 0;
    uint8_t bytes[6000];

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    end = remote_end(rig, compositor, 2);
    for (unsigned int i = 0; i < 2000; i++) {
        size_t len = (size_t)g_test_rand_int_range(1, sizeof bytes);

        while (sent - taken > 60000) { /* no SEND has to wait for room */
            taken += take_some(rig, end, taken,
                               (size_t)g_test_rand_int_range(1, 20000));
        }
        for (size_t j = 0; j < len; j++) {
            bytes[j] = byte_at(sent + j);
        }
        g_assert_cmphex(ask_send(rig, 2, NULL, 0, bytes, len), ==, RESP_OK);
        sent += len;
    }
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    while (taken < sent) {
        taken += take_some(rig, end, taken, 20000);
    }
    g_assert_cmpuint(read_some(end, taken, 1), ==, 0);
    close(end);
    close(compositor);
    core_rig_free(rig);
}

static int size_of_next(struct core_rig *rig, int compositor, uint32_t id)
{
    unsigned int n_fds;
    int fds[253], size;
    char byte;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, id, VFD_READ, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, &byte, 1, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 1);
    size = fcntl(fds[0], F_GETPIPE_SZ);
    close(fds[0]);
    return size;
}

/* Not for all that a guest may make. */
static void test_wide(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), first, least;

    first = least = size_of_next(rig, compositor, 2);
    for (uint32_t id = 3; id < 36; id++) {
        int size = size_of_next(rig, compositor, id);

        least = MIN(least, size);
    }
    g_assert_cmpint(least, <, 256 * 1024);
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    /* where this user may have wide ones at all */
    g_assert_cmpint(size_of_next(rig, compositor, 2), ==, first);
    close(compositor);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/pipe/guest-reads", test_guest_reads);
    g_test_add_func("/core/pipe/guest-writes", test_guest_writes);
    g_test_add_func("/core/pipe/reader-gone", test_reader_gone);
    g_test_add_func("/core/pipe/shared-full", test_shared_full);
    g_test_add_func("/core/pipe/shared-read", test_shared_read);
    g_test_add_func("/core/pipe/linger", test_linger);
    g_test_add_func("/core/pipe/itself", test_itself);
    g_test_add_func("/core/pipe/in-pieces", test_in_pieces);
    g_test_add_func("/core/pipe/wide", test_wide);
    return g_test_run();
}
