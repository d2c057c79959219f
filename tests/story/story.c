/* SPDX-License-Identifier: BSD-3-Clause */
#include "story.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void story_new(uint8_t request[64], uint32_t type, uint32_t id, uint32_t flags,
               uint32_t size)
{
    memset(request, 0, 64);
    put32(request, type);
    put32(request + 8, id);
    put32(request + 12, flags);
    put32(request + 24, size);
}

struct reply story_ask(struct rig *r, const void *request, size_t len,
                       uint32_t room, const struct vwl_drv_shape *shape)
{
    struct vwl_drv_request *req = vwl_drv_submit(r->drv, request, len, room,
                                                 shape);
    struct reply reply = { 0 };

    g_assert_nonnull(req);
    g_assert_cmpint(vwl_drv_wait(r->drv, req, RIG_TIMEOUT_MS), ==, 0);
    reply.used = req->used_len;
    reply.type = vwl_drv_request_type(req);
    memcpy(reply.bytes, req->response, sizeof reply.bytes);
    vwl_drv_request_free(r->drv, req);
    return reply;
}

int story_memfd(size_t len, unsigned int seals, uint8_t fill)
{
    int fd = memfd_create("story", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint8_t *bytes = g_malloc(len);

    memset(bytes, fill, len);
    g_assert_cmpint(write(fd, bytes, len), ==, (gssize)len);
    if (seals != 0) {
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    }
    g_free(bytes);
    return fd;
}

int story_reopen(int fd, int flags)
{
    char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    int again = open(path, flags | O_CLOEXEC);

    g_free(path);
    g_assert_cmpint(again, >=, 0);
    return again;
}

void story_alive(struct rig *r, uint32_t id, int peer)
{
    char byte = 0;

    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, id, NULL, 0, "a", 1), ==,
                    RESP_OK);
    rig_read(r, peer, &byte, 1, NULL, NULL);
    g_assert_cmpint(byte, ==, 'a');
    rig_write(r, peer, "b", 1, NULL, 0);
    g_assert_cmpint(vwl_drv_recv(r->drv, id, &byte, 1, NULL, NULL,
                                 RIG_TIMEOUT_MS),
                    ==, 1);
    g_assert_cmpint(byte, ==, 'b');
}

uint32_t story_give(struct rig *r, uint32_t ctx, int peer, int fd)
{
    uint32_t id = 0;
    unsigned int n = 1;
    char byte = 0;

    rig_write(r, peer, "g", 1, &fd, 1);
    g_assert_cmpint(vwl_drv_recv(r->drv, ctx, &byte, 1, &id, &n,
                                 RIG_TIMEOUT_MS),
                    ==, 1);
    g_assert_cmpint(byte, ==, 'g');
    g_assert_cmpuint(n, ==, 1);
    return id;
}

int story_take(struct rig *r, uint32_t ctx, int peer, uint32_t id)
{
    int fd = -1;
    unsigned int n = 1;
    char byte = 0;

    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, ctx, &id, 1, "t", 1), ==,
                    RESP_OK);
    rig_read(r, peer, &byte, 1, &fd, &n);
    g_assert_cmpint(byte, ==, 't');
    g_assert_cmpuint(n, ==, 1);
    return fd;
}

unsigned int story_lines(struct rig *r, const char *text)
{
    unsigned int n = 0;

    g_mutex_lock(&r->lock);
    for (guint i = 0; i < r->log->len; i++) {
        n += strstr(r->log->pdata[i], text) != NULL;
    }
    g_mutex_unlock(&r->lock);
    return n;
}
