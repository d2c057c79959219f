/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors are shared with strangers: what they hold stays as it is, and
 * nothing that they do to it stops the device or hurts its process. Pipes and
 * sockets here, files in test-stranger-files.c.
 */
#include "story.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void expect_recv(struct rig *r, uint32_t id, const char *text)
{
    char bytes[64] = { 0 };
    int64_t n = vwl_drv_recv(r->drv, id, bytes, sizeof bytes, NULL, NULL,
                             RIG_TIMEOUT_MS);

    g_assert_cmpint(n, ==, (int64_t)strlen(text));
    g_assert_cmpstr(bytes, ==, text);
}

/* A received descriptor keeps its flags and its offset. */
static void test_flags_and_offsets(void)
{
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), in[2], out[2], sv[2];
    int file = story_memfd(8192, F_SEAL_SHRINK, 1);
    int copied = story_memfd(5000, 0, 1);
    int fds[5], flags[5];
    uint32_t ids[5];
    char bytes[5];

    g_assert_cmpint(pipe2(in, O_CLOEXEC), ==, 0);
    g_assert_cmpint(pipe2(out, O_CLOEXEC), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    g_assert_cmpint(lseek(file, 17, SEEK_SET), ==, 17);
    g_assert_cmpint(lseek(copied, 4711, SEEK_SET), ==, 4711);
    fds[0] = in[0];
    fds[1] = out[1];
    fds[2] = sv[0];
    fds[3] = file;
    fds[4] = copied;
    for (unsigned int i = 0; i < 5; i++) {
        flags[i] = fcntl(fds[i], F_GETFL);
        ids[i] = story_give(r, 1, peer, fds[i]);
    }
    g_assert_cmpint(write(in[1], "in", 2), ==, 2);
    expect_recv(r, ids[0], "in");
    g_assert_cmpint(vwl_drv_send(r->drv, ids[1], NULL, 0, "out", 3), ==,
                    RESP_OK);
    rig_read(r, out[0], bytes, 3, NULL, NULL);
    g_assert_cmpmem(bytes, 3, "out", 3);
    g_assert_cmpint(write(sv[1], "sock", 4), ==, 4);
    expect_recv(r, ids[2], "sock");
    g_assert_cmpint(vwl_drv_send(r->drv, ids[2], NULL, 0, "back", 4), ==,
                    RESP_OK);
    rig_read(r, sv[1], bytes, 4, NULL, NULL);
    memset(vwl_drv_map(r->drv, ids[3]), 2, 8192);
    memset(vwl_drv_map(r->drv, ids[4]), 2, 5000);
    for (unsigned int i = 0; i < 5; i++) {
        g_assert_cmphex((unsigned)fcntl(fds[i], F_GETFL), ==,
                        (unsigned)flags[i]);
        g_assert_cmpint(vwl_drv_close(r->drv, ids[i]), ==, RESP_OK);
        g_assert_cmphex((unsigned)fcntl(fds[i], F_GETFL), ==,
                        (unsigned)flags[i]);
    }
    g_assert_cmpint(lseek(file, 0, SEEK_CUR), ==, 17);
    g_assert_cmpint(lseek(copied, 0, SEEK_CUR), ==, 4711);
    for (unsigned int i = 0; i < 5; i++) {
        close(fds[i]);
    }
    close(in[1]);
    close(out[0]);
    close(sv[1]);
    close(peer);
    rig_free(r);
}

struct thief {
    int fd; /* of its own: another open file of the same pipe */
    int stop;
    size_t bytes;
};

static gpointer steal(gpointer data)
{
    struct thief *thief = data;
    char bytes[7];

    while (!g_atomic_int_get(&thief->stop)) {
        struct pollfd p = { thief->fd, POLLIN, 0 };
        ssize_t n = poll(&p, 1, 1) == 1 ? read(thief->fd, bytes, sizeof bytes)
                                        : 0;

        thief->bytes += n > 0 ? (size_t)n : 0;
    }
    return NULL;
}

/* Somebody else reads from the pipe that the guest reads from: the device
 * may find it empty at any moment, and does not wait in it. */
