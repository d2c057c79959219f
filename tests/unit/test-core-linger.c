/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What was answered for is delivered after a CLOSE, too: for half a minute,
 * and for so many VFDs. The clock is the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "ask.h"
#include "fds.h"
#include "own_clock.h"
#include "socket.h"

#define LINGERING 256u
#define PIPE_BYTES 65536u
#define REST 100u
#define FIRST 10u /* id of the first pipe */

static unsigned int n_vfds(struct core_rig *rig)
{
    struct vwl_stats stats = { 0 };

    vwl_core_stats(rig->core, &stats);
    return (unsigned int)stats.vfds;
}

/* A pipe that is full, more than that in its outbox, and closed; what the host
 * peer has of it. */
static int closed_pipe(struct core_rig *rig, int compositor, uint32_t id)
{
    g_autofree uint8_t *bytes = g_malloc0(PIPE_BYTES + REST);
    unsigned int n_fds;
    int fds[253];
    char byte;

    memset(bytes + PIPE_BYTES, 'r', REST);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, id, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, &byte, 1, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 1);
    g_assert_cmpint(fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES), ==, PIPE_BYTES);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, bytes, PIPE_BYTES + REST), ==,
                    RESP_OK);
    g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    return fds[0];
}

/* All that comes until the end of it; closes. */
static size_t drain(struct core_rig *rig, int fd)
{
    uint8_t bytes[4096];
    size_t total = 0;
    ssize_t n;

    g_assert_cmpint(fcntl(fd, F_SETFL, O_NONBLOCK), ==, 0);
    while ((n = read(fd, bytes, sizeof bytes)) != 0) {
        if (n < 0) {
            g_assert_cmpint(errno, ==, EAGAIN);
            g_assert_true(is_readable(vwl_core_out_fd(rig->core)));
            vwl_core_dispatch_out(rig->core);
            continue;
        }
        total += (size_t)n;
    }
    close(fd);
    return total;
}

static void test_time(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    int early = closed_pipe(rig, compositor, FIRST), late;

    g_assert_cmpuint(n_vfds(rig), ==, 2);
    own_clock_advance(rig, 20000);
    late = closed_pipe(rig, compositor, FIRST); /* the id is free */
    g_assert_cmpuint(n_vfds(rig), ==, 3);
    own_clock_advance(rig, 9999);
    g_assert_cmpuint(n_vfds(rig), ==, 3);
    own_clock_advance(rig, 2);
    g_assert_cmpuint(n_vfds(rig), ==, 2);
    g_assert_cmpuint(drain(rig, early), ==, PIPE_BYTES);
    g_assert_cmpuint(drain(rig, late), ==, PIPE_BYTES + REST);
    g_assert_cmpuint(n_vfds(rig), ==, 1);
    close(compositor);
    core_rig_free(rig);
}

/* One more: the oldest one ends. */
static void test_number(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fds[LINGERING + 1];

    for (unsigned int i = 0; i < LINGERING; i++) {
        fds[i] = closed_pipe(rig, compositor, FIRST + i);
    }
    g_assert_cmpuint(n_vfds(rig), ==, 1 + LINGERING);
    fds[LINGERING] = closed_pipe(rig, compositor, FIRST + LINGERING);
    g_assert_cmpuint(n_vfds(rig), ==, 1 + LINGERING);
    g_assert_cmpuint(drain(rig, fds[0]), ==, PIPE_BYTES);
    for (unsigned int i = 1; i <= LINGERING; i++) {
        g_assert_cmpuint(drain(rig, fds[i]), ==, PIPE_BYTES + REST);
    }
    g_assert_cmpuint(n_vfds(rig), ==, 1);
    close(compositor);
    core_rig_free(rig);
}

/* A reset does not wait. */
static void test_reset(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    int fd = closed_pipe(rig, compositor, FIRST);

    vwl_core_reset(rig->core, false);
    g_assert_cmpuint(n_vfds(rig), ==, 0);
    g_assert_cmpuint(drain(rig, fd), ==, PIPE_BYTES);
    own_clock_advance(rig, 60000);
    close(compositor);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/linger/time", test_time);
    g_test_add_func("/core/linger/number", test_number);
    g_test_add_func("/core/linger/reset", test_reset);
    return g_test_run();
}
