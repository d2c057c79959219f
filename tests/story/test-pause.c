/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rings that stop and go on, or start afresh, while the guest's requests and
 * the host's data wait.
 */
#include "rig.h"
#include "wl_names.h"

#include <string.h>
#include <unistd.h>

#define MANY 3000000
#define STATUS_AND_RESET                           \
    (UINT64_C(1) << VHOST_USER_PROTOCOL_F_STATUS | \
     UINT64_C(1) << VHOST_USER_PROTOCOL_F_RESET_DEVICE)

static struct rig *begin(gconstpointer packed)
{
    struct rig_options options = {
        .n_peers = 1,
        .fe = { .packed = GPOINTER_TO_INT(packed) != 0,
                .protocol_features_on = STATUS_AND_RESET },
    };

    return rig_new(&options);
}

/* What a stopped device must leave alone. */
struct still {
    uint8_t *ram;
    unsigned int calls[2], requests;
};

static void look(struct rig *r, struct still *still)
{
    rig_settle(r);
    still->ram = g_memdup2(r->fe->ram, r->fe->ram_size);
    for (unsigned int i = 0; i < 2; i++) {
        still->calls[i] = r->fe->ring[i].calls;
    }
    still->requests = r->fe->backend_requests;
}

static void check_still(struct rig *r, struct still *still)
{
    rig_settle(r);
    g_assert_true(memcmp(still->ram, r->fe->ram, r->fe->ram_size) == 0);
    for (unsigned int i = 0; i < 2; i++) {
        g_assert_cmpuint(still->calls[i], ==, r->fe->ring[i].calls);
    }
    g_assert_cmpuint(still->requests, ==, r->fe->backend_requests);
    g_free(still->ram);
}

static struct vwl_drv_request *stuck_send(struct rig *r, uint8_t *data)
{
    struct vwl_drv_request *req;

    for (size_t i = 0; i < MANY; i++) {
        data[i] = (uint8_t)(i * 11 + i / 253);
    }
    req = vwl_drv_send_async(r->drv, 1, NULL, 0, data, MANY);
    g_assert_nonnull(req);
    rig_settle(r);
    g_assert_false(req->done);
    return req;
}

static void check_works(struct rig *r, uint32_t id)
{
    int peer = rig_open_ctx(r, id, 0);
    char byte;

    g_assert_cmpint(vwl_drv_send(r->drv, id, NULL, 0, "x", 1), ==, RESP_OK);
    rig_read(r, peer, &byte, 1, NULL, NULL);
    g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
    g_assert_cmpuint(rig_read_to_end(r, peer), ==, 0);
    close(peer);
}

/* The peer reads only when all rings are stopped, or only afterwards: each
 * byte arrives once, and so does the answer. */
static void same_base(gconstpointer packed, bool read_while_stopped)
{
    struct rig *r = begin(packed);
    int peer = rig_open_ctx(r, 1, 0);
    uint8_t *data = g_malloc(MANY), *got = g_malloc(MANY);
    struct vwl_drv_request *req = stuck_send(r, data);
    struct still still;
    size_t at = 0;

    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    look(r, &still);
    while (read_while_stopped && rig_is_readable_within(r, peer, 100)) {
        ssize_t n = peer_recv(peer, got + at, MANY - at, NULL, NULL);

        if (n <= 0) {
            break;
        }
        at += (size_t)n;
    }
    check_still(r, &still);
    g_assert_false(req->done);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    if (at < MANY) {
        rig_read(r, peer, got + at, MANY - at, NULL, NULL);
    }
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_OK);
    g_assert_cmpmem(got, MANY, data, MANY);
    vwl_drv_request_free(r->drv, req);
    rig_settle(r);
    g_assert_cmpuint(r->drv->in_flight, ==, 0);
    check_works(r, 2);
    g_free(data);
    g_free(got);
    close(peer);
    rig_free(r);
}

static void test_same_base(gconstpointer packed)
{
    same_base(packed, false);
}

static void test_read_while_stopped(gconstpointer packed)
{
    same_base(packed, true);
}

