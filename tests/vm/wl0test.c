/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The transport over /dev/wl0, in a guest: a host program that does not read,
 * and one that cannot be connected to, delay nobody else.
 *
 *   wl0test [--threads]     the peer is peer.py
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "transport.h"

#define ECHO 1u
#define SLEEP 7u
#define PIECE 65536u
#define PATIENCE 60 /* seconds */

#define CHECK(truth)                                                      \
    do {                                                                  \
        if (!(truth)) {                                                   \
            printf("wl0test: line %d: %s (errno %d)\n", __LINE__, #truth, \
                   errno);                                                \
            exit(1);                                                      \
        }                                                                 \
    } while (0)

static struct vwl_transport *t;
static unsigned int n_sent, n_done, n_failed;
static int full_result = 1, connected = -1;
static unsigned int order, full_order, connected_order;

static void on_sent(void *opaque, int result)
{
    n_done++;
    n_failed += result < 0;
}

static void on_full(void *opaque, int result)
{
    full_result = result;
    full_order = ++order;
}

static void on_connected(void *opaque, int result)
{
    connected = result;
    connected_order = ++order;
}

static void turn(int timeout_ms)
{
    struct pollfd p = { vwl_transport_fd(t), POLLIN, 0 };

    if (!vwl_transport_pending(t)) {
        poll(&p, 1, timeout_ms);
    }
    CHECK(vwl_transport_dispatch(t) == 0);
}

static int send_piece(int vfd, const void *data, size_t len)
{
    int r = vwl_transport_send_async(t, vfd, data, len, NULL, 0, on_sent, NULL);

    CHECK(r == 0 || r == -EBUSY);
    n_sent += r == 0;
    return r;
}

static unsigned int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int n = 0;

    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n;
}

/* Sends to a peer that sleeps until no more is taken. */
static int stall(void)
{
    static uint8_t zeros[PIECE];
    uint32_t head[2] = { SLEEP, 0 };
    int vfd = -1;

    CHECK(vwl_transport_new_ctx(t, NULL, &vfd) == 0);
    CHECK(vwl_transport_watch(t, vfd, 1) == 0);
    CHECK(send_piece(vfd, head, sizeof head) == 0);
    for (unsigned int quiet = 0; quiet < 20;) {
        unsigned int before = n_sent;

        while (send_piece(vfd, zeros, sizeof zeros) == 0) {
            CHECK(n_sent < 2048);
        }
        turn(100);
        quiet = n_sent == before ? quiet + 1 : 0;
    }
    printf("stalled after %u pieces, %u on their way\n", n_sent,
           n_sent - n_done);
    CHECK(n_sent > n_done && n_failed == 0);
    return vfd;
}

/* Much goes to a peer that answers, and comes back in order. */
static void converse(int vfd)
{
    const size_t len = 40 * 5000;
    uint8_t *data = malloc(8 + len);
    uint32_t head[2] = { ECHO, (uint32_t)len };
    time_t end = time(NULL) + PATIENCE;
    size_t sent = 0, got = 0;

    memcpy(data, head, sizeof head);
    for (size_t i = 0; i < len; i++) {
        data[8 + i] = (uint8_t)(i * 7 + i / 256);
    }
    while (got < len) {
        uint8_t back[4096];
        int vfds[VWL_TRANSPORT_MAX_VFDS];
        unsigned int n_vfds = VWL_TRANSPORT_MAX_VFDS;
        ssize_t n;

        CHECK(time(NULL) < end);
        for (; sent < 8 + len; sent += 5000) {
            size_t rest = 8 + len - sent;

            if (send_piece(vfd, data + sent, rest < 5000 ? rest : 5000)) {
                break;
            }
        }
        turn(20);
        while (vwl_transport_poll(t, vfd, 0) == 1) {
            n = vwl_transport_recv(t, vfd, back, sizeof back, vfds, &n_vfds, 0);
            if (n == -ETIMEDOUT) {
                break;
            }
            CHECK(n > 0 && got + (size_t)n <= len);
            CHECK(memcmp(back, data + 8 + got, (size_t)n) == 0);
            got += (size_t)n;
        }
    }
    free(data);
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + PATIENCE;
    unsigned int before, in_vain;
    int stalled;

    t = vwl_transport_wl0(NULL);
    CHECK(t != NULL);
    if (argc > 1 && strcmp(argv[1], "--threads") == 0) {
        vwl_transport_wl0_use_threads(t);
    }
    before = count_fds();
    CHECK(vwl_transport_new_ctx_async(t, "full", on_full, NULL) == 0);
    CHECK(vwl_transport_new_ctx_async(t, NULL, on_connected, NULL) == 0);
    while (order < 2) {
        CHECK(time(NULL) < end);
        turn(20);
    }
    /* the device tried for seconds, and nobody else waited for that */
    CHECK(connected >= 0 && full_result < 0 && connected_order < full_order);
    stalled = stall();
    in_vain = n_sent - n_done;
    CHECK(vwl_transport_watch(t, connected, 1) == 0);
    converse(connected);
    while (n_sent - n_done > in_vain) {
        CHECK(time(NULL) < end + PATIENCE);
        turn(20);
    }

    CHECK(vwl_transport_close(t, stalled) == 0);
    CHECK(vwl_transport_close(t, connected) == 0);
    turn(0);
    turn(0);
    CHECK(n_done == n_sent && n_failed == in_vain);
    if (argc == 1) {
        CHECK(count_fds() == before + 1); /* that threads speak through */
    }
    vwl_transport_destroy(t);
    printf("fine\n");
    return 0;
}
