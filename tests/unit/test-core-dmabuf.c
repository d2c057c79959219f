/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers that the guest asks for, and when its processor may touch them. The
 * allocator is a double: its buffers are sockets, which can be polled as
 * dmabufs are, beside a plain file; and this program's ioctl is the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/dma-buf.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"

static GMutex sync_lock; /* a thread of the device's may call */
static GCond sync_over;
static bool sync_holds;  /* a device uses the buffer: the call waits */
static int sync_fd = -1; /* of the last one that began something */
static unsigned int n_syncs;
static uint64_t last_sync;
static int sync_errno;

/* Instead of libc's. */
int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    struct dma_buf_sync *sync;

    va_start(args, request);
    sync = va_arg(args, struct dma_buf_sync *);
    va_end(args);
    if (request != DMA_BUF_IOCTL_SYNC) {
        return (int)syscall(SYS_ioctl, fd, request, sync);
    }
    if (sync_errno) {
        errno = sync_errno;
        return -1;
    }
    g_mutex_lock(&sync_lock);
    n_syncs++;
    last_sync = sync->flags;
    if (!(sync->flags & DMA_BUF_SYNC_END)) {
        g_atomic_int_set(&sync_fd, fd);
    }
    while (sync_holds) {
        g_cond_wait(&sync_over, &sync_lock);
    }
    g_mutex_unlock(&sync_lock);
    return 0;
}

static void hold_syncs(bool holds)
{
    g_mutex_lock(&sync_lock);
    sync_holds = holds;
    g_cond_broadcast(&sync_over);
    g_mutex_unlock(&sync_lock);
}

/* The next buffer that the allocator gives out; returns its device's end. */
static int next_buffer(struct core_rig *rig, uint64_t size_bytes)
{
    int sv[2];

    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    rig->has_buffers = true;
    rig->buffer = (struct vwl_buffer){
        .fd = sv[0],
        .map_fd = sealed_file(size_bytes, F_SEAL_SHRINK),
        .size_bytes = size_bytes,
        .stride = { 0x11, 0x22, 0x33 },
        .offset = { 0x44, 0x55, 0x66 },
    };
    return sv[1];
}

static const uint8_t request_640_480[64] = {
    0x07,        0x01, 0,   0,   0,    0,
    0,           0,    7,   0,   0,    0, /* VFD_NEW_DMABUF, id 7 */
    [28] = 0x80, 0x02, 0,   0,   0xe0, 0x01,
    0,           0,    'X', 'R', '2',  '4',
};

static uint32_t ask_dmabuf(struct core_rig *rig, uint32_t id)
{
    uint8_t bytes[64];

    memcpy(bytes, request_640_480, 64);
    put32(bytes + 8, id);
    return ask(rig, bytes, 64);
}

static uint32_t ask_sync(struct core_rig *rig, uint32_t id, uint32_t flags)
{
    uint8_t bytes[16] = { 0x08, 0x01 };

    put32(bytes + 8, id);
    put32(bytes + 12, flags);
    return ask(rig, bytes, 16);
}

/* What a guest compositor's probe gets. */
static void test_probe(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    uint8_t probe[64];
    guint lines;

    fill_new(probe, CMD_VFD_NEW_DMABUF, 5, 0, 0);
    g_assert_cmphex(ask(rig, probe, 64), ==, RESP_INVALID_CMD);
    g_assert_cmphex(ask(rig, probe, 4), ==, RESP_INVALID_CMD);
    put32(probe + 8, 0x40000005);
    g_assert_cmphex(ask(rig, probe, 64), ==, RESP_INVALID_CMD);
    g_assert_cmphex(ask_sync(rig, 5, 99), ==, RESP_INVALID_CMD);
    /* with an allocator it is an error like any other */
    rig->has_buffers = true;
    rig->alloc_err = -EINVAL;
    g_assert_cmphex(ask(rig, probe, 64), ==, RESP_INVALID_ID);
    put32(probe + 8, 5);
    lines = rig->lines->len;
    g_assert_cmphex(ask(rig, probe, 64), ==, RESP_ERR);
    g_assert_cmpuint(rig->lines->len, ==, lines); /* that is no mistake */
    g_assert_cmpuint(rig->wish.width, ==, 0);
    g_assert_cmpuint(rig->n_allocs, ==, 1);
    g_assert_cmphex(ask(rig, probe, 63), ==, RESP_ERR);
    g_assert_cmphex(ask(rig, probe, 4), ==, RESP_ERR);
    g_assert_cmpuint(rig->n_allocs, ==, 1);
    core_rig_free(rig);
}

