/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest may ask for: one row of the table in command.c for each
 * command.
 */
#ifndef VWL_WL_COMMAND_H
#define VWL_WL_COMMAND_H

struct vwl_core;
struct vwl_request;

/* As vwl_core_execute. */
int vwl_command_execute(struct vwl_core *core, struct vwl_request *request);

#endif
