/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the channels to a machine's agents: its session's, whose life and
 * frames are told to the owner, and root's, which only runs what it is told.
 *
 * Thread: the main context's.
 */
#ifndef VWL_SERVICE_AGENTS_H
#define VWL_SERVICE_AGENTS_H

#include "link.h"

struct vwl_agents;

/* runtime: the folder of their sockets; name: of the machine, for the log; ops:
 * of the session's. NULL with *error. */
struct vwl_agents *vwl_agents_create(const char *runtime, const char *name,
                                     const struct vwl_link_ops *ops, void *data,
                                     GError **error);
void vwl_agents_destroy(struct vwl_agents *agents);

/* The guest has stood still: root's agent, when it comes, sets its clock by the
 * machine's, which has gone on. Once. */
void vwl_agents_mind_the_clock(struct vwl_agents *agents);

/* The session's, or root's. */
struct vwl_link *vwl_agents_link(struct vwl_agents *agents, bool root);

#endif
