/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's own pages as a file for host peers. What makes the file is a
 * double; tests/gpu has the kernel's.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <unistd.h>

#include "base/locks.h"
#include "wl/snapshot/snapshot.h"

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

#define MODE (MODE_K23 | MODE_PAGES)
#define MAX_RUNS 1024u
#define HEAD 24u

/* A NEW_PAGES of n runs; count is what it says. */
static struct asked *pages_init(uint32_t id, uint32_t flags, uint32_t count,
                                const uint64_t *runs, size_t n)
{
    g_autofree uint8_t *bytes = g_malloc0(HEAD + n * 8);

    put32(bytes, CMD_VFD_NEW_PAGES);
    put32(bytes + 8, id);
    put32(bytes + 12, flags);
    put32(bytes + 16, count);
    for (size_t i = 0; i < n; i++) {
        put64(bytes + HEAD + i * 8, runs[i]);
    }
    return ask_init(bytes, HEAD + n * 8, 64);
}

static uint32_t answer(struct core_rig *rig, struct asked *asked)
{
    uint32_t type;

    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==, 0);
    type = get32(asked->request.response);
    g_assert_cmpuint(asked->request.response_bytes, ==,
                     type == RESP_VFD_NEW ? 32 : 4);
    asked_free(asked);
    return type;
}

static uint32_t ask_pages(struct core_rig *rig, uint32_t id,
                          const uint64_t *runs, size_t n)
{
    return answer(rig, pages_init(id, 0, (uint32_t)n, runs, n));
}

static bool was_logged(const struct core_rig *rig, const char *text)
{
    for (guint i = 0; i < rig->lines->len; i++) {
        if (strstr(rig->lines->pdata[i], text)) {
            return true;
        }
    }
    return false;
}

static struct vwl_stats stats_of(struct core_rig *rig)
{
    struct vwl_stats stats = { 0 };

    vwl_core_stats(rig->core, &stats);
    return stats;
}

static struct core_rig *rig_with_file(uint64_t features)
{
    struct core_rig *rig = core_rig_new(features);

    rig->pages_fd = make_memfd(0x3000);
    return rig;
}

static void rig_end(struct core_rig *rig)
{
    int fd = rig->pages_fd;

    vwl_core_reset(rig->core, false);
    g_assert_cmpuint(stats_of(rig).guest_pages, ==, 0);
    g_assert_cmpuint(stats_of(rig).guest_pages_bytes, ==, 0);
    g_assert_cmpuint(stats_of(rig).shm_bytes, ==, 0);
    close(fd);
    core_rig_free(rig);
}

static void expect_run(struct core_rig *rig, guint i, uint64_t gpa,
                       uint64_t bytes)
{
    struct vwl_run *run = &g_array_index(rig->pages, struct vwl_run, i);

    g_assert_cmphex(run->gpa, ==, gpa);
    g_assert_cmphex(run->bytes, ==, bytes);
}

/* Literal bytes: two runs, of two pages at 0x12345000 and of one at
 * 0x100000000. */
static void test_bytes(void)
{
    static const uint8_t request[] = {
        0x80, 0x01, 0,    0,    0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
        2,    0,    0,    0,    0, 0, 0, 0, /* two runs */
        0x01, 0x50, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
    };
    static const uint8_t response[32] = {
        0x01, 0x10, 0, 0, 0,    0, 0, 0, 9, 0, 0, 0,    0, 0,
        0,    0,    0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0x30, 0,
    };
    struct core_rig *rig = rig_with_file(MODE);
    uint8_t said[64];
    size_t n;

    ask_room(rig, request, sizeof request, 64, said, &n);
    g_assert_cmpmem(said, n, response, sizeof response);
    g_assert_cmpuint(rig->pages->len, ==, 2);
    expect_run(rig, 0, 0x12345000, 0x2000);
    expect_run(rig, 1, 0x100000000, 0x1000);
    g_assert_cmpuint(rig->n_maps, ==, 0);
    g_assert_cmpuint(stats_of(rig).guest_pages, ==, 1);
    g_assert_cmpuint(stats_of(rig).guest_pages_bytes, ==, 0x3000);
    g_assert_cmphex(ask_close(rig, 9), ==, RESP_OK);
    /* each shorter one is refused, and so is one with less room */
    for (size_t len = 4; len < sizeof request; len++) {
        g_assert_cmphex(ask(rig, request, len), ==, RESP_ERR);
    }
    g_assert_cmphex(ask_room(rig, request, sizeof request, 31, NULL, NULL), ==,
                    RESP_ERR);
    g_assert_cmphex(ask(rig, request, sizeof request), ==, RESP_VFD_NEW);
    rig_end(rig);
}

