/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

static struct core_rig_op *op(struct core_rig *rig, guint i)
{
    g_assert_cmpuint(i, <, rig->ops->len);
    return &g_array_index(rig->ops, struct core_rig_op, i);
}

static struct asked *ask_shm(struct core_rig *rig, uint32_t id, uint32_t size)
{
    uint8_t bytes[64];
    struct asked *asked;

    fill_new(bytes, CMD_VFD_NEW, id, 0, size);
    asked = ask_init(bytes, 64, 64);
    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    return asked;
}

/* A slow front-end holds up only what asked for the mapping. */
static void test_slow_map(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    struct asked *first, *second, *third;

    rig->map_later = true;
    first = ask_shm(rig, 2, 4096);
    second = ask_shm(rig, 3, 4096);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_OK);
    /* not there yet: who names it waits */
    third = send_init(2, NULL, 0, "x", 1);
    g_assert_cmpint(vwl_core_execute(rig->core, &third->request), ==,
                    -EINPROGRESS);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW_PIPE, 2, VFD_WRITE, 0), ==,
                    RESP_INVALID_ID);
    g_assert_cmpuint(op(rig, 0)->offset, ==, 0);
    g_assert_cmpuint(op(rig, 1)->offset, ==, 4096);
    vwl_core_map_done(rig->core, op(rig, 1)->cookie, 0);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_true(rig->completed->pdata[0] == &second->request);
    g_assert_cmphex(get32(second->request.response), ==, RESP_VFD_NEW);
    g_assert_cmphex(get64(second->request.response + 16), ==, 1);
    vwl_core_map_done(rig->core, op(rig, 0)->cookie, -EIO);
    g_assert_cmpuint(rig->completed->len, ==, 3);
    g_assert_cmphex(get32(first->request.response), ==, RESP_ERR);
    g_assert_cmpuint(first->request.response_bytes, ==, 4);
    g_assert_true(rig->completed->pdata[2] == &third->request);
    g_assert_cmphex(get32(third->request.response), ==, RESP_INVALID_ID);
    /* answers that nobody waits for */
    vwl_core_map_done(rig->core, op(rig, 0)->cookie, 0);
    vwl_core_map_done(rig->core, 12345, 0);
    vwl_core_unmap_done(rig->core, op(rig, 1)->cookie, 0);
    g_assert_cmpuint(rig->completed->len, ==, 3);
    asked_free(first);
    asked_free(second);
    asked_free(third);
    close(compositor);
    core_rig_free(rig);
}

/* A message waits for its mappings; others do not. Then it comes whole. */
static void test_slow_group(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int slow = open_ctx(rig, 1), quick = open_ctx(rig, 2);
    int fds[2] = { sealed_file(4096, F_SEAL_SHRINK), sealed_file(100, 0) };
    size_t len;

    rig->map_later = true;
    socket_send(slow, "slow", 4, fds, 2);
    socket_send(slow, "more", 4, NULL, 0);
    socket_send(quick, "quick", 5, NULL, 0);
    g_assert_cmpmem(expect_recv(rig, 2, 0, &len), 5, "quick", 5);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_false(is_readable(vwl_core_in_fd(rig->core)));
    vwl_core_map_done(rig->core, op(rig, 1)->cookie, 0);
    g_assert_cmpint(next_message(rig), ==, 0);
    /* the file itself is refused: a copy of it is tried */
    vwl_core_map_done(rig->core, op(rig, 0)->cookie, -EPERM);
    g_assert_cmpuint(rig->n_maps, ==, 3);
    g_assert_cmpint(next_message(rig), ==, 0);
    rig->n_ready = 0;
    vwl_core_map_done(rig->core, op(rig, 2)->cookie, 0);
    g_assert_cmpuint(rig->n_ready, ==, 1);
    socket_send(quick, "quick", 5, NULL, 0);
    expect_new(rig, 0, op(rig, 2)->offset >> 12, 4096);
    expect_new(rig, 0, op(rig, 1)->offset >> 12, 100);
    g_assert_cmpmem(expect_recv(rig, 1, 2, &len), 4, "slow", 4);
    /* then both are read again, in any order */
    g_assert_cmpint(next_message(rig), >, 16);
    g_assert_cmpint(next_message(rig), >, 16);
    g_assert_cmpint(next_message(rig), ==, 0);
    close(fds[0]);
    close(fds[1]);
    close(slow);
    close(quick);
    core_rig_free(rig);
}

