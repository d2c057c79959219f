/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest may ask for, and the kinds of VFD that there are: command.c
 * has a table of each.
 */
#ifndef VWL_WL_COMMAND_H
#define VWL_WL_COMMAND_H

#include <stdint.h>

struct vwl_core;
struct vwl_request;
struct vwl_vfd_ops;

/* As vwl_core_execute. */
int vwl_command_execute(struct vwl_core *core, struct vwl_request *request);

/* Does what waited for VFDs that were made meanwhile. Call it whenever one may
 * have been. */
void vwl_command_resume(struct vwl_core *core);

/* A kind by its number in a snapshot; NULL: there is none. */
const struct vwl_vfd_ops *vwl_command_kind(uint32_t image_kind);

#endif
