/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/closer.h"

#include <fcntl.h>
#include <glib.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"

#define LAST_MOMENT_US (20 * G_TIME_SPAN_MILLISECOND)
/* Eight of them count against the memory of a sandboxed process. */
#define STACK_BYTES (256u * 1024)
/* Memory, null, zero, random: the kernel's own. */
#define MEM_MAJOR 1

/* What is to be closed, or to be called. */
struct job {
    int fd; /* -1: a call */
    void (*work)(void *data);
    void *data;
};

struct vwl_closer {
    GMutex lock;
    GCond idle;
    GQueue jobs;        /* of struct job, oldest first */
    int waiting;        /* its length, for those that do not lock */
    unsigned int hands; /* threads */
    int refs;           /* the owner's and the threads' */
};

static void closer_drop(struct vwl_closer *closer)
{
    bool last;

    g_mutex_lock(&closer->lock);
    last = --closer->refs == 0;
    g_mutex_unlock(&closer->lock);
    if (last) {
        g_queue_clear_full(&closer->jobs, g_free);
        g_mutex_clear(&closer->lock);
        g_cond_clear(&closer->idle);
        g_free(closer);
    }
}

static void job_run(struct job *job)
{
    if (job->work) {
        job->work(job->data);
    } else {
        close(job->fd);
    }
    g_free(job);
}

static void *closer_run(void *data)
{
    struct vwl_closer *closer = data;
    struct job *job;

    pthread_setname_np(pthread_self(), "vwl-closer");
    g_mutex_lock(&closer->lock);
    while ((job = g_queue_pop_head(&closer->jobs))) {
        g_atomic_int_add(&closer->waiting, -1);
        g_mutex_unlock(&closer->lock);
        job_run(job);
        g_mutex_lock(&closer->lock);
    }
    closer->hands--;
    g_cond_signal(&closer->idle);
    g_mutex_unlock(&closer->lock);
    closer_drop(closer);
    return NULL;
}

/* With the lock held. Signals are the host's business. */
static void closer_start(struct vwl_closer *closer)
{
    sigset_t all, before;
    pthread_attr_t attr;
    pthread_t thread;

    if (closer->hands >= VWL_CLOSER_HANDS || pthread_attr_init(&attr) != 0) {
        return; /* those that are there go on; else again with the next one */
    }
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    closer->hands++;
    closer->refs++;
    if (pthread_create(&thread, &attr, closer_run, closer) != 0) {
        closer->hands--;
        closer->refs--;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
}

static void closer_push(struct vwl_closer *closer, const struct job *job)
{
    struct job *kept = g_new(struct job, 1);

    *kept = *job;
    g_mutex_lock(&closer->lock);
    g_queue_push_tail(&closer->jobs, kept);
    g_atomic_int_inc(&closer->waiting);
    closer_start(closer);
    g_mutex_unlock(&closer->lock);
}

/* A Unix socket has a queue, and in it may be any descriptor. Nothing is in
 * one that nobody can write to any more and that is empty. */
static bool socket_may_wait(int fd)
{
    struct pollfd end = { .fd = fd, .events = POLLRDHUP };
    int domain = -1, type = -1, unread = 1;
    socklen_t len = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
           domain != AF_UNIX ||
           getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
           type != SOCK_STREAM || poll(&end, 1, 0) != 1 ||
           !(end.revents & POLLRDHUP) || ioctl(fd, FIONREAD, &unread) < 0 ||
           unread > 0;
}

/* Could closing it wait for somebody? fstat could, too. */
static bool close_may_wait(int fd)
{
    struct statx sx;
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
        return socket_may_wait(fd);
    }
    return S_ISREG(sx.stx_mode) || S_ISBLK(sx.stx_mode) ||
           (S_ISCHR(sx.stx_mode) && sx.stx_rdev_major != MEM_MAJOR);
}

struct vwl_closer *vwl_closer_create(void)
{
    struct vwl_closer *closer = g_new0(struct vwl_closer, 1);

    g_mutex_init(&closer->lock);
    g_cond_init(&closer->idle);
    g_queue_init(&closer->jobs);
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
    if (!g_queue_is_empty(&closer->jobs)) {
        closer_start(closer);
    }
    while (closer->hands > 0 &&
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
    closer_push(closer, &(struct job){ .fd = vwl_fd_steal(fd) });
}

void vwl_closer_close_shut(struct vwl_closer *closer, int *fd)
{
    int unread = 1;

    /* FIONREAD counts an urgent byte, too, which reading does not show */
    if (*fd >= 0 && shutdown(*fd, SHUT_RDWR) == 0 &&
        ioctl(*fd, FIONREAD, &unread) == 0 && unread == 0) {
        vwl_fd_clear(fd);
    } else {
        vwl_closer_close(closer, fd);
    }
}

void vwl_closer_close_all(struct vwl_closer *closer, int *fds, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        vwl_closer_close(closer, &fds[i]);
    }
}

void vwl_closer_call(struct vwl_closer *closer, void (*work)(void *data),
                     void *data)
{
    closer_push(closer, &(struct job){ -1, work, data });
}

unsigned int vwl_closer_waiting(struct vwl_closer *closer)
{
    return (unsigned int)g_atomic_int_get(&closer->waiting);
}
