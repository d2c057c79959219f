/* SPDX-License-Identifier: BSD-3-Clause */
/* Only when asked for by name: tests of which the host does its part when one
 * says that it waits, and those for a device that lies (hostile.py). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wltest.h"

static sigjmp_buf after_bus_error;

static void on_bus_error(int number)
{
    (void)number;
    siglongjmp(after_bus_error, 1);
}

/* Something on the host ends the session. Says
 * "waiting" first, and ends when it is over. */
void test_session_end(void)
{
    struct sigaction act = { .sa_handler = on_bus_error };
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 65536);
    int ctx = make_ctx(), volatile_sum = 0, events;
    volatile uint8_t *mem;
    char byte;

    CHECK(ctx >= 0 && shm >= 0);
    mem = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
    CHECK(mem != MAP_FAILED);
    mem[0] = mem[40000] = 1;
    CHECK(ping(ctx));
    printf("waiting\n");
    fflush(stdout);
    events = poll_for(ctx, POLLIN, 60000);
    CHECK((events & (POLLHUP | POLLERR)) == (POLLHUP | POLLERR));
    CHECK(read(ctx, &byte, 1) == 0);
    CHECK(send_op(ctx, ECHO, 0, -1) < 0 && errno == ENODEV);
    sigaction(SIGBUS, &act, NULL);
    if (sigsetjmp(after_bus_error, 1) == 0) {
        volatile_sum = mem[0];
        CHECK(volatile_sum == 1000);
    }
    close(shm);
    close(ctx);
}

/* Has a session across something that must not end it; goes on with it when
 * there is a file /tmp/go. */
void test_across(void)
{
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 65536), ctx = make_ctx();
    uint32_t answer = 0;
    uint8_t *mem;

    CHECK(ctx >= 0 && shm >= 0);
    mem = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
    CHECK(mem != MAP_FAILED);
    mem[0] = mem[40000] = 7;
    CHECK(ping(ctx));
    CHECK(send_op(ctx, SUM, 65536, shm) == 0); /* unread until then */
    printf("waiting\n");
    fflush(stdout);
    while (access("/tmp/go", F_OK) < 0) {
        usleep(20000);
    }
    CHECK(mem[0] == 7 && mem[40000] == 7);
    CHECK(recv_exactly(ctx, &answer, 4) == 0);
    CHECK(answer == checksum(mem, 65536));
    CHECK(send_op(ctx, FILL, 65536, shm) == 0);
    CHECK(recv_exactly(ctx, &answer, 4) == 0);
    CHECK(is_pattern(mem, 65536, 0));
    CHECK(ping(ctx));
    close(shm);
    close(ctx);
}

