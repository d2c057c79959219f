/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nobody waits for anybody else: floods, readers that keep their buffers,
 * peers that take nothing, small queues, and what becomes of data whose VFD
 * is closed.
 */
#include "story.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* The VFD that the i-th message is for; 0: a VFD_NEW. */
static uint32_t target(struct rig *r, guint i)
{
    const uint8_t *at = g_bytes_get_data(r->drv->messages->pdata[i], NULL);

    return get32(at) == CMD_VFD_NEW ? 0 : get32(at + 8);
}

/* Whoever has something is served in turn: what a quiet one sends comes next,
 * however much others have sent before. */
static void test_flood_and_quiet(void)
{
    struct rig_options options = { .n_peers = 3, .drv.record = true };
    struct rig *r = rig_new(&options);
    int loud = rig_open_ctx(r, 1, 0), quiet = rig_open_ctx(r, 2, 1);
    int other = rig_open_ctx(r, 3, 2);
    guint at[4] = { 0 };

    rig_settle(r);
    g_assert_cmpuint(peer_fill(loud), >, 100000);
    g_assert_cmpint(peer_send(quiet, "q", 1, NULL, 0), ==, 1);
    g_assert_cmpint(peer_send(other, "o", 1, NULL, 0), ==, 1);
    rig_settle(r);
    g_assert_cmpuint(r->drv->messages->len, >, 20);
    for (guint i = 0; i < r->drv->messages->len; i++) {
        at[target(r, i)] = i;
    }
    g_assert_cmpuint(at[2], <, 4);
    g_assert_cmpuint(at[3], <, 4);
    close(loud);
    close(quiet);
    close(other);
    rig_free(r);
}

/* Two that flood get half each. */
static void test_two_floods(void)
{
    struct rig_options options = { .n_peers = 2, .drv.record = true };
    struct rig *r = rig_new(&options);
    int a = rig_open_ctx(r, 1, 0), b = rig_open_ctx(r, 2, 1);
    unsigned int counts[3] = { 0 };

    rig_settle(r);
    g_assert_cmpuint(peer_fill(a), >, 100000);
    g_assert_cmpuint(peer_fill(b), >, 100000);
    rig_settle(r);
    g_assert_cmpuint(r->drv->messages->len, >, 40);
    for (guint i = 0; i < 40; i++) {
        counts[target(r, i)]++;
    }
    g_assert_cmpuint(counts[1], ==, 20);
    g_assert_cmpuint(counts[2], ==, 20);
    close(a);
    close(b);
    rig_free(r);
}

/* A driver keeps a message's buffer until it was read: a reader that does
 * not read gets a share of them and no more. */
static void test_reader_that_keeps(gconstpointer data)
{
    const uint16_t size = (uint16_t)GPOINTER_TO_UINT(data);
    struct rig_options options = {
        .n_peers = 2,
        .drv = { .hold_buffers = true, .queue_size = size },
    };
    struct rig *r = rig_new(&options);
    int loud = rig_open_ctx(r, 1, 0), quiet = rig_open_ctx(r, 2, 1);
    const size_t total = 3000000;
    uint8_t *bytes = g_malloc(total);
    size_t sent = 0, got = 0;

    for (size_t i = 0; i < total; i++) {
        bytes[i] = (uint8_t)(i % 251);
    }
    for (unsigned int i = 0; i < 100; i++) {
        ssize_t n = peer_send(loud, bytes + sent, total - sent, NULL, 0);

        sent += n > 0 ? (size_t)n : 0;
        rig_settle(r);
        if (n < 0) {
            break;
        }
    }
    g_assert_cmpuint(sent, <, total);
    g_assert_cmpuint(r->drv->posted, >, 0);
    for (unsigned int i = 0; i < 20; i++) {
        story_alive(r, 2, quiet);
    }
    /* and it gets all, in order, as soon as it reads */
    while (got < total) {
        ssize_t n = sent < total
                        ? peer_send(loud, bytes + sent, total - sent, NULL, 0)
                        : 0;
        uint8_t back[8192];
        int64_t len = vwl_drv_recv(r->drv, 1, back, sizeof back, NULL, NULL,
                                   RIG_TIMEOUT_MS);

        g_assert_cmpint(len, >, 0);
        g_assert_cmpmem(back, (size_t)len, bytes + got, (size_t)len);
        got += (size_t)len;
        sent += n > 0 ? (size_t)n : 0;
    }
    story_alive(r, 2, quiet);
    close(loud);
    close(quiet);
    g_free(bytes);
    rig_free(r);
}