/* Nothing of it can be mapped: the data arrives with an empty VFD. */
static void test_map_refused(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    int fd = sealed_file(4096, F_SEAL_SHRINK);
    struct vwl_stats stats = { 0 };
    size_t len;

    rig->map_err = -EIO;
    socket_send(compositor, "data", 4, &fd, 1);
    expect_new(rig, VFD_READ_WRITE, 0x100000, 0);
    g_assert_cmpmem(expect_recv(rig, 1, 1, &len), 4, "data", 4);
    g_assert_cmpuint(rig->n_maps, ==, 2);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_ERR);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.shm_bytes, ==, 0);
    g_assert_cmpuint(stats.shm_mappings, ==, 0);
    rig->map_err = 0;
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpuint(op(rig, rig->ops->len - 1)->offset, ==, 0);
    close(fd);
    close(compositor);
    core_rig_free(rig);
}

/* Closed while it is being mapped or unmapped: the place is used again only
 * when the front-end has said that it is free. */
static void test_close_meanwhile(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct asked *asked, *next;

    rig->map_later = true;
    asked = ask_shm(rig, 2, 4096);
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_ERR);
    asked_free(asked);
    next = ask_shm(rig, 2, 4096);
    g_assert_cmpuint(op(rig, 1)->offset, ==, 4096);
    vwl_core_map_done(rig->core, op(rig, 0)->cookie, 0);
    g_assert_cmpuint(rig->n_unmaps, ==, 1);
    g_assert_cmpuint(op(rig, 2)->offset, ==, 0);
    g_assert_cmpuint(op(rig, 2)->len, ==, 4096);
    asked = ask_shm(rig, 3, 4096);
    g_assert_cmpuint(op(rig, 3)->offset, ==, 8192);
    vwl_core_unmap_done(rig->core, op(rig, 2)->cookie, 0);
    asked_free(asked);
    asked = ask_shm(rig, 4, 4096);
    g_assert_cmpuint(op(rig, 4)->offset, ==, 0);
    vwl_core_reset(rig->core, false);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    asked_free(asked);
    asked_free(next);
    core_rig_free(rig);
}

static struct core_rig *small_window(uint64_t pages)
{
    struct vwl_core_config limits = core_rig_limits;
    struct core_rig *rig;

    limits.shm_window = pages * 4096;
    rig = core_rig_new_limits(MODE_K23, &limits);
    for (uint32_t i = 1; i <= pages; i++) {
        g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 100 + i, 0, 4096), ==,
                        RESP_VFD_NEW);
    }
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 200, 0, 4096), ==,
                    RESP_OUT_OF_MEMORY);
    rig->map_later = true;
    return rig;
}

/* What was closed leaves its place only when the front-end says so: a NEW that
 * has no room waits for that. */
