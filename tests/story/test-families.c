/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every family of guest drivers, with its features and its quirks, against
 * the real plugin: what each answer holds to the byte, and which bytes of a
 * request survive an answer that shares its memory.
 */
#include "story.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inqueue.h"

#define WINDOW_GPA UINT64_C(0xfe00000000)

struct family {
    const char *name;
    bool shmem, trans, fences; /* what it acknowledges */
    bool packed;
    bool host_map; /* the window is mapped by callbacks, in process */
    struct vwl_drv_shape shape;
};

static const struct family families[] = {
    { "kold", .shape.direct = true },
    { "kold-host-map", .host_map = true },
    { "k25", .trans = true, .fences = true },
    { "k25-host-map", .trans = true, .fences = true, .host_map = true },
    { "kext", .trans = true, .fences = true, .shape = { .piece = 4096 } },
    { "kext-packed", .trans = true, .fences = true, .packed = true,
      .shape = { .piece = 4096, .gap = 4096 } },
    { "kand", .trans = true, .fences = true, .shape.direct = true },
    { "kgs", .shmem = true, .trans = true, .fences = true,
      .shape.direct = true },
    { "kgs-no-fences", .shmem = true, .trans = true },
    { "k23", .shmem = true, .trans = true, .fences = true },
    { "k23-host-map", .shmem = true, .trans = true, .fences = true,
      .host_map = true, .packed = true },
};

static struct rig *begin(const struct family *f)
{
    struct rig_options options = {
        .n_peers = 1,
        .host_map = f->host_map,
        .fe = { .no_use_shmem = !f->shmem,
                .no_trans_flags = !f->trans,
                .no_send_fences = !f->fences,
                .packed = f->packed },
        .drv = { .record = true, .shape = f->shape },
    };
    struct rig *r = rig_new(&options);

    g_assert_cmphex(r->fe->features & 0xe, ==,
                    (f->trans ? 2u : 0) | (f->fences ? 4u : 0) |
                        (f->shmem ? 8u : 0));
    return r;
}

static uint64_t pfn_none(const struct family *f)
{
    return f->shmem ? 0x100000 : 0;
}

/* The bytes of the window that a pfn names. */
static uint8_t *at_pfn(struct rig *r, const struct family *f, uint64_t pfn,
                       uint64_t len)
{
    uint64_t offset = pfn << 12;

    if (!f->shmem) {
        g_assert_cmphex(offset, >=, r->fe->window.gpa);
        offset -= r->fe->window.gpa;
    }
    return vwl_window_at(&r->fe->window, offset, len);
}

static void test_memory(gconstpointer data)
{
    const struct family *f = data;
    struct rig *r = begin(f);
    uint32_t flags = f->trans ? 0 : 3;
    uint8_t request[64], close_it[12] = { 0x01, 0x01, 0, 0, 0, 0, 0, 0, 1 };
    uint8_t *bytes;
    struct reply reply;

    for (unsigned int i = 0; i < 3; i++) {
        size_t len = i == 1 ? 32 : 64;

        story_new(request, CMD_VFD_NEW, 1, flags, 0x2001);
        memset(request + 16, 0x77, 8); /* its pfn means nothing */
        memset(request + 28, 0xa5, 36);
        reply = story_ask(r, request, len, (uint32_t)len, NULL);
        g_assert_cmphex(reply.type, ==, RESP_VFD_NEW);
        g_assert_cmpuint(reply.used, ==, 32);
        g_assert_cmphex(get32(reply.bytes + 4), ==, 0);
        g_assert_cmphex(get32(reply.bytes + 8), ==, 1);
        g_assert_cmphex(get32(reply.bytes + 12), ==, flags);
        g_assert_cmphex(get32(reply.bytes + 24), ==, 0x3000);
        g_assert_cmphex(get32(reply.bytes + 28), ==, 0);
        for (size_t at = 32; at < len; at++) {
            g_assert_cmphex(reply.bytes[at], ==, 0xa5);
        }
        bytes = at_pfn(r, f, get64(reply.bytes + 16), 0x3000);
        g_assert_nonnull(bytes);
        for (unsigned int at = 0; at < 0x3000; at++) {
            g_assert_cmphex(bytes[at], ==, 0);
        }
        memset(bytes, 0xee, 0x3000);

        /* the id is in use, and free as soon as CLOSE was answered */
        reply = story_ask(r, request, 64, 64, NULL);
        g_assert_cmphex(reply.type, ==, RESP_INVALID_ID);
        g_assert_cmpuint(reply.used, ==, 4);
        reply = story_ask(r, close_it, 12, 8, NULL);
        g_assert_cmphex(reply.type, ==, RESP_OK);
        g_assert_cmpuint(reply.used, ==, 4);
        g_assert_cmphex(reply.bytes[4], ==, 0);
        reply = story_ask(r, close_it, 12, 8, NULL);
        g_assert_cmphex(reply.type, ==, RESP_INVALID_ID);
    }
    /* an id is free after a failed NEW, too */
    story_new(request, CMD_VFD_NEW, 1, flags, 0);
    g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==, RESP_ERR);
    g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==, RESP_VFD_NEW);
    rig_free(r);
}

