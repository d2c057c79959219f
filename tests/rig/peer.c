/* SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void address(const char *path, struct sockaddr_un *addr)
{
    *addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
    g_assert_cmpuint(strlen(path), <, sizeof addr->sun_path);
    strcpy(addr->sun_path, path);
}

void peer_init(struct peer *peer, const char *path, int backlog)
{
    struct sockaddr_un addr;

    address(path, &addr);
    peer->path = g_strdup(path);
    peer->fillers = g_array_new(FALSE, FALSE, sizeof(int));
    peer->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                            0);
    g_assert_cmpint(bind(peer->listener, (struct sockaddr *)&addr, sizeof addr),
                    ==, 0);
    g_assert_cmpint(listen(peer->listener, backlog), ==, 0);
}

void peer_finish(struct peer *peer)
{
    for (guint i = 0; i < peer->fillers->len; i++) {
        close(g_array_index(peer->fillers, int, i));
    }
    g_array_unref(peer->fillers);
    close(peer->listener);
    unlink(peer->path);
    g_free(peer->path);
}

int peer_accept(struct peer *peer)
{
    int fd = accept4(peer->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

void peer_fill_backlog(struct peer *peer)
{
    struct sockaddr_un addr;

    address(peer->path, &addr);
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        g_assert_cmpint(fd, >=, 0);
        if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
            g_assert_cmpint(errno, ==, EAGAIN);
            close(fd);
            return;
        }
        g_array_append_val(peer->fillers, fd);
    }
}

void peer_drain_backlog(struct peer *peer)
{
    for (guint i = 0; i < peer->fillers->len; i++) {
        int fd = peer_accept(peer);

        close(g_array_index(peer->fillers, int, i));
        if (fd >= 0) {
            close(fd);
        }
    }
    g_array_set_size(peer->fillers, 0);
}

ssize_t peer_send(int fd, const void *data, size_t len, const int *fds,
                  unsigned int n_fds)
{
    union {
        char space[CMSG_SPACE(sizeof(int) * PEER_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct iovec iov = { (void *)(uintptr_t)data, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    g_assert_cmpuint(n_fds, <=, PEER_MAX_FDS);
    if (n_fds != 0) {
        memset(&control, 0, sizeof control);
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(&control.align), fds, sizeof(int) * n_fds);
    }
    n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n < 0 ? -errno : n;
}

ssize_t peer_recv(int fd, void *data, size_t cap, int *fds, unsigned int *n_fds)
{
    union {
        char space[CMSG_SPACE(sizeof(int) * PEER_MAX_FDS)];
        struct cmsghdr align;
    } control;
    struct iovec iov = { data, cap };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    unsigned int room = n_fds != NULL ? *n_fds : 0, n = 0;
    ssize_t got = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (got < 0) {
        return errno == ECONNRESET ? 0 : -errno;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL;
         c = CMSG_NXTHDR(&msg, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        for (size_t i = 0; c->cmsg_type == SCM_RIGHTS && i < count; i++) {
            int received;

            memcpy(&received, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            if (fds != NULL && n < room) {
                fds[n] = received;
            } else {
                close(received);
            }
            n++;
        }
    }
    if (n_fds != NULL) {
        *n_fds = n;
    }
    return got;
}

size_t peer_fill(int fd)
{
    static const char junk[4096];
    size_t total = 0;
    ssize_t n;

    while ((n = peer_send(fd, junk, sizeof junk, NULL, 0)) > 0) {
        total += (size_t)n;
    }
    g_assert_cmpint(n, ==, -EAGAIN);
    return total;
}