/* The order of the runs is that of the file, wherever the list is cut. */
static void test_order(void)
{
    struct core_rig *rig = rig_with_file(MODE);
    uint64_t runs[MAX_RUNS];
    struct asked *asked;
    struct iovec iov[3];

    for (unsigned int i = 0; i < MAX_RUNS; i++) {
        runs[i] = (UINT64_C(1) << 40) - i * UINT64_C(0x10000) + (i & 15);
    }
    asked = pages_init(2, 0, MAX_RUNS, runs, MAX_RUNS);
    iov[0] = (struct iovec){ asked->bytes, 30 };
    iov[1] = (struct iovec){ asked->bytes + 30, 4000 };
    iov[2] = (struct iovec){ asked->bytes + 4030,
                             asked->request.total_bytes - 4030 };
    asked->request.payload = iov;
    asked->request.n_payload = 3;
    g_assert_cmphex(answer(rig, asked), ==, RESP_VFD_NEW);
    g_assert_cmpuint(rig->pages->len, ==, MAX_RUNS);
    for (unsigned int i = 0; i < MAX_RUNS; i++) {
        expect_run(rig, i, (UINT64_C(1) << 40) - i * UINT64_C(0x10000),
                   ((i & 15) + 1) * UINT64_C(0x1000));
    }
    rig_end(rig);
}

static void test_refused(void)
{
    static const struct {
        uint32_t id, flags, count, type;
        unsigned int n;
        uint64_t runs[3];
    } rows[] = {
        { 0x40000003, 1, 1, RESP_INVALID_ID, 1, { 0x1000 } },
        { 3, 1, 1, RESP_INVALID_FLAGS, 1, { 0x1000 } },
        { 1, 0, 1, RESP_INVALID_ID, 1, { 0x1000 } },
        { 3, 0, 0, RESP_ERR, 0, { 0 } },
        { 3, 0, 2, RESP_ERR, 1, { 0x1000 } },
        { 3, 0, UINT32_MAX, RESP_OUT_OF_MEMORY, 1, { 0x1000 } },
        { 3, 0, MAX_RUNS + 1, RESP_OUT_OF_MEMORY, 1, { 0x1000 } },
        /* past all addresses */
        { 3, 0, 1, RESP_ERR, 1, { 0xfffffffffffff001 } },
        /* the same page, in any order, and as a part of a run */
        { 3, 0, 2, RESP_ERR, 2, { 0x1000, 0x1000 } },
        { 3, 0, 3, RESP_ERR, 3, { 0x9000, 0x1000, 0x9000 } },
        { 3, 0, 2, RESP_ERR, 2, { 0x1002, 0x3000 } },
        { 3, 0, 2, RESP_ERR, 2, { 0x3000, 0x1fff } },
        { 3, 0, 2, RESP_VFD_NEW, 2, { 0x1001, 0x3000 } },
    };
    struct core_rig *rig = rig_with_file(MODE);
    int compositor = open_ctx(rig, 1);

    for (unsigned int i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_array_set_size(rig->pages, 0);
        g_assert_cmphex(answer(rig, pages_init(rows[i].id, rows[i].flags,
                                               rows[i].count, rows[i].runs,
                                               rows[i].n)),
                        ==, rows[i].type);
        g_assert_cmpuint(rig->pages->len, ==,
                         rows[i].type == RESP_VFD_NEW ? 2 : 0);
    }
    g_assert_cmpuint(stats_of(rig).guest_pages, ==, 1);
    close(compositor);
    rig_end(rig);
}

/* What the host says, and that nothing of it stays. */
static void test_host(void)
{
    static const struct {
        int err;
        uint32_t type;
        const char *line;
    } rows[] = {
        { -EFAULT, RESP_ERR, "a run is no memory of the guest" },
        { -EOPNOTSUPP, RESP_INVALID_CMD, NULL },
        { -EINVAL, RESP_ERR, "in 1 runs" },
        { -ENOMEM, RESP_OUT_OF_MEMORY, NULL },
        { -EMFILE, RESP_OUT_OF_MEMORY, NULL },
    };
    struct core_rig *rig = rig_with_file(MODE);
    const uint64_t run = 0x7000;

    for (unsigned int i = 0; i < G_N_ELEMENTS(rows); i++) {
        rig->pages_err = rows[i].err;
        g_assert_cmphex(ask_pages(rig, 3, &run, 1), ==, rows[i].type);
        g_assert_true(!rows[i].line || was_logged(rig, rows[i].line));
        g_assert_cmpuint(stats_of(rig).vfds, ==, 0);
        g_assert_cmpuint(stats_of(rig).guest_pages_bytes, ==, 0);
        g_assert_cmpuint(stats_of(rig).shm_bytes, ==, 0);
    }
    rig_end(rig);
    /* a driver that did not ask for it */
    rig = rig_with_file(MODE_K23);
    g_assert_cmphex(ask_pages(rig, 3, &run, 1), ==, RESP_INVALID_CMD);
    rig_end(rig);
}