/* Flags that the mode does not have; ids that are the host's. */
static void test_refusals(gconstpointer data)
{
    const struct family *f = data;
    struct rig *r = begin(f);
    uint8_t request[64];
    struct reply reply;

    story_new(request, CMD_VFD_NEW, 1, f->trans ? 1 : 4, 4096);
    memset(request + 28, 0x5a, 36);
    reply = story_ask(r, request, 64, 64, NULL);
    g_assert_cmphex(reply.type, ==, f->trans ? RESP_INVALID_FLAGS : RESP_ERR);
    g_assert_cmpuint(reply.used, ==, 4);
    for (size_t at = 4; at < 64; at++) { /* the rest is the request's */
        g_assert_cmphex(reply.bytes[at], ==, request[at]);
    }
    /* bit 30 comes before flags, flags before ids in use */
    story_new(request, CMD_VFD_NEW, 0x40000001, 0xff, 4096);
    g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==,
                    RESP_INVALID_ID);
    g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==, RESP_VFD_NEW);
    story_new(request, CMD_VFD_NEW_PIPE, 1, VFD_READ_WRITE, 0);
    g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==,
                    RESP_INVALID_FLAGS);
    story_new(request, CMD_VFD_NEW_PIPE, 1, VFD_READ, 0);
    g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==,
                    RESP_INVALID_ID);

    /* sommelier's probe takes nothing else for "no dmabufs" */
    story_new(request, CMD_VFD_NEW_DMABUF, 2, 0, 0);
    reply = story_ask(r, request, 64, 64, NULL);
    g_assert_cmphex(reply.type, ==, RESP_INVALID_CMD);
    g_assert_cmpuint(reply.used, ==, 4);
    g_assert_cmphex(reply.bytes[8], ==, 2);
    story_new(request, CMD_VFD_DMABUF_SYNC, 2, VIRTIO_WL_DMABUF_SYNC_READ, 0);
    g_assert_cmphex(story_ask(r, request, 16, 8, NULL).type, ==,
                    RESP_INVALID_CMD);
    g_assert_cmphex(story_ask(r, request, 4, 8, NULL).type, ==,
                    RESP_INVALID_CMD);
    rig_free(r);
}

/* KOLD's CLOSE has its sizes swapped: the id does not arrive. */
static void test_swapped_close(gconstpointer data)
{
    const struct family *f = data;
    struct rig *r = begin(f);
    uint8_t request[12] = {
        0x01, 0x01, 0, 0, 0xc3, 0xc3, 0xc3, 0xc3, 1, 0, 0, 0
    };
    struct reply reply;

    g_assert_cmpint(vwl_drv_new(r->drv, 1, 4096), ==, RESP_VFD_NEW);
    reply = story_ask(r, request, 8, 12, NULL);
    g_assert_cmphex(reply.type, ==, RESP_ERR);
    g_assert_cmpuint(reply.used, ==, 4);
    g_assert_cmphex(get32(reply.bytes + 4), ==, 0xc3c3c3c3);
    g_assert_cmpint(vwl_drv_close(r->drv, 1), ==, RESP_OK);
    rig_free(r);
}

