/* SPDX-License-Identifier: BSD-3-Clause */
#include "core_rig.h"

/* SIGPIPE keeps its default action in this program: one would end it. */

/* Sends the pipe's other end to the compositor of context 1. */
static int remote_end(struct rig *rig, int compositor, uint32_t id)
{
    unsigned int n_fds;
    int fds[253];
    char data[8];

    g_assert_cmphex(ask_send(rig, 1, &id, 1, "p", 1), ==, 0x1000);
    g_assert_cmpint(host_receive(compositor, data, 8, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 1);
    /* programs expect a blocking one */
    g_assert_cmphex(fcntl(fds[0], F_GETFL) & O_NONBLOCK, ==, 0);
    return fds[0];
}

/* The pipe's id, from the compositor of context 1. */
static uint32_t give(struct rig *rig, int compositor, int fd, uint32_t flags)
{
    uint32_t id;
    size_t len;

    host_send(compositor, "p", 1, &fd, 1);
    id = rig_expect_new(rig, flags, 0x100000, 0);
    rig_expect_recv(rig, 1, 1, &len);
    return id;
}

static void test_guest_reads(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int compositor = rig_context(rig, 1), end;
    uint32_t id = 2;
    size_t len;

    g_assert_cmphex(ask_new(rig, 0x105, 2, 2, 0), ==, 0x1001);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, "x", 1), ==, 0x1100);
    end = remote_end(rig, compositor, 2);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "p", 1), ==, 0x1103);
    g_assert_cmpint(write(end, "clip", 4), ==, 4);
    g_assert_cmpmem(rig_expect_recv(rig, 2, 0, &len), 4, "clip", 4);
    g_assert_cmpuint(len, ==, 4);
    g_assert_cmpint(write(end, "board", 5), ==, 5);
    close(end);
    g_assert_cmpmem(rig_expect_recv(rig, 2, 0, &len), 5, "board", 5);
    rig_expect_hup(rig, 2);
    g_assert_cmpint(rig_next(rig), ==, 0);
    g_assert_cmphex(ask_close(rig, 2), ==, 0x1000);
    close(compositor);
    rig_free(rig);
}

static void test_guest_writes(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int compositor = rig_context(rig, 1), end;
    uint32_t id = 2;
    char data[16];

    g_assert_cmphex(ask_new(rig, 0x105, 2, 1, 0), ==, 0x1001);
    g_assert_cmphex(ask_send(rig, 2, &id, 1, "x", 1), ==, 0x1103);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, "early ", 6), ==, 0x1000);
    end = remote_end(rig, compositor, 2);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, "late", 4), ==, 0x1000);
    g_assert_cmpint(read(end, data, sizeof data), ==, 10);
    g_assert_cmpmem(data, 10, "early late", 10);
    g_assert_cmphex(ask_close(rig, 2), ==, 0x1000);
    g_assert_cmpint(read(end, data, sizeof data), ==, 0);
    close(end);
    close(compositor);
    rig_free(rig);
}

/* Hangs up once, does not spin, raises no signal. */
static void reader_gone(struct rig *rig, uint32_t id)
{
    g_assert_true(is_readable(vwl_core_out_fd(rig->core)));
    vwl_core_dispatch_out(rig->core);
    g_assert_cmpuint(rig->n_ready, >, 0);
    rig_expect_hup(rig, id);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "x", 1), ==, 0x1100);
    vwl_core_dispatch_out(rig->core);
    g_assert_cmpint(rig_next(rig), ==, 0);
}

static void test_reader_gone(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int compositor = rig_context(rig, 1), fds[2];
    uint32_t id;

    g_assert_cmphex(ask_new(rig, 0x105, 2, 1, 0), ==, 0x1001);
    close(remote_end(rig, compositor, 2));
    reader_gone(rig, 2);
    /* before anything is noticed */
    g_assert_cmphex(ask_new(rig, 0x105, 3, 1, 0), ==, 0x1001);
    close(remote_end(rig, compositor, 3));
    g_assert_cmphex(ask_send(rig, 3, NULL, 0, "x", 1), ==, 0x1100);
    rig_expect_hup(rig, 3);
    g_assert_cmpint(rig_next(rig), ==, 0);
    /* the same for pipes from the host */
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    id = give(rig, compositor, fds[1], 1);
    close(fds[0]);
    reader_gone(rig, id);
    close(fds[1]);
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    id = give(rig, compositor, fds[1], 1);
    close(fds[0]);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "x", 1), ==, 0x1100);
    rig_expect_hup(rig, id);
    g_assert_cmpint(rig_next(rig), ==, 0);
    close(fds[1]);
    close(compositor);
    rig_free(rig);
}

