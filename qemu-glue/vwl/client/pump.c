/* SPDX-License-Identifier: BSD-3-Clause */
#include "pump.h"

#include <errno.h>
#include <glib-unix.h>
#include <limits.h>
#include <unistd.h>

#define BUFFER_BYTES 65536

struct vwl_pump {
    int from, to;
    bool close_to;
    void (*ended)(void *data);
    void *data;
    size_t start, length; /* of what waits in the buffer */
    unsigned int watch;
    char buffer[BUFFER_BYTES];
};

static void wait_for(struct vwl_pump *pump);

static void end(struct vwl_pump *pump)
{
    if (pump->close_to) {
        close(pump->to);
        pump->close_to = false;
    }
    pump->ended(pump->data);
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer data)
{
    struct vwl_pump *pump = data;
    ssize_t n = read(fd, pump->buffer, BUFFER_BYTES);

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    pump->watch = 0;
    if (n <= 0) {
        end(pump);
    } else {
        pump->start = 0;
        pump->length = (size_t)n;
        wait_for(pump);
    }
    return G_SOURCE_REMOVE;
}

/* What is writable takes PIPE_BUF bytes without blocking. */
static gboolean on_writable(int fd, GIOCondition condition, gpointer data)
{
    struct vwl_pump *pump = data;
    ssize_t n = write(fd, pump->buffer + pump->start,
                      MIN(pump->length, PIPE_BUF));

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return G_SOURCE_CONTINUE;
    }
    if (n < 0) {
        pump->watch = 0;
        end(pump);
        return G_SOURCE_REMOVE;
    }
    pump->start += (size_t)n;
    pump->length -= (size_t)n;
    if (pump->length > 0) {
        return G_SOURCE_CONTINUE;
    }
    pump->watch = 0;
    wait_for(pump);
    return G_SOURCE_REMOVE;
}

static void wait_for(struct vwl_pump *pump)
{
    pump->watch = pump->length > 0
                      ? g_unix_fd_add(pump->to, G_IO_OUT | G_IO_ERR,
                                      on_writable, pump)
                      : g_unix_fd_add(pump->from, G_IO_IN | G_IO_HUP,
                                      on_readable, pump);
}

struct vwl_pump *vwl_pump_create(int from, int to, bool close_to,
                                 void (*ended)(void *data), void *data)
{
    struct vwl_pump *pump = g_new(struct vwl_pump, 1);

    pump->from = from;
    pump->to = to;
    pump->close_to = close_to;
    pump->ended = ended;
    pump->data = data;
    pump->start = pump->length = 0;
    wait_for(pump);
    return pump;
}

void vwl_pump_destroy(struct vwl_pump *pump)
{
    if (!pump) {
        return;
    }
    g_clear_handle_id(&pump->watch, g_source_remove);
    if (pump->close_to) {
        close(pump->to);
    }
    g_free(pump);
}
