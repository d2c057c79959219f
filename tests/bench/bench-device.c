/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the device costs, alone: each kind of work by a daemon and by the
 * plugin in this process, beside the least that the same work takes without a
 * device, in turns in one run. The guest polls, on a processor of its own, or
 * sleeps, on that of everybody else. Nothing is asserted.
 * Needs VWL_DAEMON and VWL_PLUGIN; strace counts system calls, if it is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"
#include "guest.h"

#define ROUNDS 7
#define MAX_TIMES 500

static struct world world;
static bool polls;
static const char *only = "";

/* ---- the work --------------------------------------------------------- */

static void command(struct guest *guest)
{
    guest_send(guest, 1, NULL, 0, "", 0); /* nothing: it only answers */
}

static void send_small(struct guest *guest)
{
    char data[GUEST_BYTES] = { 0 };

    guest_send(guest, 2, NULL, 0, data, sizeof data);
    bench_must(recv(guest->own, data, sizeof data, 0) > 0, "what was sent");
}

static void receive_small(struct guest *guest)
{
    char data[GUEST_BYTES] = { 0 };

    bench_must(send(guest->own, data, sizeof data, 0) > 0, "sending");
    guest_recv(guest, 2, data, sizeof data, NULL, NULL);
}

static void ping(struct guest *guest)
{
    char data[GUEST_BYTES] = { 0 };

    guest_send(guest, 1, NULL, 0, data, sizeof data);
    guest_recv(guest, 1, data, sizeof data, NULL, NULL);
}

/* A piece of shared memory, 64 KiB, goes along. */
static void send_fd(struct guest *guest)
{
    const uint32_t id = 100;
    char data[GUEST_BYTES] = { 0 };

    guest_send(guest, 1, &id, 1, data, sizeof data);
    guest_recv(guest, 1, data, sizeof data, NULL, NULL);
}

static void receive_memory(struct guest *guest, int fd)
{
    char data[GUEST_BYTES] = { 0 }, control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec iov = { data, sizeof data };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof control };
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    unsigned int n = 1;
    uint32_t id = 0;

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    bench_must(sendmsg(guest->own, &msg, 0) > 0, "sending");
    close(fd);
    while (guest->polls && !vwl_drv_readable(guest->drv, 2)) {
        vwl_fe_turn(guest->fe, 0); /* it is mapped */
        vwl_drv_collect(guest->drv);
    }
    guest_recv(guest, 2, data, sizeof data, &id, &n);
    bench_must(n == 1, "a descriptor");
    guest_close(guest, id);
}

static int new_memory(unsigned int flags)
{
    int fd = memfd_create("bench", MFD_CLOEXEC | flags);

    bench_must(fd >= 0 && ftruncate(fd, 65536) == 0, "memory");
    return fd;
}

static void receive_sealed(struct guest *guest)
{
    int fd = new_memory(MFD_ALLOW_SEALING);

    bench_must(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0, "a seal");
    receive_memory(guest, fd);
}

/* The device seals it. */
static void receive_unsealed(struct guest *guest)
{
    receive_memory(guest, new_memory(MFD_ALLOW_SEALING));
}

/* It has content, and nobody can seal it: it is copied. */
static void receive_copied(struct guest *guest)
{
    static const char content[16384] = "content";
    int fd = new_memory(0);

    bench_must(write(fd, content, sizeof content) == sizeof content, "content");
    receive_memory(guest, fd);
}

static void allocate(struct guest *guest)
{
    guest_new(guest, VIRTIO_WL_CMD_VFD_NEW, 7, 0, 65536);
    guest_close(guest, 7);
}

static void connect_close(struct guest *guest)
{
    guest_new(guest, VIRTIO_WL_CMD_VFD_NEW_CTX, 8, 3, 0);
    guest_close(guest, 8);
}

static void burst(struct guest *guest)
{
    struct vwl_drv_request *requests[256];
    unsigned int n = 0;

    while (n < 256 &&
           (requests[n] = vwl_drv_send_async(guest->drv, 1, NULL, 0, "", 0))) {
        n++;
    }
    while (n > 0) {
        guest_finish(guest, requests[--n], VIRTIO_WL_RESP_OK);
    }
}

/* ---- bulk: microseconds, and a thread at the other end ---------------- */

#define PIECE_IN 4096 /* an in-buffer */
#define PIECE_OUT 65536
#define SMALL_OUT 16384
#define AT_ONCE 8 /* as many as this project's driver */

