/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device costs, each figure beside the same work without it, measured
 * in the same run, interleaved, as medians: a ping through the device and
 * through a minimal relay, commands that only answer, allocate and close,
 * connect and close, bulk from a host pipe, 256 requests in one kick. The
 * guest polls (on a processor of its own) or sleeps (all on one). System calls
 * per ping are counted by strace if that is there. Nothing is asserted.
 * Needs VWL_DAEMON and VWL_PLUGIN.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../story/process.h"
#include "driver.h"
#include "frontend.h"

#define ROUNDS 7
#define PINGS 1500
#define BYTES 64
#define BULK (16u << 20)

struct bench {
    struct vwl_fe *fe;
    struct vwl_drv *drv;
    struct process daemon;
    char *echo, *vhost, *folder;
    bool polls; /* the guest does not sleep */
    int relay_kick, relay_call;
    pid_t peer, relay;
};

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

static void must(bool good, const char *what)
{
    if (!good) {
        g_printerr("bench: %s failed\n", what);
        exit(1);
    }
}

static void pin(pid_t pid, int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(pid, sizeof set, &set);
}

/* ---- processes beside the device -------------------------------------- */

/* Echoes on every connection; "B" as the first byte asks for bulk instead: a
 * pipe comes along and is filled. */
static void fill_pipe(int fd)
{
    static char block[65536];
    size_t left = BULK;

    while (left > 0) {
        ssize_t n = write(fd, block, MIN(left, sizeof block));

        if (n <= 0) {
            break;
        }
        left -= (size_t)n;
    }
    close(fd);
}

static void serve_connection(int fd)
{
    char data[4096], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = { data, sizeof data };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof control };
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

    if (n <= 0) {
        close(fd);
    } else if (cmsg) {
        fill_pipe(*(int *)(void *)CMSG_DATA(cmsg));
    } else {
        send(fd, data, (size_t)n, MSG_NOSIGNAL);
    }
}

static void G_GNUC_NORETURN run_peer(int listener)
{
    struct pollfd p[64] = { { listener, POLLIN, 0 } };
    nfds_t n = 1;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        poll(p, n, -1);
        for (nfds_t i = n - 1; i > 0; i--) {
            if (p[i].revents) {
                serve_connection(p[i].fd);
                if (fcntl(p[i].fd, F_GETFD) < 0) {
                    p[i] = p[--n];
                }
            }
        }
        if (p[0].revents && n < G_N_ELEMENTS(p)) {
            p[n++] = (struct pollfd){ accept4(listener, NULL, NULL,
                                              SOCK_CLOEXEC), POLLIN, 0 };
        }
    }
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    must(connect(fd, (struct sockaddr *)&address, sizeof address) == 0,
         "connect");
    return fd;
}

/* The least that a device must do: woken by an eventfd, sendmsg, woken,
 * recvmsg, eventfd. */
static void G_GNUC_NORETURN run_relay(const char *path, int kick, int call)
{
    int fd = connect_to(path);
    struct pollfd p[2] = { { kick, POLLIN, 0 }, { fd, POLLIN, 0 } };
    char data[BYTES] = { 0 };
    struct iovec iov = { data, sizeof data };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    uint64_t one = 1;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        poll(p, 2, -1);
        if (p[0].revents && read(kick, &one, sizeof one) > 0) {
            sendmsg(fd, &msg, 0);
        }
        if (p[1].revents && recvmsg(fd, &msg, 0) > 0) {
            one = 1;
            must(write(call, &one, sizeof one) > 0, "relay");
        }
    }
}

/* ---- one of each -------------------------------------------------------- */

static void relay_ping(struct bench *bench)
{
    struct pollfd p = { bench->relay_call, POLLIN, 0 };
    uint64_t one = 1;

    must(write(bench->relay_kick, &one, sizeof one) > 0, "kick");
    if (bench->polls) {
        while (read(bench->relay_call, &one, sizeof one) < 0) {
        }
    } else {
        poll(&p, 1, -1);
        must(read(bench->relay_call, &one, sizeof one) > 0, "call");
    }
}

