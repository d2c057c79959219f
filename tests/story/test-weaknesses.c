/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the device that this protocol was made for is weak: one test for each
 * row of the list in the protocol's notes, each with the real plugin, a
 * front-end, a guest driver and host peers.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"
#include "wl_names.h"

static int make_memfd(size_t size, unsigned int seals, uint8_t fill)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint8_t *bytes = g_malloc(size);

    memset(bytes, fill, size);
    g_assert_cmpint(write(fd, bytes, size), ==, (gssize)size);
    if (seals) {
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    }
    g_free(bytes);
    return fd;
}

/* A byte there and back: this context is alive. */
static void check_alive(struct rig *r, uint32_t id, int peer)
{
    char byte = 0;

    g_assert_cmpint(vwl_drv_send(r->drv, id, NULL, 0, "a", 1), ==, RESP_OK);
    rig_read(r, peer, &byte, 1, NULL, NULL);
    g_assert_cmpint(byte, ==, 'a');
    rig_write(r, peer, "b", 1, NULL, 0);
    g_assert_cmpint(vwl_drv_recv(r->drv, id, &byte, 1, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, 1);
    g_assert_cmpint(byte, ==, 'b');
}

/* Row 1, sockets: a peer that does not read stops nobody else. */
static void test_peer_that_does_not_read(void)
{
    struct rig_options options = { .n_peers = 2 };
    struct rig *r = rig_new(&options);
    int stuck = rig_open_ctx(r, 1, 0), good = rig_open_ctx(r, 2, 1);
    struct vwl_drv_request *reqs[16];
    static uint8_t data[100000];
    size_t total = 0;
    uint8_t *all = g_malloc(sizeof data * 16);
    unsigned int waiting = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(reqs); i++) {
        memset(data, (int)('a' + i), sizeof data);
        reqs[i] = vwl_drv_send_async(r->drv, 1, NULL, 0, data, sizeof data);
        g_assert_nonnull(reqs[i]);
    }
    rig_settle(r);
    for (size_t i = 0; i < G_N_ELEMENTS(reqs); i++) {
        waiting += !reqs[i]->done;
    }
    g_assert_cmpuint(waiting, >, 4);
    check_alive(r, 2, good);
    g_assert_cmpint(vwl_drv_new(r->drv, 3, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpint(vwl_fe_set_mem_table(r->fe), ==, 0);
    check_alive(r, 2, good);

    /* and nothing of what it was sent is lost or out of order */
    while (total < sizeof data * 16) {
        rig_read(r, stuck, all + total, 50000, NULL, NULL);
        total += 50000;
    }
    for (size_t i = 0; i < total; i++) {
        if (all[i] != 'a' + i / sizeof data) {
            g_error("byte %zu is %d", i, all[i]);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(reqs); i++) {
        g_assert_cmpint(vwl_drv_wait(r->drv, reqs[i], RIG_TIMEOUT_MS), ==, 0);
        g_assert_cmphex(vwl_drv_request_type(reqs[i]), ==, RESP_OK);
        vwl_drv_request_free(r->drv, reqs[i]);
    }
    g_free(all);
    close(stuck);
    close(good);
    rig_free(r);
}

/* Row 1, pipes. */
static void test_pipe_that_nobody_drains(void)
{
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int good = rig_open_ctx(r, 1, 0), end = -1;
    const uint32_t pipe_id = 2;
    static uint8_t data[400000];
    uint8_t *back = g_malloc(sizeof data);
    struct vwl_drv_request *req;
    unsigned int n = 1;
    char byte;

    g_assert_cmpint(vwl_drv_new_pipe(r->drv, 2, VIRTIO_WL_VFD_WRITE), ==,
                    RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_send(r->drv, 1, &pipe_id, 1, "p", 1), ==, RESP_OK);
    rig_read(r, good, &byte, 1, &end, &n);
    g_assert_cmpuint(n, ==, 1);
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i % 249);
    }
    req = vwl_drv_send_async(r->drv, 2, NULL, 0, data, sizeof data);
    rig_settle(r);
    g_assert_false(req->done);
    check_alive(r, 1, good);
    rig_read(r, end, back, sizeof data, NULL, NULL);
    g_assert_cmpmem(back, sizeof data, data, sizeof data);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_OK);
    vwl_drv_request_free(r->drv, req);
    g_assert_cmpint(vwl_drv_close(r->drv, 2), ==, RESP_OK);
    g_assert_cmpuint(rig_read_to_end(r, end), ==, 0);
    close(end);
    close(good);
    g_free(back);
    rig_free(r);
}