/* Each byte of the answer; where it is mapped; who gets which descriptor. */
static void test_made(void)
{
    static const uint8_t answer[64] = {
        0x02, 0x10, 0,           0, 0, 0,    0,    0, 7, 0,    0,    0, 0,
        0,    0,    0,           1, 0, 0,    0,    0, 0, 0,    0,    0, 0xc0,
        0x12, 0,    [40] = 0x11, 0, 0, 0,    0x22, 0, 0, 0,    0x33, 0, 0,
        0,    0x44, 0,           0, 0, 0x55, 0,    0, 0, 0x66, 0,    0, 0,
    };
    struct core_rig *rig = core_rig_new(MODE_K23);
    int device = next_buffer(rig, 0x12c000), compositor = open_ctx(rig, 1);
    struct stat mapped, file, sent, socket;
    uint8_t response[64];
    char byte;
    int fds[253];
    unsigned int n_fds;
    uint32_t id = 7;
    size_t n;

    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 2, 0, 1), ==,
                    RESP_VFD_NEW); /* pfn 0 */
    g_assert_cmpint(fstat(rig->buffer.map_fd, &file), ==, 0);
    g_assert_cmpint(fstat(rig->buffer.fd, &socket), ==, 0);
    g_assert_cmphex(ask_room(rig, request_640_480, 64, 64, response, &n), ==,
                    RESP_VFD_NEW_DMABUF);
    g_assert_cmpmem(response, n, answer, 64);
    g_assert_cmpuint(rig->wish.width, ==, 640);
    g_assert_cmpuint(rig->wish.height, ==, 480);
    g_assert_cmphex(rig->wish.format, ==, 0x34325258);
    g_assert_cmpint(fstat(rig->last_map_fd, &mapped), ==, 0);
    g_assert_cmpuint(mapped.st_ino, ==, file.st_ino);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, &byte, 1, fds, &n_fds), ==, 1);
    g_assert_cmpuint(n_fds, ==, 1);
    g_assert_cmpint(fstat(fds[0], &sent), ==, 0);
    g_assert_cmpuint(sent.st_ino, ==, socket.st_ino);
    close(fds[0]);
    /* nothing can be written to it */
    g_assert_cmphex(ask_send(rig, 7, NULL, 0, "x", 1), ==, RESP_INVALID_TYPE);
    g_assert_cmphex(ask_dmabuf(rig, 7), ==, RESP_INVALID_ID);
    g_assert_cmphex(ask_close(rig, 7), ==, RESP_OK);
    g_assert_cmpuint(rig->n_unmaps, ==, 1);
    close(compositor);
    close(device);
    core_rig_free(rig);
}

/* Drivers of that mode are told addresses. */
static void test_absolute(void)
{
    struct core_rig *rig = core_rig_new(MODE_NEWEST);
    int device = next_buffer(rig, 4096);
    uint8_t response[64];

    g_assert_cmphex(ask_room(rig, request_640_480, 64, 64, response, NULL), ==,
                    RESP_VFD_NEW_DMABUF);
    /* a page of ours lies first */
    g_assert_cmphex(get64(response + 16), ==, (0xfe00000000 >> 12) + 1);
    g_assert_cmphex(get32(response + 12), ==, 0);
    close(device);
    core_rig_free(rig);
}

