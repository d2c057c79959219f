/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/outbox/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "base/closer.h"
#include "base/fd.h"
#include "wl/answer.h"
#include "wl/outbox/parcel.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* For all of a SEND's: a guest's thread waits for it. */
#define ANSWER_MS 5000

/* What is looked at in one go: others wait for us. */
#define TURN 64

struct ask {
    struct vwl_foreign *foreign;
    unsigned int slot; /* in the parcel */
    bool pending;
};

struct vwl_foreign {
    struct vwl_vfd *vfd; /* the SEND waits there */
    struct vwl_parcel *parcel;
    struct vwl_timer timer;
    unsigned int n_pending;
    int err; /* somebody refused */
    unsigned int n;
    struct ask asks[VIRTWL_SEND_MAX_ALLOCS];
};

void vwl_foreigns_init(struct vwl_foreigns *foreigns,
                       void (*settled)(struct vwl_vfd *vfd))
{
    foreigns->settled = settled;
    foreigns->epoll = foreigns->signaled_fd = -1;
}

void vwl_foreigns_reset(struct vwl_foreigns *foreigns)
{
    vwl_fd_clear(&foreigns->signaled_fd);
}

void vwl_foreigns_finish(struct vwl_foreigns *foreigns)
{
    vwl_foreigns_reset(foreigns);
    vwl_fd_clear(&foreigns->epoll);
}

/* Our shortages are ours; all else means that there is no such thing. */
static int foreign_refusal(int err)
{
    return vwl_answer_is_shortage(err) ? err : -VWL_EBADID;
}

int vwl_foreign_get(struct vwl_core *core, uint32_t kind, uint64_t value,
                    int *fd)
{
    struct vwl_foreigns *foreigns = &core->foreigns;
    bool signaled = kind == VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE;
    vwl_autofd int made = -1;
    int err;

    if (signaled && foreigns->signaled_fd >= 0) {
        made = fcntl(foreigns->signaled_fd, F_DUPFD_CLOEXEC, 0);
        err = made < 0 ? -errno : 0;
    } else if (core->ops->foreign) {
        err = core->ops->foreign(core->opaque, kind, value, &made);
    } else {
        err = -EOPNOTSUPP;
    }
    if (err < 0 && err != -EINPROGRESS) {
        log_debug(core->log,
                  "the host gives no foreign id %" PRIu64 " of kind %" PRIu32
                  ": %s",
                  value, kind, g_strerror(-err));
        return foreign_refusal(err);
    }
    if (made < 0) {
        log_host_bug(core->log,
                     "the host granted foreign id %" PRIu64
                     " without a descriptor",
                     value);
        return -VWL_EBADID;
    }
    if (vwl_fd_admit(made) < 0) {
        return -EMFILE;
    }
    if (err == 0 && signaled && foreigns->signaled_fd < 0) {
        foreigns->signaled_fd = fcntl(made, F_DUPFD_CLOEXEC, 0);
    }
    *fd = vwl_fd_steal(&made);
    return err;
}

/* ---- answers that come later ------------------------------------------ */

static int foreigns_make_epoll(struct vwl_core *core)
{
    struct vwl_foreigns *foreigns = &core->foreigns;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = foreigns };

    if (foreigns->epoll >= 0) {
        return 0;
    }
    foreigns->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (foreigns->epoll < 0) {
        return -errno;
    }
    if (epoll_ctl(core->out.fd, EPOLL_CTL_ADD, foreigns->epoll, &event) < 0) {
        int err = -errno;

        vwl_fd_clear(&foreigns->epoll);
        return err;
    }
    return 0;
}

static void ask_end(struct ask *ask)
{
    struct vwl_foreign *foreign = ask->foreign;
    int *fd = &foreign->parcel->fds[ask->slot];
    struct epoll_event event = { 0 };

    if (ask->pending) {
        ask->pending = false;
        foreign->n_pending--;
        /* there may be a duplicate of it */
        epoll_ctl(foreign->vfd->core->foreigns.epoll, EPOLL_CTL_DEL, *fd,
                  &event);
        vwl_closer_close(foreign->vfd->core->closer, fd);
    }
}

static void foreign_end_asks(struct vwl_foreign *foreign)
{
    for (unsigned int i = 0; i < foreign->n; i++) {
        ask_end(&foreign->asks[i]);
    }
}