/* Row 1, connect: a full backlog delays only the connect. */
static void test_full_backlog(void)
{
    struct rig_options options = { .n_peers = 2, .backlog = 1 };
    struct rig *r = rig_new(&options);
    int good = rig_open_ctx(r, 1, 1), late;
    uint8_t request[64] = {
        0x0a, 0x01, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0
    };
    struct vwl_drv_request *req;
    uint32_t type = 0;
    unsigned int n = 0;

    memcpy(request + 28, "peer0", 5);
    while (type != RESP_VFD_NEW) {
        peer_fill_backlog(&r->peers[0]);
        req = vwl_drv_submit(r->drv, request, sizeof request, 64, NULL);
        rig_settle(r);
        g_assert_cmphex(vwl_drv_request_type(req), !=, RESP_VFD_NEW);
        check_alive(r, 1, good);
        peer_drain_backlog(&r->peers[0]);
        g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
        type = vwl_drv_request_type(req);
        vwl_drv_request_free(r->drv, req);
        /* a machine that stood still for so long: see below */
        g_assert_true(type == RESP_VFD_NEW || (type == RESP_ERR && n++ < 10));
    }
    late = rig_accept(r, 0);
    g_assert_cmpint(late, >=, 0);
    g_assert_cmpint(vwl_drv_close(r->drv, 2), ==, RESP_OK);
    close(late);

    /* one that stays full is an error, after a bounded time */
    peer_fill_backlog(&r->peers[0]);
    request[8] = 3;
    g_assert_cmphex((unsigned int)vwl_drv_command(r->drv, request,
                                                  sizeof request, 64, NULL, 0),
                    ==, RESP_ERR);
    check_alive(r, 1, good);
    close(good);
    rig_free(r);
}

/* Row 2: a late answer to a map delays that command alone. */
static void test_late_map(void)
{
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int good = rig_open_ctx(r, 1, 0);
    uint8_t request[64] = { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0 };
    struct vwl_drv_request *req;

    request[25] = 0x20; /* 8192 bytes */
    r->fe->shm_policy = VWL_FE_SHM_HOLD;
    req = vwl_drv_submit(r->drv, request, sizeof request, 64, NULL);
    rig_settle(r);
    g_assert_false(req->done);
    check_alive(r, 1, good);
    g_assert_cmpint(vwl_fe_set_mem_table(r->fe), ==, 0);
    g_assert_cmpuint(vwl_fe_shm_release(r->fe), ==, 1);
    r->fe->shm_policy = VWL_FE_SHM_ANSWER;
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_VFD_NEW);
    vwl_drv_request_free(r->drv, req);
    close(good);
    rig_free(r);
}

/* Row 3: buffers that run out between two records, or come after the data. */
static void test_late_buffers(void)
{
    struct rig_options options = { .n_peers = 1,
                                   .drv = { .no_in_buffers = true } };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);
    int fds[3];
    uint32_t ids[28];
    unsigned int n = 28;
    char data[8];

    for (int i = 0; i < 3; i++) {
        fds[i] = make_memfd(4096, F_SEAL_SHRINK, (uint8_t)i);
    }
    rig_write(r, peer, "hello", 5, fds, 3);
    rig_settle(r);
    for (int i = 0; i < 4; i++) { /* three VFD_NEW, one VFD_RECV */
        g_assert_false(vwl_drv_readable(r->drv, 1));
        g_assert_cmpuint(vwl_drv_post(r->drv, 1), ==, 1);
        rig_settle(r);
    }
    g_assert_cmpint(vwl_drv_recv(r->drv, 1, data, sizeof data, ids, &n,
                                 RIG_TIMEOUT_MS),
                    ==, 5);
    g_assert_cmpuint(n, ==, 3);
    g_assert_cmpmem(data, 5, "hello", 5);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    close(peer);
    rig_free(r);
}

