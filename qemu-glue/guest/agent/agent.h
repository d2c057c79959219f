/* SPDX-License-Identifier: BSD-3-Clause */
/* The agent: what the host asks on the channel is done in this session, and
 * what happens here is told. */
#ifndef VWL_AGENT_AGENT_H
#define VWL_AGENT_AGENT_H

#include <glib.h>
#include <stdbool.h>

struct vwl_agent;

/* socket: where the bridge offers the host's named socket. jobs_only: programs
 * are started by EXEC, and nothing else is done (root's agent). NULL with
 * *error. */
struct vwl_agent *vwl_agent_create(const char *socket, bool jobs_only,
                                   GError **error);
void vwl_agent_destroy(struct vwl_agent *agent);

#endif
