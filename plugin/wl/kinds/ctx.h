/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A context: a connection to a socket of the host, usually a compositor's.
 *
 * Its bytes pass at two places. From the host to the guest: ctx_receive in
 * ctx.c, straight into the guest's buffer; with descriptors they take the way
 * through received.c, and in order, since nothing is read meanwhile. From the
 * guest to the host: vwl_send in send.c, straight out of the guest's memory.
 * With a filter both go through it instead: see ctx_filter.h, and filtered.h
 * of the outbox.
 */
#ifndef VWL_WL_KINDS_CTX_H
#define VWL_WL_KINDS_CTX_H

#include "wl/vfd.h"

struct vwl_channel;
struct vwl_received;

struct vwl_ctx {
    struct vwl_vfd vfd;
    struct vwl_received *received; /* that its peer's next message waits for;
                                      NULL */

    /* while it is being connected, see connect.c */
    size_t socket;               /* of the core's configuration */
    struct vwl_channel *channel; /* the host answers there; NULL */
    uint64_t deadline_us;
    unsigned int retry_ms;
};

static inline struct vwl_ctx *vwl_ctx_of(struct vwl_vfd *vfd)
{
    return (struct vwl_ctx *)(void *)vfd;
}

/* Hangs it up, and logs why. */
void vwl_ctx_break(struct vwl_vfd *vfd, const char *why, int err);
/* Nothing more comes from its peer: the end (0), or why it is not read. */
void vwl_ctx_read_end(struct vwl_vfd *vfd, int err);

#endif