/* Row 4: sixty descriptors in one message all arrive, with the data. */
static void test_many_descriptors(void)
{
    struct rig_options options = { .n_peers = 1, .drv = { .record = true } };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);
    int fds[60];
    char data[64] = { 0 }, text[40];
    unsigned int n_ids = 0;
    size_t got = 0;

    memset(text, 'x', sizeof text);
    for (int i = 0; i < 60; i++) {
        fds[i] = make_memfd(4096, F_SEAL_SHRINK, (uint8_t)i);
    }
    rig_write(r, peer, text, sizeof text, fds, 60);
    while (got < sizeof text || n_ids < 60) {
        uint32_t ids[60];
        unsigned int n = 60;
        int64_t len = vwl_drv_recv(r->drv, 1, data, sizeof data, ids, &n,
                                   RIG_TIMEOUT_MS);

        g_assert_cmpint(len, >, 0);
        g_assert_cmpuint(n, <=, 28);
        for (unsigned int i = 0; i < n; i++) {
            const uint8_t *bytes = vwl_drv_map(r->drv, ids[i]);

            g_assert_nonnull(bytes);
            g_assert_cmpuint(bytes[4095], ==, n_ids + i);
        }
        got += (size_t)len;
        n_ids += n;
    }
    g_assert_cmpuint(got, ==, sizeof text);
    g_assert_cmpuint(n_ids, ==, 60);
    for (int i = 0; i < 60; i++) {
        close(fds[i]);
    }
    close(peer);
    rig_free(r);
}

/* Row 4: whatever the descriptor is, the data arrives. */
static void test_strange_descriptors(void)
{
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), sv[2], pfd[2];
    struct {
        const char *what;
        int fd;
        bool mapped;
        uint32_t size;
        bool shared;
    } cases[] = {
        { "file to seal", make_memfd(8192, 0, 7), true, 8192, true },
        { "file that cannot be sealed", make_memfd(8192, F_SEAL_SEAL, 7), true,
          8192 },
        { "future-write seal", make_memfd(4096, F_SEAL_FUTURE_WRITE, 7), true,
          4096 },
        { "write seal", make_memfd(4096, F_SEAL_SHRINK | F_SEAL_WRITE, 7), true,
          4096 },
        { "odd size", make_memfd(5000, F_SEAL_SHRINK, 7), true, 5000 },
        { "empty", memfd_create("e", MFD_CLOEXEC), false, 0 },
        { "eventfd", eventfd(0, EFD_CLOEXEC), false, 0 },
        { "/dev/null", open("/dev/null", O_RDWR | O_CLOEXEC), false, 0 },
        { "directory", open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), false,
          0 },
        { "O_PATH", open("/", O_PATH | O_CLOEXEC), false, 0 },
        { "pipe", -1, false, 0 },
        { "socket", -1, false, 0 },
    };

    g_assert_cmpint(pipe2(pfd, O_CLOEXEC), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    cases[10].fd = pfd[0];
    cases[11].fd = sv[0];
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        uint32_t id = 0;
        unsigned int n = 1;
        char data[4];
        uint8_t *bytes;

        g_test_message("%s", cases[i].what);
        rig_write(r, peer, "abc", 3, &cases[i].fd, 1);
        g_assert_cmpint(vwl_drv_recv(r->drv, 1, data, sizeof data, &id, &n,
                                     RIG_TIMEOUT_MS),
                        ==, 3);
        g_assert_cmpmem(data, 3, "abc", 3);
        g_assert_cmpuint(n, ==, 1);
        g_assert_cmpuint(vwl_drv_find(r->drv, id)->size, ==, cases[i].size);
        bytes = vwl_drv_map(r->drv, id);
        g_assert_cmpint(bytes != NULL, ==, cases[i].mapped);
        if (bytes) {
            uint8_t theirs = 0;

            g_assert_cmpint(bytes[cases[i].size - 1], ==, 7);
            bytes[0] = 99; /* reaches no file that is not ours to write */
            g_assert_cmpint(pread(cases[i].fd, &theirs, 1, 0), ==, 1);
            g_assert_cmpint(theirs, ==, cases[i].shared ? 99 : 7);
        }
        g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        close(cases[i].fd);
    }
    close(pfd[1]);
    close(sv[1]);
    close(peer);
    rig_free(r);
}

/* Row 5: a WRITE pipe whose reader goes hangs up, once; and sizes are found
 * without moving the sender's file offset. */
