/* SPDX-License-Identifier: BSD-3-Clause */
#include "socket.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "bytes.h"

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(SOCKET_MAX_FDS * sizeof(int))];
};

void socket_send(int sock, const void *data, size_t len, const int *fds,
                 size_t n_fds)
{
    union control control;
    struct iovec iov = { (void *)(uintptr_t)data, len };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds) {
        struct cmsghdr *c = &control.align;

        memset(&control, 0, sizeof control);
        hdr.msg_control = &control;
        hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    g_assert_cmpint(sendmsg(sock, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT), ==,
                    (ssize_t)len);
}

ssize_t socket_receive(int sock, void *data, size_t len, int *fds,
                       unsigned int *n_fds)
{
    union control control;
    struct iovec iov = { data, len };
    struct msghdr hdr = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    ssize_t n = recvmsg(sock, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&hdr) : NULL;
    size_t bytes = c ? c->cmsg_len - CMSG_LEN(0) : 0;

    if (c) {
        g_assert_cmpint(c->cmsg_type, ==, SCM_RIGHTS);
        g_assert_nonnull(fds);
        memcpy(fds, CMSG_DATA(c), bytes);
    }
    if (n_fds) {
        *n_fds = (unsigned int)(bytes / sizeof(int));
    }
    return n;
}

void send_hex(int sock, const char *text, const int *fds, size_t n_fds)
{
    GByteArray *bytes = unhex(text);

    socket_send(sock, bytes->data, bytes->len, fds, n_fds);
    g_byte_array_unref(bytes);
}

int expect_hex(int sock, const char *text)
{
    GByteArray *bytes = unhex(text);
    guint8 got[8192];
    char *want = tohex(bytes->data, bytes->len);
    char *have;
    size_t n = 0;
    int fd = -1, more[SOCKET_MAX_FDS];
    unsigned int n_more;

    while (n < bytes->len) {
        ssize_t r = socket_receive(sock, got + n, bytes->len - n, more,
                                   &n_more);

        if (r <= 0) {
            break;
        }
        if (n_more > 0) {
            g_assert_cmpuint(n_more, ==, 1);
            g_assert_cmpuint(n, ==, 0);
            fd = more[0];
        }
        n += (size_t)r;
    }
    have = tohex(got, n);
    g_assert_cmpstr(have, ==, want);
    g_free(have);
    g_free(want);
    g_byte_array_unref(bytes);
    return fd;
}

void expect_silence(int sock)
{
    guint8 byte;
    ssize_t n = recv(sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

    g_assert_cmpint(n, ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
}

void expect_end(int sock)
{
    guint8 byte;

    g_assert_cmpint(recv(sock, &byte, 1, MSG_DONTWAIT), ==, 0);
}
