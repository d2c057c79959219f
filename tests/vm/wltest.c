/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Exercises /dev/wl0 from inside a guest, against the host's peer.py. Run as
 * `wltest [TEST...]`: prints "ok NAME" or "not ok NAME: why" for each, and
 * fails if one failed. With --device=PATH another device.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "virtwl.h"

enum {
    ECHO = 1,
    FLOOD,
    MEMFD,
    PIPE_R,
    PIPE_W,
    HANG_UP,
    SLEEP,
    SUM,
    FILL,
    FDS,
    DRAIN
};

static const char *path = "/dev/wl0";
static int wl;
static const char *why;
static char why_text[256];

#define CHECK(expr)                                                          \
    do {                                                                     \
        if (!(expr)) {                                                       \
            snprintf(why_text, sizeof why_text, "line %d: %s (errno %d %s)", \
                     __LINE__, #expr, errno, strerror(errno));               \
            why = why_text;                                                  \
            return;                                                          \
        }                                                                    \
    } while (0)

struct txn {
    struct virtwl_ioctl_txn head;
    uint8_t data[8192];
};

static uint8_t pattern_at(size_t at)
{
    return (uint8_t)(((uint32_t)(at / 4) * 2654435761u) >> (at % 4 * 8));
}

static int is_pattern(const uint8_t *data, size_t len, size_t at)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != pattern_at(at + i)) {
            return 0;
        }
    }
    return 1;
}

