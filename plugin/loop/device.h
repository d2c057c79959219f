/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device's life: start, stop, suspend; on the host's context or in a thread
 * of its own. Everything that a session needs is made by start and gone after
 * stop; counters go on. [owner] functions as in the plugin's ABI.
 */
#ifndef VWL_LOOP_DEVICE_H
#define VWL_LOOP_DEVICE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost-user-wl/plugin.h"

struct vwl_device;

/* config and host are complete (their sizes are ours) and copied. -errno with
 * the reason in the log. */
int vwl_device_create(const struct vwl_config *config,
                      const struct vwl_host *host, struct vwl_device **out);
void vwl_device_destroy(struct vwl_device *device);

enum vwl_device_runs {
    VWL_DEVICE_IN_CONTEXT,  /* and where the context is iterated */
    VWL_DEVICE_IN_THREAD,   /* of its own */
    VWL_DEVICE_IN_DISPATCH, /* when the host calls that */
};

/* context: NULL but for the first. */
int vwl_device_start(struct vwl_device *device, enum vwl_device_runs runs,
                     GMainContext *context, int *fd);
/* As the plugin's. */
int vwl_device_fd(struct vwl_device *device);
int vwl_device_dispatch(struct vwl_device *device, int other, int timeout_ms);
void vwl_device_stop(struct vwl_device *device);
int vwl_device_suspend(struct vwl_device *device, bool on);
int vwl_device_state(struct vwl_device *device, bool save, int *fd);

/* As the plugin's; [any]. */
int vwl_device_probe(struct vwl_device *device, char **text);
int vwl_device_windows(struct vwl_device *device, char **text); /* g_free */
int vwl_device_pipe(struct vwl_device *device, uint32_t vfd);
int vwl_device_set_transfer(struct vwl_device *device, size_t index,
                            uint32_t kind, uint32_t way);
/* stats is complete; [any]. */
void vwl_device_stats(struct vwl_device *device, struct vwl_stats *stats);
uint64_t vwl_device_features(const struct vwl_device *device);
uint64_t vwl_device_protocol_features(const struct vwl_device *device);

#endif
