/* SPDX-License-Identifier: BSD-3-Clause */
/* The host sockets that guests may open, checked and copied from what the host
 * says. */
#ifndef VWL_LOOP_SOCKETS_H
#define VWL_LOOP_SOCKETS_H

#include <glib.h>

#include "base/log.h"
#include "vhost-user-wl/plugin.h"

/* Puts all that is copied into `strings`, which frees it. -EINVAL: the log
 * says why. */
int vwl_sockets_copy(const struct vwl_config *config, struct vwl_log *log,
                     GPtrArray *strings, const struct vwl_socket **out);

#endif