/* It is sent as any file, takes no data and has none. */
static void test_sent(void)
{
    struct core_rig *rig = rig_with_file(MODE);
    int compositor = open_ctx(rig, 1), fds[253];
    const uint64_t run = 0x7002;
    unsigned int n_fds;
    uint32_t id = 3;
    char byte;

    g_assert_cmpint(pwrite(rig->pages_fd, "pixel", 5, 0x1000), ==, 5);
    g_assert_cmphex(ask_pages(rig, 3, &run, 1), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 3, NULL, 0, "x", 1), ==, RESP_INVALID_TYPE);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, &byte, 1, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 1);
    {
        char text[5];

        g_assert_cmpint(pread(fds[0], text, 5, 0x1000), ==, 5);
        g_assert_cmpmem(text, 5, "pixel", 5);
    }
    g_assert_cmphex(ask_close(rig, 3), ==, RESP_OK);
    g_assert_cmpuint(stats_of(rig).guest_pages, ==, 0);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_INVALID_ID);
    close(fds[0]);
    close(compositor);
    rig_end(rig);
}

/* A file of its own each time, as the kernel makes them. */
static uint32_t ask_fresh(struct core_rig *rig, uint32_t id, uint64_t run)
{
    close(rig->pages_fd);
    rig->pages_fd = make_memfd(0x1000);
    return ask_pages(rig, id, &run, 1);
}

/* The bytes count, also when the guest has closed what a peer still has: else
 * pages that were taken from the guest and replaced would be memory without a
 * limit. */
static void test_limits(void)
{
    struct vwl_core_config limits = core_rig_limits;
    struct core_rig *rig;
    int compositor;
    uint32_t id = 2;
    uint64_t most[] = { 0x1000000ffe, 0x2000000ffe, 0x3000000ffe,
                        0x4000000ffe, 0x5000000003, 0x6000000000 };

    limits.max_shm_bytes = 4 * 0x1000;
    limits.locks = vwl_locks_open();
    g_assert_nonnull(limits.locks);
    rig = core_rig_new_limits(MODE, &limits);
    rig->pages_fd = make_memfd(0x1000);
    compositor = open_ctx(rig, 1);
    for (; id < 6; id++) {
        g_assert_cmphex(ask_fresh(rig, id, 0x7000), ==, RESP_VFD_NEW);
        g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
        g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    }
    g_assert_cmphex(ask_fresh(rig, id, 0x7000), ==, RESP_OUT_OF_MEMORY);
    close(compositor);
    while (ask_fresh(rig, id, 0x7003) == RESP_OUT_OF_MEMORY) {
        g_usleep(1000); /* a look at what peers hold is not due at once */
    }
    g_assert_cmpuint(stats_of(rig).guest_pages_bytes, ==, 0x4000);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 9, 0, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    rig_end(rig);
    vwl_locks_close(limits.locks);
    /* and one of them has a limit of its own: 64 MiB */
    rig = rig_with_file(MODE);
    g_assert_cmphex(ask_pages(rig, 3, most, 6), ==, RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask_pages(rig, 3, most, 5), ==, RESP_VFD_NEW);
    g_assert_cmpuint(stats_of(rig).guest_pages_bytes, ==, 64 << 20);
    rig_end(rig);
}

/* After a restore it is there, and can be closed and nothing else. */
static void test_snapshot(void)
{
    struct core_rig *rig = rig_with_file(MODE);
    struct vwl_saver *saver;
    struct vwl_loader *loader;
    const uint64_t run = 0x7000;
    const char *why = NULL;
    const void *piece;
    uint32_t id = 3;
    int compositor, err = 0;
    ssize_t n;

    g_assert_cmphex(ask_pages(rig, 3, &run, 1), ==, RESP_VFD_NEW);
    loader = vwl_loader_create(rig->core);
    g_assert_cmpint(vwl_saver_create(rig->core, 0, "x", 1, &saver), ==, 0);
    while ((n = vwl_saver_next(saver, &piece)) > 0 && err == 0) {
        err = vwl_loader_feed(loader, piece, (size_t)n, &why);
    }
    vwl_saver_destroy(saver);
    g_assert_cmpint(err, ==, 0);
    g_assert_cmpint(vwl_loader_end(loader, &why), ==, 0);
    g_assert_cmpint(vwl_loader_apply(loader, MODE, true, false), ==, 0);
    vwl_loader_destroy(loader);
    g_assert_cmpuint(stats_of(rig).vfds, ==, 1);
    g_assert_cmpuint(stats_of(rig).guest_pages, ==, 0);
    g_assert_cmpuint(stats_of(rig).shm_bytes, ==, 0);
    compositor = open_ctx(rig, 1);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_INVALID_TYPE);
    g_assert_cmphex(ask_close(rig, 3), ==, RESP_OK);
    close(compositor);
    rig_end(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/pages/bytes", test_bytes);
    g_test_add_func("/core/pages/order", test_order);
    g_test_add_func("/core/pages/refused", test_refused);
    g_test_add_func("/core/pages/host", test_host);
    g_test_add_func("/core/pages/sent", test_sent);
    g_test_add_func("/core/pages/limits", test_limits);
    g_test_add_func("/core/pages/snapshot", test_snapshot);
    return g_test_run();
}
