/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Contexts that the host connects: its answer comes later, is a refusal, is
 * nonsense, or never comes; nothing else waits for it.
 */
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "socket.h"
#include "wl/state.h"

static struct asked *begin(struct core_rig *rig, uint32_t id)
{
    struct asked *asked;
    uint8_t bytes[64];

    fill_new(bytes, CMD_VFD_NEW_CTX, id, VFD_READ_WRITE, 0);
    asked = ask_init(bytes, sizeof bytes, 64);
    rig->connect_fd = -1;
    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    return asked;
}

static struct core_rig *rig_that_connects(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);

    rig->connects = true;
    return rig;
}

static void run(struct core_rig *rig, unsigned int n)
{
    while (rig->completed->len < n) {
        struct pollfd p = { vwl_core_out_fd(rig->core), POLLIN, 0 };

        g_assert_cmpint(poll(&p, 1, 30000), ==, 1);
        vwl_core_dispatch_out(rig->core);
    }
}

static void answer(struct core_rig *rig, const void *bytes, size_t len,
                   const int *fds, unsigned int n_fds)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(2 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { (void *)(uintptr_t)bytes, len };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
    }
    g_assert_cmpint(sendmsg(rig->connect_fd, &msg, 0), ==, (ssize_t)len);
}

static void hang_up(struct core_rig *rig)
{
    close(rig->connect_fd);
    rig->connect_fd = -1;
}

static void expect(struct asked *asked, uint32_t type)
{
    g_assert_cmphex(get32(asked->request.response), ==, type);
    asked_free(asked);
}

static void test_answered(void)
{
    struct core_rig *rig = rig_that_connects();
    struct asked *asked = begin(rig, 1);
    int sv[2];
    char bytes[4];

    g_assert_cmpuint(rig->connect_index, ==, 0);
    /* others go on, and the id is taken */
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, 1, VFD_READ_WRITE, 0), ==,
                    RESP_INVALID_ID);
    g_assert_cmpuint(rig->completed->len, ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    answer(rig, "\0\0\0\0", 4, &sv[0], 1);
    close(sv[0]);
    hang_up(rig);
    run(rig, 1);
    expect(asked, RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "ping", 4), ==, RESP_OK);
    g_assert_cmpint(read(sv[1], bytes, 4), ==, 4);
    g_assert_cmpmem(bytes, 4, "ping", 4);
    close(sv[1]);
    core_rig_free(rig);
}

static void test_refused(void)
{
    struct core_rig *rig = rig_that_connects();
    const int twice[2] = { rig->listener, rig->listener };
    const int enoent = -ENOENT;
    struct asked *asked;
    unsigned int n = 0;

    /* an error, the end, no socket, two of them, too short */
    for (int how = 0; how < 5; how++) {
        asked = begin(rig, 1);
        if (how == 0) {
            answer(rig, &enoent, 4, NULL, 0);
        } else if (how >= 2) {
            answer(rig, "\0\0\0\0", how == 4 ? 3 : 4, twice,
                   (unsigned int[]){ 0, 2, 1 }[how - 2]);
        }
        hang_up(rig);
        run(rig, ++n);
        expect(asked, RESP_ERR);
        g_assert_false(vwl_core_has_more(rig->core));
    }
    g_assert_nonnull(strstr(g_ptr_array_index(rig->lines, 0), "No such file"));
    /* it says no at once */
    rig->connect_err = -EPIPE;
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, 1, VFD_READ_WRITE, 0), ==,
                    RESP_ERR);
    core_rig_free(rig);
}

