/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VWL_BRIDGE_GPU_H
#define VWL_BRIDGE_GPU_H

#include "client.h"

/* What can be sent of the guest's own GPU; the host is asked once it answers,
 * and no more. */
const struct vwl_transport_gpu *vwl_gpu_of(struct vwl_bridge *bridge);

#endif