static uint32_t checksum(const uint8_t *data, size_t len)
{
    uint32_t a = 1, b = 0;

    for (size_t i = 0; i < len; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static int make(struct virtwl_ioctl_new *new)
{
    return ioctl(wl, VIRTWL_IOCTL_NEW, new) < 0 ? -1 : new->fd;
}

static int make_kind(uint32_t type, uint32_t size)
{
    struct virtwl_ioctl_new new = { .type = type, .fd = -1, .size = size };

    return make(&new);
}

static int make_named(const char *name)
{
    struct virtwl_ioctl_new new = { .type = VIRTWL_IOCTL_NEW_CTX_NAMED };

    memcpy(new.name, name, strlen(name));
    return make(&new);
}

static int make_ctx(void)
{
    return make_kind(VIRTWL_IOCTL_NEW_CTX, 0);
}

static void no_fds(struct virtwl_ioctl_txn *txn)
{
    memset(txn->fds, 0xff, sizeof txn->fds);
}

static int send_fds(int ctx, const void *data, size_t len, const int *fds,
                    int n_fds)
{
    static struct txn txn;

    no_fds(&txn.head);
    for (int i = 0; i < n_fds; i++) {
        txn.head.fds[i] = fds[i];
    }
    txn.head.len = (uint32_t)len;
    memcpy(txn.head.data, data, len);
    return ioctl(ctx, VIRTWL_IOCTL_SEND, &txn);
}

static int send_op(int ctx, uint32_t op, uint32_t arg, int fd)
{
    uint32_t head[2] = { op, arg };

    return send_fds(ctx, head, sizeof head, &fd, fd >= 0);
}

/* Bytes; *n_fds of fds. */
static int recv_some(int ctx, void *data, size_t room, int *fds, int *n_fds)
{
    static struct txn txn;

    txn.head.len = (uint32_t)room;
    if (ioctl(ctx, VIRTWL_IOCTL_RECV, &txn) < 0) {
        return -1;
    }
    memcpy(data, txn.head.data, txn.head.len);
    for (*n_fds = 0; *n_fds < VIRTWL_SEND_MAX_ALLOCS; (*n_fds)++) {
        if (txn.head.fds[*n_fds] < 0) {
            break;
        }
        fds[*n_fds] = txn.head.fds[*n_fds];
    }
    return (int)txn.head.len;
}

static int recv_exactly(int ctx, void *data, size_t len)
{
    uint8_t *at = data;

    while (len > 0) {
        ssize_t n = read(ctx, at, len);

        if (n <= 0) {
            return -1;
        }
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int poll_for(int fd, short events, int timeout_ms)
{
    struct pollfd p = { fd, events, 0 };

    return poll(&p, 1, timeout_ms) == 1 ? p.revents : 0;
}

static int ping(int ctx)
{
    uint32_t head[3] = { ECHO, 4, 0x12345678 }, back = 0;

    return send_fds(ctx, head, sizeof head, NULL, 0) == 0 &&
           recv_exactly(ctx, &back, 4) == 0 && back == head[2];
}

static void test_echo(void)
{
    uint8_t data[8 + 4000], back[4000];
    uint32_t head[2] = { ECHO, 4000 };
    int ctx = make_ctx();

    CHECK(ctx >= 0);
    CHECK(fcntl(ctx, F_GETFD) == FD_CLOEXEC);
    CHECK((fcntl(ctx, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(lseek(ctx, 0, SEEK_SET) < 0 && errno == ESPIPE);
    memcpy(data, head, 8);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 4000; i++) {
            data[8 + i] = (uint8_t)(i * 7 + round);
        }
        CHECK(send_fds(ctx, data, sizeof data, NULL, 0) == 0);
        CHECK(recv_exactly(ctx, back, sizeof back) == 0);
        CHECK(memcmp(back, data + 8, sizeof back) == 0);
    }
    CHECK(write(ctx, data, sizeof data) == sizeof data);
    CHECK(recv_exactly(ctx, back, sizeof back) == 0);
    CHECK(memcmp(back, data + 8, sizeof back) == 0);
    CHECK(send_fds(ctx, data, 0, NULL, 0) == 0);
    CHECK(close(ctx) == 0);
}

static void test_named(void)
{
    int ctx = make_named("peer");

    CHECK(ctx >= 0);
    CHECK(ping(ctx));
    close(ctx);
    CHECK(make_named("nobody") < 0 && errno == ENODEV);
    CHECK(make_named("refused") < 0 && errno == ENODEV);
    ctx = make_named("");
    CHECK(ctx >= 0);
    CHECK(ping(ctx));
    close(ctx);
}

static void test_memory(void)
{
    const size_t size = 64 * 4096;
    int ctx = make_ctx();
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, (uint32_t)size - 100);
    uint8_t *mem, *page, *ro;
    uint32_t sum, answer = 0;

    CHECK(ctx >= 0 && shm >= 0);
    CHECK(mmap(NULL, size + 4096, PROT_READ, MAP_SHARED, shm, 0) ==
              MAP_FAILED &&
          errno == EINVAL);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, shm, (off_t)size) ==
              MAP_FAILED &&
          errno == EINVAL);
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, shm, 0) ==
              MAP_FAILED &&
          errno == EACCES);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, ctx, 0) == MAP_FAILED &&
          errno == EACCES);
    mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
    CHECK(mem != MAP_FAILED);
    for (size_t i = 0; i < size; i++) {
        CHECK(mem[i] == 0);
    }
    for (size_t i = 0; i < size; i++) {
        mem[i] = (uint8_t)(i * 31 >> 3);
    }
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 5 * 4096);
    CHECK(page != MAP_FAILED);
    CHECK(memcmp(page, mem + 5 * 4096, 4096) == 0);
    page[17] = 0xa5;
    CHECK(mem[5 * 4096 + 17] == 0xa5);
    ro = mmap(NULL, size, PROT_READ, MAP_PRIVATE, shm, 0);
    CHECK(ro != MAP_FAILED);
    CHECK(memcmp(ro, mem, size) == 0);
    CHECK(mprotect(ro, size, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
    sum = checksum(mem, size);
    CHECK(send_op(ctx, SUM, (uint32_t)size, shm) == 0);
    CHECK(recv_exactly(ctx, &answer, 4) == 0);
    CHECK(answer == sum);
    CHECK(send_op(ctx, FILL, (uint32_t)size, shm) == 0);
    CHECK(recv_exactly(ctx, &answer, 4) == 0);
    CHECK(is_pattern(mem, size, 0));
    close(shm);
    CHECK(is_pattern(mem, size, 0));
    munmap(mem, size);
    munmap(page, 4096);
    munmap(ro, size);
    close(ctx);
}

static void test_received_memory(void)
{
    char word[8];
    int ctx = make_ctx(), fds[28], n = 0;
    uint8_t *mem;

    CHECK(ctx >= 0);
    CHECK(send_op(ctx, MEMFD, 10000, -1) == 0);
    CHECK(recv_some(ctx, word, sizeof word, fds, &n) == 5);
    CHECK(n == 1);
    CHECK(fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
    mem = mmap(NULL, 10000, PROT_READ, MAP_PRIVATE, fds[0], 0);
    CHECK(mem != MAP_FAILED);
    CHECK(is_pattern(mem, 10000, 0));
    munmap(mem, 10000);
    mem = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    CHECK(mem != MAP_FAILED);
    mem[5] = 1;
    mem[9999] = 2;
    munmap(mem, 10000);
    /* VFDs that came with data that was read(2) are gone, without harm */
    CHECK(send_op(ctx, MEMFD, 5000, -1) == 0);
    CHECK(recv_exactly(ctx, word, 5) == 0);
    CHECK(ping(ctx));
    close(fds[0]);
    close(ctx);
}

static void test_many_fds(void)
{
    char word[8];
    int ctx = make_ctx(), fds[28], n, got = 0, bytes = 0;

    CHECK(ctx >= 0);
    CHECK(send_op(ctx, FDS, 60, -1) == 0);
    while (got < 60) {
        int r = recv_some(ctx, word, sizeof word, fds, &n);

        CHECK(r >= 0 && (r > 0 || n > 0));
        bytes += r;
        for (int i = 0; i < n; i++, got++) {
            uint32_t *mem = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[i], 0);

            CHECK(mem != MAP_FAILED);
            CHECK(mem[1023] == (uint32_t)got);
            munmap(mem, 4096);
            close(fds[i]);
        }
    }
    CHECK(bytes == 4);
    CHECK(ping(ctx));
    close(ctx);
}

static void test_send_many(void)
{
    uint8_t data[8 + 16];
    uint32_t head[2] = { ECHO, 16 };
    int ctx = make_ctx(), fds[28], back[28], n = 0;
    uint32_t *mem;

    CHECK(ctx >= 0);
    for (int i = 0; i < 28; i++) {
        fds[i] = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 4096);
        CHECK(fds[i] >= 0);
        mem = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds[i], 0);
        CHECK(mem != MAP_FAILED);
        mem[9] = 1000 + (uint32_t)i;
        munmap(mem, 4096);
    }
    memset(data, 7, sizeof data);
    memcpy(data, head, 8);
    CHECK(send_fds(ctx, data, sizeof data, fds, 28) == 0);
    CHECK(recv_some(ctx, data, 16, back, &n) == 16);
    CHECK(n == 28);
    for (int i = 0; i < 28; i++) {
        mem = mmap(NULL, 4096, PROT_READ, MAP_SHARED, back[i], 0);
        CHECK(mem != MAP_FAILED);
        CHECK(mem[9] == 1000 + (uint32_t)i);
        munmap(mem, 4096);
        close(fds[i]);
        close(back[i]);
    }
    close(ctx);
}

