/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting: one poll over the channels, the calls, whatever the caller watches
 * and, when there is one, everything on the GMainContext. */
#include "backend.h"
#include "frontend.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAIN, BACKEND, CALL0, CALL1, ERR0, ERR1, OURS };

static void drain(int fd, unsigned int *count)
{
    uint64_t value;

    if (read(fd, &value, sizeof value) == sizeof value) {
        (*count)++;
    }
}

static int on_main(struct vwl_fe *fe)
{
    char byte;
    ssize_t n;

    if (fe->awaiting) {
        return 1;
    }
    n = recv(fe->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) {
        vwl_fe_complain(fe, "a message on the main channel that nobody "
                            "asked for");
        fe->gone = true;
        return -EPROTO;
    }
    if (n < 0 && errno == EAGAIN) {
        return 0;
    }
    fe->gone = true;
    return -EPIPE;
}

static int serve(struct vwl_fe *fe, const GPollFD *p)
{
    int progress = 0, r;

    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        unsigned int errors = 0;

        if (p[CALL0 + i].revents != 0) {
            drain(p[CALL0 + i].fd, &fe->ring[i].calls);
            progress = 1;
        }
        if (p[ERR0 + i].revents != 0) {
            drain(p[ERR0 + i].fd, &errors);
            fe->ring[i].broken = true;
            progress = 1;
        }
    }
    if (p[BACKEND].revents != 0 && fe->backend >= 0) {
        vwl_fe_serve_backend(fe);
        progress = 1;
    }
    if (p[MAIN].revents != 0 && !fe->gone) {
        r = on_main(fe);
        if (r != 0) {
            return r;
        }
    }
    return progress;
}

static int serve_watches(struct vwl_fe *fe, const GPollFD *p, unsigned int n)
{
    int progress = 0;

    for (unsigned int i = 0; i < n; i++) {
        if (p[i].revents == 0) {
            continue;
        }
        progress = 1;
        for (guint j = 0; j < fe->watches->len; j++) {
            struct vwl_fe_watch w = g_array_index(fe->watches,
                                                  struct vwl_fe_watch, j);

            if (w.fd == p[i].fd && w.ready != NULL) {
                w.ready(w.opaque);
                break;
            }
        }
    }
    return progress;
}

static void fill(struct vwl_fe *fe, GPollFD *p, unsigned int n_watches)
{
    p[MAIN] = (GPollFD){ fe->gone ? -1 : fe->fd, G_IO_IN, 0 };
    p[BACKEND] = (GPollFD){ fe->awaiting ? -1 : fe->backend, G_IO_IN, 0 };
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        p[CALL0 + i] = (GPollFD){ fe->ring[i].call, G_IO_IN, 0 };
        p[ERR0 + i] = (GPollFD){ fe->ring[i].err, G_IO_IN, 0 };
    }
    for (unsigned int i = 0; i < n_watches; i++) {
        p[OURS + i] = (GPollFD){
            g_array_index(fe->watches, struct vwl_fe_watch, i).fd,
            G_IO_IN,
            0,
        };
    }
}

/* Polls fds[0..n) and the context's own; dispatches the latter. */
static int poll_with_context(GMainContext *context, GArray *fds, unsigned int n,
                             int timeout_ms)
{
    int context_timeout = -1, room, wanted, ready;
    gint priority = 0;

    if (!g_main_context_acquire(context)) {
        return -EBUSY;
    }
    if (g_main_context_prepare(context, &priority)) {
        timeout_ms = 0;
    }
    for (;;) {
        room = (int)(fds->len - n);
        wanted = g_main_context_query(context, priority, &context_timeout,
                                      &g_array_index(fds, GPollFD, n), room);
        if (wanted <= room) {
            break;
        }
        g_array_set_size(fds, n + (guint)wanted);
    }
    if (context_timeout >= 0 &&
        (timeout_ms < 0 || context_timeout < timeout_ms)) {
        timeout_ms = context_timeout;
    }
    ready = g_poll(&g_array_index(fds, GPollFD, 0), n + (guint)wanted,
                   timeout_ms);
    if (g_main_context_check(context, priority, &g_array_index(fds, GPollFD, n),
                             wanted)) {
        g_main_context_dispatch(context);
        ready = ready > 0 ? ready : 1;
    }
    g_main_context_release(context);
    return ready;
}

int vwl_fe_turn(struct vwl_fe *fe, int timeout_ms)
{
    unsigned int n_watches = fe->watches->len, n = OURS + n_watches;
    GArray *fds;
    int ready, progress, watched;

    if (fe->gone && fe->options.context == NULL) {
        return -EPIPE;
    }
    fds = g_array_sized_new(FALSE, TRUE, sizeof(GPollFD), n + 32);
    g_array_set_size(fds, n + 32);
    fill(fe, &g_array_index(fds, GPollFD, 0), n_watches);
    if (fe->options.context != NULL) {
        ready = poll_with_context(fe->options.context, fds, n, timeout_ms);
    } else {
        ready = g_poll(&g_array_index(fds, GPollFD, 0), n, timeout_ms);
    }
    if (ready <= 0) {
        g_array_unref(fds);
        return fe->gone ? -EPIPE : ready < 0 && ready != -1 ? ready : 0;
    }
    progress = serve(fe, &g_array_index(fds, GPollFD, 0));
    watched = serve_watches(fe, &g_array_index(fds, GPollFD, OURS), n_watches);
    g_array_unref(fds);
    if (progress < 0) {
        return progress;
    }
    if (fe->gone) {
        return -EPIPE;
    }
    return progress != 0 || watched != 0 || fe->options.context != NULL;
}

int vwl_fe_settle(struct vwl_fe *fe, int quiet_ms)
{
    int64_t end = g_get_monotonic_time() + (int64_t)10 * G_USEC_PER_SEC;
    int r;

    do {
        r = vwl_fe_turn(fe, quiet_ms);
    } while (r == 1 && g_get_monotonic_time() < end);
    return r == 1 ? -ETIMEDOUT : r;
}

void vwl_fe_watch(struct vwl_fe *fe, int fd, vwl_fe_ready_fn ready,
                  void *opaque)
{
    struct vwl_fe_watch watch = { fd, ready, opaque };

    g_array_append_val(fe->watches, watch);
}

void vwl_fe_unwatch(struct vwl_fe *fe, int fd)
{
    for (guint i = fe->watches->len; i-- > 0;) {
        if (g_array_index(fe->watches, struct vwl_fe_watch, i).fd == fd) {
            g_array_remove_index(fe->watches, i);
        }
    }
}
