/* SPDX-License-Identifier: BSD-3-Clause */
/* Whoever must wait: for a peer that is gone, does not read or does not answer,
 * and until a signal comes. Nobody else waits with it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wltest.h"

void test_hang_up(void)
{
    uint8_t data[1000];
    int ctx = make_ctx(), fds[28], n = 1;

    CHECK(ctx >= 0);
    CHECK(poll_for(ctx, POLLIN | POLLOUT, 0) == POLLOUT);
    CHECK(send_op(ctx, HANG_UP, 1000, -1) == 0);
    CHECK(recv_exactly(ctx, data, 1000) == 0);
    CHECK(is_pattern(data, 1000, 0));
    CHECK(poll_for(ctx, POLLIN, 60000) & POLLHUP);
    CHECK(read(ctx, data, 1000) == 0);
    CHECK(recv_some(ctx, data, 1000, fds, &n) == 0 && n == 0);
    CHECK(send_op(ctx, SLEEP, 0, -1) < 0);
    close(ctx);
}

void test_no_wait(void)
{
    static uint8_t data[65536];
    uint32_t head[2] = { ECHO, 100u << 20 };
    size_t queued = 0;
    int ctx = make_ctx(), other = make_ctx();
    struct pollfd p;

    CHECK(ctx >= 0 && other >= 0);
    CHECK(fcntl(ctx, F_SETFL, O_NONBLOCK) == 0);
    CHECK(read(ctx, data, 10) < 0 && errno == EAGAIN);
    CHECK(send_op(ctx, SLEEP, 0, -1) == 0);
    CHECK(send_fds(ctx, head, 8, NULL, 0) == 0);
    for (;;) {
        ssize_t n = write(ctx, data, sizeof data);

        if (n < 0 && errno == EAGAIN) {
            p = (struct pollfd){ ctx, POLLOUT, 0 };
            if (poll(&p, 1, 1500) == 0) {
                break;
            }
            continue;
        }
        if (n < 0) {
            break; /* the device gave the stuck VFD up */
        }
        queued += (size_t)n;
        CHECK(queued < 64u << 20);
    }
    CHECK(queued > 0);
    for (int i = 0; i < 20; i++) {
        CHECK(ping(other));
    }
    close(ctx);
    CHECK(ping(other));
    close(other);
}

/* An answer that nobody asked to be told of brings its error nevertheless, and
 * nothing else happens meanwhile. */
void test_late_error(void)
{
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 4096);

    CHECK(shm >= 0 && fcntl(shm, F_SETFL, O_NONBLOCK) == 0);
    CHECK(write(shm, "data", 4) == 4); /* memory takes none */
    CHECK(poll_for(shm, POLLIN, 60000) & POLLERR);
    CHECK(write(shm, "data", 4) < 0 && errno == EINVAL);
    close(shm);
}

void test_rounds(void)
{
    uint32_t head[3] = { ECHO, 4, 0 }, back;
    int ctx = make_ctx();

    CHECK(ctx >= 0);
    CHECK(fcntl(ctx, F_SETFL, O_NONBLOCK) == 0);
    for (head[2] = 0; head[2] < 1000; head[2]++) {
        CHECK(send_fds(ctx, head, sizeof head, NULL, 0) == 0);
        CHECK(poll_for(ctx, POLLIN, 60000) == POLLIN);
        CHECK(recv_exactly(ctx, &back, 4) == 0 && back == head[2]);
    }
    close(ctx);
}

void test_signals(void)
{
    static uint8_t data[1 << 20];
    uint32_t head[2] = { ECHO, 100u << 20 };
    int ctx = make_ctx(), other = make_ctx(), status;
    ssize_t n;
    pid_t pid;

    CHECK(ctx >= 0 && other >= 0);
    alarm_each(200);
    n = read(ctx, data, 10);
    alarm_off();
    CHECK(n < 0 && errno == EINTR);
    CHECK(send_op(ctx, SLEEP, 0, -1) == 0);
    CHECK(send_fds(ctx, head, 8, NULL, 0) == 0);
    alarm_each(700);
    for (signals = 0; signals == 0;) {
        n = write(ctx, data, sizeof data);
        if (n <= 0) {
            break;
        }
    }
    alarm_off();
    CHECK(n > 0 || (n < 0 && (errno == EINTR || errno == ENODEV)));
    CHECK(ping(other));
    close(ctx);
    /* a process that hangs in a write can be killed */
    ctx = make_ctx();
    CHECK(ctx >= 0);
    CHECK(send_op(ctx, SLEEP, 0, -1) == 0);
    pid = fork();
    if (pid == 0) {
        for (;;) {
            (void)!write(ctx, data, sizeof data);
        }
    }
    close(ctx);
    usleep(500000);
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(ping(other));
    close(other);
}

void test_interrupted_new(void)
{
    int other = make_ctx(), fd;

    CHECK(other >= 0);
    alarm_each(300);
    fd = make_named("full");
    alarm_off();
    CHECK(fd < 0 && (errno == EINTR || errno == ENODEV));
    CHECK(ping(other));
    close(other);
}

void test_unread(void)
{
    static uint8_t data[100000];
    enum { N = 72 };
    const size_t size = 640u << 10;
    int ctx[N], other = make_ctx();

    CHECK(other >= 0);
    for (int i = 0; i < N; i++) {
        ctx[i] = make_ctx();
        CHECK(ctx[i] >= 0);
        CHECK(send_op(ctx[i], FLOOD, (uint32_t)size, -1) == 0);
    }
    for (int i = 0; i < 50; i++) {
        CHECK(ping(other));
        usleep(20000);
    }
    for (int i = 0; i < N; i++) {
        for (size_t at = 0; at < size;) {
            ssize_t n = read(ctx[i], data, sizeof data);

            CHECK(n > 0);
            CHECK(is_pattern(data, (size_t)n, at));
            at += (size_t)n;
        }
        CHECK(ping(ctx[i]));
        close(ctx[i]);
    }
    close(other);
}