static void test_contexts_and_pipes(gconstpointer data)
{
    const struct family *f = data;
    struct rig *r = begin(f);
    uint8_t request[64];
    struct reply reply;
    int peer;

    story_new(request, CMD_VFD_NEW_CTX, 1,
              f->trans ? VFD_READ_WRITE : VIRTIO_WL_VFD_LEGACY_CONTROL, 0);
    for (unsigned int i = 0; i < 3; i++) {
        static const size_t lens[] = { 64, 32, 12 };

        request[8] = (uint8_t)(i + 1);
        reply = story_ask(r, request, lens[i], i == 0 ? 64 : 32, NULL);
        g_assert_cmphex(reply.type, ==, RESP_VFD_NEW);
        g_assert_cmpuint(reply.used, ==, 32);
        g_assert_cmphex(get32(reply.bytes + 8), ==, i + 1);
        g_assert_cmphex(get32(reply.bytes + 12), ==,
                        f->trans ? VFD_READ_WRITE
                                 : VIRTIO_WL_VFD_LEGACY_CONTROL);
        g_assert_cmphex(get64(reply.bytes + 16), ==, pfn_none(f));
        g_assert_cmphex(get64(reply.bytes + 24), ==, 0);
    }
    rig_settle(r);
    g_assert_cmpuint(compositor_clients(r->compositor), ==, 3);

    story_new(request, CMD_VFD_NEW_CTX_NAMED, 4, VFD_READ_WRITE, 0);
    memcpy(request + 28, "peer0", 5);
    reply = story_ask(r, request, 64, 64, NULL);
    g_assert_cmphex(reply.type, ==, RESP_VFD_NEW);
    g_assert_cmpuint(reply.used, ==, 32);
    g_assert_cmpmem(reply.bytes + 32, 32, request + 32, 32);
    peer = rig_accept(r, 0);
    request[28] = 'P';
    request[8] = 5;
    g_assert_cmphex(story_ask(r, request, 64, 64, NULL).type, ==, RESP_ERR);

    for (uint32_t direction = 1; direction <= 2; direction++) {
        story_new(request, CMD_VFD_NEW_PIPE, 10 + direction, direction, 0);
        reply = story_ask(r, request, 64, 64, NULL);
        g_assert_cmphex(reply.type, ==, RESP_VFD_NEW);
        g_assert_cmpuint(reply.used, ==, 32);
        g_assert_cmphex(get32(reply.bytes + 12), ==, f->shmem ? 0 : direction);
        g_assert_cmphex(get64(reply.bytes + 16), ==, 0);
        g_assert_cmphex(get64(reply.bytes + 24), ==, 0);
    }
    vwl_drv_place(r->drv, 4, false);
    close(peer);
    rig_settle(r);
    g_assert_true(vwl_drv_find(r->drv, 4)->hup);
    rig_free(r);
}

static void expect_new(const struct family *f, struct rig *r, unsigned int i,
                       uint32_t id, uint32_t flags, uint32_t size)
{
    size_t len;
    const uint8_t *at = g_bytes_get_data(r->drv->messages->pdata[i], &len);

    g_assert_cmpuint(len, ==, 32);
    g_assert_cmphex(get64(at), ==, CMD_VFD_NEW);
    g_assert_cmphex(get32(at + 8), ==, id);
    g_assert_cmphex(get32(at + 12), ==, flags);
    g_assert_cmphex(get64(at + 24), ==, size);
    if (size == 0) {
        g_assert_cmphex(get64(at + 16), ==, pfn_none(f));
    } else {
        uint8_t *bytes = at_pfn(r, f, get64(at + 16), (size + 4095) & ~4095u);

        g_assert_nonnull(bytes);
        g_assert_cmphex(bytes[0], ==, 0x42);
        g_assert_cmphex(bytes[size - 1], ==, 0x42);
    }
}

/* What the host sends: VFD_NEWs, then the VFD_RECV that lists them, to the
 * byte; data, then one VFD_HUP. */
