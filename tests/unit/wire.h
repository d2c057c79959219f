/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For the tests of the vhost-user layer: bytes as hexadecimal text, sent and
 * expected literally over a socketpair, with descriptors.
 */
#ifndef TESTS_UNIT_WIRE_H
#define TESTS_UNIT_WIRE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static inline unsigned int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int n = 0;

    while (readdir(dir)) {
        n++;
    }
    closedir(dir);
    return n;
}

static inline GByteArray *unhex(const char *text)
{
    GByteArray *bytes = g_byte_array_new();

    for (const char *p = text; *p; p++) {
        if (*p != ' ') {
            guint8 b = (guint8)(g_ascii_xdigit_value(p[0]) << 4 |
                                g_ascii_xdigit_value(p[1]));

            g_assert_true(g_ascii_isxdigit(p[0]) && g_ascii_isxdigit(p[1]));
            g_byte_array_append(bytes, &b, 1);
            p++;
        }
    }
    return bytes;
}

static inline char *tohex(const void *data, size_t len)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(text, "%02x", ((const guint8 *)data)[i]);
    }
    return g_string_free(text, FALSE);
}

static inline void send_bytes(int sock, const void *data, size_t len,
                              const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(64 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (void *)data, len };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds) {
        struct cmsghdr *c = &control.align;

        hdr.msg_control = &control;
        hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    g_assert_cmpint(sendmsg(sock, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT), ==,
                    (gssize)len);
}

static inline void send_hex(int sock, const char *text, const int *fds,
                            size_t n_fds)
{
    GByteArray *bytes = unhex(text);

    send_bytes(sock, bytes->data, bytes->len, fds, n_fds);
    g_byte_array_unref(bytes);
}

/* What is there, at most len bytes; -1 when nothing is, 0 at the end. */
static inline gssize take_bytes(int sock, void *data, size_t len, int *fd)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec iov = { data, len };
    struct msghdr hdr = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    gssize n = recvmsg(sock, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&hdr) : NULL;

    *fd = -1;
    if (c) {
        g_assert_cmpint(c->cmsg_type, ==, SCM_RIGHTS);
        g_assert_cmpuint(c->cmsg_len, ==, CMSG_LEN(sizeof(int)));
        memcpy(fd, CMSG_DATA(c), sizeof *fd);
    }
    return n;
}

/* Exactly these bytes come next; the descriptor that came with them, or -1. */
static inline int expect_hex(int sock, const char *text)
{
    GByteArray *bytes = unhex(text);
    guint8 got[8192];
    char *want = tohex(bytes->data, bytes->len);
    char *have;
    size_t n = 0;
    int fd = -1, more;

    while (n < bytes->len) {
        gssize r = take_bytes(sock, got + n, bytes->len - n, &more);

        if (r <= 0) {
            break;
        }
        if (more >= 0) {
            g_assert_cmpuint(n, ==, 0);
            fd = more;
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

static inline void expect_silence(int sock)
{
    guint8 byte;
    gssize n = recv(sock, &byte, 1, MSG_DONTWAIT | MSG_PEEK);

    g_assert_cmpint(n, ==, -1);
    g_assert_cmpint(errno, ==, EAGAIN);
}

static inline void expect_end(int sock)
{
    guint8 byte;

    g_assert_cmpint(recv(sock, &byte, 1, MSG_DONTWAIT), ==, 0);
}

static inline bool same_file(int a, int b)
{
    struct stat x, y;

    g_assert_cmpint(fstat(a, &x), ==, 0);
    g_assert_cmpint(fstat(b, &y), ==, 0);
    return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static inline int make_memfd(size_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    return fd;
}

static inline void make_pair(int pair[2])
{
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                    ==, 0);
}

#endif