static void test_pipes(void)
{
    enum { SIZE = 4 << 20 };
    uint8_t *data = malloc(SIZE);
    uint32_t answer[2];
    char word[8];
    int ctx = make_ctx(), fds[28], n = 0, fd;

    CHECK(ctx >= 0 && data != NULL);
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = pattern_at(i * 3);
    }

    fd = make_kind(VIRTWL_IOCTL_NEW_PIPE_READ, 0);
    CHECK(fd >= 0);
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
    CHECK(write(fd, "x", 1) < 0 && errno == EBADF);
    CHECK(send_op(ctx, DRAIN, SIZE, fd) == 0);
    CHECK(recv_exactly(fd, data, SIZE) == 0);
    CHECK(is_pattern(data, SIZE, 0));
    CHECK(read(fd, data, 1) == 0);
    CHECK(poll_for(fd, POLLIN, 0) & POLLHUP);
    close(fd);

    fd = make_kind(VIRTWL_IOCTL_NEW_PIPE_WRITE, 0);
    CHECK(fd >= 0);
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY);
    CHECK(send_op(ctx, DRAIN, 0, fd) == 0);
    for (size_t at = 0; at < SIZE;) {
        ssize_t done = write(fd, data + at, SIZE - at);

        CHECK(done > 0);
        at += (size_t)done;
    }
    close(fd);
    CHECK(recv_exactly(ctx, answer, 8) == 0);
    CHECK(answer[0] == SIZE);
    CHECK(answer[1] == checksum(data, SIZE));

    CHECK(send_op(ctx, PIPE_R, 100000, -1) == 0);
    CHECK(recv_some(ctx, word, 8, fds, &n) == 4 && n == 1);
    CHECK(recv_exactly(fds[0], data, 100000) == 0);
    CHECK(is_pattern(data, 100000, 0));
    CHECK(read(fds[0], data, 1) == 0);
    close(fds[0]);

    CHECK(send_op(ctx, PIPE_W, 0, -1) == 0);
    CHECK(recv_some(ctx, word, 8, fds, &n) == 4 && n == 1);
    CHECK(write(fds[0], data, 100000) == 100000);
    close(fds[0]);
    CHECK(recv_exactly(ctx, answer, 8) == 0);
    CHECK(answer[0] == 100000 && answer[1] == checksum(data, 100000));
    close(ctx);
    free(data);
}

