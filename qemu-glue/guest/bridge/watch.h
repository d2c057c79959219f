/* SPDX-License-Identifier: BSD-3-Clause */
/* Descriptors in the main loop. */
#ifndef VWL_BRIDGE_WATCH_H
#define VWL_BRIDGE_WATCH_H

#include <glib-unix.h>

/* As g_unix_fd_add, but cheaper, for sources that never iterate the loop from
 * within it. Ends by g_source_remove or when fn says so. */
guint vwl_watch_add(int fd, GIOCondition condition, GUnixFDSourceFunc fn,
                    void *opaque);

#endif
