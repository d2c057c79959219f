/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <glib-unix.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "pump.h"

struct pump {
    int from, to;
    const char *at_end;
    bool eof;
    guint8 data[16384];
    size_t at, len;
    guint on_in, on_out;
    void (*done)(void *opaque);
    void *opaque;
};

static unsigned int n_pumps;

unsigned int vwl_pump_count(void)
{
    return n_pumps;
}

static void end(struct pump *pump)
{
    if (pump->on_in != 0) {
        g_source_remove(pump->on_in);
    }
    if (pump->on_out != 0) {
        g_source_remove(pump->on_out);
    }
    close(pump->from);
    close(pump->to);
    n_pumps--;
    if (pump->done) {
        pump->done(pump->opaque);
    }
    g_free(pump);
}

static bool is_later(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void watch(struct pump *pump);

static gboolean on_out(gint fd, GIOCondition condition, gpointer data)
{
    struct pump *pump = data;
    ssize_t n = -1;

    pump->on_out = 0;
    errno = EPIPE; /* nobody reads: seen while there is nothing to write */
    if (pump->at < pump->len && !(condition & (G_IO_ERR | G_IO_NVAL))) {
        n = write(pump->to, pump->data + pump->at, pump->len - pump->at);
    }
    if (n < 0 && !is_later(n)) {
        end(pump);
        return G_SOURCE_REMOVE;
    }
    pump->at += n > 0 ? (size_t)n : 0;
    watch(pump);
    return G_SOURCE_REMOVE;
}

static gboolean on_in(gint fd, GIOCondition condition, gpointer data)
{
    struct pump *pump = data;
    ssize_t n = read(pump->from, pump->data, sizeof pump->data);

    pump->on_in = 0;
    if (!is_later(n)) {
        pump->at = 0;
        pump->len = n > 0 ? (size_t)n : 0;
        pump->eof = n <= 0; /* EIO: nobody has the terminal any more */
    }
    if (pump->eof && pump->at_end) {
        pump->len = strlen(pump->at_end);
        memcpy(pump->data, pump->at_end, pump->len);
    }
    watch(pump);
    return G_SOURCE_REMOVE;
}

/* For whatever comes next. */
static void watch(struct pump *pump)
{
    bool full = pump->at < pump->len;

    if (pump->eof && !full) {
        end(pump);
        return;
    }
    if (!full && pump->on_in == 0) {
        pump->on_in = g_unix_fd_add(pump->from, G_IO_IN | G_IO_HUP | G_IO_ERR,
                                    on_in, pump);
    }
    if (pump->on_out != 0) {
        g_source_remove(pump->on_out);
    }
    pump->on_out = g_unix_fd_add(pump->to,
                                 (full ? G_IO_OUT : 0) | G_IO_HUP | G_IO_ERR,
                                 on_out, pump);
}

void vwl_pump_start(int from, int to, const char *at_end,
                    void (*done)(void *opaque), void *opaque)
{
    struct pump *pump = g_new0(struct pump, 1);

    pump->from = from;
    pump->to = to;
    pump->at_end = at_end;
    pump->done = done;
    pump->opaque = opaque;
    n_pumps++;
    g_unix_set_fd_nonblocking(from, TRUE, NULL);
    g_unix_set_fd_nonblocking(to, TRUE, NULL);
    watch(pump);
}
