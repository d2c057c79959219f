/* SPDX-License-Identifier: BSD-3-Clause */
/* What may wait for a peer of the host: SENDs that meet no room, and, in
 * threads, calls of the driver that wait themselves. */
#include "wl0.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK (256u << 10)

struct wl0_job {
    struct wl0_job *next;
    vwl_transport_done_fn done;
    void *opaque;
    int result;
    int vfd;       /* that it is sent to; -1: closed meanwhile, or none */
    int fd;        /* of its own for the same, or /dev/wl0; -1: none yet */
    bool running;  /* a thread has it */
    bool detached; /* its end was told */
    /* connecting */
    const char *path;
    struct wl0_new new;
    /* sending: a header lies before each piece */
    int fds[VWL_TRANSPORT_MAX_VFDS];
    unsigned int n_fds;
    size_t at, len;
    struct wl0_txn *txn;
};

/* Threads outlive the transport when a driver does not let them go. */
struct wl0_pool {
    pthread_mutex_t lock; /* all that follows */
    pthread_cond_t wake;
    unsigned int refs, n_threads, n_idle;
    bool quit;
    int event;
    char *path;
    struct wl0_list jobs; /* queued and running */
    struct wl0_list ended;
};

static void append(struct wl0_list *list, struct wl0_job *job)
{
    job->next = NULL;
    *list->last = job;
    list->last = &job->next;
}

/* The one at *link. */
static struct wl0_job *unlink_at(struct wl0_list *list, struct wl0_job **link)
{
    struct wl0_job *job = *link;

    *link = job->next;
    if (list->last == &job->next) {
        list->last = link;
    }
    return job;
}

