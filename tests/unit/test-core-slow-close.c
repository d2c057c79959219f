/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host peer leaves a descriptor in a socket's queue whose close lingers.
 * Whatever the guest does, the device's thread is not the one that waits: in
 * each test another thread still does when the guest has its answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ask.h"
#include "base/closer.h"
#include "fds.h"
#include "linger.h"
#include "socket.h"
#include "valgrind.h"

/* Some threads of it may only be on their way. */
static void expect_closing(struct core_rig *rig)
{
    linger_expect();
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 99, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_true(linger_closes());
}

static void test_close(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct linger_pair slow;
    int compositor = open_ctx(rig, 1);

    linger_make(&slow);
    linger_hand_over(&slow, compositor, "x");
    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    expect_closing(rig);
    linger_end(&slow, 1);
    close(compositor);
    core_rig_free(rig);
}

static void test_reset(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct linger_pair slow;
    int compositor = open_ctx(rig, 1);

    linger_make(&slow);
    linger_hand_over(&slow, compositor, "x");
    vwl_core_reset(rig->core, false);
    expect_closing(rig);
    linger_end(&slow, 1);
    close(compositor);
    core_rig_free(rig);
}

/* It comes through a socket that takes no descriptors. */
static void test_received_socket(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct linger_pair slow;
    int compositor = open_ctx(rig, 1), pair[2];
    uint32_t id;
    size_t len;

    make_pair(pair);
    socket_send(compositor, "s", 1, &pair[0], 1);
    close(pair[0]);
    id = expect_new(rig, VFD_READ_WRITE, 0x100000, 0);
    expect_recv(rig, 1, 1, &len);
    linger_make(&slow);
    linger_hand_over(&slow, pair[1], "in");
    g_assert_cmpmem(expect_recv(rig, id, 0, &len), 2, "in", 2);
    expect_closing(rig);
    linger_end(&slow, 1);
    close(pair[1]);
    close(compositor);
    core_rig_free(rig);
}

#define MANY 28

static void open_many(int files[MANY])
{
    for (unsigned int i = 0; i < MANY; i++) {
        files[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    }
}

static void send_many(int compositor, int files[MANY])
{
    socket_send(compositor, "x", 1, files, MANY);
    for (unsigned int i = 0; i < MANY; i++) {
        close(files[i]);
    }
}

/* For numbers below that; what it was. */
static struct rlimit set_limit(int end)
{
    struct rlimit before, now;

    getrlimit(RLIMIT_NOFILE, &before);
    now = before;
    now.rlim_cur = (rlim_t)end;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &now), ==, 0);
    return before;
}

/* The limit is not asked for at each read. */
static void read_on(struct core_rig *rig, int compositor, uint32_t id)
{
    size_t len;

    for (unsigned int i = 0; i < 256; i++) {
        socket_send(compositor, "z", 1, NULL, 0);
        expect_recv(rig, id, 0, &len);
    }
}

/* There is no room in this process for what came: some do, and then none. */
static void test_cut_off(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct linger_pair slow;
    struct rlimit before;
    int compositor = open_ctx(rig, 1), quiet = open_ctx(rig, 2), files[MANY];

    linger_make(&slow);
    open_many(files);
    close(files[MANY - 1]);
    files[MANY - 1] = slow.fd;
    before = set_limit(files[8]);
    read_on(rig, quiet, 2);
    send_many(compositor, files);
    expect_hup(rig, 1);
    setrlimit(RLIMIT_NOFILE, &before);
    expect_closing(rig);
    linger_end(&slow, 1);
    read_on(rig, quiet, 2); /* and the room is seen */
    close(compositor);
    close(quiet);
    core_rig_free(rig);
}

/* The same, and the kernel cuts before the device knows. */
static void test_unnoticed(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct rlimit before;
    int compositor = open_ctx(rig, 1), quiet = open_ctx(rig, 2), files[MANY];
    size_t len;

    if (is_on_valgrind()) {
        g_test_skip("valgrind has a descriptor limit of its own");
        goto end;
    }
    read_on(rig, quiet, 2);
    open_many(files);
    before = set_limit(files[8]);
    send_many(compositor, files);
    expect_hup(rig, 1);
    socket_send(quiet, "z", 1, NULL, 0);
    expect_recv(rig, 2, 0, &len);
    setrlimit(RLIMIT_NOFILE, &before);
    read_on(rig, quiet, 2);
end:
    close(compositor);
    close(quiet);
    core_rig_free(rig);
}

/* 28 descriptors that the guest gets no more of than ids. False: the context
 * was hung up instead. */
static bool give_useless(struct core_rig *rig, int compositor)
{
    int files[28];
    ssize_t n;

    for (unsigned int i = 0; i < G_N_ELEMENTS(files); i++) {
        files[i] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    }
    socket_send(compositor, "x", 1, files, G_N_ELEMENTS(files));
    for (unsigned int i = 0; i < G_N_ELEMENTS(files); i++) {
        close(files[i]);
    }
    while ((n = next_message(rig)) == 32) {
    }
    g_assert_true(n == 12 || n == 16 + 28 * 4 + 1);
    return n != 12;
}

/* As many as may be wait to be closed: who sends more is hung up, and what it
 * sends is not taken. */
static void test_full(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct linger_pair slow[VWL_CLOSER_HANDS];
    int greedy = open_ctx(rig, 1), late = open_ctx(rig, 2);
    int quiet = open_ctx(rig, 3);
    unsigned int before, given = 0;
    size_t len;

    for (unsigned int i = 0; i < G_N_ELEMENTS(slow); i++) {
        uint32_t id;

        linger_make(&slow[i]);
        linger_hand_over(&slow[i], greedy, "x");
        id = expect_new(rig, VFD_READ_WRITE, 0x100000, 0);
        expect_recv(rig, 1, 1, &len);
        g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    }
    before = count_fds();
    while (give_useless(rig, greedy)) {
        g_assert_cmpuint(++given, <, 10);
    }
    g_assert_cmpuint(given, >, 0);
    g_assert_false(give_useless(rig, late));
    g_assert_cmpuint(count_fds(), <=, before + VWL_CLOSER_FULL + 2 * 28);
    socket_send(quiet, "z", 1, NULL, 0);
    expect_recv(rig, 3, 0, &len);
    linger_end(slow, G_N_ELEMENTS(slow));
    close(greedy);
    close(late);
    close(quiet);
    core_rig_free(rig);
}

static void run_if_possible(gconstpointer test)
{
    if (linger_is_possible()) {
        ((void (*)(void))(uintptr_t)test)();
    }
}

static void add(const char *path, void (*test)(void))
{
    g_test_add_data_func(path, (gconstpointer)(uintptr_t)test, run_if_possible);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/core/slow-close/close", test_close);
    add("/core/slow-close/reset", test_reset);
    add("/core/slow-close/received-socket", test_received_socket);
    add("/core/slow-close/cut-off", test_cut_off);
    add("/core/slow-close/full", test_full);
    g_test_add_func("/core/slow-close/unnoticed", test_unnoticed);
    return g_test_run();
}