static void test_pipe_with_a_thief(void)
{
    struct rig_options options = { .n_peers = 1, .device = RIG_THREAD };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), pfd[2];
    struct thief thief = { 0 };
    size_t written = 0, got = 0;
    GThread *thread;
    int64_t end;
    uint32_t id;

    g_assert_cmpint(pipe2(pfd, O_CLOEXEC), ==, 0);
    id = story_give(r, 1, peer, pfd[0]);
    thief.fd = story_reopen(pfd[0], O_RDONLY | O_NONBLOCK);
    thread = g_thread_new("thief", steal, &thief);
    for (unsigned int i = 0; i < 3000; i++) {
        char bytes[64];

        g_assert_cmpint(write(pfd[1], "0123456789", 10), ==, 10);
        written += 10;
        vwl_fe_turn(r->fe, 0);
        vwl_drv_collect(r->drv);
        while (vwl_drv_readable(r->drv, id)) {
            got += (size_t)vwl_drv_recv(r->drv, id, bytes, sizeof bytes, NULL,
                                        NULL, 0);
        }
        if (i % 50 == 0) {
            story_alive(r, 1, peer);
        }
    }
    story_alive(r, 1, peer);
    while (poll(&(struct pollfd){ pfd[0], POLLIN, 0 }, 1, 0) == 1) {
        g_usleep(1000);
    }
    g_atomic_int_set(&thief.stop, 1);
    g_thread_join(thread);
    /* the device may have read what the guest has yet to hear of */
    end = g_get_monotonic_time() + (int64_t)RIG_TIMEOUT_MS * 1000;
    while (got + vwl_drv_find(r->drv, id)->bytes + thief.bytes < written) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        vwl_fe_turn(r->fe, 10);
        vwl_drv_collect(r->drv);
    }
    rig_settle(r);
    got += vwl_drv_find(r->drv, id)->bytes;
    g_assert_cmpuint(got + thief.bytes, ==, written);
    close(thief.fd);
    close(pfd[0]);
    close(pfd[1]);
    close(peer);
    rig_free(r);
}

/* Somebody else fills the pipe that the guest writes to. */
static void test_pipe_with_a_filler(void)
{
    struct rig_options options = { .n_peers = 1, .device = RIG_THREAD };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), pfd[2], mine;
    static char junk[4096], all[1 << 20];
    struct vwl_drv_request *req;
    size_t filled = 0, got = 0;
    ssize_t n;
    uint32_t id;

    g_assert_cmpint(pipe2(pfd, O_CLOEXEC), ==, 0);
    id = story_give(r, 1, peer, pfd[1]);
    mine = story_reopen(pfd[1], O_WRONLY | O_NONBLOCK);
    while ((n = write(mine, junk, sizeof junk)) > 0) {
        filled += (size_t)n;
    }
    memset(all, 'x', 200000);
    req = vwl_drv_send_async(r->drv, id, NULL, 0, all, 200000);
    rig_settle(r);
    for (unsigned int i = 0; i < 50; i++) {
        n = read(pfd[0], all, 1 + i * 97);
        got += n > 0 ? (size_t)n : 0;
        n = write(mine, junk, 3 + i);
        filled += n > 0 ? (size_t)n : 0;
        story_alive(r, 1, peer);
    }
    while (got < filled + 200000) {
        rig_wait_readable(r, pfd[0]);
        n = read(pfd[0], all, sizeof all);
        g_assert_cmpint(n, >, 0);
        got += (size_t)n;
    }
    g_assert_cmpuint(got, ==, filled + 200000);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_OK);
    vwl_drv_request_free(r->drv, req);
    close(mine);
    close(pfd[0]);
    close(pfd[1]);
    close(peer);
    rig_free(r);
}

static bool is_done(void *opaque)
{
    return ((struct vwl_drv_request *)opaque)->done;
}