/* An answer without room is undone. */
static void test_no_room(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    size_t n;

    rig->has_buffers = true;
    g_assert_cmphex(ask_room(rig, request_640_480, 64, 63, NULL, &n), ==,
                    RESP_ERR);
    g_assert_cmpuint(n, ==, 4);
    g_assert_cmpuint(rig->n_allocs, ==, 0);
    core_rig_free(rig);
}

static void test_limits(void)
{
    struct vwl_core_config limits = core_rig_limits;
    struct vwl_stats stats;
    struct core_rig *rig;
    int device;

    limits.max_shm_bytes = 3 * 4096;
    rig = core_rig_new_limits(MODE_K23, &limits);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 1, 0, 4096), ==, RESP_VFD_NEW);
    device = next_buffer(rig, 2 * 4096);
    g_assert_cmphex(ask_dmabuf(rig, 2), ==, RESP_VFD_NEW_DMABUF);
    g_assert_cmpuint(rig->wish.max_bytes, ==, 2 * 4096);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.shm_bytes, ==, 3 * 4096);
    close(device);
    device = next_buffer(rig, 4096);
    g_assert_cmphex(ask_dmabuf(rig, 3), ==, RESP_OUT_OF_MEMORY);
    g_assert_cmpuint(rig->wish.max_bytes, ==, 0);
    g_assert_cmphex(ask_close(rig, 2), ==, RESP_OK);
    g_assert_cmphex(ask_dmabuf(rig, 3), ==, RESP_VFD_NEW_DMABUF);
    vwl_core_stats(rig->core, &stats);
    g_assert_cmpuint(stats.shm_bytes, ==, 2 * 4096);
    close(device);
    core_rig_free(rig);
}

/* The answer by error, the one for "no dmabufs" never among them. */
static void test_errors(void)
{
    static const struct {
        int err;
        uint32_t answer;
    } table[] = {
        { -EINVAL, RESP_ERR },
        { -ENOTTY, RESP_ERR },
        { -EIO, RESP_ERR },
        { -ENODEV, RESP_ERR },
        { -ENOSPC, RESP_OUT_OF_MEMORY },
        { -ENOMEM, RESP_OUT_OF_MEMORY },
        { -EMFILE, RESP_OUT_OF_MEMORY },
    };
    struct core_rig *rig = core_rig_new(MODE_K23);
    int device;

    rig->has_buffers = true;
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        rig->alloc_err = table[i].err;
        g_assert_cmphex(ask_dmabuf(rig, 1), ==, table[i].answer);
    }
    rig->alloc_err = 0;
    rig->map_err = -EPERM;
    device = next_buffer(rig, 4096);
    g_assert_cmphex(ask_dmabuf(rig, 1), ==, RESP_ERR);
    g_assert_cmpint(recv(device, &(char){ 0 }, 1, 0), ==, 0); /* let go */
    close(device);
    core_rig_free(rig);
}

static void test_slow_map(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int device = next_buffer(rig, 4096);
    struct asked *asked = ask_init(request_640_480, 64, 64), *sync;
    uint8_t sync_7[16] = { 0x08, 0x01 };

    rig->map_later = true;
    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    put32(sync_7 + 8, 7);
    put32(sync_7 + 12, 1);
    sync = ask_init(sync_7, 16, 8);
    g_assert_cmpint(vwl_core_execute(rig->core, &sync->request), ==,
                    -EINPROGRESS); /* it waits for the buffer */
    vwl_core_map_done(rig->core,
                      g_array_index(rig->ops, struct core_rig_op, 0).cookie, 0);
    g_assert_cmphex(ask_close(rig, 7), ==, RESP_OK);
    g_assert_cmpuint(rig->completed->len, ==, 2);
    asked_free(sync);
    g_assert_cmphex(get32(asked->request.response), ==, RESP_VFD_NEW_DMABUF);
    g_assert_cmpuint(asked->request.response_bytes, ==, 64);
    g_assert_cmphex(get32(asked->request.response + 52), ==, 0x44);
    asked_free(asked);
    close(device);
    core_rig_free(rig);
}