/* Keeps what a window has until it is killed. */
void test_hold(void)
{
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 1 << 20);
    int ctx = make_ctx();
    uint8_t *mem;

    CHECK(ctx >= 0 && shm >= 0);
    mem = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
    CHECK(mem != MAP_FAILED);
    memset(mem, 1, 1 << 20);
    CHECK(ping(ctx));
    printf("holding\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

/* More pieces of shared memory than QEMU's generic device has slots for. */
void test_hold_maps(void)
{
    for (int i = 0; i < 16; i++) {
        int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 4096);
        uint8_t *mem;

        CHECK(shm >= 0);
        mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
        CHECK(mem != MAP_FAILED);
        mem[0] = 1;
    }
    printf("holding\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

/* Takes what comes, and touches it, until "stop" comes or an end. */
void test_take_all(void)
{
    char data[4096];
    int ctx = make_ctx(), fds[28], n, n_fds = 0, n_bytes = 0;

    CHECK(ctx >= 0);
    printf("waiting\n");
    fflush(stdout);
    for (;;) {
        int got = recv_some(ctx, data, sizeof data, fds, &n);

        if (got < 0 || (got == 0 && n == 0)) {
            printf("end %d\n", got < 0 ? errno : 0);
            break;
        }
        n_bytes += got;
        for (int i = 0; i < n; i++, n_fds++) {
            uint8_t *mem = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
                                fds[i], 0);

            if (mem != MAP_FAILED) {
                mem[0]++;
                munmap(mem, 4096);
            }
            fcntl(fds[i], F_SETFL, O_NONBLOCK);
            (void)!read(fds[i], data, 0);
            (void)!write(fds[i], data, 10);
            close(fds[i]);
        }
        if (got >= 4 && memcmp(data + got - 4, "stop", 4) == 0) {
            printf("stopped\n");
            break;
        }
    }
    printf("%d bytes %d descriptors\n", n_bytes, n_fds);
    close(ctx);
}

static int map_errno(int fd, int prot, int flags, int later)
{
    uint8_t *mem = mmap(NULL, 4096, prot, flags, fd, 0);
    int err = errno;

    if (mem == MAP_FAILED) {
        return err;
    }
    err = later && mprotect(mem, 4096, prot | later) < 0 ? errno : 0;
    munmap(mem, 4096);
    return err;
}

/* How a VFD that comes is opened, and what mapping it in each way gives. */
void test_modes(void)
{
    char data[64];
    int ctx = make_ctx(), fds[28], n;

    CHECK(ctx >= 0);
    CHECK(recv_some(ctx, data, sizeof data, fds, &n) > 0 && n == 1);
    printf("mode %d shared %d written %d later %d private %d later %d\n",
           fcntl(fds[0], F_GETFL) & O_ACCMODE,
           map_errno(fds[0], PROT_READ, MAP_SHARED, 0),
           map_errno(fds[0], PROT_READ | PROT_WRITE, MAP_SHARED, 0),
           map_errno(fds[0], PROT_READ, MAP_SHARED, PROT_WRITE),
           map_errno(fds[0], PROT_READ | PROT_WRITE, MAP_PRIVATE, 0),
           map_errno(fds[0], PROT_READ, MAP_PRIVATE, PROT_WRITE));
    close(fds[0]);
    close(ctx);
}

/* Sends until an end; the other side may never read. */
void test_write_all(void)
{
    static uint8_t data[4096];
    int ctx = make_ctx();

    CHECK(ctx >= 0);
    printf("writing\n");
    fflush(stdout);
    while (write(ctx, data, sizeof data) > 0) {
    }
    printf("end %d\n", errno);
    close(ctx);
}

void test_alloc(void)
{
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 8192);
    uint8_t *mem;

    printf("alloc %d\n", shm < 0 ? errno : 0);
    if (shm >= 0) {
        mem = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
        printf("map %d\n", mem == MAP_FAILED ? errno : 0);
        if (mem != MAP_FAILED) {
            mem[0] = mem[8191] = 1;
            munmap(mem, 8192);
        }
        close(shm);
    }
}

void test_open(void)
{
    int ctx;

    alarm_each(1000);
    ctx = make_ctx();
    alarm_off();
    printf("open %d\n", ctx < 0 ? errno : 0);
    if (ctx >= 0) {
        close(ctx);
    }
}

void test_stuck_send(void)
{
    int ctx = make_ctx();

    CHECK(ctx >= 0);
    printf("sending\n");
    fflush(stdout);
    send_op(ctx, ECHO, 0, ctx); /* itself among what is on its way */
}

/* The device keeps all that is sent: VFDs are made and closed all the same. */
void test_stuck_sends(void)
{
    int ctx[40], last;

    for (unsigned int i = 0; i < 40; i++) {
        ctx[i] = make_ctx();
        CHECK(ctx[i] >= 0);
        CHECK(fcntl(ctx[i], F_SETFL, O_NONBLOCK) == 0);
    }
    for (unsigned int i = 0; i < 40 * 8; i++) {
        send_op(ctx[i % 40], ECHO, 0, -1);
    }
    printf("sent\n");
    fflush(stdout);
    last = make_ctx();
    CHECK(last >= 0);
    close(last);
    printf("made\n");
    fflush(stdout);
}