static void wait_done(struct bench *bench, struct vwl_drv_request *req)
{
    while (!req->done) {
        if (bench->polls) {
            vwl_drv_collect(bench->drv);
        } else {
            must(vwl_drv_wait(bench->drv, req, 10000) == 0, "request");
        }
    }
}

static void command(struct bench *bench, const void *bytes, size_t len,
                    uint32_t want)
{
    struct vwl_drv_request *req = vwl_drv_submit(bench->drv, bytes, len, 64,
                                                 NULL);

    must(req != NULL, "submit");
    wait_done(bench, req);
    must(vwl_drv_request_type(req) == want, "command");
    vwl_drv_request_free(bench->drv, req);
}

static void device_ping(struct bench *bench)
{
    static const char data[BYTES];
    char back[BYTES];
    struct vwl_drv_request *req = vwl_drv_send_async(bench->drv, 1, NULL, 0,
                                                     data, BYTES);
    unsigned int none = 0;

    wait_done(bench, req);
    vwl_drv_request_free(bench->drv, req);
    while (bench->polls && !vwl_drv_readable(bench->drv, 1)) {
        vwl_drv_collect(bench->drv);
    }
    must(vwl_drv_recv(bench->drv, 1, back, BYTES, NULL, &none, 10000) ==
             BYTES, "pong");
}

static void answer_only(struct bench *bench)
{
    /* NEW_DMABUF, as guests probe for it */
    static const uint8_t probe[64] = { 7, 1, 0, 0, 0, 0, 0, 0, 99 };

    command(bench, probe, sizeof probe, VIRTIO_WL_RESP_INVALID_CMD);
}

static void allocate(struct bench *bench)
{
    uint8_t fresh[64] = { 0, 1, 0, 0, 0, 0, 0, 0, 7 };
    static const uint8_t gone[12] = { 1, 1, 0, 0, 0, 0, 0, 0, 7 };

    fresh[26] = 1; /* 64 KiB */
    if (bench->polls) { /* the map is answered by this thread, in a turn */
        struct vwl_drv_request *req = vwl_drv_submit(bench->drv, fresh, 64,
                                                     64, NULL);

        while (!req->done) {
            vwl_fe_turn(bench->fe, 0);
            vwl_drv_collect(bench->drv);
        }
        vwl_drv_request_free(bench->drv, req);
    } else {
        command(bench, fresh, sizeof fresh, VIRTIO_WL_RESP_VFD_NEW);
    }
    command(bench, gone, sizeof gone, VIRTIO_WL_RESP_OK);
}

static void connect_close(struct bench *bench)
{
    static const uint8_t fresh[64] = { 4, 1, 0, 0, 0, 0, 0, 0, 8 };
    static const uint8_t gone[12] = { 1, 1, 0, 0, 0, 0, 0, 0, 8 };

    command(bench, fresh, sizeof fresh, VIRTIO_WL_RESP_VFD_NEW);
    command(bench, gone, sizeof gone, VIRTIO_WL_RESP_OK);
}

static void bare_connect(struct bench *bench)
{
    close(connect_to(bench->echo));
}

/* 256 in one kick would need 256 ring entries at once: as many as fit. */
static void burst(struct bench *bench)
{
    static const uint8_t probe[64] = { 7, 1, 0, 0, 0, 0, 0, 0, 99 };
    struct vwl_drv_request *reqs[256];
    unsigned int n = 0;

    while (n < 256 && (reqs[n] = vwl_drv_submit(bench->drv, probe, 64, 64,
                                                NULL))) {
        n++;
    }
    while (n > 0) {
        wait_done(bench, reqs[--n]);
        vwl_drv_request_free(bench->drv, reqs[n]);
    }
}

static void eventfd_pair(struct bench *bench)
{
    uint64_t one = 1;
    static int fd = -1;

    if (fd < 0) {
        fd = eventfd(0, EFD_CLOEXEC);
    }
    must(write(fd, &one, sizeof one) > 0 && read(fd, &one, sizeof one) > 0,
         "eventfd");
}

