/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rig's device, in this process or in another; between the rig's files.
 * VWL_PLUGIN and VWL_DAEMON name what was built.
 */
#ifndef RIG_DEVICE_H
#define RIG_DEVICE_H

#include "rig.h"

/* Once for a process: loads the plugin before descriptors are counted. */
void rig_device_load(struct rig *r);
void rig_device_create(struct rig *r);
/* The front-end's end of a new connection. */
int rig_device_connect(struct rig *r);
/* Gives the other end to the device. */
void rig_device_start(struct rig *r);
/* Waits until the device has noticed that the front-end is gone. */
void rig_device_disconnected(struct rig *r);
void rig_device_destroy(struct rig *r);

#endif
