/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"
#include "wl/state.h"

#define BIG (4u << 20)

static char *pattern(size_t len)
{
    char *bytes = g_malloc(len);

    for (size_t i = 0; i < len; i++) {
        bytes[i] = (char)(i * 131 >> 5);
    }
    return bytes;
}

static void run_out(struct core_rig *rig)
{
    for (int i = 0; i < 1000 && is_readable(vwl_core_out_fd(rig->core)); i++) {
        vwl_core_dispatch_out(rig->core);
    }
}

/* Nothing more can be sent to it without waiting. */
static struct asked *stuff(struct core_rig *rig, uint32_t id, const char *big)
{
    struct asked *asked = send_init(id, NULL, 0, big, BIG);

    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    return asked;
}

/* One compositor that does not read delays nobody else; what it was sent
 * arrives complete and in order when it does. */
static void test_stuck_peer(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int stuck = open_ctx(rig, 1), other = open_ctx(rig, 2);
    g_autofree char *big = pattern(BIG), *back = g_malloc(BIG + 100);
    struct asked *first, *second, *third;
    uint32_t id = 3;
    size_t got = 0;
    int fds[253], memory = -1;
    unsigned int n_fds;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 3, 0, 4096), ==, RESP_VFD_NEW);
    first = stuff(rig, 1, big);
    second = send_init(1, &id, 1, "second", 6);
    g_assert_cmpint(vwl_core_execute(rig->core, &second->request), ==,
                    -EINPROGRESS);
    third = send_init(1, NULL, 0, "third", 5);
    g_assert_cmpint(vwl_core_execute(rig->core, &third->request), ==,
                    -EINPROGRESS);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    /* everybody else goes on, the stuck one's own reading, too */
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, "ping", 4), ==, RESP_OK);
    g_assert_cmpint(socket_receive(other, back, 100, fds, &n_fds), ==, 4);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 4, VFD_WRITE, 0), ==,
                    RESP_VFD_NEW);
    g_assert_cmphex(ask_close(rig, 3), ==, RESP_OK);
    socket_send(stuck, "hello", 5, NULL, 0);
    g_assert_cmpint(next_message(rig), ==, 21);
    while (got < BIG + 11) {
        ssize_t n = socket_receive(stuck, back + got, BIG + 100 - got, fds,
                                   &n_fds);

        if (n < 0) {
            g_assert_true(is_readable(vwl_core_out_fd(rig->core)));
            vwl_core_dispatch_out(rig->core);
            continue;
        }
        if (n_fds) {
            /* with the first byte of its message, not before */
            g_assert_cmpuint(got + (size_t)n, >, BIG);
            g_assert_cmpuint(got, <=, BIG);
            g_assert_cmpuint(n_fds, ==, 1);
            g_assert_cmpint(memory, ==, -1);
            memory = fds[0];
        }
        got += (size_t)n;
    }
    g_assert_cmpint(memory, >=, 0);
    g_assert_cmpint(memcmp(back, big, BIG), ==, 0);
    g_assert_cmpmem(back + BIG, 11, "secondthird", 11);
    g_assert_cmpuint(rig->completed->len, ==, 3);
    g_assert_true(rig->completed->pdata[0] == &first->request);
    g_assert_true(rig->completed->pdata[1] == &second->request);
    g_assert_true(rig->completed->pdata[2] == &third->request);
    for (guint i = 0; i < 3; i++) {
        struct vwl_request *request = rig->completed->pdata[i];

        g_assert_cmphex(get32(request->response), ==, RESP_OK);
    }
    run_out(rig);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    close(memory);
    asked_free(first);
    asked_free(second);
    asked_free(third);
    close(stuck);
    close(other);
    core_rig_free(rig);
}

/* Fills the socket with messages that carry descriptors: each arrives with its
 * own, in order, although most were only kept. */
