/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one guest's stuck peers and many VFDs cost the others: a ping on one
 * context, undisturbed and beside a compositor that never reads and a pipe
 * that nobody drains, and beside sockets that linger when they are closed;
 * 10,000 VFDs and 500 contexts opened and closed; the
 * price of closing one VFD among 100 and among 10,000. Figures only: nothing
 * is asserted. Needs VWL_DAEMON and VWL_PLUGIN.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../story/process.h"
#include "driver.h"
#include "frontend.h"

#define PINGS 4000
#define PING_BYTES 64
#define STUCK_SENDS 24
#define STUCK_BYTES 65536
#define LINGERERS 6
#define LINGER_S 60 /* their ends are closed long before */
#define MANY_VFDS 10000
#define MANY_CONTEXTS 500

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    return values[n / 2];
}

static void must(int got, int want, const char *what)
{
    if (got != want) {
        g_printerr("%s: 0x%x instead of 0x%x\n", what, (unsigned int)got,
                   (unsigned int)want);
        exit(1);
    }
}

/* Host peers, in a process of their own: one echoes, one accepts and never
 * reads. */
static void G_GNUC_NORETURN peers(int echo, int stuck)
{
    GArray *polls = g_array_new(FALSE, FALSE, sizeof(struct pollfd));
    struct pollfd p[2] = { { echo, POLLIN, 0 }, { stuck, POLLIN, 0 } };
    char buffer[65536];

    g_array_append_vals(polls, p, 2);
    for (;;) {
        struct pollfd *all = (struct pollfd *)(void *)polls->data;

        if (poll(all, polls->len, -1) < 0) {
            _exit(0);
        }
        if (all[1].revents) {
            accept4(stuck, NULL, NULL, SOCK_CLOEXEC);
        }
        for (guint i = polls->len - 1; i >= 2; i--) {
            if (all[i].revents) {
                ssize_t n = recv(all[i].fd, buffer, sizeof buffer, 0);

                if (n <= 0) {
                    close(all[i].fd);
                    g_array_remove_index_fast(polls, i);
                } else if (send(all[i].fd, buffer, (size_t)n, MSG_NOSIGNAL) <
                           0) {
                    close(all[i].fd);
                    g_array_remove_index_fast(polls, i);
                }
                all = (struct pollfd *)(void *)polls->data;
            }
        }
        if (((struct pollfd *)(void *)polls->data)[0].revents) {
            struct pollfd more = { accept4(echo, NULL, NULL, SOCK_CLOEXEC),
                                   POLLIN, 0 };

            g_array_append_val(polls, more);
        }
    }
}

static double one_ping(struct vwl_drv *drv, uint32_t id)
{
    char data[PING_BYTES] = { 0 };
    double start = now_us();
    size_t got = 0;

    must(vwl_drv_send(drv, id, NULL, 0, data, sizeof data), VIRTIO_WL_RESP_OK,
         "ping");
    while (got < sizeof data) {
        unsigned int n_ids = 0;
        int64_t n = vwl_drv_recv(drv, id, data, sizeof data, NULL, &n_ids,
                                 10000);

        if (n <= 0) {
            must((int)n, 1, "pong");
        }
        got += (size_t)n;
    }
    return now_us() - start;
}

static double ping_median(struct vwl_drv *drv, uint32_t id)
{
    static double times[PINGS];

    for (int i = 0; i < PINGS; i++) {
        times[i] = one_ping(drv, id);
    }
    return median(times, PINGS);
}

/* Sends until the device holds requests back; how many wait. */
static unsigned int fill(struct vwl_drv *drv, uint32_t id,
                         struct vwl_drv_request **reqs, unsigned int n)
{
    static char data[STUCK_BYTES];
    unsigned int waiting = 0;

    for (unsigned int i = 0; i < n; i++) {
        reqs[i] = vwl_drv_send_async(drv, id, NULL, 0, data, sizeof data);
        if (!reqs[i]) {
            break;
        }
    }
    vwl_fe_settle(drv->fe, 50);
    vwl_drv_collect(drv);
    for (unsigned int i = 0; i < n; i++) {
        waiting += reqs[i] && !reqs[i]->done;
    }
    return waiting;
}

