/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/channels.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/closer.h"
#include "base/fd.h"
#include "wl/kinds/ctx.h"
#include "wl/state.h"

/* What is kept when nobody asks. */
#define CHANNELS_KEPT 8

void vwl_channels_init(struct vwl_channels *channels)
{
    for (unsigned int i = 0; i < VWL_CHANNELS_MAX; i++) {
        channels->all[i].fd = -1;
    }
}

static void channel_release(struct vwl_channel *channel)
{
    if (channel->ctx) {
        channel->ctx->channel = NULL;
        channel->ctx = NULL;
    }
}

/* There may be something in its queue, which may hold up who closes it. */
static void channel_close(struct vwl_core *core, struct vwl_channel *channel)
{
    struct epoll_event event = { 0 };

    channel_release(channel);
    /* closing it would do that, but may take its time */
    epoll_ctl(core->out.fd, EPOLL_CTL_DEL, channel->fd, &event);
    vwl_closer_close(core->closer, &channel->fd);
}

void vwl_channels_finish(struct vwl_core *core)
{
    for (unsigned int i = 0; i < VWL_CHANNELS_MAX; i++) {
        channel_release(&core->channels.all[i]);
        vwl_fd_clear(&core->channels.all[i].fd);
    }
}

struct vwl_channel *vwl_channels_find(struct vwl_core *core, const void *ptr)
{
    uintptr_t first = (uintptr_t)core->channels.all;
    uintptr_t at = (uintptr_t)ptr - first;

    return at < sizeof core->channels.all
               ? &core->channels.all[at / sizeof core->channels.all[0]]
               : NULL;
}

static int channel_open(struct vwl_ctx *ctx, struct vwl_channel *channel)
{
    struct vwl_core *core = ctx->vfd.core;
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = channel };
    int err = core->ops->socket_connect(core->opaque, ctx->socket,
                                        &channel->fd);

    if (err < 0) {
        return err;
    }
    err = vwl_fd_admit(channel->fd);
    if (err == 0 &&
        epoll_ctl(core->out.fd, EPOLL_CTL_ADD, channel->fd, &event) < 0) {
        err = -errno;
    }
    if (err < 0) {
        vwl_closer_close(core->closer, &channel->fd);
    }
    return err;
}

int vwl_channel_ask(struct vwl_ctx *ctx)
{
    struct vwl_core *core = ctx->vfd.core;
    struct vwl_channel *free = NULL;
    int err;

    for (unsigned int i = 0; i < VWL_CHANNELS_MAX; i++) {
        struct vwl_channel *channel = &core->channels.all[i];

        if (channel->fd >= 0 && !channel->ctx) {
            if (core->ops->socket_connect_again(core->opaque, ctx->socket,
                                                channel->fd) == 0) {
                channel->ctx = ctx;
                ctx->channel = channel;
                return 0;
            }
            channel_close(core, channel);
        }
        if (channel->fd < 0 && !free) {
            free = channel;
        }
    }
    if (!free) {
        return -EAGAIN;
    }
    err = channel_open(ctx, free);
    if (err == 0) {
        free->ctx = ctx;
        ctx->channel = free;
    }
    return err;
}

static bool channels_are_enough(const struct vwl_core *core)
{
    unsigned int kept = 0;

    for (unsigned int i = 0; i < VWL_CHANNELS_MAX; i++) {
        const struct vwl_channel *channel = &core->channels.all[i];

        kept += channel->fd >= 0 && !channel->ctx;
    }
    return kept >= CHANNELS_KEPT;
}

int vwl_channel_take(struct vwl_core *core, struct vwl_channel *channel,
                     int *fd)
{
    int err = vwl_fd_take_answer(channel->fd, fd, core->closer);

    if (err == -EINPROGRESS) {
        return err;
    }
    if (err < 0 || !channel->ctx) {
        channel_close(core, channel);
        return err;
    }
    if (!core->config.asks_again || channels_are_enough(core)) {
        vwl_fd_clear(&channel->fd); /* nothing else is in its queue */
    }
    channel_release(channel);
    return 0;
}

void vwl_channel_forget(struct vwl_ctx *ctx)
{
    if (ctx->channel) {
        channel_close(ctx->vfd.core, ctx->channel);
    }
}
