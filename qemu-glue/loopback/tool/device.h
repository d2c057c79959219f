/* SPDX-License-Identifier: BSD-3-Clause */
/* The plugin in this process, on a thread of its own. */
#ifndef VWL_TOOL_DEVICE_H
#define VWL_TOOL_DEVICE_H

#include <glib.h>
#include <stdbool.h>

struct device;

/* plugin NULL: the one that was built or installed with this program. upstream:
 * PATH[,name=NAME] of the host's sockets. *fd: a vhost-user connection to
 * it. */
struct device *device_open(const char *plugin, char **upstream,
                           bool verbose, int *fd, GError **error);
/* NULL is fine. */
void device_close(struct device *device);

#endif
