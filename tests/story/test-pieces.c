/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest whose requests have as many pieces as may be: looking at them is
 * spread over turns of the main loop, and what those that wait take of the
 * host's memory has a bound.
 */
#include <string.h>

#include "story.h"

#define PIECES 16000u

/* Requests that share a table, whose pieces are not next to each other. */
struct heavy {
    struct vwl_ring_piece *pieces;
    void *table;
    uint64_t page, table_at;
};

static void heavy_init(struct heavy *heavy, struct rig *r, uint32_t type,
                       uint32_t id)
{
    uint64_t page = vwl_fe_alloc(r->fe, 4096), table;
    uint8_t *head = vwl_fe_at(r->fe, page);

    heavy->page = page;
    put32(head, type);
    put32(head + 8, id);
    heavy->pieces = g_new0(struct vwl_ring_piece, PIECES);
    for (unsigned int i = 0; i < PIECES; i++) {
        heavy->pieces[i].addr = vwl_fe_bus_address(r->fe, page) + 1024 +
                                4 * (i % 3);
        heavy->pieces[i].len = 1;
        heavy->pieces[i].write = i >= PIECES - 8;
    }
    heavy->pieces[0].addr = vwl_fe_bus_address(r->fe, page);
    heavy->pieces[0].len = 16;
    table = vwl_fe_alloc(r->fe, PIECES * 16);
    heavy->table = vwl_fe_at(r->fe, table);
    heavy->table_at = vwl_fe_bus_address(r->fe, table);
}

static struct vwl_drv_request *heavy_add(struct heavy *heavy, struct rig *r)
{
    struct vwl_drv_request *request = g_new0(struct vwl_drv_request, 1);

    request->gpa = heavy->page;
    request->response_cap = 8; /* somewhere in the page */
    g_assert_cmpint(vwl_ring_add(&r->drv->out, heavy->pieces, PIECES,
                                 heavy->table, heavy->table_at, request),
                    ==, 0);
    r->drv->in_flight++;
    return request;
}

static void kick(struct rig *r)
{
    if (vwl_ring_kick_due(&r->drv->out)) {
        vwl_fe_kick(r->fe, VIRTIO_WL_QUEUE_OUT);
    }
}

static unsigned int n_done(struct vwl_drv_request *const *requests,
                           unsigned int n)
{
    unsigned int done = 0;

    for (unsigned int i = 0; i < n; i++) {
        done += requests[i]->done;
    }
    return done;
}

/* Whoever shares the main loop has turns in between. */
static void test_turns(void)
{
    struct rig_options options = { .fe = { .packed = true } };
    struct rig *r = rig_new(&options);
    struct vwl_drv_request *requests[32];
    struct heavy heavy;
    unsigned int before = 0, turns = 0;

    heavy_init(&heavy, r, 0x7777, 0);
    for (unsigned int i = 0; i < G_N_ELEMENTS(requests); i++) {
        requests[i] = heavy_add(&heavy, r);
    }
    kick(r);
    while (before < G_N_ELEMENTS(requests)) {
        unsigned int now;

        g_main_context_iteration(r->context, FALSE);
        vwl_drv_collect(r->drv);
        now = n_done(requests, G_N_ELEMENTS(requests));
        g_assert_cmpuint(now - before, <=, 8); /* two turns */
        turns += now > before;
        before = now;
    }
    g_assert_cmpuint(turns, >=, G_N_ELEMENTS(requests) / 8);
    for (unsigned int i = 0; i < G_N_ELEMENTS(requests); i++) {
        g_free(requests[i]);
    }
    g_free(heavy.pieces);
    rig_free(r);
}

/* A request of few pieces that waits: how much a pipe takes is the kernel's. */
static struct vwl_drv_request *fill_pipe(struct rig *r, uint32_t id)
{
    static const uint8_t fill[65536];
    struct vwl_drv_request *request = NULL;

    g_assert_cmphex(vwl_drv_new_pipe(r->drv, id, VFD_WRITE), ==, RESP_VFD_NEW);
    do {
        vwl_drv_request_free(r->drv, request);
        request = vwl_drv_send_async(r->drv, id, NULL, 0, fill, sizeof fill);
        rig_settle(r);
    } while (request->done);
    return request;
}

/* What waits for a pipe that is full takes no more than data may; then the
 * biggest of them fail, and nobody else. */
static void test_waiting(void)
{
    struct vwl_config config = { .size = sizeof config,
                                 .max_queued_bytes = 1024 * 1024 };
    struct rig_options options = { .fe = { .packed = true },
                                   .config = &config };
    struct rig *r = rig_new(&options);
    struct vwl_drv_request *requests[32], *small[2];
    struct heavy heavy;

    for (uint32_t i = 0; i < 2; i++) {
        small[i] = fill_pipe(r, 100 + i);
    }
    heavy_init(&heavy, r, CMD_VFD_SEND, 100);
    for (unsigned int i = 0; i < G_N_ELEMENTS(requests); i++) {
        requests[i] = heavy_add(&heavy, r);
    }
    kick(r);
    rig_settle(r);
    g_assert_true(rig_logged(r, "the lists of all that wait"));
    g_assert_cmpuint(n_done(requests, G_N_ELEMENTS(requests)), ==,
                     G_N_ELEMENTS(requests));
    g_assert_true(small[0]->done); /* of the same VFD */
    g_assert_false(small[1]->done);
    g_assert_cmpuint(rig_stats(r).in_flight, ==, 1);
    vwl_drv_reset(r->drv);
    for (unsigned int i = 0; i < G_N_ELEMENTS(requests); i++) {
        g_free(requests[i]);
    }
    vwl_drv_request_free(r->drv, small[0]);
    vwl_drv_request_free(r->drv, small[1]);
    g_free(heavy.pieces);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pieces/turns", test_turns);
    g_test_add_func("/pieces/waiting", test_waiting);
    return g_test_run();
}
