/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/connect.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/closer.h"
#include "base/fd.h"
#include "wl/kinds/channels.h"
#include "wl/kinds/ctx.h"
#include "wl/kinds/ctx_filter.h"
#include "wl/state.h"

/* A full backlog is not signalled when it empties: ask again. */
#define CONNECT_FIRST_MS 20
#define CONNECT_LAST_MS 100
#define CONNECT_TOTAL_MS 900

static const char *connect_path(const struct vwl_ctx *ctx)
{
    return ctx->vfd.core->config.sockets[ctx->socket].path;
}

static int connect_by_path(struct vwl_ctx *ctx)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    const char *path = connect_path(ctx);
    struct vwl_vfd *vfd = &ctx->vfd;
    size_t len = strlen(path);
    int err;

    if (vfd->fd < 0) {
        vfd->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                         0);
        err = vfd->fd < 0 ? -errno : vwl_fd_admit(vfd->fd);
        if (err < 0) {
            return err;
        }
    }
    if (len >= sizeof sun.sun_path) {
        return -ENAMETOOLONG;
    }
    memcpy(sun.sun_path, path, len);
    return connect(vfd->fd, (struct sockaddr *)&sun, sizeof sun) < 0 ? -errno
                                                                     : 0;
}

static int connect_by_host(struct vwl_ctx *ctx)
{
    struct vwl_core *core = ctx->vfd.core;
    uint64_t now_us = vwl_clock_us();
    int err;

    if (!core->ops->socket_connect) {
        return -EOPNOTSUPP;
    }
    err = vwl_channel_ask(ctx);
    if (err < 0) {
        return err;
    }
    vwl_timer_set(&core->timers, &ctx->vfd.timer,
                  ctx->deadline_us > now_us
                      ? (unsigned int)((ctx->deadline_us - now_us) / 1000) + 1
                      : 1);
    return -EINPROGRESS;
}

/* Anything but 0: there are other ways. */
static int connect_at_once(struct vwl_ctx *ctx)
{
    struct vwl_core *core = ctx->vfd.core;
    vwl_autofd int fd = -1;
    int err = core->ops->socket_open
                  ? core->ops->socket_open(core->opaque, ctx->socket, &fd)
                  : -EOPNOTSUPP;

    err = err ? err : vwl_fd_admit(fd);
    if (err == 0) {
        ctx->vfd.fd = vwl_fd_steal(&fd);
    }
    return err;
}

/* 0; -EAGAIN: the backlog is full; -EINPROGRESS: the host was asked; else it
 * cannot be connected. */
static int connect_try(struct vwl_ctx *ctx)
{
    int err = connect_at_once(ctx);

    if (err == 0) {
        return 0;
    }
    err = connect_by_host(ctx);

    return err == -EOPNOTSUPP ? connect_by_path(ctx) : err;
}

/* As connect_try. */
static int connect_take_answer(struct vwl_ctx *ctx, struct vwl_channel *channel)
{
    struct vwl_core *core = ctx->vfd.core;
    int fd = -1;
    int err = vwl_channel_take(core, channel, &fd);

    if (err < 0) {
        return err;
    }
    err = vwl_fd_admit(fd);
    if (err == 0) {
        ctx->vfd.fd = vwl_fd_steal(&fd);
    }
    vwl_closer_close(core->closer, &fd);
    return err;
}

static int connect_done(struct vwl_ctx *ctx)
{
    struct vwl_vfd *vfd = &ctx->vfd;

    vwl_ctx_filter(vfd);
    vfd->how = VWL_PEER_SOCKET;
    vfd->flags = VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE;
    vwl_vfd_open(vfd);
    return vfd->in_watched ? 0 : -ENOMEM;
}

static void connect_log(const struct vwl_ctx *ctx, int err)
{
    log_host_bug(ctx->vfd.core->log,
                 "ctx 0x%" PRIx32 ": cannot connect to %s: %s", ctx->vfd.id,
                 connect_path(ctx), g_strerror(-err));
}

/* After another attempt. */
static void connect_go_on(struct vwl_ctx *ctx, int err)
{
    struct vwl_vfd *vfd = &ctx->vfd;

    if (err == -EINPROGRESS) {
        return;
    }
    if (err == -EAGAIN && vwl_clock_us() < ctx->deadline_us) {
        ctx->retry_ms = MIN(ctx->retry_ms * 2, CONNECT_LAST_MS);
        vwl_timer_set(&vfd->core->timers, &vfd->timer, ctx->retry_ms);
        return;
    }
    if (err < 0) {
        connect_log(ctx, err);
    } else {
        err = connect_done(ctx);
    }
    vwl_vfd_creation_end(vfd, err);
}

void vwl_connect_answered(struct vwl_core *core, struct vwl_channel *channel)
{
    struct vwl_ctx *ctx = channel->ctx;
    int fd = -1;

    if (ctx) {
        connect_go_on(ctx, connect_take_answer(ctx, channel));
    } else if (channel->fd >= 0) {
        /* the end, or what is no answer */
        vwl_channel_take(core, channel, &fd);
        vwl_closer_close(core->closer, &fd);
    }
}

static void connect_on_timer(struct vwl_timer *timer)
{
    struct vwl_ctx *ctx = vwl_ctx_of(
        vwl_list_entry(timer, struct vwl_vfd, timer));
    int err;

    if (!ctx->channel) {
        err = connect_try(ctx);
    } else {
        /* it may lie there since a pause */
        err = connect_take_answer(ctx, ctx->channel);
        err = err == -EINPROGRESS ? -ETIMEDOUT : err;
    }
    connect_go_on(ctx, err);
}

int vwl_connect_start(struct vwl_ctx *ctx, struct vwl_request *request)
{
    struct vwl_vfd *vfd = &ctx->vfd;
    int err, wait_err;

    vwl_timer_init(&vfd->timer, connect_on_timer);
    ctx->retry_ms = CONNECT_FIRST_MS;
    ctx->deadline_us = vwl_clock_us() + CONNECT_TOTAL_MS * UINT64_C(1000);
    err = connect_try(ctx);
    if (err == 0) {
        return connect_done(ctx);
    }
    if (err == -EAGAIN || err == -EINPROGRESS) {
        wait_err = vwl_vfd_creation_wait(vfd, request);
        if (wait_err == 0) {
            if (err == -EAGAIN) {
                vwl_timer_set(&vfd->core->timers, &vfd->timer, ctx->retry_ms);
            }
            return -EINPROGRESS;
        }
        err = wait_err;
    }
    connect_log(ctx, err);
    return err;
}