/* What one sends at once fills many buffers by one read: all of it comes in
 * order, and a descriptor with or before its byte. */
static void test_many_at_once(void)
{
    struct rig_options options = { .n_peers = 1, .drv.record = true };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), file = story_memfd(4096, 0, 'f');
    const size_t total = 150000, at = 100000;
    uint8_t *bytes = g_malloc(total), back[8192];
    size_t got = 0, ids = 0;

    rig_settle(r);
    for (size_t i = 0; i < total; i++) {
        bytes[i] = (uint8_t)(i % 251);
    }
    g_assert_cmpint(peer_send(peer, bytes, at, NULL, 0), ==, (ssize_t)at);
    g_assert_cmpint(peer_send(peer, bytes + at, 10, &file, 1), ==, 10);
    g_assert_cmpint(peer_send(peer, bytes + at + 10, total - at - 10, NULL, 0),
                    ==, (ssize_t)(total - at - 10));
    while (got < total) {
        uint32_t fresh[28];
        unsigned int n = G_N_ELEMENTS(fresh);
        int64_t len = vwl_drv_recv(r->drv, 1, back, sizeof back, fresh, &n,
                                   RIG_TIMEOUT_MS);

        g_assert_cmpint(len, >, 0);
        g_assert_cmpmem(back, (size_t)len, bytes + got, (size_t)len);
        g_assert_true(n == 0 || got <= at);
        got += (size_t)len;
        ids += n;
    }
    g_assert_cmpuint(ids, ==, 1);
    close(file);
    close(peer);
    g_free(bytes);
    rig_free(r);
}

/* A Wayland message of words, the second of which gets its length. */
static size_t put_message(uint8_t *at, const uint32_t *words, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put32(at + 4 * i, i == 1 ? words[i] | (uint32_t)n << 18 : words[i]);
    }
    return 4 * n;
}

#define WL_SHM 0x735f6c77, 0x6d68 /* "wl_shm" */

