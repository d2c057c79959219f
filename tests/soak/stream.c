/* SPDX-License-Identifier: BSD-3-Clause */
#include "soak.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 65536u

void soak_fail(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    printf("Bail out! %s\n", text);
    fflush(stdout);
    abort();
}

uint64_t soak_seed(struct guest *guest)
{
    return (uint64_t)guest->number << 56 | ++guest->serial;
}

static uint64_t word(uint64_t seed, uint64_t index)
{
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + index;

    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

void soak_fill(uint8_t *to, uint64_t seed, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len; i++, at++) {
        to[i] = (uint8_t)(word(seed, at / 8) >> at % 8 * 8);
    }
}

bool soak_is(const uint8_t *bytes, uint64_t seed, uint64_t at, size_t len)
{
    for (size_t i = 0; i < len; i++, at++) {
        if (bytes[i] != (uint8_t)(word(seed, at / 8) >> at % 8 * 8)) {
            return false;
        }
    }
    return true;
}

bool soak_guest_send(struct stream *stream, size_t len, const uint32_t *ids,
                     unsigned int n_ids)
{
    static uint8_t bytes[MOST];

    if (stream->request || stream->ended) {
        return false;
    }
    len = MIN(len, MOST);
    soak_fill(bytes, stream->seed, stream->sent, len);
    stream->request = vwl_drv_send_async(stream->guest->rig->drv, stream->id,
                                         ids, n_ids, bytes, len);
    if (!stream->request) {
        return false;
    }
    stream->request_len = len;
    stream->sent += len;
    return true;
}

bool soak_host_send(struct stream *stream, size_t len, const int *fds,
                    unsigned int n_fds)
{
    static uint8_t bytes[MOST];
    ssize_t n;

    if (stream->fd < 0 || stream->ended) {
        return false;
    }
    len = MIN(len, MOST);
    soak_fill(bytes, stream->seed, stream->sent, len);
    n = peer_send(stream->fd, bytes, len, fds, n_fds);
    if (n == -ENOTSOCK) {
        n = write(stream->fd, bytes, len);
        n = n < 0 ? -errno : n;
    }
    if (n == -EPIPE || n == -ECONNRESET) {
        soak_check(stream->cut, stream->guest, "a reader is gone");
        stream->ended = true;
        return false;
    }
    soak_check(n > 0 || n == -EAGAIN, stream->guest, "cannot be written to");
    stream->sent += n > 0 ? (uint64_t)n : 0;
    return n > 0;
}

bool soak_answered(struct stream *stream)
{
    struct vwl_drv *drv = stream->guest->rig->drv;
    uint32_t type;

    if (!stream->request || !stream->request->done) {
        return false;
    }
    type = vwl_drv_request_type(stream->request);
    soak_check(type == VIRTIO_WL_RESP_OK || type == VIRTIO_WL_RESP_ERR ||
                   stream->cut,
               stream->guest, "a strange answer to a SEND");
    soak_check(type == VIRTIO_WL_RESP_OK || stream->cut, stream->guest,
               "a SEND was refused though its reader lives");
    if (type == VIRTIO_WL_RESP_OK) {
        stream->answered = stream->sent;
    } else {
        stream->ended = true;
    }
    vwl_drv_request_free(drv, stream->request);
    stream->request = NULL;
    for (unsigned int i = 0; i < 2; i++) {
        soak_guest_close(stream->guest, &stream->memory[i]);
    }
    return true;
}

void soak_arrived(struct stream *stream, const uint8_t *bytes, size_t len)
{
    soak_check(stream->received + len <= stream->sent, stream->guest,
               "bytes that nobody sent");
    if (!soak_is(bytes, stream->seed, stream->received, len)) {
        soak_fail("guest %u: wrong bytes at %" G_GUINT64_FORMAT " of stream "
                  "%#" G_GINT64_MODIFIER "x",
                  stream->guest->number, stream->received, stream->seed);
    }
    stream->received += len;
}

ssize_t soak_guest_read(struct stream *stream, uint32_t *ids,
                        unsigned int *n_ids)
{
    static uint8_t bytes[8192];
    struct vwl_drv *drv = stream->guest->rig->drv;
    unsigned int none = 0;
    int64_t n;

    if (!vwl_drv_readable(drv, stream->id)) {
        if (n_ids) {
            *n_ids = 0;
        }
        return -EAGAIN;
    }
    n = vwl_drv_recv(drv, stream->id, bytes, sizeof bytes, ids,
                     n_ids ? n_ids : &none, 0);
    soak_check(n >= 0, stream->guest, "cannot be received from");
    soak_arrived(stream, bytes, (size_t)n);
    return (ssize_t)n;
}