/* One entry back: what was held is dropped, and the entry is new again. */
static void test_other_base(gconstpointer packed)
{
    struct rig *r = begin(packed);
    int peer = rig_open_ctx(r, 1, 0);
    uint8_t *data = g_malloc(MANY);
    struct vwl_drv_request *req = stuck_send(r, data);
    char scratch[65536];

    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    r->fe->ring[1].base--;
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    while (!req->done) {
        rig_wait_readable(r, peer);
        g_assert_cmpint(read(peer, scratch, sizeof scratch), >, 0);
        vwl_drv_collect(r->drv);
    }
    rig_settle(r);
    g_assert_cmpuint(r->drv->in_flight, ==, 0);
    vwl_drv_request_free(r->drv, req);
    check_works(r, 2);
    g_free(data);
    close(peer);
    rig_free(r);
}

/* Host data that comes meanwhile is kept, and VFDs stay. */
static void test_host_data(gconstpointer packed)
{
    struct rig *r = begin(packed);
    int peer = rig_open_ctx(r, 1, 0);
    struct still still;
    char data[8];

    g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
    memset(vwl_drv_map(r->drv, 2), 0x33, 4096);
    for (unsigned int i = 0; i < 3; i++) {
        g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
        look(r, &still);
        rig_write(r, peer, "meantime", 8, NULL, 0);
        check_still(r, &still);
        g_assert_false(vwl_drv_readable(r->drv, 1));
        g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
        g_assert_cmpint(vwl_drv_recv(r->drv, 1, data, 8, NULL, NULL,
                                     RIG_TIMEOUT_MS),
                        ==, 8);
        g_assert_cmpmem(data, 8, "meantime", 8);
        g_assert_cmphex(((uint8_t *)vwl_drv_map(r->drv, 2))[i], ==, 0x33);
        g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==,
                        VIRTIO_WL_RESP_INVALID_ID);
    }
    close(peer);
    rig_free(r);
}

#define MOVES 5000

/* Says the moves from one on, as many as the device takes: until which. */
static uint32_t move(struct rig *r, int peer, uint32_t from)
{
    while (from < MOVES) {
        uint32_t words[8] = { from };

        if (peer_send(peer, words, sizeof words, NULL, 0) != sizeof words) {
            rig_settle(r);
            if (peer_send(peer, words, sizeof words, NULL, 0) != sizeof words) {
                break;
            }
        }
        from++;
    }
    rig_settle(r);
    return from;
}

static void hear_moves(struct rig *r, uint32_t from, uint32_t to)
{
    for (; from < to; from++) {
        uint32_t words[8];

        for (size_t at = 0; at < sizeof words;) {
            int64_t n = vwl_drv_recv(r->drv, 1, (char *)words + at,
                                     sizeof words - at, NULL, NULL,
                                     RIG_TIMEOUT_MS);

            g_assert_cmpint(n, >, 0);
            at += (size_t)n;
        }
        g_assert_cmpuint(words[0], ==, from);
    }
}

/* A compositor that speaks on and on is read all the while. */
static void test_moves(gconstpointer packed)
{
    struct rig *r = begin(packed);
    int peer = rig_open_ctx(r, 1, 0);
    struct still still;

    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    look(r, &still);
    g_assert_cmpuint(move(r, peer, 0), ==, MOVES);
    g_assert_cmpuint(rig_stats(r).queued_bytes, >, MOVES * 32);
    check_still(r, &still);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    hear_moves(r, 0, MOVES);
    g_assert_cmpuint(rig_stats(r).queued_bytes, ==, 0);
    check_works(r, 2);
    close(peer);
    rig_free(r);
}

/* Not what comes with descriptors, and nothing behind that, until the guest
 * goes on; a pipe's data stay, too. */
static void test_moves_and_memory(gconstpointer packed)
{
    struct rig *r = begin(packed);
    int peer = rig_open_ctx(r, 1, 0), file = dup(r->fe->ram_fd);
    struct still still;
    uint32_t n, ids[28];
    unsigned int n_ids = 28;
    char byte;

    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    look(r, &still);
    rig_write(r, peer, "f", 1, &file, 1);
    n = move(r, peer, 0);
    g_assert_cmpuint(n, >, 10);
    g_assert_cmpuint(n, <, MOVES);
    g_assert_cmpuint(rig_stats(r).queued_bytes, ==, 0);
    check_still(r, &still);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    g_assert_cmpint(vwl_drv_recv(r->drv, 1, &byte, 1, ids, &n_ids,
                                 RIG_TIMEOUT_MS),
                    ==, 1);
    g_assert_cmpuint(n_ids, ==, 1);
    hear_moves(r, 0, n);
    g_assert_cmpuint(move(r, peer, n), ==, MOVES);
    hear_moves(r, n, MOVES);
    close(file);
    close(peer);
    rig_free(r);
}

