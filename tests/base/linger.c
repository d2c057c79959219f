/* SPDX-License-Identifier: BSD-3-Clause */
#include "linger.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glib.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket.h"
#include "valgrind.h"

static int connected(int *other)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t len = sizeof in;
    int small = 2048, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    g_assert_cmpint(bind(listener, (struct sockaddr *)&in, len), ==, 0);
    getsockname(listener, (struct sockaddr *)&in, &len);
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    g_assert_cmpint(listen(listener, 1), ==, 0);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&in, len), ==, 0);
    *other = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(*other, >=, 0);
    close(listener);
    return fd;
}

bool linger_is_possible(void)
{
    if (is_on_valgrind()) {
        g_test_skip("valgrind lets no other thread run during a close");
        return false;
    }
    return true;
}

void linger_make(struct linger_pair *pair)
{
    struct linger linger = { 1, LINGER_S };
    char junk[65536] = { 0 };

    pair->fd = connected(&pair->other);
    while (send(pair->fd, junk, sizeof junk, MSG_DONTWAIT) > 0) {
    }
    g_assert_cmpint(setsockopt(pair->fd, SOL_SOCKET, SO_LINGER, &linger,
                               sizeof linger),
                    ==, 0);
}

void linger_hand_over(struct linger_pair *pair, int to, const char *bytes)
{
    socket_send(to, bytes, strlen(bytes), &pair->fd, 1);
    close(pair->fd); /* not the last one: this does not wait */
    pair->fd = -1;
}

bool linger_closes(void)
{
    GDir *dir = g_dir_open("/proc/self/task", 0, NULL);
    const char *task;
    bool found = false;

    while (!found && (task = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename("/proc/self/task", task,
                                                 "comm", NULL);
        g_autofree char *name = NULL;

        found = g_file_get_contents(path, &name, NULL, NULL) &&
                strcmp(name, "vwl-closer\n") == 0;
    }
    g_dir_close(dir);
    return found;
}

void linger_expect(void)
{
    for (unsigned int i = 0; i < 60000 && !linger_closes(); i++) {
        g_usleep(1000);
    }
    g_assert_true(linger_closes());
}

void linger_end(struct linger_pair *pairs, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        close(pairs[i].other);
    }
    while (linger_closes()) {
        g_usleep(1000);
    }
}