static void test_room_later(void)
{
    struct core_rig *rig = small_window(4);
    struct asked *large, *small, *third;
    guint n = rig->ops->len;

    for (uint32_t i = 101; i <= 103; i++) {
        g_assert_cmphex(ask_close(rig, i), ==, RESP_OK);
    }
    large = ask_shm(rig, 1, 2 * 4096);
    small = ask_shm(rig, 2, 4096);
    third = ask_shm(rig, 3, 4096);
    g_assert_cmpuint(rig->ops->len, ==, n + 3);
    /* the middle one: too small for the first, not for the second */
    vwl_core_unmap_done(rig->core, op(rig, n + 1)->cookie, 0);
    g_assert_cmpuint(rig->ops->len, ==, n + 4);
    g_assert_true(op(rig, n + 3)->is_map);
    g_assert_cmpuint(op(rig, n + 3)->offset, ==, 4096);
    g_assert_cmpuint(op(rig, n + 3)->len, ==, 4096);
    vwl_core_map_done(rig->core, op(rig, n + 3)->cookie, 0);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_true(rig->completed->pdata[0] == &small->request);
    g_assert_cmphex(get32(small->request.response), ==, RESP_VFD_NEW);
    /* nobody is left whom the large one could wait for */
    vwl_core_unmap_done(rig->core, op(rig, n)->cookie, 0);
    g_assert_cmpuint(rig->ops->len, ==, n + 5);
    g_assert_cmpuint(op(rig, n + 4)->offset, ==, 0);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    vwl_core_unmap_done(rig->core, op(rig, n + 2)->cookie, 0);
    g_assert_cmpuint(rig->completed->len, ==, 2);
    g_assert_true(rig->completed->pdata[1] == &large->request);
    g_assert_cmphex(get32(large->request.response), ==, RESP_OUT_OF_MEMORY);
    vwl_core_map_done(rig->core, op(rig, n + 4)->cookie, 0);
    g_assert_cmpuint(rig->completed->len, ==, 3);
    g_assert_cmphex(get32(third->request.response), ==, RESP_VFD_NEW);
    asked_free(large);
    asked_free(small);
    asked_free(third);
    core_rig_free(rig);
}

/* An UNMAP that is refused, a mapping that nobody wants any more, a CLOSE of
 * what waits, a message of a host peer, a reset. */
static void test_room_never(void)
{
    struct core_rig *rig = small_window(2);
    struct asked *asked, *other;
    int compositor = open_ctx(rig, 1), fd = sealed_file(100, 0);
    guint n = rig->ops->len;
    size_t len;

    g_assert_cmphex(ask_close(rig, 101), ==, RESP_OK);
    asked = ask_shm(rig, 3, 4096);
    vwl_core_unmap_done(rig->core, op(rig, n)->cookie, -EIO);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_OUT_OF_MEMORY);
    asked_free(asked);
    /* the one that waits is closed; the next one is mapped, and closed */
    g_assert_cmphex(ask_close(rig, 102), ==, RESP_OK);
    asked = ask_shm(rig, 3, 4096);
    other = ask_shm(rig, 4, 4096);
    g_assert_cmphex(ask_close(rig, 3), ==, RESP_OK);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_ERR);
    asked_free(asked);
    vwl_core_unmap_done(rig->core, op(rig, n + 1)->cookie, 0);
    g_assert_cmpuint(op(rig, n + 2)->offset, ==, 4096);
    g_assert_cmphex(ask_close(rig, 4), ==, RESP_OK);
    asked_free(other);
    /* it still has the only place; a refusal sets it free */
    socket_send(compositor, "data", 4, &fd, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmpuint(rig->ops->len, ==, n + 3);
    vwl_core_map_done(rig->core, op(rig, n + 2)->cookie, -EIO);
    g_assert_cmpuint(rig->ops->len, ==, n + 4);
    vwl_core_map_done(rig->core, op(rig, n + 3)->cookie, 0);
    expect_new(rig, 0, 1, 100);
    expect_recv(rig, 1, 1, &len);
    g_assert_cmphex(ask_close(rig, get32(rig->message + 16)), ==, RESP_OK);
    asked = ask_shm(rig, 3, 4096);
    vwl_core_reset(rig->core, false);
    g_assert_cmpuint(rig->completed->len, ==, 3);
    asked_free(asked);
    close(fd);
    close(compositor);
    core_rig_free(rig);
}

/* A refused UNMAP: the range is not used again until a reset. */
static void test_unmap_refused(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    rig->unmap_err = -EIO;
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    rig->unmap_err = 0;
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpuint(op(rig, 2)->offset, ==, 4096);
    vwl_core_reset(rig->core, false);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpuint(op(rig, 3)->offset, ==, 0);
    core_rig_free(rig);
}

/* A front-end that kept its mappings over a reset refuses; what was there is
 * unmapped piece by piece, and it is asked again. */
