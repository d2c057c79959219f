/* SPDX-License-Identifier: BSD-3-Clause */
#include "watch.h"

/* Without the flag GLib takes the descriptor out of its poll set and back
 * around every dispatch, and wakes itself up each time: four system calls and
 * another round. */
guint vwl_watch_add(int fd, GIOCondition condition, GUnixFDSourceFunc fn,
                    void *opaque)
{
    GSource *source = g_unix_fd_source_new(fd, condition);
    guint id;

    g_source_set_can_recurse(source, TRUE);
    g_source_set_callback(source, G_SOURCE_FUNC(fn), opaque, NULL);
    id = g_source_attach(source, NULL);
    g_source_unref(source);
    return id;
}