static gpointer fill(gpointer data)
{
    static char block[65536];
    int fd = GPOINTER_TO_INT(data);

    for (size_t left = BULK_BYTES; left > 0;) {
        ssize_t n = write(fd, block, MIN(left, sizeof block));

        if (n <= 0) {
            break;
        }
        left -= (size_t)n;
    }
    return NULL;
}

static gpointer drain(gpointer data)
{
    static char block[65536];
    int fd = GPOINTER_TO_INT(data);

    for (size_t left = BULK_BYTES; left > 0;) {
        ssize_t n = read(fd, block, MIN(left, sizeof block));

        if (n <= 0) {
            break;
        }
        left -= (size_t)n;
    }
    return NULL;
}

/* It starts where it is to stay, or it would wait for a guest that polls. */
static GThread *other_end(GThreadFunc work, int fd)
{
    GThread *thread;

    bench_pin(0, DEVICE_CPU);
    thread = g_thread_new("other end", work, GINT_TO_POINTER(fd));
    bench_pin(0, polls ? GUEST_CPU : DEVICE_CPU);
    return thread;
}

static double guest_takes(struct guest *guest, uint32_t id, int fd)
{
    double start = bench_now_us();
    GThread *thread = other_end(fill, fd);
    char data[PIECE_IN];

    for (size_t got = 0; got < BULK_BYTES;) {
        got += guest_recv(guest, id, data, sizeof data, NULL, NULL);
    }
    g_thread_join(thread);
    return bench_now_us() - start;
}

/* at_once: how many that a driver has under way. */
static double guest_gives(struct guest *guest, uint32_t id, int fd,
                          size_t piece, unsigned int at_once)
{
    double start = bench_now_us();
    GThread *thread = other_end(drain, fd);
    struct vwl_drv_request *sent[AT_ONCE] = { NULL };
    static char data[PIECE_OUT];
    unsigned int i = 0;

    for (size_t left = BULK_BYTES; left > 0; left -= piece) {
        if (sent[i]) {
            guest_finish(guest, sent[i], VIRTIO_WL_RESP_OK);
        }
        sent[i] = vwl_drv_send_async(guest->drv, id, NULL, 0, data, piece);
        i = (i + 1) % at_once;
    }
    for (unsigned int j = 0; j < at_once; j++) {
        guest_finish(guest, sent[(i + j) % at_once], VIRTIO_WL_RESP_OK);
    }
    g_thread_join(thread);
    return bench_now_us() - start;
}

/* The other end of a pipe of the guest's. */
static int open_pipe(struct guest *guest, uint32_t id, uint32_t flags)
{
    char data[1], control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct iovec iov = { data, sizeof data };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control,
                          .msg_controllen = sizeof control };

    guest_new(guest, VIRTIO_WL_CMD_VFD_NEW_PIPE, id, flags, 0);
    guest_send(guest, 2, &id, 1, "p", 1);
    bench_must(recvmsg(guest->own, &msg, MSG_CMSG_CLOEXEC) == 1 &&
                   msg.msg_controllen > 0,
               "a pipe");
    return *(int *)(void *)CMSG_DATA(CMSG_FIRSTHDR(&msg));
}

static double pipe_in(struct guest *guest)
{
    int fd = open_pipe(guest, 9, VIRTIO_WL_VFD_READ);
    double us = guest_takes(guest, 9, fd);

    guest_close(guest, 9);
    close(fd);
    return us;
}

static double pipe_out_by(struct guest *guest, size_t piece,
                          unsigned int at_once)
{
    int fd = open_pipe(guest, 9, VIRTIO_WL_VFD_WRITE);
    double us = guest_gives(guest, 9, fd, piece, at_once);

    guest_close(guest, 9);
    close(fd);
    return us;
}

static double pipe_out(struct guest *guest)
{
    return pipe_out_by(guest, PIECE_OUT, 1);
}

static double pipe_out_many(struct guest *guest)
{
    return pipe_out_by(guest, SMALL_OUT, AT_ONCE);
}

static double socket_in(struct guest *guest)
{
    return guest_takes(guest, 2, guest->own);
}

static double socket_out(struct guest *guest)
{
    return guest_gives(guest, 2, guest->own, PIECE_OUT, 1);
}

static double socket_out_many(struct guest *guest)
{
    return guest_gives(guest, 2, guest->own, SMALL_OUT, AT_ONCE);
}

/* The same between this thread and another. */
static double bare(int from_or_to, int other, bool reads, size_t piece)
{
    double start = bench_now_us();
    GThread *thread = other_end(reads ? fill : drain, other);
    static char data[PIECE_OUT];

    for (size_t left = BULK_BYTES; left > 0;) {
        ssize_t n = reads ? read(from_or_to, data, piece)
                          : write(from_or_to, data, piece);

        bench_must(n > 0, "bulk");
        left -= MIN((size_t)n, left);
    }
    g_thread_join(thread);
    return bench_now_us() - start;
}