static void test_kept_descriptors(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), fds[253];
    g_autofree char *big = pattern(30000), *back = g_malloc(30000);
    unsigned int n_fds, sent = 0;

    for (uint32_t i = 0; i < 16; i++) {
        uint32_t id = 10 + i;
        struct asked *asked = send_init(1, &id, 1, big, 30000);
        int err;

        g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, id, 0, 4096 * (i + 1)), ==,
                        RESP_VFD_NEW);
        err = vwl_core_execute(rig->core, &asked->request);
        if (err == -EINPROGRESS) {
            /* it ends with the reset below */
            vwl_core_fail_requests(rig->core, NULL, NULL);
            g_assert_cmphex(get32(asked->request.response), ==, RESP_ERR);
            asked_free(asked);
            break;
        }
        g_assert_cmphex(get32(asked->request.response), ==, RESP_OK);
        asked_free(asked);
        /* closing it does not take it from the message */
        g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
        sent++;
    }
    g_assert_cmpuint(sent, >, 2);
    for (unsigned int i = 0; i < sent; i++) {
        size_t got = 0;
        struct stat st;

        while (got < 30000) {
            ssize_t n = socket_receive(compositor, back + got, 30000 - got, fds,
                                       &n_fds);

            if (n <= 0) {
                break;
            }
            g_assert_cmpuint(n_fds, ==, got == 0);
            if (n_fds) {
                g_assert_cmpint(fstat(fds[0], &st), ==, 0);
                g_assert_cmpint(st.st_size, ==, 4096 * ((int)i + 1));
                close(fds[0]);
            }
            got += (size_t)n;
        }
        if (got == 0) {
            break; /* hung up: what was kept went with it */
        }
    }
    close(compositor);
    core_rig_free(rig);
}

/* Closed with data on its way: the peer gets all that was answered for, and
 * the request that waited ends with an error. */
static void test_close_stuck(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int stuck = open_ctx(rig, 1);
    g_autofree char *big = pattern(BIG);
    struct asked *asked = stuff(rig, 1, big);

    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_ERR);
    close(open_ctx(rig, 1));
    asked_free(asked);
    close(stuck);
    core_rig_free(rig);
}

/* The peer goes: every request that waits ends with ERR, once. */
static void test_peer_dies(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int stuck = open_ctx(rig, 1);
    g_autofree char *big = pattern(BIG);
    struct asked *first = stuff(rig, 1, big), *second = stuff(rig, 1, big);

    close(stuck);
    g_assert_true(is_readable(vwl_core_out_fd(rig->core)));
    vwl_core_dispatch_out(rig->core);
    g_assert_cmpuint(rig->completed->len, ==, 2);
    g_assert_cmphex(get32(first->request.response), ==, RESP_ERR);
    g_assert_cmphex(get32(second->request.response), ==, RESP_ERR);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    expect_hup(rig, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    asked_free(first);
    asked_free(second);
    core_rig_free(rig);
}

/* So many asked requests, freed. */
static void free_all(struct asked **asked, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        asked_free(asked[i]);
    }
}

/* More than all together may have: somebody hangs up, and the queue never
 * fills. */
static void test_in_flight_limit(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int fds[6];
    g_autofree char *big = pattern(BIG);
    struct asked *asked[16];
    struct vwl_stats stats = { 0 };

    vwl_core_set_in_flight_limit(rig->core, 8, 8, 16);
    for (uint32_t i = 0; i < 6; i++) {
        fds[i] = open_ctx(rig, i + 1);
    }
    /* what one may have that was given a limit: all of it, and no more */
    for (int i = 0; i < 8; i++) {
        asked[i] = stuff(rig, 1, big);
    }
    asked[8] = send_init(1, NULL, 0, "x", 1);
    g_assert_cmpint(vwl_core_execute(rig->core, &asked[8]->request), ==, 0);
    g_assert_cmphex(get32(asked[8]->request.response), ==, RESP_ERR);
    g_assert_cmpuint(rig->completed->len, ==, 8);
    g_assert_cmphex(get32(asked[0]->request.response), ==, RESP_ERR);
    expect_hup(rig, 1);
    free_all(asked, 9);
    /* eight of four, then one more: the oldest goes */
    for (uint32_t i = 0; i < 8; i++) {
        asked[i] = stuff(rig, 2 + i / 2, big);
    }
    g_assert_cmpuint(rig->completed->len, ==, 8);
    asked[8] = stuff(rig, 6, big);
    g_assert_cmpuint(rig->completed->len, ==, 10);
    g_assert_cmphex(get32(asked[0]->request.response), ==, RESP_ERR);
    g_assert_cmphex(get32(asked[1]->request.response), ==, RESP_ERR);
    expect_hup(rig, 2);
    g_assert_cmpint(next_message(rig), ==, 0);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.in_flight, ==, 7);
    g_assert_cmphex(ask_send(rig, 2, NULL, 0, "x", 1), ==, RESP_ERR);
    /* dropped without an answer */
    vwl_core_reset(rig->core, false);
    g_assert_cmpuint(rig->completed->len, ==, 10);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.in_flight, ==, 0);
    free_all(asked, 9);
    for (int i = 0; i < 6; i++) {
        close(fds[i]);
    }
    core_rig_free(rig);
}

