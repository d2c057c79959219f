/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/peer/closer.h"

#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"

#define LAST_MOMENT_US (20 * G_TIME_SPAN_MILLISECOND)

struct vwl_closer {
    GMutex lock;
    GCond idle;
    GArray *fds;  /* of int */
    bool running; /* there is a thread */
    int refs;     /* the core's and the thread's */
};

static void closer_drop(struct vwl_closer *closer)
{
    bool last;

    g_mutex_lock(&closer->lock);
    last = --closer->refs == 0;
    g_mutex_unlock(&closer->lock);
    if (last) {
        g_array_unref(closer->fds);
        g_mutex_clear(&closer->lock);
        g_cond_clear(&closer->idle);
        g_free(closer);
    }
}

static gpointer closer_run(gpointer data)
{
    struct vwl_closer *closer = data;

    g_mutex_lock(&closer->lock);
    while (closer->fds->len) {
        int fd = g_array_index(closer->fds, int, closer->fds->len - 1);

        g_array_set_size(closer->fds, closer->fds->len - 1);
        g_mutex_unlock(&closer->lock);
        close(fd);
        g_mutex_lock(&closer->lock);
    }
    closer->running = false;
    g_cond_signal(&closer->idle);
    g_mutex_unlock(&closer->lock);
    closer_drop(closer);
    return NULL;
}

/* With the lock held. Signals are the host's business. */
static void closer_start(struct vwl_closer *closer)
{
    sigset_t all, before;
    GThread *thread;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread = g_thread_try_new("vwl-closer", closer_run, closer, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (thread) {
        g_thread_unref(thread); /* nobody joins it */
        closer->running = true;
        closer->refs++;
    }
}

/* Could closing it wait for somebody? fstat could, too. */
static bool close_may_wait(int fd)
{
    struct statx sx;
    int domain = AF_UNIX;
    socklen_t len = sizeof domain;
    int status;

    if (fcntl(fd, F_GET_SEALS) >= 0) {
        return false;
    }
    status = fcntl(fd, F_GETFL);
    if (status < 0 || (status & O_PATH)) {
        return false;
    }
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &sx) <
        0) {
        return true;
    }
    if (S_ISSOCK(sx.stx_mode)) {
        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
               domain != AF_UNIX;
    }
    return S_ISREG(sx.stx_mode) || S_ISCHR(sx.stx_mode) || S_ISBLK(sx.stx_mode);
}

struct vwl_closer *vwl_closer_create(void)
{
    struct vwl_closer *closer = g_new0(struct vwl_closer, 1);

    g_mutex_init(&closer->lock);
    g_cond_init(&closer->idle);
    closer->fds = g_array_new(FALSE, FALSE, sizeof(int));
    closer->refs = 1;
    return closer;
}

void vwl_closer_destroy(struct vwl_closer *closer)
{
    gint64 end = g_get_monotonic_time() + LAST_MOMENT_US;

    if (!closer) {
        return;
    }
    g_mutex_lock(&closer->lock);
    if (closer->fds->len && !closer->running) {
        closer_start(closer);
    }
    while (closer->running &&
           g_cond_wait_until(&closer->idle, &closer->lock, end)) {
    }
    g_mutex_unlock(&closer->lock);
    closer_drop(closer);
}

void vwl_closer_close(struct vwl_closer *closer, int *fd)
{
    if (*fd < 0 || !close_may_wait(*fd)) {
        vwl_fd_clear(fd);
        return;
    }
    g_mutex_lock(&closer->lock);
    g_array_append_val(closer->fds, *fd);
    *fd = -1;
    if (!closer->running) {
        closer_start(closer); /* else again with the next one */
    }
    g_mutex_unlock(&closer->lock);
}

void vwl_closer_close_all(struct vwl_closer *closer, int *fds, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        vwl_closer_close(closer, &fds[i]);
    }
}
