/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A front-end that talks nonsense in whole frames to a real daemon: every
 * request with every short length and every wrong number of descriptors. One
 * connection bears it all, and no descriptor stays behind.
 */
#include "backend.h"
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LONGEST 80

static void drain(struct rig *r)
{
    struct vwl_fe_frame frame;

    while (vwl_fe_receive(r->fe->fd, &frame, RIG_TIMEOUT_MS) == 0) {
        vwl_fe_frame_close(&frame);
    }
}

/* Until the answer of a question that the daemon serves after all others. */
static void barrier(struct rig *r)
{
    static const uint8_t bytes[20] = { 17, 0, 0, 0, 1 };
    struct vwl_fe_frame frame;
    int64_t end = g_get_monotonic_time() + 60 * G_TIME_SPAN_SECOND;
    int err;

    g_assert_cmpint(vwl_fe_send_raw(r->fe->fd, bytes, 12, NULL, 0), ==, 0);
    do {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        err = vwl_fe_receive(r->fe->fd, &frame, RIG_TIMEOUT_MS);
        g_assert_true(err == 0 || err == -EAGAIN);
        if (err == 0) {
            vwl_fe_frame_close(&frame);
        } else {
            g_usleep(200);
        }
    } while (err != 0 || frame.header.request != 17);
}

static struct rig *begin(void)
{
    struct rig_options options = { .device = RIG_DAEMON, .no_driver = true };

    return rig_new(&options);
}

static void test_wrong_sizes_and_fds(void)
{
    struct rig *r = begin();
    uint8_t bytes[12 + LONGEST] = { 0 };
    int fds[9];
    unsigned int before;

    for (unsigned int i = 0; i < G_N_ELEMENTS(fds); i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    barrier(r);
    before = rig_count_fds(r->pid);
    for (uint8_t request = 1; request <= 46; request++) {
        if (request == 16 || request == 17) {
            continue; /* may end REPLY_ACK; is the barrier's */
        }
        for (uint8_t len = 0; len <= LONGEST; len++) {
            unsigned int n = len % 10;

            bytes[0] = request;
            bytes[4] = 9;
            bytes[8] = len;
            bytes[12] = 200; /* no such ring, far too many regions */
            g_test_message("request %u, %u bytes, %u descriptors", request, len,
                           n);
            g_assert_cmpint(vwl_fe_send_raw(r->fe->fd, bytes, 12u + len, fds,
                                            n),
                            ==, 0);
            barrier(r);
        }
        barrier(r);
    }
    drain(r);
    g_assert_false(r->fe->gone);
    g_assert_cmpuint(rig_count_fds(r->pid), <=, before);
    for (unsigned int i = 0; i < G_N_ELEMENTS(fds); i++) {
        close(fds[i]);
    }
    rig_free(r);
}

static unsigned long resident_pages(GPid pid)
{
    char *path = g_strdup_printf("/proc/%d/statm", pid), *text = NULL;
    unsigned long size, resident;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_cmpint(sscanf(text, "%lu %lu", &size, &resident), ==, 2);
    g_free(path);
    g_free(text);
    return resident;
}

/* Answers that nobody reads: the daemon stops to read, and stays small. */
static void test_unread_answers(void)
{
    static const uint8_t question[12] = { 44, 0, 0, 0, 1 };
    struct rig *r = begin();
    unsigned long before;
    unsigned int refused = 0, sent = 0;

    barrier(r);
    before = resident_pages(r->pid);
    while (refused < 200 && sent < 1000000) {
        int err = vwl_fe_send_raw(r->fe->fd, question, sizeof question, NULL,
                                  0);

        if (err == 0) {
            sent++;
        } else {
            g_assert_cmpint(err, ==, -EAGAIN);
            refused++;
            g_usleep(1000);
        }
    }
    g_assert_cmpuint(refused, ==, 200); /* it stopped itself */
    g_assert_cmpuint(resident_pages(r->pid), <, before + 2048);
    drain(r);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream/wrong-sizes-and-fds", test_wrong_sizes_and_fds);
    g_test_add_func("/stream/unread-answers", test_unread_answers);
    return g_test_run();
}
