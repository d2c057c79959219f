/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the device's files alone: device_ask.c calls device.c. */
#ifndef VWL_LOOP_DEVICE_PRIV_H
#define VWL_LOOP_DEVICE_PRIV_H

#include "loop/device.h"

struct vwl_pump;

/* pump: NULL while the device is stopped. */
typedef void (*vwl_with_pump_fn)(struct vwl_device *device,
                                 struct vwl_pump *pump, void *opaque);

/* Runs fn at once, in this thread, while no source's function runs. */
void vwl_device_with_pump(struct vwl_device *device, vwl_with_pump_fn fn,
                          void *opaque);

#endif
