/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/closer.h"
#include "fds.h"
#include "linger.h"
#include "socket.h"

/* Threads of the closer stand still in here, until they are let through. */
static GMutex gate;
static GCond changed;
static unsigned int n_held, n_passes;
static GString *order;

static void hold(void *data)
{
    g_mutex_lock(&gate);
    n_held++;
    g_cond_broadcast(&changed);
    while (n_passes == 0) {
        g_cond_wait(&changed, &gate);
    }
    n_passes--;
    n_held--;
    g_cond_broadcast(&changed);
    g_mutex_unlock(&gate);
}

static void note(void *data)
{
    g_mutex_lock(&gate);
    g_string_append_c(order, (char)GPOINTER_TO_INT(data));
    g_cond_broadcast(&changed);
    g_mutex_unlock(&gate);
}

/* Once they are through: no later one takes the place of one of them. */
static void let_through(unsigned int n)
{
    g_mutex_lock(&gate);
    n_passes = n;
    g_cond_broadcast(&changed);
    while (n_passes > 0) {
        g_cond_wait(&changed, &gate);
    }
    g_mutex_unlock(&gate);
}

static void hold_hands(struct vwl_closer *closer, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        vwl_closer_call(closer, hold, NULL);
    }
    g_mutex_lock(&gate);
    while (n_held < n) {
        g_cond_wait(&changed, &gate);
    }
    g_mutex_unlock(&gate);
}

/* With one thread left they are done in the order in which they came. */
static void test_order(void)
{
    struct vwl_closer *closer = vwl_closer_create();

    order = g_string_new(NULL);
    hold_hands(closer, VWL_CLOSER_HANDS);
    for (char c = 'a'; c <= 'z'; c++) {
        vwl_closer_call(closer, note, GINT_TO_POINTER(c));
    }
    g_assert_cmpuint(vwl_closer_waiting(closer), ==, 26);
    let_through(1);
    g_mutex_lock(&gate);
    while (order->len < 26) {
        g_cond_wait(&changed, &gate);
    }
    g_mutex_unlock(&gate);
    g_assert_cmpstr(order->str, ==, "abcdefghijklmnopqrstuvwxyz");
    let_through(VWL_CLOSER_HANDS - 1);
    vwl_closer_destroy(closer);
    g_string_free(order, TRUE);
}

static unsigned int until_fds(unsigned int n)
{
    for (unsigned int i = 0; i < 60000 && count_fds() != n; i++) {
        g_usleep(1000);
    }
    return count_fds();
}

/* One that lingers keeps nobody else waiting. */
static void test_beside_one(void)
{
    struct vwl_closer *closer;
    struct linger_pair slow;
    unsigned int before;

    if (!linger_is_possible()) {
        return;
    }
    closer = vwl_closer_create();
    before = count_fds();
    linger_make(&slow);
    vwl_closer_close(closer, &slow.fd);
    for (unsigned int i = 0; i < 500; i++) {
        int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

        g_assert_cmpint(file, >=, 0);
        vwl_closer_close(closer, &file);
        g_assert_cmpint(file, ==, -1);
    }
    g_assert_cmpuint(until_fds(before + 1), ==, before + 1);
    g_assert_true(linger_closes());
    linger_end(&slow, 1);
    vwl_closer_destroy(closer);
}

/* What can wait for nobody is closed while we look. */
static void test_at_once(void)
{
    struct vwl_closer *closer = vwl_closer_create();
    unsigned int before;
    int pair[2], fds[4];

    hold_hands(closer, VWL_CLOSER_HANDS);
    before = count_fds();
    fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
    fds[1] = make_memfd(1);
    make_pair(pair);
    fds[2] = pair[0];
    close(pair[1]);
    fds[3] = open("/", O_PATH | O_CLOEXEC);
    vwl_closer_close_all(closer, fds, G_N_ELEMENTS(fds));
    g_assert_cmpuint(count_fds(), ==, before);
    g_assert_cmpuint(vwl_closer_waiting(closer), ==, 0);
    /* somebody could still write; something was written */
    make_pair(pair);
    vwl_closer_close(closer, &pair[0]);
    make_pair(fds);
    socket_send(fds[1], "x", 1, NULL, 0);
    close(fds[1]);
    vwl_closer_close(closer, &fds[0]);
    g_assert_cmpuint(vwl_closer_waiting(closer), ==, 2);
    let_through(VWL_CLOSER_HANDS);
    close(pair[1]);
    g_assert_cmpuint(until_fds(before), ==, before);
    vwl_closer_destroy(closer);
}

/* A connection of ours whose peer could write until now. */
static void test_shut(void)
{
    struct vwl_closer *closer = vwl_closer_create();
    int pair[2], none = -1, unconnected;
    unsigned int before;
    char byte;

    hold_hands(closer, VWL_CLOSER_HANDS);
    before = count_fds();
    make_pair(pair);
    vwl_closer_close_shut(closer, &pair[0]);
    g_assert_cmpint(pair[0], ==, -1);
    g_assert_cmpuint(count_fds(), ==, before + 1);
    g_assert_cmpint(recv(pair[1], &byte, 1, MSG_DONTWAIT), ==, 0);
    close(pair[1]);
    vwl_closer_close_shut(closer, &none);
    g_assert_cmpuint(vwl_closer_waiting(closer), ==, 0);
    make_pair(pair);
    socket_send(pair[1], "x", 1, &pair[1], 1);
    vwl_closer_close_shut(closer, &pair[0]);
    g_assert_cmpuint(vwl_closer_waiting(closer), ==, 1);
    close(pair[1]);
    make_pair(pair);
    g_assert_cmpint(send(pair[1], "x", 1, MSG_OOB), ==, 1);
    vwl_closer_close_shut(closer, &pair[0]);
    g_assert_cmpuint(vwl_closer_waiting(closer), ==, 2);
    close(pair[1]);
    unconnected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    vwl_closer_close_shut(closer, &unconnected);
    g_assert_cmpint(unconnected, ==, -1);
    let_through(VWL_CLOSER_HANDS);
    g_assert_cmpuint(until_fds(before), ==, before);
    vwl_closer_destroy(closer);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/closer/order", test_order);
    g_test_add_func("/closer/beside-one", test_beside_one);
    g_test_add_func("/closer/at-once", test_at_once);
    g_test_add_func("/closer/shut", test_shut);
    return g_test_run();
}