/* One VFD may have what nobody else needs; others that ask on and on end it, if
 * it stands still meanwhile. */
static void test_greedy(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int stuck = open_ctx(rig, 1), good = open_ctx(rig, 2);
    g_autofree char *big = pattern(BIG), *back = g_malloc(1u << 20);
    struct asked *asked[12];
    unsigned int n_fds, asks = 0;
    int fds[28];

    vwl_core_set_in_flight_limit(rig->core, 8, 16, 64);
    for (int i = 0; i < 12; i++) {
        asked[i] = stuff(rig, 1, big);
    }
    /* it moves after each of many */
    for (int i = 0; i < 30; i++) {
        g_assert_cmphex(ask_send(rig, 2, NULL, 0, "x", 1), ==, RESP_OK);
        while (!is_readable(vwl_core_out_fd(rig->core))) {
            g_assert_cmpint(socket_receive(stuck, back, 1u << 20, fds, &n_fds),
                            >, 0);
        }
        run_out(rig);
    }
    g_assert_cmpint(next_message(rig), ==, 0);
    /* it does not */
    while (next_message(rig) == 0) {
        g_assert_cmphex(ask_send(rig, 2, NULL, 0, "x", 1), ==, RESP_OK);
        g_assert_cmpuint(asks++, <, 20);
    }
    g_assert_cmpuint(asks, >, 7);
    g_assert_cmphex(get32(rig->message), ==, CMD_VFD_HUP);
    g_assert_cmphex(get32(rig->message + 8), ==, 1);
    g_assert_cmpuint(rig->completed->len, ==, 12);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_ERR);
    free_all(asked, 12);
    close(stuck);
    close(good);
    core_rig_free(rig);
}

/* It stands still, and the driver has no room for anybody: it goes, in less
 * time than a driver waits. With room nobody cares. */
static void test_full_ring(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int stuck = open_ctx(rig, 1);
    g_autofree char *big = pattern(BIG);
    struct asked *asked[8];

    for (unsigned int entries = 1; entries <= 2; entries++) {
        vwl_core_set_in_flight_limit(rig->core, 8, 16, 20);
        for (int i = 0; i < 8; i++) {
            asked[i] = send_init(entries, NULL, 0, big, BIG);
            asked[i]->request.entries = entries;
            g_assert_cmpint(vwl_core_execute(rig->core, &asked[i]->request), ==,
                            -EINPROGRESS);
        }
        g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 9, VFD_WRITE, 0), ==,
                        RESP_VFD_NEW);
        if (entries == 1) {
            g_assert_true(vwl_list_is_empty(&rig->core->crowd.link));
            g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
            g_assert_cmpuint(rig->completed->len, ==, 8);
            close(stuck);
            stuck = open_ctx(rig, 2);
        } else {
            while (next_message(rig) == 0) {
                struct pollfd wait = { vwl_core_out_fd(rig->core), POLLIN, 0 };

                g_assert_cmpint(poll(&wait, 1, 60000), ==, 1);
                vwl_core_dispatch_out(rig->core);
            }
            g_assert_cmphex(get32(rig->message), ==, CMD_VFD_HUP);
            g_assert_cmpuint(rig->completed->len, ==, 16);
        }
        g_assert_cmphex(ask_close(rig, 9), ==, RESP_OK);
        free_all(asked, 8);
    }
    close(stuck);
    core_rig_free(rig);
}