static void test_hang_up(void)
{
    uint8_t data[1000];
    int ctx = make_ctx(), fds[28], n = 1;

    CHECK(ctx >= 0);
    CHECK(poll_for(ctx, POLLIN | POLLOUT, 0) == POLLOUT);
    CHECK(send_op(ctx, HANG_UP, 1000, -1) == 0);
    CHECK(recv_exactly(ctx, data, 1000) == 0);
    CHECK(is_pattern(data, 1000, 0));
    CHECK(poll_for(ctx, POLLIN, 5000) & POLLHUP);
    CHECK(read(ctx, data, 1000) == 0);
    CHECK(recv_some(ctx, data, 1000, fds, &n) == 0 && n == 0);
    CHECK(send_op(ctx, SLEEP, 0, -1) < 0);
    close(ctx);
}

static void test_no_wait(void)
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

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    signals++;
}

static timer_t alarm_timer;

/* Again and again: the first may come before there is a call to interrupt. */
static void alarm_each(int ms)
{
    struct sigaction act = { .sa_handler = on_signal };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
                              .sigev_signo = SIGALRM };
    struct timespec each = { ms / 1000, ms % 1000 * 1000000L };
    struct itimerspec when = { each, each };

    sigaction(SIGALRM, &act, NULL);
    timer_create(CLOCK_MONOTONIC, &event, &alarm_timer);
    timer_settime(alarm_timer, 0, &when, NULL);
}

static void alarm_off(void)
{
    int before = errno;

    timer_delete(alarm_timer);
    errno = before;
}

static void test_signals(void)
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

static void test_interrupted_new(void)
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

static void test_unread(void)
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

static void test_errors(void)
{
    struct virtwl_ioctl_new new = { .type = VIRTWL_IOCTL_NEW_DMABUF };
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

static void test_full_table(void)
{
    char word[8];
    int ctx = make_ctx(), fds[28], n = 0, last = -1, fd;

    CHECK(ctx >= 0);
    CHECK(send_op(ctx, MEMFD, 4096, -1) == 0);
    CHECK(poll_for(ctx, POLLIN, 5000) & POLLIN);
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

static void test_lots(void)
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

static void test_many_at_once(void)
{
    enum { N = 8 };
    pid_t pids[N];
    int status, failed = 0;

    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            for (int round = 0; round < 60; round++) {
                int ctx = make_ctx();

                if (ctx < 0 || !ping(ctx) || !ping(ctx)) {
                    _exit(1);
                }
                close(ctx);
            }
            _exit(0);
        }
    }
    for (int i = 0; i < N; i++) {
        failed |= waitpid(pids[i], &status, 0) != pids[i] || status != 0;
    }
    CHECK(!failed);
}

