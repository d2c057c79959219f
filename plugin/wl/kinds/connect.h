/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Connecting a context without waiting: the host does it if it likes to, else
 * we do by path. A full backlog is tried again for a while, and the guest's
 * request waits.
 */
#ifndef VWL_WL_KINDS_CONNECT_H
#define VWL_WL_KINDS_CONNECT_H

struct vwl_channel;
struct vwl_core;
struct vwl_ctx;
struct vwl_request;

/* 0: it is connected; -EINPROGRESS: its creation ends later; other -errno: it
 * cannot be. */
int vwl_connect_start(struct vwl_ctx *ctx, struct vwl_request *request);
/* The channel is readable. */
void vwl_connect_answered(struct vwl_core *core, struct vwl_channel *channel);

#endif