static void isolation(struct vwl_drv *drv)
{
    struct vwl_drv_request *on_socket[STUCK_SENDS] = { 0 };
    struct vwl_drv_request *on_pipe[STUCK_SENDS] = { 0 };
    double quiet[3], beside[3];
    const uint32_t pipe_id = 4;
    unsigned int a, b;

    must(vwl_drv_new_ctx(drv, 1, NULL), VIRTIO_WL_RESP_VFD_NEW, "context");
    ping_median(drv, 1);
    for (int i = 0; i < 3; i++) {
        quiet[i] = ping_median(drv, 1);
    }
    must(vwl_drv_new_ctx(drv, 2, "stuck"), VIRTIO_WL_RESP_VFD_NEW, "stuck");
    must(vwl_drv_new_ctx(drv, 3, "stuck"), VIRTIO_WL_RESP_VFD_NEW, "stuck");
    must(vwl_drv_new_pipe(drv, pipe_id, VIRTIO_WL_VFD_WRITE),
         VIRTIO_WL_RESP_VFD_NEW, "pipe");
    must(vwl_drv_send(drv, 3, &pipe_id, 1, "x", 1), VIRTIO_WL_RESP_OK,
         "pipe's other end");
    a = fill(drv, 2, on_socket, STUCK_SENDS);
    b = fill(drv, pipe_id, on_pipe, STUCK_SENDS);
    for (int i = 0; i < 3; i++) {
        beside[i] = ping_median(drv, 1);
    }
    printf("ping, undisturbed                 %8.2f us\n", median(quiet, 3));
    printf("ping beside stuck peers           %8.2f us   (%u + %u requests "
           "wait)\n",
           median(beside, 3), a, b);
    printf("ratio                             %8.2f\n",
           median(beside, 3) / median(quiet, 3));
    for (uint32_t id = 1; id <= 4; id++) {
        vwl_drv_close(drv, id);
    }
    vwl_fe_settle(drv->fe, 50);
    for (int i = 0; i < STUCK_SENDS; i++) {
        vwl_drv_request_free(drv, on_socket[i]);
        vwl_drv_request_free(drv, on_pipe[i]);
    }
}

/* A TCP connection whose close waits: its other end, *end, reads nothing. */
static int lingering(int *end)
{
    static char junk[65536];
    struct linger linger = { .l_onoff = 1, .l_linger = LINGER_S };
    struct sockaddr_in sin = { .sin_family = AF_INET };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof sin;

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    must(bind(listener, (struct sockaddr *)&sin, sizeof sin), 0, "bind");
    must(getsockname(listener, (struct sockaddr *)&sin, &len), 0, "name");
    must(listen(listener, 1), 0, "listen");
    must(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0, "connect");
    *end = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    close(listener);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (write(fd, junk, sizeof junk) > 0) {
    }
    fcntl(fd, F_SETFL, 0);
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0,
         "SO_LINGER");
    return fd;
}

/* The guest gets the descriptor; the id of its VFD. */
static uint32_t give(struct vwl_drv *drv, uint32_t id, int peer, int fd)
{
    char byte = 'f', control[CMSG_SPACE(sizeof fd)] = { 0 };
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof control };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    unsigned int n_ids = 1;
    uint32_t got = 0;

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    must((int)sendmsg(peer, &msg, 0), 1, "giving a descriptor");
    must((int)vwl_drv_recv(drv, id, &byte, 1, &got, &n_ids, 10000), 1,
         "getting it");
    must((int)n_ids, 1, "a descriptor");
    return got;
}

static double one_close(struct vwl_drv *drv, uint32_t id)
{
    double start = now_us();

    must(vwl_drv_close(drv, id), VIRTIO_WL_RESP_OK, "close");
    return now_us() - start;
}

/* The guest closes such sockets, and the connection in whose queue one lies. */
static void beside_lingering(struct vwl_drv *drv, int listener)
{
    int ends[LINGERERS], pair[2], peer, fd;
    double quiet, beside, closes[2][LINGERERS];
    uint32_t id;

    must(vwl_drv_new_ctx(drv, 1, NULL), VIRTIO_WL_RESP_VFD_NEW, "context");
    must(vwl_drv_new_ctx(drv, 2, "own"), VIRTIO_WL_RESP_VFD_NEW, "own");
    peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    ping_median(drv, 1);
    quiet = ping_median(drv, 1);
    for (int i = 0; i < LINGERERS; i++) {
        must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0,
             "a pair");
        id = give(drv, 2, peer, pair[0]);
        close(pair[0]);
        closes[0][i] = one_close(drv, id);
        close(pair[1]);
        fd = lingering(&ends[i]);
        id = give(drv, 2, peer, fd);
        close(fd);
        closes[1][i] = one_close(drv, id);
    }
    beside = ping_median(drv, 1);
    printf("ping beside lingering sockets     %8.2f us\n", beside);
    printf("ratio                             %8.2f\n", beside / quiet);
    printf("close a socket, one that lingers  %8.2f  %8.2f us\n",
           median(closes[0], LINGERERS), median(closes[1], LINGERERS));
    printf("ratio                             %8.2f\n",
           median(closes[1], LINGERERS) / median(closes[0], LINGERERS));
    for (int i = 0; i < LINGERERS; i++) {
        close(ends[i]);
    }
    close(peer);
    vwl_drv_close(drv, 1);
    vwl_drv_close(drv, 2);
    vwl_fe_settle(drv->fe, 50);
}