static sigjmp_buf after_bus_error;

static void on_bus_error(int number)
{
    (void)number;
    siglongjmp(after_bus_error, 1);
}

/* Not part of the usual run: something on the host ends the session. Says
 * "waiting" first, and ends when it is over. */
static void test_session_end(void)
{
    struct sigaction act = { .sa_handler = on_bus_error };
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 65536);
    int ctx = make_ctx(), volatile_sum = 0, events;
    volatile uint8_t *mem;
    char byte;

    CHECK(ctx >= 0 && shm >= 0);
    mem = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
    CHECK(mem != MAP_FAILED);
    mem[0] = mem[40000] = 1;
    CHECK(ping(ctx));
    printf("waiting\n");
    fflush(stdout);
    events = poll_for(ctx, POLLIN, 60000);
    CHECK((events & (POLLHUP | POLLERR)) == (POLLHUP | POLLERR));
    CHECK(read(ctx, &byte, 1) == 0);
    CHECK(send_op(ctx, ECHO, 0, -1) < 0 && errno == ENODEV);
    sigaction(SIGBUS, &act, NULL);
    if (sigsetjmp(after_bus_error, 1) == 0) {
        volatile_sum = mem[0];
        CHECK(volatile_sum == 1000);
    }
    close(shm);
    close(ctx);
}

static void test_ping(void)
{
    int ctx = make_ctx();

    CHECK(ctx >= 0);
    CHECK(ping(ctx));
    close(ctx);
}

/* Not part of the usual run: keeps what a window has until it is killed. */
static void test_hold(void)
{
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 1 << 20);
    int ctx = make_ctx();
    uint8_t *mem;

    CHECK(ctx >= 0 && shm >= 0);
    mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
    CHECK(mem != MAP_FAILED);
    memset(mem, 1, 1 << 20);
    CHECK(ping(ctx));
    printf("holding\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

/* The following are for a device that lies: hostile.py. */

/* Takes what comes, and touches it, until "stop" comes or an end. */
static void test_take_all(void)
{
    char data[4096];
    int ctx = make_ctx(), fds[28], n, n_fds = 0, n_bytes = 0;

    CHECK(ctx >= 0);
    printf("waiting\n");
    fflush(stdout);
    for (;;) {
        int got = recv_some(ctx, data, sizeof data, fds, &n);

        if (got < 0 || (got == 0 && n == 0)) {
            printf("end %d\n", got < 0 ? errno : 0);
            break;
        }
        n_bytes += got;
        for (int i = 0; i < n; i++, n_fds++) {
            uint8_t *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                                fds[i], 0);

            if (mem != MAP_FAILED) {
                mem[0]++;
                munmap(mem, 4096);
            }
            fcntl(fds[i], F_SETFL, O_NONBLOCK);
            (void)!read(fds[i], data, 0);
            (void)!write(fds[i], data, 10);
            close(fds[i]);
        }
        if (got >= 4 && memcmp(data + got - 4, "stop", 4) == 0) {
            printf("stopped\n");
            break;
        }
    }
    printf("%d bytes %d descriptors\n", n_bytes, n_fds);
    close(ctx);
}

static void test_alloc(void)
{
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 8192);
    uint8_t *mem;

    printf("alloc %d\n", shm < 0 ? errno : 0);
    if (shm >= 0) {
        mem = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
        printf("map %d\n", mem == MAP_FAILED ? errno : 0);
        if (mem != MAP_FAILED) {
            mem[0] = mem[8191] = 1;
            munmap(mem, 8192);
        }
        close(shm);
    }
}

