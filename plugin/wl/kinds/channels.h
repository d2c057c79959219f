/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sockets on which the host answers who asked it to connect a context. Making
 * one for each question would cost more than the question: a host that can is
 * asked again on one that was answered. An answer that nobody waits for any
 * more would be taken for the next one: its socket is closed.
 */
#ifndef VWL_WL_KINDS_CHANNELS_H
#define VWL_WL_KINDS_CHANNELS_H

#include <stdbool.h>

/* Questions at once; a host answers one after the other. */
#define VWL_CHANNELS_MAX 64

struct vwl_core;
struct vwl_ctx;

struct vwl_channel {
    int fd;              /* -1: there is none */
    struct vwl_ctx *ctx; /* who waits; NULL: it is kept for the next one */
};

struct vwl_channels {
    struct vwl_channel all[VWL_CHANNELS_MAX];
};

void vwl_channels_init(struct vwl_channels *channels);
/* Nobody waits any more. */
void vwl_channels_finish(struct vwl_core *core);

/* The one that an event of the core's out set is of; NULL: it is of
 * something else. */
struct vwl_channel *vwl_channels_find(struct vwl_core *core, const void *ptr);

/* Asks for a connection; ctx->channel is set. -EAGAIN: too many wait, or the
 * host says so; other -errno. */
int vwl_channel_ask(struct vwl_ctx *ctx);
/* The answer: 0 with a descriptor, -EINPROGRESS, or why there is none. But for
 * -EINPROGRESS it is nobody's then. */
int vwl_channel_take(struct vwl_core *core, struct vwl_channel *channel,
                     int *fd);
/* The context waits no more, if it does. */
void vwl_channel_forget(struct vwl_ctx *ctx);

#endif
