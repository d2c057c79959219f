/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * org.freedesktop.Notifications on the session's bus of this machine, unless
 * it has a desktop of its own: the host shows them. Text alone, without
 * actions.
 */
#ifndef VWL_AGENT_NOTICES_H
#define VWL_AGENT_NOTICES_H

#include "wire.h"

struct vwl_notices;

struct vwl_notices *vwl_notices_create(struct vwl_wire *wire);
void vwl_notices_destroy(struct vwl_notices *notices);

/* Whether the host would show any; it is not asked to otherwise. */
void vwl_notices_allow(struct vwl_notices *notices, bool allowed);
/* The host has closed it. */
void vwl_notices_closed(struct vwl_notices *notices, uint32_t id);

#endif
