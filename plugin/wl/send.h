/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * SEND and SEND_FOREIGN_ID: what they name, and what may be sent to whom.
 * How it travels is the outbox's business.
 */
#ifndef VWL_WL_SEND_H
#define VWL_WL_SEND_H

#include <stdbool.h>
#include <stdint.h>

struct vwl_core;
struct vwl_request;

/* Carries it out, as vwl_core_execute. foreign: entries have a kind. */
int vwl_send(struct vwl_core *core, struct vwl_request *request, bool foreign);
/* Whether this VFD goes with it. */
bool vwl_send_carries(const struct vwl_core *core,
                      const struct vwl_request *request, bool foreign,
                      uint32_t id);

#endif
