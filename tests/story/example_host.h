/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The least that a VMM does to have the device in its process: what
 * docs/porting.md shows. The VMM's vhost-user front-end holds the other end of
 * the socket that example_start takes; window is the memory behind shared
 * memory region 0, which the guest sees as a PCI BAR.
 */
#ifndef STORY_EXAMPLE_HOST_H
#define STORY_EXAMPLE_HOST_H

#include "vhost-user-wl/plugin.h"

struct example {
    uint8_t *window; /* of window_size bytes, harmless memory at first */
    uint64_t window_size;
    struct vwl_host callbacks; /* must outlive the device */
    struct vwl_device *device;
};

/* Takes *fd, the device's end of the vhost-user socket. On failure, too, the
 * device is to be freed: device_free takes NULL. */
int example_start(struct example *host, const struct vwl_plugin *plugin,
                  const char *wayland, int *fd);

#endif
