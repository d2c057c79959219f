/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the daemon gives up before it serves anybody: privileges, files,
 * sockets, most system calls, and resources without end. docs/security.md says
 * what each part is for.
 */
#ifndef VWL_DAEMON_SANDBOX_H
#define VWL_DAEMON_SANDBOX_H

#include "options.h"

/* For the daemon, while it has one thread; everything that it needs by path is
 * open. Says on standard error what this kernel or this build cannot do. */
void vwl_sandbox_enter(const struct vwl_options *options);

/* For vwl_connector_start; silent. */
void vwl_sandbox_enter_connector(const struct vwl_options *options);

#endif