static void list_init(struct wl0_list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

void wl0_jobs_init(struct wl0 *wl0)
{
    list_init(&wl0->waiting);
    list_init(&wl0->ended);
}

static void close_fds(struct wl0_job *job)
{
    for (unsigned int i = 0; i < job->n_fds; i++) {
        close(job->fds[i]);
    }
    job->n_fds = 0;
    if (job->fd >= 0) {
        close(job->fd);
        job->fd = -1;
    }
}

static void job_free(struct wl0_job *job)
{
    close_fds(job);
    free(job->txn);
    free(job);
}

/* The caller may close what it named. */
static int take_fds(struct wl0_job *job, const int *vfds, unsigned int n)
{
    job->fd = fcntl(job->vfd, F_DUPFD_CLOEXEC, 0);
    if (job->fd < 0) {
        return -errno;
    }
    for (unsigned int i = 0; i < n; i++) {
        job->fds[i] = fcntl(vfds[i], F_DUPFD_CLOEXEC, 0);
        if (job->fds[i] < 0) {
            return -errno;
        }
        job->n_fds = i + 1;
    }
    return 0;
}

/* As much as goes without or with waiting; 0 when all went. */
static int send_pieces(struct wl0_job *job, int vfd, const int *fds,
                       unsigned int n_fds, size_t piece)
{
    while (job->at < job->len) {
        size_t n = job->len - job->at < piece ? job->len - job->at : piece;
        /* over bytes that were sent, where there are any */
        struct wl0_txn *txn = (void *)((uint8_t *)job->txn + job->at);

        for (unsigned int i = 0; i < VWL_TRANSPORT_MAX_VFDS; i++) {
            txn->fds[i] = job->at == 0 && i < n_fds ? fds[i] : -1;
        }
        txn->len = (uint32_t)n;
        if (ioctl(vfd, WL0_IOC_SEND, txn) < 0) {
            if (errno == EINTR) {
                continue;
            }
            return -errno;
        }
        job->at += n;
    }
    return 0;
}

static void run(struct wl0_pool *pool, struct wl0_job *job)
{
    if (job->txn != NULL) {
        job->result = send_pieces(job, job->fd, job->fds, job->n_fds,
                                  WL0_MAX_SEND);
        close_fds(job);
    } else {
        do {
            job->result = wl0_make(pool->path, &job->fd, &job->new);
        } while (job->result == -EINTR);
    }
}

static void pool_unref(struct wl0_pool *pool)
{
    bool last = --pool->refs == 0;

    pthread_mutex_unlock(&pool->lock);
    if (last) {
        while (pool->ended.first != NULL) {
            job_free(unlink_at(&pool->ended, &pool->ended.first));
        }
        close(pool->event);
        pthread_cond_destroy(&pool->wake);
        pthread_mutex_destroy(&pool->lock);
        free(pool->path);
        free(pool);
    }
}

/* The first that no thread has, and no earlier one of the same VFD waits. */
static struct wl0_job *next_job(struct wl0_pool *pool)
{
    for (struct wl0_job *job = pool->jobs.first; job; job = job->next) {
        struct wl0_job *before = pool->jobs.first;

        if (job->running) {
            continue;
        }
        while (before != job && (job->vfd < 0 || before->vfd != job->vfd)) {
            before = before->next;
        }
        if (before == job) {
            return job;
        }
    }
    return NULL;
}

static void *work(void *data)
{
    struct wl0_pool *pool = data;

    pthread_mutex_lock(&pool->lock);
    while (!pool->quit) {
        struct wl0_job *job = next_job(pool), **link;

        if (job == NULL) {
            pool->n_idle++;
            pthread_cond_wait(&pool->wake, &pool->lock);
            pool->n_idle--;
            continue;
        }
        job->running = true;
        pthread_mutex_unlock(&pool->lock);
        run(pool, job);
        pthread_mutex_lock(&pool->lock);
        for (link = &pool->jobs.first; *link != job;) {
            link = &(*link)->next;
        }
        append(&pool->ended, unlink_at(&pool->jobs, link));
        eventfd_write(pool->event, 1);
    }
    pool_unref(pool);
    return NULL;
}

static struct wl0_pool *pool_new(struct wl0 *wl0)
{
    struct epoll_event event = { .events = EPOLLIN };
    struct wl0_pool *pool = calloc(1, sizeof *pool);

    if (pool == NULL) {
        return NULL;
    }
    pool->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pool->path = strdup(wl0->path);
    event.data.fd = pool->event;
    if (pool->event < 0 || pool->path == NULL ||
        epoll_ctl(wl0->epoll, EPOLL_CTL_ADD, pool->event, &event) < 0) {
        if (pool->event >= 0) {
            close(pool->event);
        }
        free(pool->path);
        free(pool);
        return NULL;
    }
    pool->refs = 1;
    list_init(&pool->jobs);
    list_init(&pool->ended);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    return pool;
}

/* One more, unless they are enough. The lock is held. */
static int add_thread(struct wl0_pool *pool)
{
    sigset_t all, old;
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    if (pool->n_threads == WL0_MAX_THREADS) {
        return 0;
    }
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    r = pthread_create(&thread, &attr, work, pool);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (r == 0) {
        pool->n_threads++;
        pool->refs++;
    }
    return pool->n_threads == 0 ? -EAGAIN : 0;
}

static int give_to_thread(struct wl0 *wl0, struct wl0_job *job)
{
    unsigned int queued = 1;
    struct wl0_pool *pool;
    int r = 0;

    if (wl0->pool == NULL) {
        wl0->pool = pool_new(wl0);
    }
    pool = wl0->pool;
    if (pool == NULL) {
        return -ENOMEM;
    }
    pthread_mutex_lock(&pool->lock);
    for (struct wl0_job *other = pool->jobs.first; other; other = other->next) {
        queued += !other->running;
    }
    if (pool->n_idle < queued) {
        r = add_thread(pool);
    }
    if (r == 0) {
        append(&pool->jobs, job);
        pthread_cond_signal(&pool->wake);
    }
    pthread_mutex_unlock(&pool->lock);
    return r;
}

static struct wl0_job *job_new(vwl_transport_done_fn done, void *opaque)
{
    struct wl0_job *job = calloc(1, sizeof *job);

    if (job != NULL) {
        job->done = done;
        job->opaque = opaque;
        job->vfd = job->fd = -1;
    }
    return job;
}

static void set_nonblocking(int vfd, bool on)
{
    int flags = fcntl(vfd, F_GETFL);

    if (flags >= 0 && ((flags & O_NONBLOCK) != 0) != on) {
        fcntl(vfd, F_SETFL, flags ^ O_NONBLOCK);
    }
}

/* With our driver: now, if there is room. */
static int send_or_wait(struct wl0 *wl0, struct wl0_vfd *v, struct wl0_job *job,
                        const int *vfds, unsigned int n_vfds)
{
    int r = -EAGAIN;

    if (v->n_sends == 0) {
        set_nonblocking(job->vfd, true);
        r = send_pieces(job, job->vfd, vfds, n_vfds, WL0_MAX_SEND_OWN);
    }
    if (r != -EAGAIN) {
        job->result = r;
        append(&wl0->ended, job);
        return 0;
    }
    r = take_fds(job, vfds, job->at == 0 ? n_vfds : 0);
    if (r < 0) {
        return r;
    }
    v->n_sends++;
    append(&wl0->waiting, job);
    wl0_set_events(wl0, job->vfd);
    return 0;
}

static int send_later(struct wl0 *wl0, struct wl0_vfd *v, struct wl0_job *job,
                      const int *vfds, unsigned int n_vfds)
{
    int r = take_fds(job, vfds, n_vfds);

    if (r == 0) {
        r = give_to_thread(wl0, job);
    }
    v->n_sends += r == 0;
    return r;
}

/* checked: the answer is waited for, in a thread. Nothing else is sent to
 * that VFD meanwhile, and what is received is there before it is asked for. */
static int send_any(struct vwl_transport *t, int vfd, const void *data,
                    size_t len, const int *vfds, unsigned int n_vfds,
                    bool checked, struct wl0_job *job)
{
    struct wl0 *wl0 = (struct wl0 *)(void *)t;
    struct wl0_vfd *v = wl0_vfd(wl0, vfd);
    int r = job == NULL ? -ENOMEM : 0;

    if (v == NULL || n_vfds > VWL_TRANSPORT_MAX_VFDS || len == 0) {
        r = -EINVAL;
    } else if (v->n_sends >= (checked ? 1 : WL0_MAX_SENDS)) {
        r = -EBUSY;
    } else if (r == 0) {
        job->vfd = vfd;
        job->len = len;
        job->txn = malloc(sizeof *job->txn + len);
        r = job->txn == NULL ? -ENOMEM : 0;
    }
    if (r == 0) {
        memcpy(job->txn->data, data, len);
        wl0_learn_driver(wl0, vfd);
        if (checked) {
            set_nonblocking(vfd, false);
        }
        r = wl0->own && !checked ? send_or_wait(wl0, v, job, vfds, n_vfds)
                                 : send_later(wl0, v, job, vfds, n_vfds);
    }
    if (r < 0 && job != NULL) {
        job_free(job);
    }
    return r;
}

int wl0_send_async(struct vwl_transport *t, int vfd, const void *data,
                   size_t len, const int *vfds, unsigned int n_vfds,
                   vwl_transport_done_fn done, void *opaque)
{
    return send_any(t, vfd, data, len, vfds, n_vfds, false,
                    job_new(done, opaque));
}

int wl0_send_checked(struct vwl_transport *t, int vfd, const void *data,
                     size_t len, const int *vfds, unsigned int n_vfds,
                     vwl_transport_done_fn done, void *opaque)
{
    return send_any(t, vfd, data, len, vfds, n_vfds, true,
                    job_new(done, opaque));
}

int wl0_new_ctx_async(struct vwl_transport *t, const char *name,
                      vwl_transport_done_fn done, void *opaque)
{
    struct wl0 *wl0 = (struct wl0 *)(void *)t;
    struct wl0_job *job = job_new(done, opaque);
    int r;

    if (job == NULL) {
        return -ENOMEM;
    }
    r = wl0_fill_ctx(&job->new, name);
    if (r == 0) {
        job->fd = fcntl(wl0->fd, F_DUPFD_CLOEXEC, 0);
        r = job->fd < 0 ? -errno : give_to_thread(wl0, job);
    }
    if (r < 0) {
        job_free(job);
    }
    return r;
}

void wl0_jobs_go_on(struct wl0 *wl0, int vfd)
{
    struct wl0_job **link = &wl0->waiting.first, *job;
    struct wl0_vfd *v = wl0_vfd(wl0, vfd);
    int r = 0;

    while (*link != NULL && r != -EAGAIN) {
        job = *link;
        if (job->vfd != vfd) {
            link = &job->next;
            continue;
        }
        r = send_pieces(job, job->fd, job->fds, job->n_fds, WL0_MAX_SEND_OWN);
        if (r != -EAGAIN) {
            job->result = r;
            v->n_sends--;
            append(&wl0->ended, unlink_at(&wl0->waiting, link));
        }
    }
    if (v->n_sends == 0) {
        wl0_set_events(wl0, vfd);
    }
}

static void end_detached(struct wl0 *wl0, struct wl0_job *job)
{
    struct wl0_job *notice = job_new(job->done, job->opaque);

    if (notice != NULL) {
        notice->result = -ECANCELED;
        append(&wl0->ended, notice);
        job->detached = true;
        job->vfd = -1;
    }
}

void wl0_jobs_forget(struct wl0 *wl0, int vfd)
{
    struct wl0_job **link = &wl0->waiting.first;

    while (*link != NULL) {
        if ((*link)->vfd == vfd) {
            (*link)->result = -ECANCELED;
            append(&wl0->ended, unlink_at(&wl0->waiting, link));
        } else {
            link = &(*link)->next;
        }
    }
    if (wl0->pool == NULL) {
        return;
    }
    pthread_mutex_lock(&wl0->pool->lock);
    link = &wl0->pool->jobs.first;
    while (*link != NULL) {
        struct wl0_job *job = *link;

        if (job->vfd == vfd && !job->running) {
            job->result = -ECANCELED;
            append(&wl0->ended, unlink_at(&wl0->pool->jobs, link));
            continue;
        }
        if (job->vfd == vfd) {
            end_detached(wl0, job);
        }
        link = &job->next;
    }
    for (struct wl0_job *job = wl0->pool->ended.first; job; job = job->next) {
        if (job->vfd == vfd) {
            job->vfd = -1;
        }
    }
    pthread_mutex_unlock(&wl0->pool->lock);
}

int wl0_jobs_fd(const struct wl0 *wl0)
{
    return wl0->pool != NULL ? wl0->pool->event : -1;
}

void wl0_jobs_collect(struct wl0 *wl0)
{
    struct wl0_pool *pool = wl0->pool;
    eventfd_t count;

    eventfd_read(pool->event, &count);
    pthread_mutex_lock(&pool->lock);
    while (pool->ended.first != NULL) {
        struct wl0_job *job = unlink_at(&pool->ended, &pool->ended.first);

        if (job->detached) {
            job_free(job);
            continue;
        }
        if (job->vfd >= 0 && wl0_vfd(wl0, job->vfd)->n_sends != 0) {
            wl0_vfd(wl0, job->vfd)->n_sends--;
        }
        append(&wl0->ended, job);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* What ends meanwhile is told at the next dispatch. */
void wl0_jobs_tell(struct wl0 *wl0)
{
    struct wl0_list list = wl0->ended;
    struct wl0_job *job;

    if (list.first == NULL) {
        return;
    }
    list_init(&wl0->ended);
    while ((job = list.first) != NULL) {
        list.first = job->next;
        if (job->txn == NULL && job->fd >= 0 && job->result >= 0) {
            int fd = wl0->fd;

            wl0->fd = job->fd; /* perhaps of a device that came */
            job->fd = fd;
            wl0_learn_driver(wl0, job->result);
        }
        job->done(job->opaque, job->result);
        job_free(job);
    }
}

static void free_list(struct wl0_list *list)
{
    while (list->first != NULL) {
        struct wl0_job *job = unlink_at(list, &list->first);

        if (job->txn == NULL && job->fd >= 0 && job->result >= 0) {
            close(job->result); /* a connection that nobody took */
        }
        job_free(job);
    }
}

void wl0_jobs_finish(struct wl0 *wl0)
{
    struct wl0_pool *pool = wl0->pool;

    free_list(&wl0->waiting);
    free_list(&wl0->ended);
    if (pool == NULL) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    pool->quit = true;
    for (struct wl0_job **link = &pool->jobs.first; *link != NULL;) {
        if ((*link)->running) {
            (*link)->detached = true;
            link = &(*link)->next;
        } else {
            job_free(unlink_at(&pool->jobs, link));
        }
    }
    pthread_cond_broadcast(&pool->wake);
    pool_unref(pool);
    wl0->pool = NULL;
}