/* A full backlog of the socket, and of the host itself: it is asked again. */
static void test_again(void)
{
    struct core_rig *rig = rig_that_connects();
    const int again = -EAGAIN;
    struct asked *asked = begin(rig, 1);
    int sv[2];

    answer(rig, &again, 4, NULL, 0);
    hang_up(rig);
    rig->connect_err = -EAGAIN;
    while (rig->n_connects < 3 || rig->connect_err) {
        struct pollfd p = { vwl_core_out_fd(rig->core), POLLIN, 0 };

        g_assert_cmpint(poll(&p, 1, 30000), ==, 1);
        if (rig->n_connects == 2) {
            rig->connect_err = 0;
        }
        vwl_core_dispatch_out(rig->core);
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    answer(rig, "\0\0\0\0", 4, &sv[0], 1);
    hang_up(rig);
    run(rig, 1);
    expect(asked, RESP_VFD_NEW);
    close(sv[0]);
    close(sv[1]);
    core_rig_free(rig);
}

/* It waits for something. */
static struct asked *later(struct core_rig *rig, struct asked *asked)
{
    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    return asked;
}

/* A driver may say all of this in one breath: it is done in that order, with
 * whatever else may not overtake it. */
static void test_in_order(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int other = open_ctx(rig, 9), sv[2], fds[28];
    struct asked *asked[7];
    const uint32_t two = 2, one = 1;
    unsigned int n_fds;
    char bytes[16];

    rig->connects = true;
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    asked[0] = begin(rig, 1);
    asked[1] = later(rig, send_init(1, &two, 1, "one", 3));
    asked[2] = later(rig, close_init(2)); /* which that carries */
    asked[3] = later(rig, send_init(9, &one, 1, "carry", 5));
    asked[4] = later(rig, send_init(9, NULL, 0, "after", 5));
    asked[5] = later(rig, close_init(1));
    asked[6] = later(rig, send_init(1, NULL, 0, "gone", 4));
    /* nobody else waits */
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 3, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_close(rig, 3), ==, RESP_OK);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    answer(rig, "\0\0\0\0", 4, &sv[0], 1);
    close(sv[0]);
    hang_up(rig);
    run(rig, 7);
    for (int i = 0; i < 7; i++) {
        g_assert_true(rig->completed->pdata[i] == &asked[i]->request);
        expect(asked[i], i == 0   ? RESP_VFD_NEW
                         : i == 6 ? RESP_INVALID_ID
                                  : RESP_OK);
    }
    g_assert_cmpint(socket_receive(sv[1], bytes, 16, fds, &n_fds), ==, 3);
    g_assert_cmpuint(n_fds, ==, 1);
    close(fds[0]);
    g_assert_cmpint(socket_receive(sv[1], bytes, 16, fds, &n_fds), ==, 0);
    g_assert_cmpint(socket_receive(other, bytes, 16, fds, &n_fds), ==, 5);
    g_assert_cmpmem(bytes, 5, "carry", 5);
    g_assert_cmpuint(n_fds, ==, 1);
    close(fds[0]);
    g_assert_cmpint(socket_receive(other, bytes, 16, fds, &n_fds), ==, 5);
    g_assert_cmpmem(bytes, 5, "after", 5);
    close(other);
    close(sv[1]);
    core_rig_free(rig);
}

static void test_never(void)
{
    struct core_rig *rig = rig_that_connects();
    struct asked *asked = begin(rig, 1), *more;
    int kept = rig->connect_fd;
    char byte;

    run(rig, 1);
    expect(asked, RESP_ERR);
    g_assert_cmpint(read(kept, &byte, 1), ==, 0); /* given up */
    close(kept);

    /* what names it is answered as if it came afterwards */
    asked = begin(rig, 1);
    kept = rig->connect_fd;
    more = later(rig, close_init(1));
    run(rig, 3);
    expect(asked, RESP_ERR);
    expect(more, RESP_INVALID_ID);
    close(kept);

    /* the guest is reset */
    asked = begin(rig, 1);
    kept = rig->connect_fd;
    more = later(rig, close_init(1));
    vwl_core_reset(rig->core, false);
    g_assert_cmpint(read(kept, &byte, 1), ==, 0);
    close(kept);
    g_assert_cmpuint(rig->completed->len, ==, 3);
    g_assert_cmpuint(rig->core->n_creating, ==, 0);
    asked_free(asked);
    asked_free(more);
    core_rig_free(rig);
}

/* ---- a host that is asked again on the same pair ------------------------- */

static struct core_rig *rig_that_keeps(void)
{
    struct core_rig *rig = rig_that_connects();

    rig->core->config.asks_again = true;
    return rig;
}