/* A pipe that others share stays blocking and never blocks us: what it does
 * not take is kept, in order. */
static void test_shared_full(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int compositor = rig_context(rig, 1), fds[2];
    g_autofree char *big = g_malloc(300000), *back = g_malloc(300001);
    struct asked *asked;
    size_t got = 0;
    uint32_t id;

    for (int i = 0; i < 300000; i++) {
        big[i] = (char)(i * 31 >> 3);
    }
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    id = give(rig, compositor, fds[1], 1);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, big, 60000), ==, 0x1000);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, big + 60000, 40000), ==,
                    0x1000);
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
    g_assert_cmphex(get32(asked->request.response), ==, 0x1000);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    g_assert_cmphex(fcntl(fds[1], F_GETFL) & O_NONBLOCK, ==, 0);
    asked_free(asked);
    close(fds[0]);
    close(fds[1]);
    close(compositor);
    rig_free(rig);
}

static void test_shared_read(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int compositor = rig_context(rig, 1), fds[2];
    char big[9000] = { 0 };
    size_t len, got = 0;
    uint32_t id;

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    id = give(rig, compositor, fds[0], 2);
    /* the other holder takes it first: nothing to read, no waiting */
    g_assert_cmpint(write(fds[1], "x", 1), ==, 1);
    g_assert_true(is_readable(vwl_core_in_fd(rig->core)));
    g_assert_cmpint(read(fds[0], big, 1), ==, 1);
    g_assert_cmpint(rig_next(rig), ==, 0);
    g_assert_cmpint(write(fds[1], big, sizeof big), ==, sizeof big);
    close(fds[1]);
    while (got < sizeof big) {
        rig_expect_recv(rig, id, 0, &len);
        got += len;
    }
    rig_expect_hup(rig, id);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "x", 1), ==, 0x1100);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, 0x1103);
    g_assert_cmpint(rig_next(rig), ==, 0);
    close(fds[0]);
    close(compositor);
    rig_free(rig);
}

#define WHOLE (16u + 3968u) /* a header, and as much data as one takes */

struct buffers {
    uint8_t bytes[VWL_IN_AT_ONCE][4096];
    struct iovec iov[VWL_IN_AT_ONCE];
    struct vwl_in_buffer in[VWL_IN_AT_ONCE];
};

static int next_into(struct rig *rig, struct buffers *b, unsigned int n,
                     size_t last_room)
{
    memset(b->bytes, 0xee, sizeof b->bytes);
    for (unsigned int i = 0; i < n; i++) {
        b->iov[i] = (struct iovec){ b->bytes[i],
                                    i + 1 < n ? 4096 : last_room };
        b->in[i] = (struct vwl_in_buffer){ &b->iov[i], 1, rig->token++, 0 };
    }
    return vwl_core_next_messages(rig->core, b->in, n);
}

/* Its data goes on from buffer to buffer, with a header in each. */
static void expect_data(const struct buffers *b, unsigned int n, uint32_t id,
                        const char *data, size_t len)
{
    for (unsigned int i = 0; i < n; i++) {
        size_t here = MIN(len, WHOLE - 16);

        g_assert_cmpuint(b->in[i].len, ==, 16 + here);
        g_assert_cmphex(get32(b->bytes[i]), ==, 0x103);
        g_assert_cmpuint(get32(b->bytes[i] + 8), ==, id);
        g_assert_cmpuint(get32(b->bytes[i] + 12), ==, 0);
        g_assert_cmpmem(b->bytes[i] + 16, here, data, here);
        g_assert_cmphex(b->bytes[i][16 + here], ==, 0xee);
        data += here;
        len -= here;
    }
    g_assert_cmpuint(len, ==, 0);
}