static struct asked *ask_early(struct core_rig *rig, uint32_t id)
{
    uint8_t bytes[64];
    struct asked *asked;

    memcpy(bytes, request_640_480, 64);
    put32(bytes + 8, id);
    asked = ask_init(bytes, 64, 64);
    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    return asked;
}

/* Nobody knows yet what the compositor takes: those who ask wait, others do
 * not, and not for ever. */
static void test_early(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int device, compositor = open_ctx(rig, 1);
    struct asked *first, *second, *third;
    struct pollfd p = { vwl_core_out_fd(rig->core), POLLIN, 0 };

    rig->has_buffers = true;
    rig->offer = -EINPROGRESS;
    first = ask_early(rig, 2);
    second = ask_early(rig, 3);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_OK);
    vwl_core_buffers_changed(rig->core);
    g_assert_cmpuint(rig->completed->len, ==, 0);
    g_assert_cmphex(ask_close(rig, 3), ==, RESP_OK);
    g_assert_cmphex(get32(second->request.response), ==, RESP_ERR);
    rig->offer = 0;
    device = next_buffer(rig, 4096);
    vwl_core_buffers_changed(rig->core);
    g_assert_cmpuint(rig->completed->len, ==, 2);
    g_assert_cmphex(get32(first->request.response), ==, RESP_VFD_NEW_DMABUF);
    /* it turns out that there are none */
    rig->offer = -EINPROGRESS;
    third = ask_early(rig, 4);
    rig->has_buffers = false;
    vwl_core_buffers_changed(rig->core);
    g_assert_cmphex(get32(third->request.response), ==, RESP_INVALID_CMD);
    asked_free(third);
    /* it never turns out */
    rig->has_buffers = true;
    third = ask_early(rig, 4);
    while (rig->completed->len < 4) {
        g_assert_cmpint(poll(&p, 1, 30000), ==, 1);
        vwl_core_dispatch_out(rig->core);
    }
    g_assert_cmphex(get32(third->request.response), ==, RESP_INVALID_CMD);
    asked_free(first);
    asked_free(second);
    asked_free(third);
    close(device);
    close(compositor);
    core_rig_free(rig);
}

static void test_sync(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int device = next_buffer(rig, 4096);
    uint8_t bytes[15] = { 0x08, 0x01, [8] = 7, [12] = 1 };

    g_assert_cmphex(ask_dmabuf(rig, 7), ==, RESP_VFD_NEW_DMABUF);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 8, 0, 4096), ==, RESP_VFD_NEW);
    n_syncs = 0;
    g_assert_cmpint(write(device, "x", 1), ==, 1); /* ready */
    for (uint32_t flags = 0; flags < 8; flags++) {
        g_assert_cmphex(ask_sync(rig, 7, flags), ==, RESP_OK);
        g_assert_cmphex(last_sync, ==, flags);
    }
    g_assert_cmpuint(n_syncs, ==, 8);
    g_assert_cmphex(ask_sync(rig, 7, 8), ==, RESP_INVALID_FLAGS);
    g_assert_cmphex(ask_sync(rig, 7, 0x80000001), ==, RESP_INVALID_FLAGS);
    g_assert_cmphex(ask_sync(rig, 9, 8), ==, RESP_INVALID_FLAGS);
    g_assert_cmphex(ask_sync(rig, 9, 1), ==, RESP_INVALID_ID);
    g_assert_cmphex(ask_sync(rig, 8, 1), ==, RESP_ERR); /* no dmabuf */
    g_assert_cmphex(ask(rig, bytes, sizeof bytes), ==, RESP_ERR);
    g_assert_cmpuint(n_syncs, ==, 8);
    sync_errno = EINVAL;
    g_assert_cmphex(ask_sync(rig, 7, 1), ==, RESP_ERR);
    sync_errno = 0;
    close(device);
    core_rig_free(rig);
}