static double bare_pipe(bool reads, size_t piece)
{
    int fds[2];
    double us;

    bench_must(pipe2(fds, O_CLOEXEC) == 0, "pipe");
    us = bare(fds[!reads], fds[reads], reads, piece);
    close(fds[0]);
    close(fds[1]);
    return us;
}

static double bare_socket(bool reads, size_t piece)
{
    int fds[2];
    double us;

    bench_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0,
               "socketpair");
    us = bare(fds[0], fds[1], reads, piece);
    close(fds[0]);
    close(fds[1]);
    return us;
}

/* ---- figures ---------------------------------------------------------- */

static void bell(struct guest *guest)
{
    world_bell(&world, polls);
}

static void relay(struct guest *guest)
{
    world_relay_ping(&world, polls);
}

static void echo(struct guest *guest)
{
    world_echo(&world);
}

static void bare_connect(struct guest *guest)
{
    close(bench_connect(world.echo));
}

static const struct {
    const char *name;
    void (*work)(struct guest *guest);
    const char *floor_name;
    void (*floor)(struct guest *guest);
    unsigned int times;
    unsigned int calls; /* runs to count system calls in */
    unsigned int parts; /* of one run; 0: 1 */
} works[] = {
    { "command", command, "eventfds", bell, MAX_TIMES, 200 },
    { "send 64 B", send_small, "eventfds", bell, MAX_TIMES, 200 },
    { "receive 64 B", receive_small, "eventfds", bell, MAX_TIMES, 200 },
    { "ping 64 B", ping, "relay", relay, MAX_TIMES, 200 },
    { "ping with a descriptor", send_fd, "relay", relay, 200, 0 },
    { "receive a descriptor, close", receive_sealed, "echo", echo, 60, 0 },
    { "receive an unsealed one, close", receive_unsealed, "echo", echo, 60, 0 },
    { "receive one to be copied, close", receive_copied, "echo", echo, 60, 0 },
    { "allocate 64 KiB, close", allocate, "echo", echo, 60, 0 },
    { "connect, close", connect_close, "connect", bare_connect, 60, 0 },
    { "one of 256 commands at once", burst, "eventfds", bell, 15, 0, 256 },
};

static double time_of(void (*work)(struct guest *guest), struct guest *guest,
                      unsigned int times)
{
    static double each[MAX_TIMES];

    for (unsigned int i = 0; i < times; i++) {
        double start = bench_now_us();

        work(guest);
        each[i] = bench_now_us() - start;
    }
    return bench_quantile(each, times, 0.5);
}

static void measure(struct guest *guests, const char *group, size_t index)
{
    const char *floor_name = works[index].floor_name;
    struct bench_figure *figure = bench_figure(group, works[index].name, "us",
                                               false, floor_name);
    unsigned int times = bench_times(works[index].times);
    unsigned int parts = MAX(works[index].parts, 1);
    double used = 0;

    for (int i = 0; i < (int)bench_times(ROUNDS); i++) {
        bench_sample(figure, floor_name,
                     time_of(works[index].floor, NULL, times));
        for (int j = 0; j < 2; j++) {
            double before = guests[j].pid ? bench_cpu_us(guests[j].pid) : 0;

            bench_sample(figure, guests[j].name,
                         time_of(works[index].work, &guests[j], times) / parts);
            if (guests[j].pid) {
                used += bench_cpu_us(guests[j].pid) - before;
            }
        }
    }
    bench_note(figure, "daemon", "cpu",
               used / (bench_times(ROUNDS) * times * parts));
    if (works[index].calls && !g_getenv("VWL_BENCH_QUICK")) {
        double calls = guest_count_calls(&guests[0], works[index].work,
                                         bench_times(works[index].calls));

        if (calls >= 0) {
            bench_note(figure, "daemon", "calls", calls);
        }
    }
    bench_done(figure);
}

static const struct {
    const char *name, *floor_name;
    double (*work)(struct guest *guest);
    double (*floor)(bool reads, size_t piece);
    bool reads;
    size_t piece;
} bulks[] = {
    { "pipe, host to guest, 16 MiB", "bare pipe", pipe_in, bare_pipe, true,
      PIECE_IN },
    { "pipe, guest to host, 16 MiB", "bare pipe", pipe_out, bare_pipe, false,
      PIECE_OUT },
    { "pipe, guest to host, 8 of 16 KiB, 16 MiB", "bare pipe", pipe_out_many,
      bare_pipe, false, SMALL_OUT },
    { "socket, host to guest, 16 MiB", "bare socket", socket_in, bare_socket,
      true, PIECE_IN },
    { "socket, guest to host, 16 MiB", "bare socket", socket_out, bare_socket,
      false, PIECE_OUT },
    { "socket, guest to host, 8 of 16 KiB, 16 MiB", "bare socket",
      socket_out_many, bare_socket, false, SMALL_OUT },
};

