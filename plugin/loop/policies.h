/* SPDX-License-Identifier: BSD-3-Clause */
/* The policies of a device's host sockets, from what its host says. */
#ifndef VWL_LOOP_POLICIES_H
#define VWL_LOOP_POLICIES_H

#include <stdbool.h>

#include "base/log.h"
#include "vhost-user-wl/plugin.h"

struct vwl_rules;

/* Of each socket, as vwl_core_config takes them: an array of n_sockets.
 * can_ask: the host answers questions about transfers. -EINVAL: the log says
 * why. */
int vwl_policies_create(const struct vwl_config *config, bool can_ask,
                        struct vwl_log *log,
                        const struct vwl_rules *const **out);
/* Another way of transfers behind one of them, with no filter at work
 * meanwhile. -errno as device_set_transfer has it: the log says why. */
int vwl_policies_set_transfer(const struct vwl_rules *const *policies,
                              size_t n_sockets, bool can_ask,
                              struct vwl_log *log, size_t index, uint32_t kind,
                              uint32_t way);

void vwl_policies_destroy(const struct vwl_rules *const *policies,
                          size_t n_sockets); /* NULL is fine */

#endif