static void test_reader_gone(void)
{
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), end = -1, fd;
    const uint32_t pipe_id = 2;
    unsigned int n = 1;
    uint32_t id;
    char byte;
    struct vwl_stats stats;

    g_assert_cmpint(vwl_drv_new_pipe(r->drv, 2, VIRTIO_WL_VFD_WRITE), ==,
                    RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_send(r->drv, 1, &pipe_id, 1, "p", 1), ==, RESP_OK);
    rig_read(r, peer, &byte, 1, &end, &n);
    close(end);
    rig_settle(r);
    g_assert_true(vwl_drv_find(r->drv, 2)->hup);
    stats = rig_stats(r);
    g_assert_cmpuint(stats.hangups, ==, 1);
    g_assert_cmpint(vwl_drv_send(r->drv, 2, NULL, 0, "x", 1), ==, RESP_ERR);

    fd = make_memfd(4096, F_SEAL_SHRINK, 1);
    g_assert_cmpint(lseek(fd, 17, SEEK_SET), ==, 17);
    rig_write(r, peer, "s", 1, &fd, 1);
    n = 1;
    g_assert_cmpint(vwl_drv_recv(r->drv, 1, &byte, 1, &id, &n, RIG_TIMEOUT_MS),
                    ==, 1);
    g_assert_cmpuint(vwl_drv_find(r->drv, id)->size, ==, 4096);
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 17);
    close(fd);
    close(peer);
    rig_free(r);
}

/* Row 6: a chain that makes no sense stops its own ring, until the next
 * reset; the other ring, the connection and the process go on. */
static void test_bad_chain(void)
{
    struct rig *r = rig_new(NULL);
    struct vwl_ring_piece piece = { UINT64_C(0x7fffffff0000), 64, false };
    int token;

    g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpint(vwl_ring_add(&r->drv->out, &piece, 1, NULL, 0, &token), ==,
                    0);
    g_assert_cmpint(vwl_fe_kick(r->fe, VIRTIO_WL_QUEUE_OUT), ==, 0);
    rig_settle(r);
    g_assert_true(r->fe->ring[VIRTIO_WL_QUEUE_OUT].broken);
    g_assert_false(r->fe->gone);
    g_assert_false(r->fe->ring[VIRTIO_WL_QUEUE_IN].broken);
    g_assert_true(rig_logged(r, "ring 1"));
    g_assert_cmpint(vwl_fe_set_mem_table(r->fe), ==, 0);
    vwl_ring_forget(&r->drv->out);
    g_assert_cmpint(vwl_drv_reset(r->drv), ==, 0);
    g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==, RESP_VFD_NEW);
    rig_free(r);
}

/* Row 7: errors of a front-end cost at most its connection; the next is
 * served. */
static void test_bad_front_ends(void)
{
    static const struct {
        const char *what;
        size_t len;
        uint8_t bytes[32];
    } cases[] = {
        { "version 2", 12, { 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0 } },
        { "4 GiB of payload",
          12,
          { 2, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff } },
        { "unknown, half a payload",
          14,
          { 99, 0, 0, 0, 1, 0, 0, 0, 8, 0, 0, 0, 1, 2 } },
        { "ring 200", 20, { 18, 0, 0,   0, 1, 0, 0, 0, 8, 0,
                            0,  0, 200, 0, 0, 0, 1, 0, 0, 0 } },
        { "garbage",
          16,
          { 0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe, 0xef, 0xde, 0xad, 0xbe,
            0xef, 1, 2, 3, 4 } },
    };
    struct rig_options options = { .device = RIG_DAEMON, .n_peers = 1 };
    struct rig *r = rig_new(&options);

    r->complaints_expected = true;
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        int peer = rig_open_ctx(r, 1, 0);

        g_test_message("%s", cases[i].what);
        check_alive(r, 1, peer);
        g_assert_cmpint(vwl_fe_send_raw(r->fe->fd, cases[i].bytes, cases[i].len,
                                        NULL, 0),
                        ==, 0);
        rig_disconnect(r);
        rig_reconnect(r);
        rig_read_to_end(r, peer); /* its windows are gone */
        close(peer);
    }
    rig_free(r);
}

/* Row 7: a new call descriptor on a running ring is used; a disabled ring is
 * left alone. */