static void test_open(void)
{
    int ctx;

    alarm_each(1000);
    ctx = make_ctx();
    alarm_off();
    printf("open %d\n", ctx < 0 ? errno : 0);
    if (ctx >= 0) {
        close(ctx);
    }
}

static void test_stuck_send(void)
{
    int ctx = make_ctx();

    CHECK(ctx >= 0);
    printf("sending\n");
    fflush(stdout);
    send_op(ctx, ECHO, 0, ctx); /* itself among what is on its way */
}

/* The device keeps all that is sent: VFDs are made and closed all the same. */
static void test_stuck_sends(void)
{
    int ctx[40], last;

    for (unsigned int i = 0; i < 40; i++) {
        ctx[i] = make_ctx();
        CHECK(ctx[i] >= 0);
        CHECK(fcntl(ctx[i], F_SETFL, O_NONBLOCK) == 0);
    }
    for (unsigned int i = 0; i < 40 * 8; i++) {
        send_op(ctx[i % 40], ECHO, 0, -1);
    }
    printf("sent\n");
    fflush(stdout);
    last = make_ctx();
    CHECK(last >= 0);
    close(last);
    printf("made\n");
    fflush(stdout);
}

static const struct {
    const char *name;
    void (*run)(void);
    int special; /* only when asked for by name */
} tests[] = {
    { "ping", test_ping, 0 },
    { "echo", test_echo, 0 },
    { "named", test_named, 0 },
    { "memory", test_memory, 0 },
    { "received-memory", test_received_memory, 0 },
    { "many-fds", test_many_fds, 0 },
    { "send-many", test_send_many, 0 },
    { "pipes", test_pipes, 0 },
    { "hang-up", test_hang_up, 0 },
    { "no-wait", test_no_wait, 0 },
    { "signals", test_signals, 0 },
    { "interrupted-new", test_interrupted_new, 0 },
    { "unread", test_unread, 0 },
    { "errors", test_errors, 0 },
    { "full-table", test_full_table, 0 },
    { "lots", test_lots, 0 },
    { "many-at-once", test_many_at_once, 0 },
    { "session-end", test_session_end, 1 },
    { "hold", test_hold, 1 },
    { "take-all", test_take_all, 1 },
    { "alloc", test_alloc, 1 },
    { "open", test_open, 1 },
    { "stuck-send", test_stuck_send, 1 },
    { "stuck-sends", test_stuck_sends, 1 },
};

static int wanted(int argc, char **argv, const char *name, int special)
{
    int named = 0;

    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            named = 1;
            if (strcmp(argv[i], name) == 0) {
                return 1;
            }
        }
    }
    return !named && !special;
}

static int count_fds(void)
{
    int n = 0;

    for (int fd = 0; fd < 1024; fd++) {
        n += fcntl(fd, F_GETFD) >= 0;
    }
    return n;
}

int main(int argc, char **argv)
{
    int failed = 0, ran = 0;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--device=", 9) == 0) {
            path = argv[i] + 9;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    wl = open(path, O_RDWR | O_CLOEXEC);
    if (wl < 0) {
        printf("not ok %s: %s\n", path, strerror(errno));
        return 1;
    }
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        int fds = count_fds();
        struct timespec begin, end;

        if (!wanted(argc, argv, tests[i].name, tests[i].special)) {
            continue;
        }
        why = NULL;
        ran++;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        tests[i].run();
        clock_gettime(CLOCK_MONOTONIC, &end);
        if (why == NULL && count_fds() != fds) {
            why = "descriptors leak";
        }
        if (why != NULL) {
            printf("not ok %s: %s\n", tests[i].name, why);
            failed = 1;
        } else {
            printf("ok %s # %ld ms\n", tests[i].name,
                   (end.tv_sec - begin.tv_sec) * 1000 +
                       (end.tv_nsec - begin.tv_nsec) / 1000000);
        }
        fflush(stdout);
    }
    if (ran == 0) {
        printf("not ok: no such test\n");
        return 1;
    }
    return failed;
}
