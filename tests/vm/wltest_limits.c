/* SPDX-License-Identifier: BSD-3-Clause */
/* Calls that must be refused, and many objects at once. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wltest.h"

void test_errors(void)
{
    struct virtwl_ioctl_new new = { .type = VIRTWL_IOCTL_NEW_DMABUF };
    struct virtwl_ioctl_new_pages pages = { 0 };
    struct txn txn;
    uint32_t small[3] = { VIRTWL_IOCTL_NEW_CTX, 0, 0 };
    uint32_t flags = 8;
    int ctx = make_ctx(), fd = open("/dev/null", O_RDWR), shm;

    CHECK(ctx >= 0 && fd >= 0);
    CHECK(make(&new) < 0 && errno == ENOTTY);
    CHECK(make_kind(77, 0) < 0 && errno == EINVAL);
    CHECK(make_kind(VIRTWL_IOCTL_NEW_ALLOC, 0) < 0 && errno == EINVAL);
    CHECK(make_kind(VIRTWL_IOCTL_NEW_ALLOC, 0xfffff001u) < 0 &&
          errno == EINVAL);
    new = (struct virtwl_ioctl_new){ .type = VIRTWL_IOCTL_NEW_CTX, .flags = 1 };
    CHECK(make(&new) < 0 && errno == EINVAL);
    CHECK(ioctl(wl, VIRTWL_IOCTL_NEW, NULL) < 0 && errno == EFAULT);
    CHECK(ioctl(wl, VIRTWL_IOCTL_SEND, &txn) < 0 && errno == ENOTTY);
    CHECK(ioctl(wl, TCGETS, &txn) < 0 && errno == ENOTTY);
    /* the host does not offer it */
    CHECK(ioctl(wl, VIRTWL_IOCTL_NEW_PAGES, &pages) < 0 && errno == ENOTTY);
    CHECK(ioctl(ctx, VIRTWL_IOCTL_PAGES_INTACT) < 0 && errno == ENOTTY);
    CHECK(ioctl(ctx, VIRTWL_IOCTL_NEW, &new) < 0 && errno == ENOTTY);
    CHECK(ioctl(ctx, TCGETS, &txn) < 0 && errno == ENOTTY);
    CHECK(ioctl(wl, _IOWR('w', 0, uint32_t[3]), small) == 0);
    close((int)small[1]);
    CHECK(ioctl(wl, _IOWR('w', 0, uint32_t[2]), small) < 0 && errno == EINVAL);
    CHECK(ioctl(ctx, VIRTWL_IOCTL_SEND, NULL) < 0 && errno == EFAULT);
    CHECK(ioctl(ctx, VIRTWL_IOCTL_RECV, NULL) < 0 && errno == EFAULT);
    CHECK(syscall(SYS_write, ctx, 16L, 100L) < 0 && errno == EFAULT);
    CHECK(send_op(ctx, ECHO, 0, fd) < 0 && errno == EINVAL);
    CHECK(send_op(ctx, ECHO, 0, 1000) < 0 && errno == EBADF);
    CHECK(send_op(ctx, ECHO, 0, wl) < 0 && errno == EINVAL);
    no_fds(&txn.head);
    txn.head.len = 1u << 30;
    CHECK(ioctl(ctx, VIRTWL_IOCTL_SEND, &txn) < 0 && errno == EMSGSIZE);
    CHECK(ioctl(ctx, VIRTWL_IOCTL_DMABUF_SYNC, &flags) < 0 && errno == EINVAL);
    flags = 1;
    CHECK(ioctl(ctx, VIRTWL_IOCTL_DMABUF_SYNC, &flags) < 0 && errno == ENOTTY);
    shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 4096);
    CHECK(shm >= 0);
    CHECK(write(shm, "x", 1) < 0 && errno == EINVAL);
    /* calls that walk a file's mapping find one */
    CHECK(posix_fadvise(shm, 0, 0, POSIX_FADV_DONTNEED) >= 0);
    CHECK(fsync(shm) < 0);
    CHECK(syscall(SYS_sync_file_range, shm, 0, 4096, 7) < 0 || 1);
    close(shm);
    CHECK(ping(ctx));
    close(fd);
    close(ctx);
}

void test_full_table(void)
{
    char word[8];
    int ctx = make_ctx(), fds[28], n = 0, last = -1, fd;

    CHECK(ctx >= 0);
    CHECK(send_op(ctx, MEMFD, 4096, -1) == 0);
    CHECK(poll_for(ctx, POLLIN, 60000) & POLLIN);
    while ((fd = dup(ctx)) >= 0) {
        last = fd;
    }
    CHECK(errno == EMFILE);
    /* the message waits for a descriptor, and is not lost */
    CHECK(recv_some(ctx, word, 8, fds, &n) < 0 && errno == EMFILE);
    CHECK(make_ctx() < 0 && errno == EMFILE);
    for (fd = last; fd > ctx; fd--) {
        close(fd);
    }
    CHECK(recv_some(ctx, word, 8, fds, &n) == 5 && n == 1);
    close(fds[0]);
    close(ctx);
}

void test_lots(void)
{
    enum { N = 400 };
    int fds[N];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            fds[i] = i % 4 == 0
                         ? make_ctx()
                         : make_kind(i % 4 == 1   ? VIRTWL_IOCTL_NEW_ALLOC
                                     : i % 4 == 2 ? VIRTWL_IOCTL_NEW_PIPE_READ
                                                  : VIRTWL_IOCTL_NEW_PIPE_WRITE,
                                     i % 4 == 1 ? 4096 : 0);
            CHECK(fds[i] >= 0);
        }
        CHECK(ping(fds[N - 4]));
        for (int i = 0; i < N; i++) {
            close(fds[i]);
        }
    }
}

/* Long enough for a busy machine; who is stuck says where it is. */
#define STUCK_SECONDS 150

static volatile sig_atomic_t stage;

static void on_stuck(int number)
{
    static const char *const at[] = { "new context", "first ping",
                                      "second ping", "close" };
    char text[96];
    int len = snprintf(text, sizeof text, "stuck: round %d, %s\n", stage / 4,
                       at[stage % 4]);

    (void)number;
    (void)!write(STDOUT_FILENO, text, (size_t)len);
    _exit(2);
}

static void make_and_ping(void)
{
    signal(SIGALRM, on_stuck);
    alarm(STUCK_SECONDS);
    for (int round = 0; round < 60; round++) {
        int ctx;

        stage = round * 4;
        ctx = make_ctx();
        for (int i = 0; ctx >= 0 && i < 2; i++) {
            stage++;
            if (!ping(ctx)) {
                _exit(1);
            }
        }
        if (ctx < 0) {
            _exit(1);
        }
        stage++;
        close(ctx);
    }
    _exit(0);
}

void test_many_at_once(void)
{
    enum { N = 8 };
    pid_t pids[N];
    int status, failed = 0;

    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            make_and_ping();
        }
    }
    for (int i = 0; i < N; i++) {
        failed |= waitpid(pids[i], &status, 0) != pids[i] || status != 0;
    }
    CHECK(!failed);
}