/* ---- figures ------------------------------------------------------------ */

typedef void (*work_fn)(struct bench *);

static double time_of(struct bench *bench, work_fn work, int times)
{
    static double each[PINGS];

    for (int i = 0; i < times; i++) {
        double start = now_us();

        work(bench);
        each[i] = now_us() - start;
    }
    return median(each, (size_t)times);
}

static void figure(struct bench *bench, const char *name, work_fn work,
                   const char *floor_name, work_fn floor, int times)
{
    double ours[ROUNDS], theirs[ROUNDS], ratio[ROUNDS];

    for (int i = 0; i < ROUNDS; i++) {
        theirs[i] = time_of(bench, floor, times);
        ours[i] = time_of(bench, work, times);
        ratio[i] = ours[i] / theirs[i];
    }
    printf("%-26s %8.2f us  %-22s %8.2f us  ratio %6.2f\n", name,
           median(ours, ROUNDS), floor_name, median(theirs, ROUNDS),
           median(ratio, ROUNDS));
}

/* MB/s of a bare pipe read in pieces of 4 KiB. */
static double bare_pipe(struct bench *bench)
{
    char data[4096];
    double start;
    ssize_t n;
    int fds[2];
    pid_t child;

    must(pipe2(fds, O_CLOEXEC) == 0, "pipe");
    child = fork();
    if (child == 0) {
        close(fds[0]);
        fill_pipe(fds[1]);
        _exit(0);
    }
    pin(child, 1);
    close(fds[1]);
    start = now_us();
    while ((n = read(fds[0], data, sizeof data)) > 0) {
    }
    close(fds[0]);
    waitpid(child, NULL, 0);
    return BULK / (now_us() - start);
}

static double device_pipe(struct bench *bench)
{
    const uint32_t id = 9;
    char data[4096];
    size_t got = 0;
    double start;

    vwl_drv_set_calls(bench->drv, true);
    must(vwl_drv_new_pipe(bench->drv, id, VIRTIO_WL_VFD_READ) ==
             VIRTIO_WL_RESP_VFD_NEW, "pipe");
    must(vwl_drv_send(bench->drv, 1, &id, 1, "B", 1) == VIRTIO_WL_RESP_OK,
         "pipe's end");
    vwl_drv_set_calls(bench->drv, !bench->polls);
    start = now_us();
    while (got < BULK) {
        unsigned int none = 0;
        int64_t n;

        while (bench->polls && !vwl_drv_readable(bench->drv, id)) {
            vwl_drv_collect(bench->drv);
        }
        n = vwl_drv_recv(bench->drv, id, data, sizeof data, NULL, &none,
                         10000);
        must(n > 0, "bulk");
        got += (size_t)n;
    }
    start = now_us() - start;
    vwl_drv_set_calls(bench->drv, true);
    vwl_drv_close(bench->drv, id);
    vwl_fe_settle(bench->fe, 20);
    vwl_drv_set_calls(bench->drv, !bench->polls);
    return BULK / start;
}

static void bulk(struct bench *bench)
{
    double ours[3], theirs[3], ratio[3];

    for (int i = 0; i < 3; i++) {
        theirs[i] = bare_pipe(bench);
        ours[i] = device_pipe(bench);
        ratio[i] = ours[i] / theirs[i];
    }
    printf("%-26s %8.0f MB/s %-21s %8.0f MB/s ratio %6.2f\n",
           "pipe, host to guest", median(ours, 3), "bare pipe, 4 KiB",
           median(theirs, 3), median(ratio, 3));
}