static struct asked *sync_later(struct core_rig *rig, uint32_t id,
                                uint32_t flags)
{
    uint8_t bytes[16] = { 0x08, 0x01 };
    struct asked *asked;

    put32(bytes + 8, id);
    put32(bytes + 12, flags);
    asked = ask_init(bytes, 16, 8);
    g_assert_cmpint(vwl_core_execute(rig->core, &asked->request), ==,
                    -EINPROGRESS);
    return asked;
}

/* A device that does not finish holds up its own buffer and nothing else. */
static void test_busy(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int busy = next_buffer(rig, 4096), idle;
    struct asked *read, *end;

    g_assert_cmphex(ask_dmabuf(rig, 7), ==, RESP_VFD_NEW_DMABUF);
    idle = next_buffer(rig, 4096);
    g_assert_cmphex(ask_dmabuf(rig, 8), ==, RESP_VFD_NEW_DMABUF);
    g_assert_cmpint(write(idle, "x", 1), ==, 1);
    n_syncs = 0;
    read = sync_later(rig, 7, 1);
    end = sync_later(rig, 7, 5); /* in order, though it needs not wait */
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    g_assert_cmphex(ask_sync(rig, 8, 1), ==, RESP_OK);
    g_assert_cmpuint(n_syncs, ==, 1);
    g_assert_cmpuint(rig->completed->len, ==, 0);
    g_assert_cmpint(write(busy, "x", 1), ==, 1);
    g_assert_true(is_readable(vwl_core_out_fd(rig->core)));
    vwl_core_dispatch_out(rig->core);
    g_assert_cmpuint(rig->completed->len, ==, 2);
    g_assert_true(rig->completed->pdata[0] == &read->request);
    g_assert_cmphex(get32(read->request.response), ==, RESP_OK);
    g_assert_cmphex(get32(end->request.response), ==, RESP_OK);
    g_assert_cmphex(last_sync, ==, 5);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    asked_free(read);
    asked_free(end);
    close(busy);
    close(idle);
    core_rig_free(rig);
}

/* The thread is through with it. */
static void wait_sync_fd(void)
{
    while (fcntl(sync_fd, F_GETFD) >= 0) {
        g_usleep(1000);
    }
}

/* A device begins to use the buffer when nobody looks any more: the call waits
 * for it, and nothing else does. Closing the buffer ends that, too. */
static void test_raced(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int compositor = open_ctx(rig, 1), device = next_buffer(rig, 4096);
    const uint32_t id = 7;
    struct asked *asked[3];
    unsigned int n_fds;
    int fds[253];
    char byte;

    g_assert_cmphex(ask_dmabuf(rig, id), ==, RESP_VFD_NEW_DMABUF);
    g_assert_cmphex(ask_send(rig, 1, &id, 1, "x", 1), ==, RESP_OK);
    g_assert_cmpint(socket_receive(compositor, &byte, 1, fds, &n_fds), ==, 1);
    close(fds[0]);
    g_assert_cmpint(write(device, "x", 1), ==, 1);
    hold_syncs(true);
    asked[0] = sync_later(rig, id, 1);
    asked[1] = sync_later(rig, id, 5);
    g_assert_cmphex(ask_new(rig, CMD_VFD_NEW, 8, 0, 4096), ==, RESP_VFD_NEW);
    g_assert_cmphex(ask_close(rig, 8), ==, RESP_OK);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    g_assert_cmpuint(rig->completed->len, ==, 0);
    hold_syncs(false);
    while (!is_readable(vwl_core_out_fd(rig->core))) {
        g_usleep(1000);
    }
    vwl_core_dispatch_out(rig->core);
    g_assert_cmpuint(rig->completed->len, ==, 2);
    g_assert_cmphex(get32(asked[0]->request.response), ==, RESP_OK);
    g_assert_cmphex(get32(asked[1]->request.response), ==, RESP_OK);
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    wait_sync_fd();

    sync_fd = -1;
    hold_syncs(true);
    asked[2] = sync_later(rig, id, 3);
    g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    g_assert_cmpuint(rig->completed->len, ==, 3);
    g_assert_cmphex(get32(asked[2]->request.response), ==, RESP_ERR);
    while (g_atomic_int_get(&sync_fd) < 0) {
        g_usleep(1000);
    }
    hold_syncs(false);
    wait_sync_fd();
    for (int i = 0; i < 3; i++) {
        asked_free(asked[i]);
    }
    close(device);
    close(compositor);
    expect_hup(rig, 1);
    core_rig_free(rig);
}