ssize_t soak_host_read(struct stream *stream, int *fds, unsigned int *n_fds)
{
    static uint8_t bytes[MOST];
    unsigned int none = 0;
    ssize_t n = peer_recv(stream->fd, bytes, sizeof bytes, fds,
                          n_fds ? n_fds : &none);

    if (n == -ENOTSOCK) {
        n = read(stream->fd, bytes, sizeof bytes);
        n = n < 0 ? -errno : n;
    }
    if (n == -EAGAIN) {
        return n;
    }
    if (n == -ECONNRESET) {
        soak_check(stream->cut, stream->guest, "a connection was reset");
        return 0;
    }
    soak_check(n >= 0, stream->guest, "cannot be read");
    soak_arrived(stream, bytes, (size_t)n);
    return n;
}

void soak_guest_close(struct guest *guest, uint32_t *id)
{
    if (*id) {
        soak_check(vwl_drv_close(guest->rig->drv, *id) == VIRTIO_WL_RESP_OK,
                   guest, "a CLOSE was refused");
        *id = 0;
    }
}

void soak_pipe_free(struct stream *pipe)
{
    if (pipe->fd >= 0) {
        close(pipe->fd);
    }
    g_free(pipe);
}

/* Every one of its writer's bytes has come, unless somebody was killed. */
static void check_end(struct stream *pipe)
{
    if (!pipe->cut && !(pipe->ended && pipe->received == pipe->goal)) {
        soak_fail("guest %u: a pipe %s guest ended early: %" G_GUINT64_FORMAT
                  " of %" G_GUINT64_FORMAT " bytes came, %" G_GUINT64_FORMAT
                  " were sent, %" G_GUINT64_FORMAT " answered for, a request "
                  "%s pending",
                  pipe->guest->number, pipe->from_guest ? "from the" : "to the",
                  pipe->received, (guint64)pipe->goal, pipe->sent,
                  pipe->answered, pipe->request ? "is" : "is not");
    }
    soak_check(pipe->cut || pipe->sent == pipe->goal, pipe->guest,
               "a pipe's bytes do not add up");
    pipe->guest->tally.pipe_bytes += pipe->received;
}

static void write_pipe(struct stream *pipe)
{
    size_t len = (size_t)g_rand_int_range(pipe->guest->random, 1, 20000);

    len = MIN(len, pipe->goal - pipe->sent);
    if (len > 0 && pipe->from_guest) {
        soak_guest_send(pipe, len, NULL, 0);
    } else if (len > 0) {
        soak_host_send(pipe, len, NULL, 0);
    }
    if (pipe->sent == pipe->goal && !pipe->request) {
        pipe->ended = true;
    }
    if (pipe->ended && pipe->from_guest && !pipe->request) {
        soak_guest_close(pipe->guest, &pipe->id);
    } else if (pipe->ended && !pipe->from_guest) {
        close(pipe->fd);
        pipe->fd = -1;
    }
}

static ssize_t read_pipe(struct stream *pipe)
{
    if (pipe->from_guest) {
        return pipe->fd < 0 ? -EAGAIN : soak_host_read(pipe, NULL, NULL);
    }
    return pipe->id ? soak_guest_read(pipe, NULL, NULL) : -EAGAIN;
}

bool soak_pipe_turn(struct stream *pipe)
{
    ssize_t n;

    soak_answered(pipe);
    if (pipe->cut) {
        soak_guest_close(pipe->guest, &pipe->id);
    }
    if (pipe->from_guest ? pipe->id != 0 : pipe->fd >= 0) {
        write_pipe(pipe);
    }
    n = read_pipe(pipe);
    if (n == 0) {
        check_end(pipe);
        soak_guest_close(pipe->guest, &pipe->id);
        if (pipe->fd >= 0) {
            close(pipe->fd);
            pipe->fd = -1;
        }
    }
    if ((n == 0 || pipe->cut) && !pipe->id && pipe->fd < 0 && !pipe->request) {
        soak_pipe_free(pipe);
        return true;
    }
    return false;
}