/* A registry and wl_shm as 2 and 3, whose formats a compositor tells. */
static void bind_shm(struct rig *r, int peer)
{
    const uint32_t get[] = { 1, 1, 2 }, global[] = { 2, 0, 1, 7, WL_SHM, 1 };
    const uint32_t bind[] = { 2, 0, 1, 7, WL_SHM, 1, 3 };
    uint8_t bytes[64], back[64];
    size_t n = put_message(bytes, get, G_N_ELEMENTS(get));

    g_assert_cmpuint(vwl_drv_send(r->drv, 1, NULL, 0, bytes, n), ==, RESP_OK);
    rig_read(r, peer, back, n, NULL, NULL);
    n = put_message(bytes, global, G_N_ELEMENTS(global));
    g_assert_cmpint(peer_send(peer, bytes, n, NULL, 0), ==, (ssize_t)n);
    g_assert_cmpint(vwl_drv_recv(r->drv, 1, back, sizeof back, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, (int64_t)n);
    n = put_message(bytes, bind, G_N_ELEMENTS(bind));
    g_assert_cmpuint(vwl_drv_send(r->drv, 1, NULL, 0, bytes, n), ==, RESP_OK);
    rig_read(r, peer, back, n, NULL, NULL);
}

/* The same through a policy, which lets no message of half its bytes pass, and
 * not every message: as much as a socket takes at once, again and again. */
static void test_many_filtered(void)
{
    static const struct vwl_socket_policy policy = { .size = sizeof policy };
    struct rig_options options = { .n_peers = 1, .peer_policy = &policy };
    struct rig *r = rig_new(&options);
    const uint32_t foreign[] = { 2, 0, 9, 7, 0x78786c77, 0x7878, 1 };
    const size_t most = 12000;
    uint8_t *bytes = g_malloc(most * 12), *passed = g_malloc(most * 12);
    int peer = rig_open_ctx(r, 1, 0);
    uint8_t back[8192];

    bind_shm(r, peer);
    for (uint32_t round = 0; round < 8; round++) {
        size_t len = 0, expected = 0, sent = 0, got = 0;

        for (uint32_t i = 0; i < most - 100; i++) {
            const uint32_t format[] = { 3, 0, round << 16 | i };

            if (i == 5000) {
                len += put_message(bytes + len, foreign, G_N_ELEMENTS(foreign));
            }
            len += put_message(bytes + len, format, 3);
            expected += put_message(passed + expected, format, 3);
        }
        while (got < expected) {
            int64_t n = peer_send(peer, bytes + sent, len - sent, NULL, 0);

            sent += n > 0 ? (size_t)n : 0;
            n = vwl_drv_recv(r->drv, 1, back, sizeof back, NULL, NULL,
                             RIG_TIMEOUT_MS);
            g_assert_cmpint(n, >, 0);
            g_assert_cmpmem(back, (size_t)n, passed + got, (size_t)n);
            got += (size_t)n;
        }
    }
    close(peer);
    g_free(bytes);
    g_free(passed);
    rig_free(r);
}

/* Thirty readers that keep what they got, and one that is served. */
static void test_thirty_that_keep(void)
{
    struct rig_options options = {
        .n_peers = 1,
        .drv = { .hold_buffers = true },
    };
    struct rig *r = rig_new(&options);
    int peers[31];

    for (uint32_t i = 0; i < G_N_ELEMENTS(peers); i++) {
        peers[i] = rig_open_ctx(r, 1 + i, 0);
    }
    rig_settle(r);
    for (unsigned int round = 0; round < 4; round++) {
        for (unsigned int i = 0; i < 30; i++) {
            peer_fill(peers[i]);
        }
        rig_settle(r);
        story_alive(r, 31, peers[30]);
    }
    for (unsigned int i = 0; i < 20; i++) {
        story_alive(r, 31, peers[30]);
    }
    for (unsigned int i = 0; i < G_N_ELEMENTS(peers); i++) {
        close(peers[i]);
    }
    rig_free(r);
}

/* A driver whose buffers have a new address each time gives none back; it is
 * not taken for one that keeps them. */
static void test_fresh_addresses(void)
{
    struct rig_options options = {
        .n_peers = 1,
        .drv = { .queue_size = 16, .no_in_buffers = true },
    };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), token;
    size_t got = 0, sent = 0;
    static uint8_t data[400000];

    while (got < sizeof data) {
        ssize_t n = sent < sizeof data ? peer_send(peer, data + sent,
                                                   sizeof data - sent, NULL, 0)
                                       : 0;
        uint32_t len = 0;
        bool bad;

        sent += n > 0 ? (size_t)n : 0;
        while (r->drv->in.free > 0) { /* never freed: always another one */
            struct vwl_ring_piece piece = {
                vwl_fe_bus_address(r->fe, vwl_fe_alloc(r->fe, 4096)),
                4096,
                true,
            };

            g_assert_cmpint(vwl_ring_add(&r->drv->in, &piece, 1, NULL, 0,
                                         &token),
                            ==, 0);
        }
        g_assert_cmpint(vwl_fe_kick(r->fe, 0), ==, 0);
        vwl_fe_settle(r->fe, 5);
        n = 0;
        while (vwl_ring_take(&r->drv->in, &len, &bad) != NULL) {
            g_assert_cmpuint(len, >, 16);
            got += len - 16;
            n++;
        }
        g_assert_cmpint(n, >, 0);
    }
    close(peer);
    rig_free(r);
}

