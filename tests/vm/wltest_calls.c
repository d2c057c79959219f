/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "wltest.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

uint8_t pattern_at(size_t at)
{
    return (uint8_t)(((uint32_t)(at / 4) * 2654435761u) >> (at % 4 * 8));
}

int is_pattern(const uint8_t *data, size_t len, size_t at)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != pattern_at(at + i)) {
            return 0;
        }
    }
    return 1;
}

uint32_t checksum(const uint8_t *data, size_t len)
{
    uint32_t a = 1, b = 0;

    for (size_t i = 0; i < len; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

int make(struct virtwl_ioctl_new *new)
{
    return ioctl(wl, VIRTWL_IOCTL_NEW, new) < 0 ? -1 : new->fd;
}

int make_kind(uint32_t type, uint32_t size)
{
    struct virtwl_ioctl_new new = { .type = type, .fd = -1, .size = size };

    return make(&new);
}

int make_named(const char *name)
{
    struct virtwl_ioctl_new new = { .type = VIRTWL_IOCTL_NEW_CTX_NAMED };

    memcpy(new.name, name, strlen(name));
    return make(&new);
}

int make_ctx(void)
{
    return socket_name ? make_named(socket_name)
                       : make_kind(VIRTWL_IOCTL_NEW_CTX, 0);
}

void no_fds(struct virtwl_ioctl_txn *txn)
{
    memset(txn->fds, 0xff, sizeof txn->fds);
}

int send_fds(int ctx, const void *data, size_t len, const int *fds, int n_fds)
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

int send_op(int ctx, uint32_t op, uint32_t arg, int fd)
{
    uint32_t head[2] = { op, arg };

    return send_fds(ctx, head, sizeof head, &fd, fd >= 0);
}

int recv_some(int ctx, void *data, size_t room, int *fds, int *n_fds)
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

int recv_exactly(int ctx, void *data, size_t len)
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

int poll_for(int fd, short events, int timeout_ms)
{
    struct pollfd p = { fd, events, 0 };

    return poll(&p, 1, timeout_ms) == 1 ? p.revents : 0;
}

int ping(int ctx)
{
    uint32_t head[3] = { ECHO, 4, 0x12345678 }, back = 0;

    return send_fds(ctx, head, sizeof head, NULL, 0) == 0 &&
           recv_exactly(ctx, &back, 4) == 0 && back == head[2];
}

volatile sig_atomic_t signals;

static void on_signal(int number)
{
    (void)number;
    signals++;
}

static timer_t alarm_timer;

void alarm_each(int ms)
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

void alarm_off(void)
{
    int before = errno;

    timer_delete(alarm_timer);
    errno = before;
}
