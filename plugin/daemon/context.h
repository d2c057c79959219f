/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: connect to one compositor within a security context, for the
 * connector: made when the first guest connects, made again when the
 * compositor was restarted, and given up on after a while, so that one that
 * never answers holds up nobody for long.
 *
 * Ownership: the struct owns its descriptors; the strings are the caller's and
 * stay. Thread: the connector's. Nothing is allocated.
 */
#ifndef VWL_DAEMON_CONTEXT_H
#define VWL_DAEMON_CONTEXT_H

#include <stdint.h>

#include "secctx/secctx.h"
#include "vhost-user-wl/plugin.h"

struct vwl_context_config {
    enum vwl_security_context mode;
    const struct vwl_secctx_names *names;
    const char *folder;
};

struct vwl_context {
    const struct vwl_context_config *config;
    const char *path; /* of the compositor's socket */
    struct vwl_secctx secctx;
    int64_t pause_until_ms; /* one failed: none is tried before */
};

/* How it stands with a context, for the log. */
enum vwl_context_state {
    VWL_CONTEXT_NONE,    /* nothing is to be told */
    VWL_CONTEXT_MADE,    /* guests connect in it */
    VWL_CONTEXT_MISSING, /* the compositor knows no such thing */
    VWL_CONTEXT_FAILED,  /* it does, but this one cannot be had */
};

void vwl_context_init(struct vwl_context *context,
                      const struct vwl_context_config *config,
                      const char *path);

/* A connection for a guest. 0, or -errno (-EPERM: none is to be had within a
 * context). *state and, if it failed, *why are set. */
int vwl_context_connect(struct vwl_context *context, int *fd,
                        enum vwl_context_state *state, int *why);

#endif