static void system_calls(struct bench *bench)
{
    char *out = g_build_filename(bench->folder, "strace", NULL);
    char *pid = g_strdup_printf("%d", (int)bench->daemon.pid);
    char *argv[] = { (char *)"strace", (char *)"-qq", (char *)"-f",
                     (char *)"-o", out, (char *)"-p", pid, NULL };
    char *text = NULL;
    unsigned int lines = 0;
    GPid tracer;

    if (!g_spawn_async(NULL, argv, NULL,
                       G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL,
                       NULL, &tracer, NULL)) {
        return;
    }
    g_usleep(500000);
    for (int i = 0; i < 200; i++) {
        device_ping(bench);
    }
    g_usleep(200000);
    kill(tracer, SIGINT);
    waitpid(tracer, NULL, 0);
    if (g_file_get_contents(out, &text, NULL, NULL)) {
        for (char *c = text; *c; c++) {
            lines += *c == '\n';
        }
        printf("%-26s %8.2f\n", "system calls per ping", lines / 200.0);
    }
    g_unlink(out);
    g_free(text);
    g_free(out);
    g_free(pid);
}

static void set_up(struct bench *bench)
{
    struct vwl_fe_options options = { .dialect = VWL_FE_STANDARD,
                                      .plain_table = true };
    struct vwl_drv_options drv_options = { 0 };
    char *a, *b;
    int listener, fd;

    bench->folder = g_dir_make_tmp("vwl-bench-XXXXXX", NULL);
    bench->echo = g_build_filename(bench->folder, "echo", NULL);
    bench->vhost = g_build_filename(bench->folder, "vhost", NULL);
    listener = process_listen(bench->echo, 64);
    bench->relay_kick = eventfd(0, 0);
    bench->relay_call = eventfd(0, EFD_NONBLOCK);
    bench->peer = fork();
    if (bench->peer == 0) {
        run_peer(listener);
    }
    bench->relay = fork();
    if (bench->relay == 0) {
        run_relay(bench->echo, bench->relay_kick, bench->relay_call);
    }
    a = g_strdup_printf("--socket-path=%s", bench->vhost);
    b = g_strdup_printf("--wayland-sock=%s", bench->echo);
    process_daemon(&bench->daemon, false, (const char *const[]){ a, b, NULL });
    must(vwl_fe_connect(bench->vhost, 30000, &fd) == 0 &&
             vwl_fe_create(&options, &fd, &bench->fe) == 0 &&
             vwl_fe_handshake(bench->fe) == 0 &&
             vwl_drv_create(bench->fe, &drv_options, &bench->drv) == 0,
         "front-end");
    must(vwl_drv_new_ctx(bench->drv, 1, NULL) == VIRTIO_WL_RESP_VFD_NEW,
         "context");
    pin(bench->peer, 1);
    pin(bench->relay, 1);
    pin(bench->daemon.pid, 1);
    g_free(a);
    g_free(b);
}

int main(int argc, char **argv)
{
    struct bench bench = { 0 };

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    set_up(&bench);
    for (int polls = 1; polls >= 0; polls--) {
        bench.polls = polls;
        pin(0, polls ? 0 : 1);
        vwl_drv_set_calls(bench.drv, !polls);
        printf("-- a guest that %s\n", polls ? "polls" : "sleeps");
        figure(&bench, "ping, 64 bytes", device_ping, "minimal relay",
               relay_ping, PINGS);
        figure(&bench, "a command that answers", answer_only,
               "eventfd write and read", eventfd_pair, PINGS);
        figure(&bench, "allocate 64 KiB and close", allocate, "minimal relay",
               relay_ping, 300);
        figure(&bench, "connect and close", connect_close, "bare connect",
               bare_connect, 50);
        figure(&bench, "256 commands", burst, "eventfd write and read",
               eventfd_pair, 50);
        bulk(&bench);
        system_calls(&bench);
    }
    vwl_drv_destroy(bench.drv);
    vwl_fe_destroy(bench.fe);
    process_terminate(&bench.daemon);
    kill(bench.peer, SIGKILL);
    kill(bench.relay, SIGKILL);
    while (wait(NULL) > 0) {
    }
    g_unlink(bench.echo);
    g_rmdir(bench.folder);
    return 0;
}