/* A group of messages that is longer than the queue. */
static void test_small_queue(gconstpointer data)
{
    const uint16_t size = (uint16_t)GPOINTER_TO_UINT(data);
    struct rig_options options = {
        .n_peers = 1,
        .drv = { .queue_size = size, .hold_buffers = size > 1 },
        .fe.packed = size == 1,
    };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), fds[9];
    uint32_t ids[9];
    unsigned int n = 9;
    char bytes[5];

    for (unsigned int i = 0; i < 9; i++) {
        fds[i] = story_memfd(4096, F_SEAL_SHRINK, (uint8_t)i);
    }
    for (unsigned int round = 0; round < 3; round++) {
        rig_write(r, peer, "nine!", 5, fds, 9);
        n = 9;
        g_assert_cmpint(vwl_drv_recv(r->drv, 1, bytes, 5, ids, &n,
                                     RIG_TIMEOUT_MS),
                        ==, 5);
        g_assert_cmpuint(n, ==, 9);
        for (unsigned int i = 0; i < 9; i++) {
            g_assert_cmpint(*(uint8_t *)vwl_drv_map(r->drv, ids[i]), ==, i);
            g_assert_cmpint(vwl_drv_close(r->drv, ids[i]), ==, RESP_OK);
        }
    }
    for (unsigned int i = 0; i < 9; i++) {
        close(fds[i]);
    }
    close(peer);
    rig_free(r);
}

/* What was answered OK is delivered, though the VFD is closed. */
static void test_lingering(gconstpointer data)
{
    const bool is_pipe = data != NULL;
    struct rig_options options = { .n_peers = 2 };
    struct rig *r = rig_new(&options);
    int ctx = rig_open_ctx(r, 1, 0), good = rig_open_ctx(r, 9, 1), end;
    uint8_t bytes[5000], back[5000];
    struct vwl_drv_request *last;
    uint32_t id = 1;
    size_t answered = 0;

    end = ctx;
    if (is_pipe) {
        id = 2;
        g_assert_cmpint(vwl_drv_new_pipe(r->drv, 2, VFD_WRITE), ==,
                        RESP_VFD_NEW);
        end = story_take(r, 1, ctx, 2);
    }
    for (;;) {
        memset(bytes, (int)(answered / sizeof bytes % 255), sizeof bytes);
        last = vwl_drv_send_async(r->drv, id, NULL, 0, bytes, sizeof bytes);
        rig_settle(r);
        if (!last->done) {
            break;
        }
        g_assert_cmphex(vwl_drv_request_type(last), ==, RESP_OK);
        vwl_drv_request_free(r->drv, last);
        answered += sizeof bytes;
    }
    g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
    g_assert_true(last->done);
    g_assert_cmphex(vwl_drv_request_type(last), ==, RESP_ERR);
    vwl_drv_request_free(r->drv, last);
    /* the id is free while the rest is on its way */
    g_assert_cmpint(vwl_drv_new_pipe(r->drv, id, VFD_READ), ==, RESP_VFD_NEW);
    for (size_t at = 0; at < answered; at += sizeof bytes) {
        rig_read(r, end, back, sizeof back, NULL, NULL);
        memset(bytes, (int)(at / sizeof bytes % 255), sizeof bytes);
        g_assert_cmpmem(back, sizeof back, bytes, sizeof bytes);
    }
    g_assert_cmpuint(rig_read_to_end(r, end), ==, 0);
    story_alive(r, 9, good);
    rig_settle(r);
    close(end);
    if (is_pipe) {
        close(ctx);
    }
    close(good);
    rig_free(r);
}

/* A context is closed while its descriptors are still on their way to the
 * guest: they go with it, and nothing of it comes later. */
static void test_close_undelivered(void)
{
    struct rig_options options = {
        .n_peers = 2,
        .drv = { .no_in_buffers = true, .record = true },
    };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), other = rig_open_ctx(r, 2, 1), fds[4];
    unsigned int before = rig_count_fds(0);

    for (unsigned int told = 0; told <= 4; told++) {
        for (unsigned int i = 0; i < 4; i++) {
            fds[i] = story_memfd(4096, F_SEAL_SHRINK, 1);
        }
        rig_write(r, peer, "data", 4, fds, 4);
        for (unsigned int i = 0; i < 4; i++) {
            close(fds[i]);
        }
        /* the first buffer makes the device read the message at all */
        vwl_drv_post(r->drv, 1 + told % 4);
        rig_settle(r);
        g_assert_cmpuint(rig_stats(r).vfds, ==, 6);
        g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, RESP_OK);
        rig_settle(r);
        g_assert_cmpuint(rig_stats(r).vfds, ==, 1);
        g_assert_cmpuint(rig_stats(r).queued_bytes, ==, 0);
        g_assert_cmpuint(vwl_window_count(&r->fe->window), ==, 0);
        rig_read_to_end(r, peer);
        close(peer);
        g_ptr_array_set_size(r->drv->messages, 0);
        peer = rig_open_ctx(r, 1, 0);
        rig_write(r, other, "x", 1, NULL, 0);
        vwl_drv_post(r->drv, 1);
        rig_settle(r);
        g_assert_cmpuint(r->drv->messages->len, ==, 1);
        g_assert_cmpuint(target(r, 0), ==, 2);
        g_assert_cmpuint(rig_count_fds(0), ==, before);
    }
    close(peer);
    close(other);
    rig_free(r);
}