/* Its answer to what was asked, and that it arrived. */
static void connected(struct core_rig *rig, struct asked *asked, int channel)
{
    int sv[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    rig->connect_fd = channel;
    answer(rig, "\0\0\0\0", 4, &sv[0], 1);
    run(rig, rig->completed->len + 1);
    expect(asked, RESP_VFD_NEW);
    close(sv[0]);
    close(sv[1]);
}

static void test_kept(void)
{
    struct core_rig *rig = rig_that_keeps();
    struct asked *asked = begin(rig, 1), *more;
    int first = rig->connect_fd, second;

    connected(rig, asked, first);
    /* one more question on the same pair, and two at once on two */
    asked = begin(rig, 2);
    g_assert_cmpuint(rig->n_agains, ==, 1);
    more = begin(rig, 3);
    second = rig->connect_fd;
    g_assert_cmpuint(rig->n_connects, ==, 2);
    connected(rig, more, second);
    connected(rig, asked, first);
    /* closing a context that waits takes the pair away that would answer it */
    asked = begin(rig, 4);
    more = begin(rig, 5);
    g_assert_cmpuint(rig->n_agains, ==, 3);
    g_assert_cmpuint(rig->n_connects, ==, 2);
    vwl_core_reset(rig->core, false);
    asked_free(asked);
    asked_free(more);
    asked = begin(rig, 6);
    g_assert_cmpuint(rig->n_connects, ==, 3);
    close(first);
    close(second);
    connected(rig, asked, rig->connect_fd);
    close(rig->connect_fd);
    core_rig_free(rig);
}

/* The core's events, until nothing is left of them. */
static void settle(struct core_rig *rig)
{
    struct pollfd p = { vwl_core_out_fd(rig->core), POLLIN, 0 };

    while (poll(&p, 1, 0) == 1) {
        vwl_core_dispatch_out(rig->core);
    }
}

static void is_closed(int channel)
{
    char byte;

    g_assert_cmpint(read(channel, &byte, 1), ==, 0);
    close(channel);
}

/* After its end, words that nobody asked for, a refusal, or a host that cannot,
 * the next question has a pair of its own. */
static void test_not_kept(void)
{
    struct core_rig *rig = rig_that_keeps();
    const int enoent = -ENOENT;
    struct asked *asked = begin(rig, 1);
    int channel = rig->connect_fd;

    connected(rig, asked, channel);
    close(channel);
    settle(rig);

    asked = begin(rig, 2);
    g_assert_cmpuint(rig->n_connects, ==, 2);
    channel = rig->connect_fd;
    connected(rig, asked, channel);
    answer(rig, "\0\0\0\0", 4, &rig->listener, 1);
    settle(rig);
    is_closed(channel);

    asked = begin(rig, 3);
    g_assert_cmpuint(rig->n_connects, ==, 3);
    channel = rig->connect_fd;
    answer(rig, &enoent, 4, NULL, 0);
    run(rig, rig->completed->len + 1);
    expect(asked, RESP_ERR);
    is_closed(channel);

    asked = begin(rig, 4);
    channel = rig->connect_fd;
    connected(rig, asked, channel);
    g_assert_cmpuint(rig->n_connects, ==, 4);
    g_assert_cmpuint(rig->n_agains, ==, 0);
    rig->again_err = -EPIPE;
    asked = begin(rig, 5);
    is_closed(channel);
    g_assert_cmpuint(rig->n_connects, ==, 5);
    g_assert_cmpuint(rig->n_agains, ==, 1);
    channel = rig->connect_fd;
    connected(rig, asked, channel);
    close(channel);
    core_rig_free(rig);
}

/* The host has it at once: nobody is asked. What it cannot open, somebody else
 * is asked for, or the path. */
static void test_at_once(void)
{
    struct core_rig *rig = rig_that_connects();
    struct asked *asked;
    char bytes[4];
    int sv[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    rig->open_fd = sv[0];
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, 1, VFD_READ_WRITE, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmpuint(rig->n_opens, ==, 1);
    g_assert_cmpuint(rig->n_connects, ==, 0);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "once", 4), ==, RESP_OK);
    g_assert_cmpint(read(sv[1], bytes, 4), ==, 4);
    rig->open_err = -EACCES;
    asked = begin(rig, 2);
    g_assert_cmpuint(rig->n_opens, ==, 2);
    g_assert_cmpuint(rig->n_connects, ==, 1);
    hang_up(rig);
    run(rig, 1);
    expect(asked, RESP_ERR);
    rig->connects = false;
    close(open_ctx(rig, 3));
    g_assert_cmpuint(rig->n_opens, ==, 3);
    close(sv[1]);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/connect/at-once", test_at_once);
    g_test_add_func("/core/connect/answered", test_answered);
    g_test_add_func("/core/connect/refused", test_refused);
    g_test_add_func("/core/connect/again", test_again);
    g_test_add_func("/core/connect/in-order", test_in_order);
    g_test_add_func("/core/connect/never", test_never);
    g_test_add_func("/core/connect/kept", test_kept);
    g_test_add_func("/core/connect/not-kept", test_not_kept);
    return g_test_run();
}