static void measure_bulk(struct guest *guests, const char *group, size_t index)
{
    const char *floor_name = bulks[index].floor_name;
    struct bench_figure *figure = bench_figure(group, bulks[index].name, "MB/s",
                                               true, floor_name);

    for (int i = 0; i < (int)bench_times(ROUNDS); i++) {
        bench_sample(figure, floor_name,
                     BULK_BYTES / bulks[index].floor(bulks[index].reads,
                                                     bulks[index].piece));
        for (int j = 0; j < 2; j++) {
            bench_sample(figure, guests[j].name,
                         BULK_BYTES / bulks[index].work(&guests[j]));
        }
    }
    bench_done(figure);
}

/* ---- scale, idleness -------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t type, flags, size;
    unsigned int counts[3];
} scales[] = {
    { "with pieces of memory",
      VIRTIO_WL_CMD_VFD_NEW,
      0,
      4096,
      { 10, 1000, 10000 } },
    { "with idle contexts", VIRTIO_WL_CMD_VFD_NEW_CTX, 3, 0, { 1, 100, 500 } },
};

static void measure_scale(struct guest *guest, size_t index)
{
    char names[3][32];
    struct bench_figure *figure;
    double samples[3][ROUNDS];
    uint32_t id = 1000;

    for (unsigned int i = 0; i < 3; i++) {
        unsigned int n = bench_times(scales[index].counts[i]);

        g_snprintf(names[i], sizeof names[i], "%u", n);
        while (id < 1000 + n) {
            guest_new(guest, scales[index].type, id++, scales[index].flags,
                      scales[index].size);
        }
        for (int j = 0; j < (int)bench_times(ROUNDS); j++) {
            samples[i][j] = time_of(ping, guest, bench_times(500));
        }
    }
    figure = bench_figure("scale", scales[index].name, "us for a ping", false,
                          names[0]);
    for (unsigned int i = 0; i < 3; i++) {
        for (int j = 0; j < (int)bench_times(ROUNDS); j++) {
            bench_sample(figure, names[i], samples[i][j]);
        }
    }
    bench_done(figure);
    while (id > 1000) {
        guest_close(guest, --id);
    }
}

static void measure_idle(struct guest *guest)
{
    struct bench_figure *figure = bench_figure("idle", "2 s with 2 contexts",
                                               "wake-ups", false, "daemon");
    double before, used;

    g_usleep(bench_times(1000000)); /* what was closed last is gone then */
    before = bench_switches(guest->pid);
    used = bench_cpu_us(guest->pid);
    g_usleep(bench_times(2000000));
    bench_sample(figure, "daemon", bench_switches(guest->pid) - before);
    bench_note(figure, "daemon", "cpu", bench_cpu_us(guest->pid) - used);
    bench_done(figure);
}

static bool wanted(const char *name)
{
    return strstr(name, only) != NULL;
}

static void measure_all(struct guest *guests)
{
    const char *group = polls ? "polls" : "sleeps";

    for (size_t i = 0; i < G_N_ELEMENTS(works); i++) {
        if (wanted(works[i].name)) {
            measure(guests, group, i);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(bulks); i++) {
        if (wanted(bulks[i].name)) {
            measure_bulk(guests, group, i);
        }
    }
}

int main(int argc, char **argv)
{
    struct guest guests[2];

    only = argc > 1 ? argv[1] : "";
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    world_start(&world);
    guest_start_daemon(&guests[0], &world);
    guest_start_here(&guests[1], &world);
    for (int i = 0; i < 2; i++) {
        guest_new(&guests[i], VIRTIO_WL_CMD_VFD_NEW, 100, 0, 65536);
    }
    for (int i = 1; i >= 0; i--) {
        polls = i;
        guest_set_polls(&guests[0], polls);
        guest_set_polls(&guests[1], polls);
        measure_all(guests);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(scales) && wanted("scale"); i++) {
        measure_scale(&guests[0], i);
    }
    if (wanted("idle")) {
        measure_idle(&guests[0]);
    }
    guest_stop(&guests[0]);
    guest_stop(&guests[1]);
    world_stop(&world);
    return 0;
}