/* Medians of the time for one close among n VFDs. */
static double close_cost(struct vwl_drv *drv, uint32_t n)
{
    static double times[1000];
    GRand *random = g_rand_new_with_seed(1);
    double result;

    for (uint32_t id = 1; id <= n; id++) {
        must(vwl_drv_new(drv, id, 4096), VIRTIO_WL_RESP_VFD_NEW, "memory");
    }
    for (int i = 0; i < 1000; i++) {
        uint32_t id = (uint32_t)g_rand_int_range(random, 1, (gint)n + 1);
        double start = now_us();

        must(vwl_drv_close(drv, id), VIRTIO_WL_RESP_OK, "close");
        times[i] = now_us() - start;
        must(vwl_drv_new(drv, id, 4096), VIRTIO_WL_RESP_VFD_NEW, "memory");
    }
    result = median(times, 1000);
    g_rand_free(random);
    return result;
}

static void close_all(struct vwl_drv *drv, uint32_t n)
{
    for (uint32_t id = 1; id <= n; id++) {
        must(vwl_drv_close(drv, id), VIRTIO_WL_RESP_OK, "close");
    }
    vwl_fe_settle(drv->fe, 100);
}

static void scale(struct vwl_drv *drv, GPid daemon)
{
    double few, many;
    unsigned long start, open, end;
    unsigned int fds = process_fds(daemon);

    few = close_cost(drv, 100);
    close_all(drv, 100);
    start = process_kib(daemon, "RssAnon:");
    many = close_cost(drv, MANY_VFDS);
    open = process_kib(daemon, "RssAnon:");
    close_all(drv, MANY_VFDS);
    end = process_kib(daemon, "RssAnon:");
    printf("close one VFD of 100              %8.2f us\n", few);
    printf("close one VFD of %d            %8.2f us\n", MANY_VFDS, many);
    printf("ratio                             %8.2f\n", many / few);
    printf("%d VFDs: anonymous memory before, open, closed  %lu  %lu  "
           "%lu KiB\n",
           MANY_VFDS, start, open, end);

    start = process_kib(daemon, "RssAnon:");
    for (uint32_t id = 1; id <= MANY_CONTEXTS; id++) {
        must(vwl_drv_new_ctx(drv, id, NULL), VIRTIO_WL_RESP_VFD_NEW, "context");
    }
    open = process_kib(daemon, "RssAnon:");
    close_all(drv, MANY_CONTEXTS);
    end = process_kib(daemon, "RssAnon:");
    printf("%d contexts: anonymous memory before, open, closed  %lu  %lu  "
           "%lu KiB\n",
           MANY_CONTEXTS, start, open, end);
    printf("descriptors before, after         %u  %u\n", fds,
           process_fds(daemon));
}

int main(int argc, char **argv)
{
    char *folder = g_dir_make_tmp("vwl-bench-XXXXXX", NULL);
    char *echo = g_build_filename(folder, "echo", NULL);
    char *stuck = g_build_filename(folder, "stuck", NULL);
    char *own = g_build_filename(folder, "own", NULL);
    char *vhost = g_build_filename(folder, "vhost", NULL);
    char *a = g_strdup_printf("--socket-path=%s", vhost);
    char *b = g_strdup_printf("--wayland-sock=%s,policy=none", echo);
    char *c = g_strdup_printf("--wayland-sock=%s,name=stuck,policy=none",
                              stuck);
    char *d = g_strdup_printf("--wayland-sock=%s,name=own,policy=none", own);
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD,
                                      .plain_table = true };
    struct vwl_drv_options drv_options = { 0 };
    int echo_fd = process_listen(echo, 1024);
    int stuck_fd = process_listen(stuck, 16);
    int own_fd = process_listen(own, 16);
    struct process daemon = { 0 };
    struct vwl_drv *drv;
    struct vwl_fe *fe;
    pid_t helper;
    int fd;

    signal(SIGPIPE, SIG_IGN);
    helper = fork();
    if (helper == 0) {
        peers(echo_fd, stuck_fd);
    }
    process_daemon(&daemon, false, (const char *const[]){ a, b, c, d, NULL });
    must(vwl_fe_connect(vhost, 30000, &fd), 0, "connect");
    must(vwl_fe_create(&options, &fd, &fe), 0, "front-end");
    must(vwl_fe_handshake(fe), 0, "handshake");
    must(vwl_drv_create(fe, &drv_options, &drv), 0, "driver");
    isolation(drv);
    beside_lingering(drv, own_fd);
    scale(drv, daemon.pid);
    vwl_drv_destroy(drv);
    vwl_fe_destroy(fe);
    process_terminate(&daemon);
    kill(helper, SIGKILL);
    waitpid(helper, NULL, 0);
    g_unlink(echo);
    g_unlink(stuck);
    g_unlink(own);
    g_rmdir(folder);
    return 0;
}