/* Within max_queued_bytes. */
static void test_too_many_moves(gconstpointer packed)
{
    const struct vwl_config config = { .size = sizeof config,
                                       .max_queued_bytes = 20000 };
    struct rig_options options = { .n_peers = 1,
                                   .config = &config,
                                   .fe.packed = packed != NULL };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);
    uint32_t n;

    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    n = move(r, peer, 0);
    g_assert_cmpuint(n, >, 20000 / 48);
    g_assert_cmpuint(n, <, MOVES);
    g_assert_cmpuint(rig_stats(r).queued_bytes, >, 20000);
    g_assert_cmpuint(rig_stats(r).queued_bytes, <, 25000);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    hear_moves(r, 0, n);
    g_assert_cmpuint(move(r, peer, n), ==, MOVES);
    hear_moves(r, n, MOVES);
    close(peer);
    rig_free(r);
}

/* A peer that goes while all is stopped: the guest hears of it afterwards. */
static void test_hang_up(gconstpointer packed)
{
    struct rig *r = begin(packed);
    int peer = rig_open_ctx(r, 1, 0);
    struct still still;

    g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
    look(r, &still);
    close(peer);
    check_still(r, &still);
    g_assert_cmpint(vwl_fe_start(r->fe), ==, 0);
    rig_settle(r);
    g_assert_true(vwl_drv_find(r->drv, 1)->hup);
    rig_free(r);
}

static void reset_by(gconstpointer packed, uint32_t request)
{
    struct rig *r = begin(packed);

    for (unsigned int i = 0; i < 3; i++) {
        int peer = rig_open_ctx(r, 1, 0), host;
        uint64_t none = 0;
        struct vwl_fe_message msg = {
            .request = request,
            .payload = &none,
            .ack = true,
            .len = request == VHOST_USER_SET_STATUS ? 8 : 0,
        };
        struct still still;
        uint8_t *data = g_malloc(MANY);
        struct vwl_drv_request *req;

        g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
        host = dup(r->fe->ram_fd);
        rig_write(r, peer, "f", 1, &host, 1);
        close(host);
        rig_settle(r); /* the first id of the host's comes back every time */
        g_assert_nonnull(vwl_drv_find(r->drv, VIRTIO_WL_VFD_HOST_ID_BIT));
        req = stuck_send(r, data);
        g_assert_cmpint(vwl_fe_stop(r->fe), ==, 0);
        look(r, &still);
        if (request != 0) {
            g_assert_cmpint(vwl_fe_request(r->fe, &msg), ==, 0);
            rig_read_to_end(r, peer); /* at once, not at the next start */
        }
        check_still(r, &still);
        vwl_fe_reset(r->fe);
        g_assert_cmpint(vwl_drv_reset(r->drv), ==, 0);
        g_assert_true(req->done); /* forgotten by the driver */
        vwl_drv_request_free(r->drv, req);
        if (request == 0) {
            rig_read_to_end(r, peer);
        }
        g_free(data);
        close(peer);
        check_works(r, 1);
    }
    rig_free(r);
}

static void test_status(gconstpointer packed)
{
    reset_by(packed, VHOST_USER_SET_STATUS);
}

static void test_reset_device(gconstpointer packed)
{
    reset_by(packed, VHOST_USER_RESET_DEVICE);
}

static void test_fresh_base(gconstpointer packed)
{
    reset_by(packed, 0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(gconstpointer);
    } tests[] = {
        { "same-base", test_same_base },
        { "read-while-stopped", test_read_while_stopped },
        { "other-base", test_other_base },
        { "host-data", test_host_data },
        { "moves", test_moves },
        { "moves-and-memory", test_moves_and_memory },
        { "too-many-moves", test_too_many_moves },
        { "hang-up", test_hang_up },
        { "reset/status", test_status },
        { "reset/device", test_reset_device },
        { "reset/base", test_fresh_base },
    };

    g_test_init(&argc, &argv, NULL);
    for (unsigned int i = 0; i < 2 * G_N_ELEMENTS(tests); i++) {
        char *path = g_strdup_printf("/pause/%s/%s", tests[i / 2].name,
                                     i % 2 != 0 ? "packed" : "split");

        g_test_add_data_func(path, GINT_TO_POINTER(i % 2), tests[i / 2].test);
        g_free(path);
    }
    return g_test_run();
}