static void test_stale(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    struct asked *asked;

    for (uint32_t i = 2; i < 5; i++) {
        g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, i, 0, 4096), ==,
                        RESP_VFD_NEW);
    }
    vwl_core_reset(rig->core, false);
    g_assert_cmpuint(rig->n_unmaps, ==, 0);
    rig->map_later = true;
    asked = ask_shm(rig, 2, 8192);
    vwl_core_map_done(rig->core, op(rig, 3)->cookie, -EEXIST);
    g_assert_cmpuint(rig->n_unmaps, ==, 2);
    g_assert_cmpuint(op(rig, 4)->offset, ==, 0);
    g_assert_cmpuint(op(rig, 4)->len, ==, 4096);
    g_assert_cmpuint(op(rig, 5)->offset, ==, 4096);
    g_assert_cmpuint(op(rig, 5)->len, ==, 4096);
    vwl_core_unmap_done(rig->core, op(rig, 5)->cookie, -ENOENT);
    g_assert_cmpuint(rig->n_maps, ==, 4);
    vwl_core_unmap_done(rig->core, op(rig, 4)->cookie, 0);
    g_assert_cmpuint(rig->n_maps, ==, 5);
    g_assert_cmpuint(op(rig, 6)->len, ==, 8192);
    vwl_core_map_done(rig->core, op(rig, 6)->cookie, 0);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_VFD_NEW);
    asked_free(asked);
    /* once only: a second refusal is one */
    asked = ask_shm(rig, 3, 4096);
    vwl_core_map_done(rig->core, op(rig, 7)->cookie, -EEXIST);
    g_assert_cmpuint(rig->n_unmaps, ==, 3);
    vwl_core_unmap_done(rig->core, op(rig, 8)->cookie, 0);
    vwl_core_map_done(rig->core, op(rig, 9)->cookie, -EEXIST);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_ERR);
    asked_free(asked);
    core_rig_free(rig);
}

/* One that dropped them is not bothered, and in-process hosts are told. */
static void test_reset(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    struct vwl_stats stats = { 0 };
    char byte;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    vwl_core_reset(rig->core, false);
    g_assert_cmpint(read(compositor, &byte, 1), ==, 0);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.vfds, ==, 0);
    g_assert_cmpuint(stats.contexts, ==, 0);
    g_assert_cmpuint(stats.shm_bytes, ==, 0);
    g_assert_cmpuint(stats.shm_mappings, ==, 0);
    g_assert_cmpuint(stats.resets, ==, 1);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpuint(rig->n_unmaps, ==, 0);
    vwl_core_reset(rig->core, true);
    g_assert_cmpuint(rig->n_unmaps, ==, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    close(compositor);
    core_rig_free(rig);
}

/* A reset, or a close, while a message waits for its mappings. */
static void test_group_dropped(void)
{
    for (int how = 0; how < 2; how++) {
        struct core_rig *rig = core_rig_new(MODE_K23);
        int compositor = open_ctx(rig, 1), fds[40];
        struct vwl_stats stats = { 0 };

        rig->map_later = true;
        for (int i = 0; i < 40; i++) {
            fds[i] = sealed_file(100, 0);
        }
        socket_send(compositor, "data", 4, fds, 40);
        g_assert_cmpint(next_message(rig), ==, 0);
        g_assert_cmpuint(rig->n_maps, ==, 40);
        if (how) {
            vwl_core_reset(rig->core, false);
        } else {
            g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
        }
        vwl_core_stats(rig->core, &stats);
        g_assert_cmpuint(stats.vfds, ==, 0);
        g_assert_cmpuint(stats.queued_bytes, ==, 0);
        for (guint i = 0; i < 40; i++) {
            vwl_core_map_done(rig->core, op(rig, i)->cookie, 0);
            close(fds[i]);
        }
        /* nobody wants them any more; after a reset they are not known */
        g_assert_cmpuint(rig->n_unmaps, ==, how ? 0 : 40);
        g_assert_cmpint(next_message(rig), ==, 0);
        close(compositor);
        core_rig_free(rig);
    }
}

/* Without USE_SHMEM: a page of ours comes first and stays, and an allocation
 * waits until somebody knows where the region is. */