static void set_call(struct rig *r, int fd)
{
    struct vwl_drv_request *req;
    uint8_t request[12] = { 0x01, 0x01, 0, 0, 0, 0, 0, 0, 99 };
    int err = vwl_fe_set_vring_fd(r->fe, VHOST_USER_SET_VRING_CALL,
                                  VIRTIO_WL_QUEUE_OUT, fd);

    g_assert_true(err == 0 || err == -EPROTO);
    for (unsigned int i = 0; i < 4; i++) {
        req = vwl_drv_submit(r->drv, request, sizeof request, 8, NULL);
        rig_wait(r, is_done, req); /* nobody is called: just look */
        g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_INVALID_ID);
        vwl_drv_request_free(r->drv, req);
    }
    g_assert_false(r->fe->gone);
}

/* A call descriptor that is full, or that is something else. */
static void test_call_descriptors(void)
{
    struct rig_options options = { .n_peers = 1,
                                   .device = RIG_THREAD,
                                   .fe.no_event_idx = true };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), pfd[2], sv[2];
    int full = eventfd(0, EFD_CLOEXEC); /* and blocking */
    uint64_t most = UINT64_MAX - 1;
    static char junk[65536];

    g_assert_cmpint(write(full, &most, sizeof most), ==, sizeof most);
    set_call(r, full);
    g_assert_cmpint(fcntl(full, F_GETFL) & O_NONBLOCK, ==, 0);
    g_assert_cmpint(pipe2(pfd, O_CLOEXEC), ==, 0);
    set_call(r, pfd[1]);
    g_assert_cmpint(poll(&(struct pollfd){ pfd[0], POLLIN, 0 }, 1, 0), ==, 0);
    g_assert_cmpint(write(pfd[1], junk, sizeof junk), ==, sizeof junk);
    set_call(r, pfd[1]); /* full, too */
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    set_call(r, sv[0]);
    g_assert_cmpint(poll(&(struct pollfd){ sv[1], POLLIN, 0 }, 1, 0), ==, 0);
    set_call(r, r->fe->fd); /* the connection itself */
    set_call(r, r->fe->ring[VIRTIO_WL_QUEUE_OUT].call);
    story_alive(r, 1, peer);
    close(full);
    close(pfd[0]);
    close(pfd[1]);
    close(sv[0]);
    close(sv[1]);
    close(peer);
    rig_free(r);
}

/* The guest sends its context away, and it comes back through itself. */
static void test_own_socket(void)
{
    struct rig_options options = { .n_peers = 2 };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), good = rig_open_ctx(r, 2, 1), own;
    uint32_t id, other;

    own = story_take(r, 1, peer, 1);
    id = story_give(r, 1, peer, own);
    /* now two VFDs read from one socket, and either may be the first */
    rig_write(r, peer, "who", 3, NULL, 0);
    rig_settle(r);
    g_assert_cmpuint(vwl_drv_find(r->drv, 1)->bytes +
                         vwl_drv_find(r->drv, id)->bytes,
                     ==, 3);
    expect_recv(r, vwl_drv_readable(r->drv, 1) ? 1 : id, "who");
    g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
    other = story_give(r, 1, peer, peer); /* the far end as well */
    g_assert_cmpint(vwl_drv_send(r->drv, other, NULL, 0, "loop", 4), ==,
                    RESP_OK);
    expect_recv(r, 1, "loop");
    g_assert_cmpint(vwl_drv_close(r->drv, other), ==, RESP_OK);
    story_alive(r, 1, peer);
    /* closed means closed, though somebody has a copy */
    g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, RESP_OK);
    g_assert_cmpuint(rig_read_to_end(r, peer), ==, 0);
    story_alive(r, 2, good);
    close(own);
    close(peer);
    close(good);
    rig_free(r);
}

