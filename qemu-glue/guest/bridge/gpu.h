/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VWL_BRIDGE_GPU_H
#define VWL_BRIDGE_GPU_H

#include "client.h"

/* What can be sent of the guest's own GPU. The host is asked once it answers,
 * and no more. NULL: it is being asked; a dispatch follows its answer. */
const struct vwl_transport_gpu *vwl_gpu_of(struct vwl_bridge *bridge);

/* Waits for a question that is under way: before the transport goes. */
void vwl_gpu_finish(struct vwl_bridge *bridge);

#endif