static void fill_socket(int fd)
{
    static const char bytes[4096];

    while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
    }
}

/* To write it waits for readers, too; closing ends the wait, and so does a
 * reset, and too many of them. */
static void test_busy_ends(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int device = next_buffer(rig, 4096), ours = rig->buffer.fd;
    struct asked *asked[8];

    g_assert_cmphex(ask_dmabuf(rig, 7), ==, RESP_VFD_NEW_DMABUF);
    fill_socket(ours);
    g_assert_cmpint(write(device, "x", 1), ==, 1); /* but can be read */
    asked[0] = sync_later(rig, 7, 2);
    asked[1] = sync_later(rig, 7, 3);
    g_assert_cmphex(ask_close(rig, 7), ==, RESP_OK);
    g_assert_cmpuint(rig->completed->len, ==, 2);
    g_assert_cmphex(get32(asked[0]->request.response), ==, RESP_ERR);
    close(device);
    device = next_buffer(rig, 4096);
    vwl_core_set_in_flight_limit(rig->core, 8, 8, 16);
    g_assert_cmphex(ask_dmabuf(rig, 7), ==, RESP_VFD_NEW_DMABUF);
    asked[2] = sync_later(rig, 7, 1);
    asked[3] = sync_later(rig, 7, 1);
    vwl_core_set_in_flight_limit(rig->core, 2, 2, 16);
    g_assert_cmphex(ask_sync(rig, 7, 1), ==, RESP_ERR);
    g_assert_cmpuint(rig->completed->len, ==, 4);
    expect_hup(rig, 7);
    g_assert_cmphex(ask_sync(rig, 7, 1), ==, RESP_ERR);
    close(device);
    device = next_buffer(rig, 4096);
    g_assert_cmphex(ask_dmabuf(rig, 8), ==, RESP_VFD_NEW_DMABUF);
    asked[4] = sync_later(rig, 8, 1);
    vwl_core_reset(rig->core, true);
    g_assert_cmpuint(rig->completed->len, ==, 4); /* dropped */
    g_assert_false(is_readable(vwl_core_out_fd(rig->core)));
    for (int i = 0; i < 5; i++) {
        asked_free(asked[i]);
    }
    close(device);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/dmabuf/probe", test_probe);
    g_test_add_func("/core/dmabuf/made", test_made);
    g_test_add_func("/core/dmabuf/absolute", test_absolute);
    g_test_add_func("/core/dmabuf/no-room", test_no_room);
    g_test_add_func("/core/dmabuf/limits", test_limits);
    g_test_add_func("/core/dmabuf/errors", test_errors);
    g_test_add_func("/core/dmabuf/slow-map", test_slow_map);
    g_test_add_func("/core/dmabuf/early", test_early);
    g_test_add_func("/core/dmabuf/sync", test_sync);
    g_test_add_func("/core/dmabuf/busy", test_busy);
    g_test_add_func("/core/dmabuf/busy-ends", test_busy_ends);
    g_test_add_func("/core/dmabuf/raced", test_raced);
    return g_test_run();
}