static void test_base(void)
{
    struct core_rig *rig = core_rig_new(MODE_NEWEST);
    struct asked *asked;
    struct stat st;
    uint64_t offset = 1;

    rig->base = 0;
    asked = ask_shm(rig, 2, 4096);
    g_assert_cmpuint(rig->n_maps, ==, 2);
    g_assert_cmpuint(op(rig, 0)->offset, ==, 0);
    g_assert_cmpuint(op(rig, 0)->len, ==, 4096);
    g_assert_cmpuint(op(rig, 1)->offset, ==, 4096);
    g_assert_cmpint(fstat(rig->last_map_fd, &st), ==, 0);
    g_assert_true(vwl_core_owns_file(rig->core, st.st_dev, st.st_ino, &offset));
    g_assert_cmpuint(offset, ==, 4096);
    g_assert_false(
        vwl_core_owns_file(rig->core, st.st_dev, st.st_ino + 1000, &offset));
    vwl_core_base_changed(rig->core);
    g_assert_cmpuint(rig->completed->len, ==, 0);
    rig->base = 0xfe00000000;
    vwl_core_base_changed(rig->core);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_VFD_NEW);
    g_assert_cmphex(get64(asked->request.response + 16), ==, 0xfe00001);
    asked_free(asked);
    /* asked at use */
    rig->base = 0x100000000;
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    g_assert_cmpuint(rig->n_unmaps, ==, 1);
    g_assert_cmpuint(op(rig, 2)->offset, ==, 4096);
    g_assert_false(
        vwl_core_owns_file(rig->core, st.st_dev, st.st_ino, &offset));
    {
        uint8_t bytes[64], response[64];

        fill_new(bytes, CMD_VFD_NEW, 2, 0, 4096);
        g_assert_cmphex(ask_room(rig, bytes, 64, 64, response, NULL), ==,
                        RESP_VFD_NEW);
        g_assert_cmphex(get64(response + 16), ==, 0x100001);
    }
    core_rig_free(rig);
}

static void run_out_for(struct core_rig *rig, int ms)
{
    gint64 end = g_get_monotonic_time() + ms * 1000;
    gint64 left;

    while ((left = end - g_get_monotonic_time()) > 0 &&
           rig->completed->len == 0) {
        struct pollfd pfd = { vwl_core_out_fd(rig->core), POLLIN, 0 };

        if (poll(&pfd, 1, (int)(left / 1000) + 1) == 1) {
            vwl_core_dispatch_out(rig->core);
        }
    }
}

/* Nobody ever tells: ERR, and a received file becomes an empty VFD. */
static void test_no_base(void)
{
    struct core_rig *rig = core_rig_new(MODE_NEWEST);
    int compositor = open_ctx(rig, 1), fd = sealed_file(100, 0);
    struct asked *asked;
    size_t len;

    rig->base = 0;
    socket_send(compositor, "data", 4, &fd, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    asked = ask_shm(rig, 2, 4096);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_OK);
    run_out_for(rig, 30000);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_ERR);
    asked_free(asked);
    expect_new(rig, VFD_READ_WRITE, 0, 0);
    g_assert_cmpmem(expect_recv(rig, 1, 1, &len), 4, "data", 4);
    close(fd);
    close(compositor);
    /* which is remembered: the next one is refused at once */
    g_ptr_array_set_size(rig->completed, 0);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 3, 0, 4096), ==, RESP_ERR);
    vwl_core_base_changed(rig->core);
    asked = ask_shm(rig, 4, 4096);
    g_assert_cmpuint(rig->completed->len, ==, 0);
    rig->base = 0xfe00000000;
    vwl_core_base_changed(rig->core);
    g_assert_cmpuint(rig->completed->len, ==, 1);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_VFD_NEW);
    asked_free(asked);
    core_rig_free(rig);
}

