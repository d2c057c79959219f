/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors that come over a socket: none is lost, none stays. */
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/closer.h"
#include "base/fd.h"

static unsigned int count_open(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned int n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
}

static void tell(int to, const void *bytes, size_t len, unsigned int n_fds)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(VWL_FDS_MAX * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (void *)(uintptr_t)bytes, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (unsigned int i = 0; i < n_fds; i++) {
            memcpy(CMSG_DATA(&control.head) + i * sizeof(int), &to,
                   sizeof(int));
        }
    }
    g_assert_cmpint(sendmsg(to, &msg, 0), ==, (ssize_t)len);
}

static void test_receive(void)
{
    static const unsigned int counts[] = { 0, 1, 2, 3, VWL_FDS_MAX };
    int sv[2], fds[VWL_FDS_MAX];
    unsigned int n_fds = 9, before;
    char bytes[8];
    struct iovec iov = { bytes, sizeof bytes };
    bool lost = true;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    before = count_open();
    g_assert_cmpint(vwl_fds_receive(sv[0], 0, &iov, 1, fds, &n_fds, &lost), ==,
                    -EAGAIN);
    g_assert_cmpuint(n_fds, ==, 0);
    g_assert_false(lost);
    for (unsigned int i = 0; i < G_N_ELEMENTS(counts); i++) {
        tell(sv[1], "abc", 3, counts[i]);
        g_assert_cmpint(vwl_fds_receive(sv[0], 0, &iov, 1, fds, &n_fds, &lost),
                        ==, 3);
        g_assert_cmpuint(n_fds, ==, counts[i]);
        g_assert_false(lost);
        g_assert_cmpuint(count_open(), ==, before + n_fds);
        for (unsigned int j = 0; j < n_fds; j++) {
            g_assert_cmpint(fcntl(fds[j], F_GETFD) & FD_CLOEXEC, !=, 0);
        }
        vwl_fds_clear(fds, n_fds);
    }
    close(sv[1]);
    g_assert_cmpint(vwl_fds_receive(sv[0], 0, &iov, 1, fds, &n_fds, &lost), ==,
                    0);
    close(sv[0]);
}

static void test_answer(void)
{
    static const struct {
        int32_t status;
        unsigned int n_fds;
        size_t len;
        int want;
    } cases[] = {
        { 0, 1, 4, 0 },
        { 0, 0, 4, -EPROTO },
        { 0, 2, 4, -EPROTO },
        { 0, 1, 3, -EPROTO },
        { 1, 0, 4, -EPROTO },
        { -ENOENT, 0, 4, -ENOENT },
        { -ENOENT, 1, 4, -ENOENT },
        { -EAGAIN, 0, 4, -EAGAIN },
        { -EINPROGRESS, 0, 4, -EPROTO },
        { -4096, 0, 4, -EPROTO },
        { INT32_MIN, 0, 4, -EPROTO },
    };
    struct vwl_closer *closer = vwl_closer_create();
    int sv[2], fd = -1;
    unsigned int before;

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv),
                    ==, 0);
    before = count_open();
    g_assert_cmpint(vwl_fd_take_answer(sv[0], &fd, closer), ==, -EINPROGRESS);
    for (unsigned int i = 0; i < G_N_ELEMENTS(cases); i++) {
        tell(sv[1], &cases[i].status, cases[i].len, cases[i].n_fds);
        g_assert_cmpint(vwl_fd_take_answer(sv[0], &fd, closer), ==,
                        cases[i].want);
        g_assert_true((fd >= 0) == (cases[i].want == 0));
        vwl_fd_clear(&fd);
        while (count_open() != before) {
            g_usleep(1000); /* a thread closes those that came with no answer */
        }
    }
    close(sv[1]);
    g_assert_cmpint(vwl_fd_take_answer(sv[0], &fd, closer), ==, -ECONNREFUSED);
    close(sv[0]);
    vwl_closer_destroy(closer);
}

/* Until what is known of the limit is what it is. */
static bool has_room_in_the_end(int fd)
{
    bool has_room = false;

    for (unsigned int i = 0; i < 1000; i++) {
        has_room = vwl_fd_has_room(fd);
    }
    return has_room;
}

/* Wherever they lie, there is room for a message full of them, or it is said
 * that there is none. */
static void test_room(void)
{
    int limit = 1000, high = limit - VWL_FD_RESERVE - VWL_FDS_MAX, fd, at;
    unsigned int before = count_open();
    struct rlimit old, now;

    getrlimit(RLIMIT_NOFILE, &old);
    now = old;
    now.rlim_cur = (rlim_t)limit;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &now), ==, 0);
    fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g_assert_true(has_room_in_the_end(fd));
    at = fcntl(fd, F_DUPFD_CLOEXEC, high - 1);
    g_assert_cmpint(vwl_fd_admit(at), ==, 0);
    g_assert_true(vwl_fd_has_room(fd));
    close(at);
    at = fcntl(fd, F_DUPFD_CLOEXEC, high);
    g_assert_cmpint(vwl_fd_admit(at), ==, 0);
    g_assert_false(vwl_fd_has_room(fd));
    g_assert_false(has_room_in_the_end(fd));
    close(at);
    g_assert_true(has_room_in_the_end(fd));
    at = fcntl(fd, F_DUPFD_CLOEXEC, limit - VWL_FD_RESERVE);
    g_assert_cmpint(vwl_fd_admit(at), ==, -EMFILE);
    g_assert_false(vwl_fd_has_room(fd));
    close(at);
    g_assert_true(has_room_in_the_end(fd));
    now.rlim_cur = VWL_FDS_MAX;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &now), ==, 0);
    g_assert_false(has_room_in_the_end(fd));
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
    g_assert_true(has_room_in_the_end(fd));
    close(fd);
    g_assert_cmpuint(count_open(), ==, before);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fd/receive", test_receive);
    g_test_add_func("/fd/answer", test_answer);
    g_test_add_func("/fd/room", test_room);
    return g_test_run();
}