static void test_running_ring(void)
{
    struct rig_options options = { .fe = { .no_event_idx = true } };
    struct rig *r = rig_new(&options);
    struct vwl_fe_ring *out = &r->fe->ring[VIRTIO_WL_QUEUE_OUT];
    uint8_t request[64] = { 0x00, 0x01, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0 };
    struct vwl_drv_request *req;
    int other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    uint64_t value = 0;

    request[25] = 0x10;
    g_assert_cmpint(vwl_fe_set_enable(r->fe, VIRTIO_WL_QUEUE_OUT, false), ==,
                    0);
    req = vwl_drv_submit(r->drv, request, sizeof request, 64, NULL);
    rig_settle(r);
    g_assert_false(req->done);
    g_assert_cmpint(vwl_fe_set_enable(r->fe, VIRTIO_WL_QUEUE_OUT, true), ==, 0);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    vwl_drv_request_free(r->drv, req);

    g_assert_cmpint(vwl_fe_set_vring_fd(r->fe, VHOST_USER_SET_VRING_CALL,
                                        VIRTIO_WL_QUEUE_OUT, other),
                    ==, 0);
    rig_settle(r);
    /* signalled once, since a call may have gone to the old one */
    g_assert_cmpint(read(other, &value, sizeof value), ==, sizeof value);
    request[8] = 3;
    req = vwl_drv_submit(r->drv, request, sizeof request, 64, NULL);
    rig_wait_readable(r, other);
    vwl_drv_collect(r->drv);
    g_assert_true(req->done);
    vwl_drv_request_free(r->drv, req);
    g_assert_cmpint(vwl_fe_set_vring_fd(r->fe, VHOST_USER_SET_VRING_CALL,
                                        VIRTIO_WL_QUEUE_OUT, out->call),
                    ==, 0);
    close(other);
    rig_free(r);
}

/* Row 8: limits, and memory that nobody can shrink. */
static void test_limits(void)
{
    struct vwl_config config = { .size = sizeof config,
                                 .max_vfds = 20,
                                 .max_contexts = 3,
                                 .max_shm_bytes = 100 * 4096 };
    struct rig_options options = { .n_peers = 1, .config = &config };
    struct rig *r = rig_new(&options);
    int peers[3], fd = -1;
    unsigned int n = 1;
    const uint32_t shm_id = 10;
    char byte;

    for (uint32_t id = 1; id <= 3; id++) {
        peers[id - 1] = rig_open_ctx(r, id, 0);
    }
    g_assert_cmpint(vwl_drv_new_ctx(r->drv, 4, "peer0"), ==,
                    VIRTIO_WL_RESP_OUT_OF_MEMORY);
    g_assert_cmpint(vwl_drv_new(r->drv, 10, 100 * 4096), ==, RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_new(r->drv, 11, 4096), ==,
                    VIRTIO_WL_RESP_OUT_OF_MEMORY);
    g_assert_cmpint(vwl_drv_send(r->drv, 1, &shm_id, 1, "m", 1), ==, RESP_OK);
    rig_read(r, peers[0], &byte, 1, &fd, &n);
    g_assert_cmpint(ftruncate(fd, 4096), ==, -1);
    g_assert_cmpint(errno, ==, EPERM);
    close(fd);
    g_assert_cmpint(vwl_drv_close(r->drv, 10), ==, RESP_OK);
    for (uint32_t id = 10; id < 27; id++) {
        g_assert_cmpint(vwl_drv_new(r->drv, id, 4096), ==, RESP_VFD_NEW);
    }
    g_assert_cmpint(vwl_drv_new(r->drv, 27, 4096), ==,
                    VIRTIO_WL_RESP_OUT_OF_MEMORY);
    g_assert_cmpint(vwl_drv_close(r->drv, 12), ==, RESP_OK);
    g_assert_cmpint(vwl_drv_new(r->drv, 27, 4096), ==, RESP_VFD_NEW);
    for (int i = 0; i < 3; i++) {
        check_alive(r, (uint32_t)i + 1, peers[i]);
        close(peers[i]);
    }
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/weaknesses/1/socket", test_peer_that_does_not_read);
    g_test_add_func("/weaknesses/1/pipe", test_pipe_that_nobody_drains);
    g_test_add_func("/weaknesses/1/connect", test_full_backlog);
    g_test_add_func("/weaknesses/2/late-map", test_late_map);
    g_test_add_func("/weaknesses/3/late-buffers", test_late_buffers);
    g_test_add_func("/weaknesses/4/many", test_many_descriptors);
    g_test_add_func("/weaknesses/4/strange", test_strange_descriptors);
    g_test_add_func("/weaknesses/5/reader-gone", test_reader_gone);
    g_test_add_func("/weaknesses/6/bad-chain", test_bad_chain);
    g_test_add_func("/weaknesses/7/bad-front-ends", test_bad_front_ends);
    g_test_add_func("/weaknesses/7/running-ring", test_running_ring);
    g_test_add_func("/weaknesses/8/limits", test_limits);
    return g_test_run();
}