static void test_from_host(gconstpointer data)
{
    const struct family *f = data;
    struct rig *r = begin(f);
    int peer = rig_open_ctx(r, 1, 0), pfd[2], sv[2], fds[5];
    GPtrArray *seen = r->drv->messages;
    const uint8_t *at;
    uint8_t big[9000];
    size_t len, total = 0;
    uint64_t hangups;

    g_assert_cmpint(pipe2(pfd, O_CLOEXEC), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), ==,
                    0);
    fds[0] = story_memfd(5000, F_SEAL_SHRINK, 0x42);
    fds[1] = pfd[0];
    fds[2] = pfd[1];
    fds[3] = sv[0];
    fds[4] = story_memfd(8192, F_SEAL_SHRINK, 0x42);
    rig_write(r, peer, "wayland", 7, fds, 5);
    for (unsigned int i = 0; i < 5; i++) {
        close(fds[i]);
    }
    g_assert_cmpint(vwl_drv_wait_readable(r->drv, 1, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmpuint(seen->len, ==, 6);
    expect_new(f, r, 0, 0x40000000, f->trans ? 0 : 3, 5000);
    expect_new(f, r, 1, 0x40000001, f->trans ? 2 : 0, 0);
    expect_new(f, r, 2, 0x40000002, f->trans ? 1 : 0, 0);
    expect_new(f, r, 3, 0x40000003, f->trans ? 3 : 0, 0);
    expect_new(f, r, 4, 0x40000004, f->trans ? 0 : 3, 8192);
    at = g_bytes_get_data(seen->pdata[5], &len);
    g_assert_cmpuint(len, ==, 16 + 5 * 4 + 7);
    g_assert_cmphex(get64(at), ==, CMD_VFD_RECV);
    g_assert_cmphex(get32(at + 8), ==, 1);
    g_assert_cmphex(get32(at + 12), ==, 5);
    for (uint32_t i = 0; i < 5; i++) {
        g_assert_cmphex(get32(at + 16 + 4 * i), ==, 0x40000000 + i);
        g_assert_cmpint(vwl_drv_close(r->drv, 0x40000000 + i), ==, RESP_OK);
    }
    g_assert_cmpmem(at + 36, 7, "wayland", 7);

    hangups = rig_stats(r).hangups; /* of the pipe, whose reader went first */
    g_ptr_array_set_size(seen, 0);
    memset(big, 'z', sizeof big);
    rig_write(r, peer, big, sizeof big, NULL, 0);
    close(peer);
    rig_settle(r);
    for (guint i = 0; i + 1 < seen->len; i++) {
        at = g_bytes_get_data(seen->pdata[i], &len);
        g_assert_cmphex(get32(at), ==, CMD_VFD_RECV);
        g_assert_cmphex(get32(at + 12), ==, 0);
        g_assert_cmpuint(len, >, 16);
        total += len - 16;
    }
    g_assert_cmpuint(total, ==, sizeof big);
    at = g_bytes_get_data(seen->pdata[seen->len - 1], &len);
    g_assert_cmpuint(len, ==, 12);
    g_assert_cmphex(get64(at), ==, CMD_VFD_HUP);
    g_assert_cmphex(get32(at + 8), ==, 1);
    g_assert_cmpuint(rig_stats(r).hangups, ==, hangups + 1);
    close(sv[1]);
    rig_free(r);
}

/* Descriptors without data wait for the data that they belong to. */
static void test_ids_without_data(gconstpointer data)
{
    const struct family *f = data;
    struct rig *r = begin(f);
    int peer = rig_open_ctx(r, 1, 0), fds[2];
    const uint32_t ids[] = { 2, 3 };
    unsigned int n = 2;
    char bytes[3];

    g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_new(r->drv, 3, 8192), ==, RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_send(r->drv, 1, &ids[0], 1, NULL, 0), ==, RESP_OK);
    rig_settle(r);
    g_assert_cmpint(peer_recv(peer, bytes, 1, NULL, NULL), ==, -EAGAIN);
    g_assert_cmpint(vwl_drv_close(r->drv, 2), ==,
                    RESP_OK); /* that is no matter */
    g_assert_cmpint(vwl_drv_send(r->drv, 1, &ids[1], 1, "abc", 3), ==, RESP_OK);
    rig_read(r, peer, bytes, 3, fds, &n);
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmpint(lseek(fds[0], 0, SEEK_END), ==, 4096);
    g_assert_cmpint(lseek(fds[1], 0, SEEK_END), ==, 8192);
    close(fds[0]);
    close(fds[1]);
    close(peer);
    rig_free(r);
}

