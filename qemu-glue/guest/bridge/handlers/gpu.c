/* SPDX-License-Identifier: BSD-3-Clause */
#include "gpu.h"

const struct vwl_transport_gpu *vwl_gpu_of(struct vwl_bridge *bridge)
{
    if (!bridge->gpu_known) {
        bridge->gpu_known = vwl_transport_gpu(bridge->transport,
                                              &bridge->gpu) == 0;
    }
    return &bridge->gpu;
}
