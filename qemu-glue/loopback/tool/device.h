/* SPDX-License-Identifier: BSD-3-Clause */
/* The plugin in this process. */
#ifndef VWL_TOOL_DEVICE_H
#define VWL_TOOL_DEVICE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "../transport_daemon.h"

struct device;
struct vwl_exports;
struct vwl_socket_list;
struct vwl_socket_policy;

struct device_wishes {
    const char *plugin; /* NULL: the one built or installed with this program */
    const struct vwl_socket_list *sockets;  /* of the host */
    const struct vwl_socket_policy *policy; /* of those that have one */
    const char *dmabufs;                    /* as in vwl_config; NULL: off */
    uint32_t poll_us;
    bool own_thread;             /* or it is run as inside says */
    struct vwl_exports *exports; /* what foreign ids mean */
    bool verbose;
};

/* *fd: a vhost-user connection to it. */
struct device *device_open(const struct device_wishes *wishes, int *fd,
                           GError **error);
/* How to run one that has no thread of its own. */
struct vwl_inside device_inside(struct device *device);
/* As the plugin's, of a struct device. */
int device_pipe(void *device, uint32_t vfd);
/* NULL is fine. */
void device_close(struct device *device);

#endif
