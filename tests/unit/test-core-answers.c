/* SPDX-License-Identifier: BSD-3-Clause */
/* Who answers at once is read without asking epoll, and nobody else waits for
 * ever because of it. */
#include <glib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "socket.h"

static unsigned int n_asked;

/* In place of libc's, for the core under test. */
int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
    n_asked++;
    return (int)syscall(SYS_epoll_pwait, epfd, events, max, timeout_ms, NULL,
                        (size_t)8);
}

static void echo(int fd)
{
    char data[8];
    ssize_t n = read(fd, data, sizeof data);

    g_assert_cmpint(n, >, 0);
    socket_send(fd, data, (size_t)n, NULL, 0);
}

static void ping(struct core_rig *rig, uint32_t id, int peer)
{
    size_t len;

    g_assert_cmphex(ask_send(rig, id, NULL, 0, "ping", 4), ==, RESP_OK);
    echo(peer);
    g_assert_cmpmem(expect_recv(rig, id, 0, &len), 4, "ping", 4);
}

static void test_pings(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1);

    ping(rig, 1, peer);
    ping(rig, 1, peer);
    n_asked = 0;
    for (unsigned int i = 0; i < 1000; i++) {
        ping(rig, 1, peer);
    }
    g_assert_cmpuint(n_asked, <, 50);
    g_assert_cmpint(next_message(rig), ==, 0);
    close(peer);
    expect_hup(rig, 1);
    core_rig_free(rig);
}

/* One that answers and answers, one that waits for its turn. */
static void test_turns(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int first = open_ctx(rig, 1), second = open_ctx(rig, 2);
    unsigned int rounds = 0;
    uint32_t id;

    ping(rig, 1, first);
    ping(rig, 1, first);
    socket_send(second, "hello", 5, NULL, 0);
    do {
        g_assert_cmphex(ask_send(rig, 1, NULL, 0, "ping", 4), ==, RESP_OK);
        echo(first);
        g_assert_cmpint(next_message(rig), >, 16);
        id = get32(rig->message + 8);
        rounds++;
    } while (id == 1 && rounds < 1000);
    g_assert_cmpuint(id, ==, 2);
    g_assert_cmpuint(rounds, <, 100);
    while (next_message(rig) > 0) {
    }
    close(first);
    close(second);
    while (next_message(rig) > 0) {
    }
    core_rig_free(rig);
}

/* One that speaks and speaks, unasked: epoll is asked for some of it alone, and
 * for the other one soon. */
static void test_again(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int first = open_ctx(rig, 1), second = open_ctx(rig, 2);
    unsigned int rounds = 0;
    size_t len;
    uint32_t id;

    for (unsigned int i = 0; i < 103; i++) {
        n_asked = i == 3 ? 0 : n_asked;
        socket_send(first, "more", 4, NULL, 0);
        g_assert_cmpmem(expect_recv(rig, 1, 0, &len), 4, "more", 4);
    }
    g_assert_cmpuint(n_asked, <=, 35);
    socket_send(second, "hello", 5, NULL, 0);
    do {
        socket_send(first, "more", 4, NULL, 0);
        g_assert_cmpint(next_message(rig), >, 16);
        id = get32(rig->message + 8);
        rounds++;
    } while (id == 1 && rounds < 100);
    g_assert_cmpuint(id, ==, 2);
    g_assert_cmpuint(rounds, <=, 8);
    while (next_message(rig) > 0) {
    }
    /* and what goes is not looked for */
    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    socket_send(second, "b", 1, NULL, 0);
    g_assert_cmpmem(expect_recv(rig, 2, 0, &len), 1, "b", 1);
    close(first);
    close(second);
    expect_hup(rig, 2);
    core_rig_free(rig);
}

/* Sent something, and closed before anybody looked. */
static void test_closed(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int first = open_ctx(rig, 1), second = open_ctx(rig, 2);
    size_t len;

    ping(rig, 1, first);
    ping(rig, 1, first);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "ping", 4), ==, RESP_OK);
    echo(first);
    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    socket_send(second, "b", 1, NULL, 0);
    g_assert_cmpmem(expect_recv(rig, 2, 0, &len), 1, "b", 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    close(first);
    close(second);
    expect_hup(rig, 2);
    core_rig_free(rig);
}

/* A wrong guess costs nobody a message. */
static void test_silent(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int first = open_ctx(rig, 1), second = open_ctx(rig, 2);
    size_t len;

    ping(rig, 1, first);
    ping(rig, 1, first);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "ping", 4), ==, RESP_OK);
    socket_send(second, "b", 1, NULL, 0);
    g_assert_cmpmem(expect_recv(rig, 2, 0, &len), 1, "b", 1);
    echo(first);
    g_assert_cmpmem(expect_recv(rig, 1, 0, &len), 4, "ping", 4);
    g_assert_cmpint(next_message(rig), ==, 0);
    close(first);
    close(second);
    while (next_message(rig) > 0) {
    }
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/answers/pings", test_pings);
    g_test_add_func("/core/answers/turns", test_turns);
    g_test_add_func("/core/answers/again", test_again);
    g_test_add_func("/core/answers/closed", test_closed);
    g_test_add_func("/core/answers/silent", test_silent);
    return g_test_run();
}
