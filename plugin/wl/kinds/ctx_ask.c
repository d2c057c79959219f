/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/ctx_ask.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "wl/kinds/ctx.h"
#include "wl/state.h"
#include "wl/vfd.h"

struct ask {
    struct vwl_list link;
    struct vwl_vfd *vfd;
    struct vwl_timer timer;
    uint32_t ticket;
    int fd; /* the host answers there */
};

void vwl_asks_init(struct vwl_asks *asks)
{
    vwl_list_init(&asks->list);
    asks->epoll = -1;
}

void vwl_asks_finish(struct vwl_asks *asks)
{
    vwl_fd_clear(&asks->epoll);
}

static void ask_free(struct ask *ask)
{
    struct vwl_core *core = ask->vfd->core;
    struct epoll_event event = { 0 };

    /* the host may hold a duplicate */
    epoll_ctl(core->asks.epoll, EPOLL_CTL_DEL, ask->fd, &event);
    vwl_fd_clear(&ask->fd);
    vwl_timer_cancel(&core->timers, &ask->timer);
    vwl_list_remove(&ask->link);
    core->asks.n--;
    g_free(ask);
}

void vwl_ask_end(struct vwl_vfd *vfd, uint32_t ticket)
{
    struct vwl_list *list = &vfd->core->asks.list;

    for (struct vwl_list *at = list->next; at != list; at = at->next) {
        struct ask *ask = vwl_list_entry(at, struct ask, link);

        if (ask->vfd == vfd && ask->ticket == ticket) {
            ask_free(ask);
            return;
        }
    }
}

static void ask_settle(struct ask *ask, bool allow)
{
    struct vwl_vfd *vfd = ask->vfd;
    uint32_t ticket = ask->ticket;

    ask_free(ask);
    vwl_filter_answer(vfd->filter, ticket, allow);
    vwl_vfd_feed(vfd);
}

static void ask_on_timer(struct vwl_timer *timer)
{
    struct ask *ask = vwl_list_entry(timer, struct ask, timer);

    log_host_bug(ask->vfd->core->log,
                 "ctx 0x%" PRIx32 ": nobody allowed a transfer in time; it is "
                 "refused",
                 ask->vfd->id);
    ask_settle(ask, false);
}

static int asks_make_epoll(struct vwl_core *core)
{
    struct vwl_asks *asks = &core->asks;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = asks };

    if (asks->epoll >= 0) {
        return 0;
    }
    asks->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (asks->epoll < 0) {
        return -errno;
    }
    if (epoll_ctl(core->out.fd, EPOLL_CTL_ADD, asks->epoll, &event) < 0) {
        int err = -errno;

        vwl_fd_clear(&asks->epoll);
        return err;
    }
    return 0;
}

int vwl_ask_begin(struct vwl_vfd *vfd, enum vwl_transfer_kind kind,
                  enum vwl_way way, uint32_t ticket)
{
    struct vwl_core *core = vfd->core;
    struct epoll_event event = { .events = EPOLLIN };
    vwl_autofd int fd = -1;
    struct ask *ask;
    int err;

    if (!core->ops->transfer || core->asks.n == VWL_ASKS_MAX) {
        return -EBUSY;
    }
    err = asks_make_epoll(core);
    err = err ? err
              : core->ops->transfer(core->opaque, vwl_ctx_of(vfd)->socket, kind,
                                    way == VWL_TO_GUEST
                                        ? VWL_TRANSFER_TO_GUEST
                                        : VWL_TRANSFER_FROM_GUEST,
                                    &fd);
    if (err < 0) {
        return err;
    }
    if (fd < 0 || vwl_fd_admit(fd) < 0) {
        return -EMFILE;
    }
    ask = g_new0(struct ask, 1);
    event.data.ptr = ask;
    if (epoll_ctl(core->asks.epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
        g_free(ask);
        return -EBADF;
    }
    ask->vfd = vfd;
    ask->ticket = ticket;
    ask->fd = vwl_fd_steal(&fd);
    vwl_timer_init(&ask->timer, ask_on_timer);
    vwl_timer_set(&core->timers, &ask->timer, VWL_ASK_MS);
    vwl_list_insert(&core->asks.list, &ask->link);
    core->asks.n++;
    return 0;
}

static void ask_on_answer(struct ask *ask)
{
    int32_t status;
    ssize_t n = recv(ask->fd, &status, sizeof status, MSG_DONTWAIT);

    if (n >= 0 || errno != EAGAIN) {
        ask_settle(ask, n == sizeof status && status == 0);
    }
}

/* One at a time: an answer may end what another one was for. */
void vwl_asks_dispatch(struct vwl_core *core)
{
    struct epoll_event event;

    for (unsigned int i = 0; i < VWL_ASKS_MAX; i++) {
        if (epoll_wait(core->asks.epoll, &event, 1, 0) != 1) {
            return;
        }
        ask_on_answer(event.data.ptr);
    }
}