static void test_foreign(gconstpointer data)
{
    const struct family *f = data;
    struct rig *r = begin(f);
    int peer = rig_open_ctx(r, 1, 0), fds[2] = { -1, -1 };
    size_t entry = f->fences ? 16 : 8, id_at = f->fences ? 8 : 4;
    uint8_t request[16 + 2 * 16 + 2];
    size_t len = 16 + 2 * entry + 2;
    unsigned int n = 2;
    char bytes[2];

    g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
    g_assert_cmpint(vwl_drv_new(r->drv, 3, 8192), ==, RESP_VFD_NEW);
    memset(request, 0xcd, sizeof request); /* padding, upper halves */
    put32(request, CMD_VFD_SEND_FOREIGN_ID);
    put32(request + 4, 0);
    put32(request + 8, 1);
    put32(request + 12, 2);
    for (unsigned int i = 0; i < 2; i++) {
        put32(request + 16 + i * entry, 0);
        put32(request + 16 + i * entry + id_at, 2 + i);
    }
    memcpy(request + len - 2, "fd", 2);
    g_assert_cmphex(story_ask(r, request, len, 8, NULL).type, ==, RESP_OK);
    rig_read(r, peer, bytes, 2, fds, &n);
    g_assert_cmpuint(n, ==, 2);
    g_assert_cmpmem(bytes, 2, "fd", 2);
    g_assert_cmpint(lseek(fds[0], 0, SEEK_END), ==, 4096);
    g_assert_cmpint(lseek(fds[1], 0, SEEK_END), ==, 8192);
    for (uint32_t kind = 1; kind <= 4; kind++) {
        put32(request + 16 + entry, kind);
        g_assert_cmphex(story_ask(r, request, len, 8, NULL).type, ==,
                        RESP_INVALID_ID);
    }
    rig_settle(r); /* and nothing of those was sent */
    g_assert_cmpint(peer_recv(peer, bytes, 1, NULL, NULL), ==, -EAGAIN);
    close(fds[0]);
    close(fds[1]);
    close(peer);
    rig_free(r);
}

/* One write of 16 MiB is one request, in one segment, in thousands of an
 * indirect table that is longer than the queue, or in a chain of the ring. */
static void send_16_mib(struct rig_options options, bool direct, uint32_t piece)
{
    const size_t len = 16u << 20;
    uint8_t *out = g_malloc(16 + len), *in = g_malloc(len);
    struct vwl_drv_shape shape = { .direct = direct, .piece = piece };
    struct vwl_drv_request *req;
    struct rig *r;
    int peer;

    options.n_peers = 1;
    options.fe.ram_mib = 64;
    r = rig_new(&options);
    peer = rig_open_ctx(r, 1, 0);
    memset(out, 0, 16);
    put32(out, CMD_VFD_SEND);
    put32(out + 8, 1);
    for (size_t i = 0; i < len; i++) {
        out[16 + i] = (uint8_t)(i + i / 255 * 3);
    }
    req = vwl_drv_submit(r->drv, out, 16 + len, 8, &shape);
    g_assert_nonnull(req);
    rig_read(r, peer, in, len, NULL, NULL);
    g_assert_true(memcmp(in, out + 16, len) == 0);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_OK);
    g_assert_cmpuint(req->used_len, ==, 4);
    vwl_drv_request_free(r->drv, req);
    story_alive(r, 1, peer);
    close(peer);
    g_free(out);
    g_free(in);
    rig_free(r);
}

static void test_16_mib(void)
{
    struct rig_options split = { .fe.no_use_shmem = true };
    struct rig_options packed = { .fe.packed = true };
    struct rig_options no_indirect = {
        .fe.no_indirect = true,
        .drv.queue_size = 4096,
    };

    send_16_mib(split, false, 0);
    send_16_mib(split, false, 4096);
    send_16_mib(packed, false, 4096);
    split.drv.queue_size = 2;
    split.fe.no_use_shmem = false;
    send_16_mib(split, false, 1100); /* 15252 pieces */
    send_16_mib(no_indirect, true, 8192);
}