/* One read fills many buffers, once it is known that there is a stream. */
static void test_many_buffers(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int compositor = rig_context(rig, 1), end;
    struct buffers *b = g_new(struct buffers, 1);
    char data[40000];
    struct vwl_stats stats = { 0 };

    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (char)(i * 7 + i / 251);
    }
    g_assert_cmphex(ask_new(rig, 0x105, 2, 2, 0), ==, 0x1001);
    end = remote_end(rig, compositor, 2);
    vwl_core_buffers_free(rig->core, 256, 256);
    g_assert_cmpuint(vwl_core_buffers_wanted(rig->core), ==, 1);
    g_assert_cmpint(write(end, data, 40000), ==, 40000);
    g_assert_cmpint(next_into(rig, b, 1, 4096), ==, 1);
    expect_data(b, 1, 2, data, 3968);
    g_assert_cmpuint(vwl_core_buffers_wanted(rig->core), ==, VWL_IN_AT_ONCE);
    g_assert_true(vwl_core_has_more(rig->core));
    g_assert_cmpint(next_into(rig, b, 8, 4096), ==, 8);
    expect_data(b, 8, 2, data + 3968, 8 * 3968);
    /* a small one is not filled behind another */
    g_assert_cmpint(next_into(rig, b, 2, 1000), ==, 1);
    expect_data(b, 1, 2, data + 9 * 3968, 3968);
    g_assert_cmpint(next_into(rig, b, 8, 4096), ==, 1);
    expect_data(b, 1, 2, data + 10 * 3968, 320);
    g_assert_cmpuint(vwl_core_buffers_wanted(rig->core), ==, 1);
    g_assert_cmpint(next_into(rig, b, 8, 4096), ==, 0);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.messages, ==, 11);
    g_assert_cmpuint(stats.received_bytes, ==, 40000);
    /* no more than its share: of six it may have three */
    g_assert_cmpint(write(end, data, 40000), ==, 40000);
    vwl_core_buffers_free(rig->core, 0, 256);
    vwl_core_buffers_free(rig->core, 256, 256);
    for (uint64_t token = 0; token < rig->token; token++) {
        vwl_core_buffer_returned(rig->core, token);
    }
    vwl_core_buffers_free(rig->core, 6, 256);
    g_assert_cmpint(next_into(rig, b, 8, 4096), ==, 3);
    expect_data(b, 3, 2, data, 3 * 3968);
    g_assert_cmpint(next_into(rig, b, 8, 4096), ==, 0);
    close(end);
    close(compositor);
    g_free(b);
    rig_free(rig);
}

/* What comes with descriptors is told whole, though one read took more of it
 * than a message holds: the ids first, and the data in order. */
static void test_large_group(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int compositor = rig_context(rig, 1), ends[2];
    struct buffers *b = g_new(struct buffers, 1);
    const uint8_t *some;
    char data[20000];
    size_t len, at = 0;
    uint32_t id;

    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (char)(i * 5 + i / 251);
    }
    g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
    host_send(compositor, data, 3968, NULL, 0);
    g_assert_cmpint(next_into(rig, b, 1, 4096), ==, 1);
    expect_data(b, 1, 1, data, 3968);
    g_assert_cmpuint(vwl_core_buffers_wanted(rig->core), ==, VWL_IN_AT_ONCE);
    host_send(compositor, data, sizeof data, ends, 1);
    g_assert_cmpint(next_into(rig, b, 8, 4096), ==, 1);
    g_assert_cmpuint(b->in[0].len, ==, 32);
    g_assert_cmphex(get32(b->bytes[0]), ==, 0x100);
    id = get32(b->bytes[0] + 8);
    for (unsigned int i = 0; at < sizeof data; i++) {
        some = rig_expect_recv(rig, 1, i == 0, &len);
        g_assert_cmpuint(len, <=, 3968);
        g_assert_cmpmem(some, len, data + at, len);
        at += len;
    }
    g_assert_cmpuint(at, ==, sizeof data);
    g_assert_cmphex(ask_close(rig, id), ==, 0x1000);
    g_assert_cmpint(rig_next(rig), ==, 0);
    close(ends[0]);
    close(ends[1]);
    close(compositor);
    g_free(b);
    rig_free(rig);
}

/* Answered for, then closed by the guest: it still arrives. */
static void test_linger(void)
{
    struct rig *rig = rig_new(MODE_K23);
    int compositor = rig_context(rig, 1), end;
    g_autofree char *big = g_malloc0(200000);
    struct vwl_stats stats = { 0 };
    size_t got = 0;
    ssize_t n;

    g_assert_cmphex(ask_new(rig, 0x105, 2, 1, 0), ==, 0x1001);
    end = remote_end(rig, compositor, 2);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, big, 60000), ==, 0x1000);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, big, 60000), ==, 0x1000);
    g_assert_cmphex(ask_close(rig, 2), ==, 0x1000);
    /* its id is free */
    g_assert_cmphex(ask_new(rig, 0x105, 2, 1, 0), ==, 0x1001);
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
    rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/pipe/guest-reads", test_guest_reads);
    g_test_add_func("/core/pipe/guest-writes", test_guest_writes);
    g_test_add_func("/core/pipe/reader-gone", test_reader_gone);
    g_test_add_func("/core/pipe/shared-full", test_shared_full);
    g_test_add_func("/core/pipe/shared-read", test_shared_read);
    g_test_add_func("/core/pipe/many-buffers", test_many_buffers);
    g_test_add_func("/core/pipe/large-group", test_large_group);
    g_test_add_func("/core/pipe/linger", test_linger);
    return g_test_run();
}
