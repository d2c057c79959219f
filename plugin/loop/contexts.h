/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: connections to compositors within a security context, where the
 * plugin connects itself. A context is made when the first guest asks, again
 * when the compositor was restarted, and is gone with the struct.
 *
 * Ownership: sockets, log, context and gate are borrowed and outlive it.
 * Thread: device, with the gate locked. Nothing waits.
 */
#ifndef VWL_LOOP_CONTEXTS_H
#define VWL_LOOP_CONTEXTS_H

#include <glib.h>

#include "base/log.h"
#include "loop/source.h"
#include "vhost-user-wl/plugin.h"

struct vwl_closer;
struct vwl_contexts;
struct vwl_rules;

struct vwl_contexts_config {
    enum vwl_security_context mode;
    const char *name; /* of the VM; may be NULL */
    const struct vwl_socket *sockets;
    size_t n_sockets;
    struct vwl_closer *closer;            /* outlives it */
    const struct vwl_rules *const *rules; /* of each; or NULL: not told */
};

/* config is copied, what it points at is not. NULL: nothing is to be done. */
struct vwl_contexts *vwl_contexts_create(
    const struct vwl_contexts_config *config, struct vwl_log *log,
    struct vwl_gate *gate);
/* Whoever still waits is refused. NULL is fine. */
void vwl_contexts_destroy(struct vwl_contexts *contexts);

/* As vwl_host's socket_connect. -EOPNOTSUPP: connect by path; contexts may be
 * NULL. */
int vwl_contexts_connect(struct vwl_contexts *contexts, size_t index, int *fd);

#endif