/* The guest moves its PCI BAR: the next answer follows. */
static void test_moved_bar(gconstpointer data)
{
    const bool host_map = data != NULL;
    struct rig_options options = { .n_peers = 1,
                                   .host_map = host_map,
                                   .fe.no_use_shmem = true };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), fd;
    uint64_t moved = WINDOW_GPA + (UINT64_C(1) << 33);
    uint32_t id;

    g_assert_cmpint(vwl_drv_new(r->drv, 2, 4096), ==, RESP_VFD_NEW);
    g_assert_cmphex(vwl_drv_find(r->drv, 2)->pfn, >=, WINDOW_GPA >> 12);
    g_assert_cmphex(vwl_drv_find(r->drv, 2)->pfn, <, moved >> 12);
    r->fe->window.gpa = moved;
    if (!host_map) {
        g_assert_cmpint(vwl_fe_set_mem_table(r->fe), ==, 0);
    }
    g_assert_cmpint(vwl_drv_new(r->drv, 3, 4096), ==, RESP_VFD_NEW);
    g_assert_cmphex(vwl_drv_find(r->drv, 3)->pfn, >=, moved >> 12);
    memset(vwl_drv_map(r->drv, 3), 0x5c, 4096);
    fd = story_memfd(4096, F_SEAL_SHRINK, 0x42);
    id = story_give(r, 1, peer, fd);
    g_assert_cmphex(vwl_drv_find(r->drv, id)->pfn, >=, moved >> 12);
    g_assert_cmphex(*(uint8_t *)vwl_drv_map(r->drv, id), ==, 0x42);
    close(fd);
    close(peer);
    rig_free(r);
}

/* Nobody tells where region 0 sits: ERR after a short wait, and the rest of
 * the device goes on during it. */
static void test_unknown_base(void)
{
    struct rig_options options = {
        .n_peers = 1,
        .fe = { .no_use_shmem = true, .plain_table = true },
    };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), fd;
    struct vwl_drv_request *req;
    uint8_t request[64];
    uint32_t id;

    story_new(request, CMD_VFD_NEW, 2, 0, 4096);
    req = vwl_drv_submit(r->drv, request, 64, 64, NULL);
    story_alive(r, 1, peer);
    g_assert_false(req->done);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(req), ==, RESP_ERR);
    g_assert_cmpuint(req->used_len, ==, 4);
    vwl_drv_request_free(r->drv, req);
    fd = story_memfd(4096, F_SEAL_SHRINK, 1); /* its message arrives */
    id = story_give(r, 1, peer, fd);
    g_assert_cmphex(vwl_drv_find(r->drv, id)->pfn, ==, 0);
    g_assert_cmpuint(vwl_drv_find(r->drv, id)->size, ==, 0);
    g_assert_cmpint(vwl_drv_new_pipe(r->drv, 2, VFD_READ), ==, RESP_VFD_NEW);
    close(fd);
    close(peer);
    rig_free(r);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc func;
    } tests[] = {
        { "memory", test_memory },
        { "refusals", test_refusals },
        { "swapped-close", test_swapped_close },
        { "contexts-and-pipes", test_contexts_and_pipes },
        { "from-host", test_from_host },
        { "ids-without-data", test_ids_without_data },
        { "foreign", test_foreign },
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        for (size_t j = 0; j < G_N_ELEMENTS(tests); j++) {
            char *path = g_strdup_printf("/families/%s/%s", families[i].name,
                                         tests[j].name);

            g_test_add_data_func(path, &families[i], tests[j].func);
            g_free(path);
        }
    }
    g_test_add_func("/families/16-mib", test_16_mib);
    g_test_add_data_func("/families/moved-bar/learnt", NULL, test_moved_bar);
    g_test_add_data_func("/families/moved-bar/asked", "host", test_moved_bar);
    g_test_add_func("/families/unknown-base", test_unknown_base);
    return g_test_run();
}