/* VFD_NEWs and the VFD_RECV that lists them come together, whatever others
 * send meanwhile, and a VFD_HUP after all that was sent before it. */
static void test_groups(void)
{
    struct rig_options options = {
        .n_peers = 3,
        .drv = { .no_in_buffers = true, .record = true },
    };
    struct rig *r = rig_new(&options);
    int peers[3], fds[3];
    GPtrArray *seen = r->drv->messages;
    guint groups = 0, i = 0;

    for (unsigned int p = 0; p < 3; p++) {
        peers[p] = rig_open_ctx(r, p + 1, p);
        fds[p] = story_memfd(4096 * (p + 1), F_SEAL_SHRINK, 1);
    }
    for (unsigned int round = 0; round < 8; round++) {
        for (unsigned int p = 0; p < 3; p++) {
            rig_write(r, peers[p], "m", 1, fds, 1 + p);
        }
    }
    for (unsigned int p = 0; p < 3; p++) {
        close(peers[p]);
        close(fds[p]);
    }
    for (unsigned int n = 0; n < 100; n++) {
        vwl_drv_post(r->drv, 1 + n % 2);
        rig_settle(r);
    }
    while (i < seen->len) {
        guint first = i;
        const uint8_t *at;

        while (target(r, i) == 0) {
            i++;
            g_assert_cmpuint(i, <, seen->len);
        }
        at = g_bytes_get_data(seen->pdata[i], NULL);
        if (get32(at) == CMD_VFD_HUP) {
            g_assert_cmpuint(first, ==, i);
        } else {
            g_assert_cmpuint(get32(at + 12), ==, i - first);
            g_assert_cmpuint(get32(at + 8), ==, i - first);
            for (guint k = 0; k < i - first; k++) {
                const uint8_t *new = g_bytes_get_data(seen->pdata[first + k],
                                                      NULL);

                g_assert_cmphex(get32(new + 8), ==, get32(at + 16 + 4 * k));
                g_assert_cmpuint(get32(new + 24), ==, 4096 * (k + 1));
            }
            groups++;
        }
        i++;
    }
    g_assert_cmpuint(groups, ==, 24);
    g_assert_cmpuint(rig_stats(r).hangups, ==, 3);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/flow/flood-and-quiet", test_flood_and_quiet);
    g_test_add_func("/flow/two-floods", test_two_floods);
    g_test_add_data_func("/flow/reader-that-keeps/256", GUINT_TO_POINTER(256),
                         test_reader_that_keeps);
    g_test_add_data_func("/flow/reader-that-keeps/8", GUINT_TO_POINTER(8),
                         test_reader_that_keeps);
    g_test_add_func("/flow/many-at-once", test_many_at_once);
    g_test_add_func("/flow/many-filtered", test_many_filtered);
    g_test_add_func("/flow/thirty-that-keep", test_thirty_that_keep);
    g_test_add_func("/flow/fresh-addresses", test_fresh_addresses);
    for (unsigned int i = 0; i < 4; i++) {
        char *path = g_strdup_printf("/flow/small-queue/%u", 1u << i);

        g_test_add_data_func(path, GUINT_TO_POINTER(1u << i), test_small_queue);
        g_free(path);
    }
    g_test_add_data_func("/flow/lingering/socket", NULL, test_lingering);
    g_test_add_data_func("/flow/lingering/pipe", "pipe", test_lingering);
    g_test_add_func("/flow/close-undelivered", test_close_undelivered);
    g_test_add_func("/flow/groups", test_groups);
    return g_test_run();
}