static bool is_first(void *opaque, const struct vwl_request *request)
{
    return request == opaque;
}

static void test_fail_requests(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int a = open_ctx(rig, 1), b = open_ctx(rig, 2);
    g_autofree char *big = pattern(BIG);
    struct asked *first = stuff(rig, 1, big), *second = stuff(rig, 2, big);
    struct asked *memory;
    uint8_t bytes[64];

    vwl_core_fail_requests(rig->core, is_first, &first->request);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_cmphex(get32(first->request.response), ==, RESP_ERR);
    expect_hup(rig, 1);
    rig->map_later = true;
    fill_new(bytes, CMD_VFD_NEW, 3, 0, 4096);
    memory = ask_init(bytes, 64, 64);
    g_assert_cmpint(vwl_core_execute(rig->core, &memory->request), ==,
                    -EINPROGRESS);
    vwl_core_fail_requests(rig->core, NULL, NULL);
    g_assert_cmpuint(rig->completed->len, ==, 3);
    g_assert_cmphex(get32(second->request.response), ==, RESP_ERR);
    g_assert_cmphex(get32(memory->request.response), ==, RESP_ERR);
    expect_hup(rig, 2);
    g_assert_cmpint(next_message(rig), ==, 0);
    asked_free(first);
    asked_free(second);
    asked_free(memory);
    close(a);
    close(b);
    core_rig_free(rig);
}

static struct asked *ask_context(struct core_rig *rig, uint32_t id)
{
    uint8_t bytes[64];
    struct asked *asked;

    fill_new(bytes, CMD_VFD_NEW_CTX, id, VFD_READ_WRITE, 0);
    asked = ask_init(bytes, 64, 64);
    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    return asked;
}

static void run_until_complete(struct core_rig *rig, guint n)
{
    while (rig->completed->len < n) {
        struct pollfd pfd = { vwl_core_out_fd(rig->core), POLLIN, 0 };

        g_assert_cmpint(poll(&pfd, 1, 30000), ==, 1);
        vwl_core_dispatch_out(rig->core);
    }
}

/* A full backlog delays only who wants to connect, for a bounded time. */
static void test_full_backlog(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int other = open_ctx(rig, 1), accepted;
    struct asked *asked, *more;
    uint32_t id = 2;
    char byte;

    g_assert_cmpint(listen(rig->listener, 0), ==, 0);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, id++, VFD_READ_WRITE, 0), ==,
                    RESP_VFD_NEW);
    asked = ask_context(rig, id);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "ping", 4), ==, RESP_OK);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_CTX, id, VFD_READ_WRITE, 0), ==,
                    RESP_INVALID_ID);
    accepted = accept4(rig->listener, NULL, NULL, SOCK_CLOEXEC);
    run_until_complete(rig, 1);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "x", 1), ==, RESP_OK);
    asked_free(asked);
    /* nobody accepts */
    asked = ask_context(rig, ++id);
    run_until_complete(rig, 2);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_ERR);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    asked_free(asked);
    /* what names it waits as long */
    asked = ask_context(rig, id);
    more = close_init(id);
    g_assert_cmpint(vwl_core_execute(rig->core, &more->request), ==,
                    -EINPROGRESS);
    run_until_complete(rig, 4);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_ERR);
    g_assert_cmphex(get32(more->request.response), ==, RESP_INVALID_ID);
    asked_free(asked);
    asked_free(more);
    g_assert_cmpint(read(accepted, &byte, 0), ==, 0);
    close(accepted);
    close(other);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/waits/stuck-peer", test_stuck_peer);
    g_test_add_func("/core/waits/kept-descriptors", test_kept_descriptors);
    g_test_add_func("/core/waits/close-stuck", test_close_stuck);
    g_test_add_func("/core/waits/peer-dies", test_peer_dies);
    g_test_add_func("/core/waits/in-flight-limit", test_in_flight_limit);
    g_test_add_func("/core/waits/greedy", test_greedy);
    g_test_add_func("/core/waits/full-ring", test_full_ring);
    g_test_add_func("/core/waits/fail-requests", test_fail_requests);
    g_test_add_func("/core/waits/full-backlog", test_full_backlog);
    return g_test_run();
}