/* In a process of its own, where SIGPIPE would kill. */
static void test_no_sigpipe(void)
{
    struct rig_options options = { .n_peers = 1 };
    sigset_t pending, before, after;
    struct rig *r;
    static uint8_t big[300000];
    int pfd[2], peer;
    uint32_t id;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, NULL, &before);
    r = rig_new(&options);
    for (unsigned int i = 0; i < 20; i++) {
        struct vwl_drv_request *req;
        size_t len = i % 2 ? sizeof big : 1;

        peer = rig_open_ctx(r, 1, 0);
        g_assert_cmpint(vwl_drv_new_pipe(r->drv, 2, VFD_WRITE), ==,
                        RESP_VFD_NEW);
        pfd[0] = story_take(r, 1, peer, 2);
        g_assert_cmpint(fcntl(pfd[0], F_SETPIPE_SZ, 65536), ==, 65536);
        req = vwl_drv_send_async(r->drv, 2, NULL, 0, big, len);
        if (i % 4 < 2) {
            rig_settle(r);
        }
        close(pfd[0]);
        g_assert_cmpint(vwl_drv_send(r->drv, 2, NULL, 0, "x", 1), ==, RESP_ERR);
        vwl_drv_request_free(r->drv, req);
        g_assert_cmpint(vwl_drv_close(r->drv, 2), ==, RESP_OK);

        g_assert_cmpint(pipe2(pfd, O_CLOEXEC), ==, 0); /* one of strangers */
        id = story_give(r, 1, peer, pfd[1]);
        close(pfd[1]);
        req = vwl_drv_send_async(r->drv, id, NULL, 0, big, len);
        if (i % 4 < 2) {
            rig_settle(r);
        }
        close(pfd[0]);
        g_assert_cmpint(vwl_drv_send(r->drv, id, NULL, 0, "x", 1), ==,
                        RESP_ERR);
        vwl_drv_request_free(r->drv, req);
        g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);

        req = vwl_drv_send_async(r->drv, 1, NULL, 0, big, len);
        close(peer);
        vwl_drv_send(r->drv, 1, NULL, 0, "x", 1);
        vwl_drv_request_free(r->drv, req);
        g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, RESP_OK);
    }
    rig_free(r);
    sigpending(&pending);
    g_assert_false(sigismember(&pending, SIGPIPE));
    sigprocmask(SIG_SETMASK, NULL, &after);
    g_assert_cmpint(sigismember(&before, SIGPIPE), ==,
                    sigismember(&after, SIGPIPE));
}

/* A process that has no descriptors left, in a process of its own: a message
 * that was cut ends its context, and that alone. */
static void test_descriptor_limit(void)
{
    struct rig_options options = { .n_peers = 2 };
    struct rlimit old, low;
    int peer, good, fds[6], lowest;
    struct rig *r;
    uint32_t id;

    if (!g_test_subprocess()) {
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
        return;
    }
    r = rig_new(&options);
    peer = rig_open_ctx(r, 1, 0);
    good = rig_open_ctx(r, 2, 1);
    for (unsigned int i = 0; i < 6; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
    }
    lowest = dup(0);
    close(lowest);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
    low = old;
    low.rlim_cur = (rlim_t)lowest + 2;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    rig_write(r, peer, "cut", 3, fds, 6);
    rig_settle(r);
    g_assert_true(vwl_drv_find(r->drv, 1)->hup);
    g_assert_cmpuint(vwl_drv_find(r->drv, 1)->bytes, ==, 0);
    story_alive(r, 2, good);
    g_assert_cmpuint(rig_stats(r).vfds, ==, 2);
    lowest = dup(0); /* that of the context is free */
    close(lowest);
    low.rlim_cur = (rlim_t)lowest;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    g_assert_cmphex((unsigned)vwl_drv_new_ctx(r->drv, 3, "peer0"), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex((unsigned)vwl_drv_new(r->drv, 3, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    g_assert_cmphex((unsigned)vwl_drv_new_pipe(r->drv, 3, VFD_WRITE), ==,
                    RESP_OUT_OF_MEMORY);
    story_alive(r, 2, good);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
    id = story_give(r, 2, good, fds[0]);
    g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
    for (unsigned int i = 0; i < 6; i++) {
        close(fds[i]);
    }
    close(peer);
    close(good);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/strangers/flags-and-offsets", test_flags_and_offsets);
    g_test_add_func("/strangers/pipe-with-a-thief", test_pipe_with_a_thief);
    g_test_add_func("/strangers/pipe-with-a-filler", test_pipe_with_a_filler);
    g_test_add_func("/strangers/call-descriptors", test_call_descriptors);
    g_test_add_func("/strangers/own-socket", test_own_socket);
    g_test_add_func("/strangers/no-sigpipe", test_no_sigpipe);
    g_test_add_func("/strangers/descriptor-limit", test_descriptor_limit);
    return g_test_run();
}