/* A front-end that maps nothing: contexts and pipes work. */
static void test_no_shm(void)
{
    struct core_rig *rig = core_rig_new(MODE_NEWEST);
    int compositor = open_ctx(rig, 1), fd = sealed_file(100, 0);
    size_t len;

    vwl_core_set_features(rig->core, MODE_NEWEST, false);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 4096), ==, RESP_ERR);
    socket_send(compositor, "data", 4, &fd, 1);
    expect_new(rig, VFD_READ_WRITE, 0, 0);
    expect_recv(rig, 1, 1, &len);
    g_assert_cmpuint(rig->n_maps, ==, 0);
    close(fd);
    close(compositor);
    core_rig_free(rig);
}

/* Guest-made memory cannot be shrunk by a peer; a copy hides the original; the
 * original is what is sent on. */
static void test_files(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1);
    int keymap = sealed_file(5000, F_SEAL_SHRINK | F_SEAL_WRITE);
    int fds[253];
    uint32_t id = 2;
    unsigned int n_fds;
    struct stat st, original;
    uint64_t offset;
    char data[8];
    size_t len;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 5000), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, data, 8, fds, &n_fds), ==, 1);
    g_assert_cmpint(ftruncate(fds[0], 0), ==, -1);
    g_assert_cmpint(fcntl(fds[0], F_ADD_SEALS, F_SEAL_FUTURE_WRITE), ==, -1);
    close(fds[0]);
    socket_send(compositor, "k", 1, &keymap, 1);
    id = expect_new(rig, 0, 2, 5000);
    expect_recv(rig, 1, 1, &len);
    g_assert_cmpint(fstat(rig->last_map_fd, &st), ==, 0);
    g_assert_cmpint(fstat(keymap, &original), ==, 0);
    g_assert_cmpuint(st.st_ino, !=, original.st_ino);
    g_assert_cmpint(st.st_size, ==, 8192);
    g_assert_cmpint(pwrite(rig->last_map_fd, "y", 1, 0), ==, 1);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, data, 8, fds, &n_fds), ==, 1);
    g_assert_cmpint(fstat(fds[0], &st), ==, 0);
    g_assert_cmpuint(st.st_ino, ==, original.st_ino);
    close(fds[0]);
    close(keymap);
    /* the same file at two places tells no place */
    keymap = sealed_file(4096, F_SEAL_SHRINK);
    g_assert_cmpint(fstat(keymap, &st), ==, 0);
    socket_send(compositor, "k", 1, &keymap, 1);
    id = expect_new(rig, 0, 4, 4096);
    expect_recv(rig, 1, 1, &len);
    g_assert_true(vwl_core_owns_file(rig->core, st.st_dev, st.st_ino, &offset));
    g_assert_cmpuint(offset, ==, 4 * 4096);
    socket_send(compositor, "k", 1, &keymap, 1);
    expect_new(rig, 0, 5, 4096);
    expect_recv(rig, 1, 1, &len);
    g_assert_true(vwl_core_owns_file(rig->core, st.st_dev, st.st_ino, &offset));
    g_assert_cmpuint(offset, ==, UINT64_MAX);
    g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    g_assert_true(vwl_core_owns_file(rig->core, st.st_dev, st.st_ino, &offset));
    g_assert_cmpuint(offset, ==, 5 * 4096);
    close(keymap);
    close(compositor);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/shm/slow-map", test_slow_map);
    g_test_add_func("/core/shm/slow-group", test_slow_group);
    g_test_add_func("/core/shm/map-refused", test_map_refused);
    g_test_add_func("/core/shm/close-meanwhile", test_close_meanwhile);
    g_test_add_func("/core/shm/room-later", test_room_later);
    g_test_add_func("/core/shm/room-never", test_room_never);
    g_test_add_func("/core/shm/unmap-refused", test_unmap_refused);
    g_test_add_func("/core/shm/stale", test_stale);
    g_test_add_func("/core/shm/reset", test_reset);
    g_test_add_func("/core/shm/group-dropped", test_group_dropped);
    g_test_add_func("/core/shm/base", test_base);
    g_test_add_func("/core/shm/no-base", test_no_base);
    g_test_add_func("/core/shm/no-shm", test_no_shm);
    g_test_add_func("/core/shm/files", test_files);
    return g_test_run();
}