void vwl_foreign_destroy(struct vwl_foreign *foreign)
{
    if (foreign) {
        foreign_end_asks(foreign);
        vwl_timer_cancel(&foreign->vfd->core->timers, &foreign->timer);
        g_free(foreign);
    }
}

static void foreign_fail(struct vwl_foreign *foreign, int err)
{
    foreign_end_asks(foreign);
    foreign->err = err;
    vwl_timer_cancel(&foreign->vfd->core->timers, &foreign->timer);
    /* may free it */
    foreign->vfd->core->foreigns.settled(foreign->vfd);
}

static void foreign_on_timer(struct vwl_timer *timer)
{
    struct vwl_foreign *foreign = vwl_list_entry(timer, struct vwl_foreign,
                                                 timer);

    log_host_bug(foreign->vfd->core->log,
                 "ctx 0x%" PRIx32 ": the host did not"
                 " answer for %u foreign ids in time",
                 foreign->vfd->id, foreign->n_pending);
    foreign_fail(foreign, -ETIMEDOUT);
}

int vwl_foreign_begin(struct vwl_vfd *vfd, struct vwl_parcel *parcel,
                      unsigned int first, uint32_t asked)
{
    struct vwl_core *core = vfd->core;
    struct vwl_foreign *foreign;
    int err = foreigns_make_epoll(core);

    if (err < 0) {
        return err;
    }
    foreign = g_try_new0(struct vwl_foreign, 1);
    if (!foreign) {
        return -ENOMEM;
    }
    foreign->vfd = vfd;
    foreign->parcel = parcel;
    vwl_timer_init(&foreign->timer, foreign_on_timer);
    for (unsigned int i = 0; i < VIRTWL_SEND_MAX_ALLOCS; i++) {
        struct ask *ask = &foreign->asks[foreign->n];
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = ask };

        if (!(asked & UINT32_C(1) << i)) {
            continue;
        }
        *ask = (struct ask){ foreign, first + i, false };
        if (epoll_ctl(core->foreigns.epoll, EPOLL_CTL_ADD,
                      parcel->fds[ask->slot], &event) < 0) {
            err = -errno;
            vwl_foreign_destroy(foreign);
            return err;
        }
        ask->pending = true;
        foreign->n_pending++;
        foreign->n++;
    }
    vwl_timer_set(&core->timers, &foreign->timer, ANSWER_MS);
    parcel->foreign = foreign;
    return 0;
}

bool vwl_foreign_is_due(const struct vwl_request *request)
{
    const struct vwl_parcel *parcel = request->waits_on;

    return parcel && parcel->foreign && parcel->foreign->n_pending > 0;
}

int vwl_foreign_end(struct vwl_parcel *parcel)
{
    int err = parcel->foreign->err;

    vwl_foreign_destroy(parcel->foreign);
    parcel->foreign = NULL;
    return err < 0 ? foreign_refusal(err) : 0;
}

static void ask_on_answer(struct vwl_core *core, struct ask *ask)
{
    struct vwl_foreign *foreign = ask->foreign;
    int *slot = &foreign->parcel->fds[ask->slot];
    int fd = -1;
    int err = vwl_fd_take_answer(*slot, &fd, core->closer);

    if (err == -EINPROGRESS) {
        return;
    }
    if (err == 0) {
        err = vwl_fd_admit(fd);
    }
    if (err < 0) {
        log_debug(core->log,
                  "ctx 0x%" PRIx32 ": the host refused a foreign id: %s",
                  foreign->vfd->id, g_strerror(-err));
        vwl_closer_close(core->closer, &fd);
        foreign_fail(foreign, err);
        return;
    }
    ask_end(ask);
    *slot = vwl_fd_steal(&fd);
    if (foreign->n_pending == 0) {
        vwl_timer_cancel(&core->timers, &foreign->timer);
        foreign->vfd->core->foreigns.settled(foreign->vfd); /* may free it */
    }
}

/* One at a time: an answer may end what another one was for. */
void vwl_foreigns_dispatch(struct vwl_core *core)
{
    struct epoll_event event;

    for (int i = 0; i < TURN; i++) {
        if (epoll_wait(core->foreigns.epoll, &event, 1, 0) != 1) {
            return;
        }
        ask_on_answer(core, event.data.ptr);
    }
}
