/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that wait for peers which do not read: how many of the out queue's
 * places they take, and who goes when others need them.
 */
#include "story.h"

#include <string.h>
#include <unistd.h>

/* Requests that wait for one peer take most of the out queue while others use
 * it, too: the VFD hangs up and all of them are answered. */
static void test_stuck_requests(void)
{
    struct rig_options options = { .n_peers = 2 };
    struct rig *r = rig_new(&options);
    int stuck = rig_open_ctx(r, 1, 0), good = rig_open_ctx(r, 2, 1);
    struct vwl_drv_request *reqs[250];
    static uint8_t data[100000];
    unsigned int n = 0, most = 0, refused = 0;

    while (n < G_N_ELEMENTS(reqs) && !vwl_drv_find(r->drv, 1)->hup) {
        reqs[n] = vwl_drv_send_async(r->drv, 1, NULL, 0, data, sizeof data);
        g_assert_nonnull(reqs[n]);
        n++;
        rig_settle(r);
        most = MAX(most, r->drv->in_flight);
        if (n % 8 == 0) {
            story_alive(r, 2, good);
        }
    }
    g_assert_cmpuint(n, >, 4);
    g_assert_cmpuint(n, <, 130);
    g_assert_cmpuint(most, <, 128);
    for (unsigned int i = 0; i < n; i++) {
        g_assert_true(reqs[i]->done);
        refused += vwl_drv_request_type(reqs[i]) == RESP_ERR;
        vwl_drv_request_free(r->drv, reqs[i]);
    }
    g_assert_cmpuint(refused, >, 4);
    rig_read_to_end(r, stuck); /* its peer sees the end, too */
    story_alive(r, 2, good);
    g_assert_cmpint(vwl_drv_send(r->drv, 1, NULL, 0, "x", 1), ==, RESP_ERR);
    g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, RESP_OK);
    close(stuck);
    close(good);
    rig_free(r);
}

/* As many at once as the ring holds, all for one peer that does not read just
 * now: it reads later, and nothing is lost. With two descriptors for each the
 * ring is full, which the peer may let stand for a moment. */
static void test_all_at_once(gconstpointer no_indirect)
{
    enum { BYTES = 9000 };
    struct rig_options options = { .n_peers = 1,
                                   .fe.no_indirect = no_indirect != NULL };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);
    unsigned int n = no_indirect ? 128 : 250, waiting = 0;
    struct vwl_drv_request *reqs[250];
    uint8_t data[BYTES], byte;

    for (unsigned int i = 0; i < n; i++) {
        memset(data, (int)i, sizeof data);
        reqs[i] = vwl_drv_send_async(r->drv, 1, NULL, 0, data, sizeof data);
        g_assert_nonnull(reqs[i]);
    }
    rig_settle(r); /* the device has seen them all */
    for (unsigned int i = 0; i < n; i++) {
        waiting += !reqs[i]->done;
    }
    g_assert_cmpuint(waiting, >, 32);
    for (size_t at = 0; at < n * (size_t)BYTES; at++) {
        if (at % BYTES == 0) {
            rig_read(r, peer, data, sizeof data, NULL, NULL);
        }
        byte = (uint8_t)(at / BYTES);
        g_assert_cmpuint(data[at % BYTES], ==, byte);
    }
    for (unsigned int i = 0; i < n; i++) {
        g_assert_cmpint(vwl_drv_wait(r->drv, reqs[i], RIG_TIMEOUT_MS), ==, 0);
        g_assert_cmphex(vwl_drv_request_type(reqs[i]), ==, RESP_OK);
        vwl_drv_request_free(r->drv, reqs[i]);
    }
    story_alive(r, 1, peer);
    close(peer);
    rig_free(r);
}

/* The ring stays full: whoever filled it goes, in time for the others. */
static void test_full_for_long(void)
{
    struct rig_options options = { .n_peers = 2, .fe.no_indirect = true };
    struct rig *r = rig_new(&options);
    int stuck = rig_open_ctx(r, 1, 0), good = rig_open_ctx(r, 2, 1);
    struct vwl_drv_request *reqs[128];
    static uint8_t data[9000];
    unsigned int n = 0;

    while (
        (reqs[n] = vwl_drv_send_async(r->drv, 1, NULL, 0, data, sizeof data))) {
        n++;
        g_assert_cmpuint(n, <, G_N_ELEMENTS(reqs) + 1);
        if (n == G_N_ELEMENTS(reqs)) {
            break;
        }
    }
    g_assert_cmpint(vwl_drv_wait(r->drv, reqs[n - 1], RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(reqs[n - 1]), ==, RESP_ERR);
    rig_settle(r);
    g_assert_true(vwl_drv_find(r->drv, 1)->hup);
    while (n-- > 0) {
        g_assert_true(reqs[n]->done);
        vwl_drv_request_free(r->drv, reqs[n]);
    }
    story_alive(r, 2, good);
    close(stuck);
    close(good);
    rig_free(r);
}

/* Many VFDs, each with less than its share of requests that wait. */
static void test_many_stuck(void)
{
    struct rig_options options = { .n_peers = 2, .fe.ram_mib = 64 };
    struct rig *r = rig_new(&options);
    int good = rig_open_ctx(r, 1, 1), stuck[20];
    struct vwl_drv_request *reqs[20 * 10];
    static uint8_t data[100000];
    unsigned int most = 0, hups = 0, n = 0;

    for (uint32_t i = 0; i < 20; i++) {
        stuck[i] = rig_open_ctx(r, 10 + i, 0);
        peer_fill(stuck[i]); /* both ways, for good measure */
    }
    for (unsigned int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < 20; i++) {
            reqs[n] = vwl_drv_send_async(r->drv, 10 + i, NULL, 0, data,
                                         sizeof data);
            g_assert_nonnull(reqs[n]);
            n++;
        }
        rig_settle(r);
        most = MAX(most, r->drv->in_flight);
        story_alive(r, 1, good);
    }
    g_assert_cmpuint(most, <=, 128);
    g_assert_cmpuint(most, >, 50);
    for (uint32_t i = 0; i < 20; i++) {
        hups += vwl_drv_find(r->drv, 10 + i)->hup;
    }
    g_assert_cmpuint(hups, >, 0);
    g_assert_cmpuint(hups, <, 20);
    for (uint32_t i = 0; i < 20; i++) {
        g_assert_cmpint(vwl_drv_close(r->drv, 10 + i), ==, RESP_OK);
        close(stuck[i]);
    }
    while (n-- > 0) {
        g_assert_true(reqs[n]->done);
        vwl_drv_request_free(r->drv, reqs[n]);
    }
    close(good);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/crowd/stuck-requests", test_stuck_requests);
    g_test_add_data_func("/crowd/all-at-once/indirect", NULL, test_all_at_once);
    g_test_add_data_func("/crowd/all-at-once/full", "full", test_all_at_once);
    g_test_add_func("/crowd/full-for-long", test_full_for_long);
    g_test_add_func("/crowd/many-stuck", test_many_stuck);
    return g_test_run();
}
