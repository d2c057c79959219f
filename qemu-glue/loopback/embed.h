/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A GMainContext within another: whoever iterates the outer one runs the
 * sources of the inner one with it, in one poll. The inner one may still be
 * iterated alone, by the same thread, for a wait that runs nothing else.
 */
#ifndef VWL_LOOPBACK_EMBED_H
#define VWL_LOOPBACK_EMBED_H

#include <glib.h>

/* Attached to the thread's default context; inner is owned by this thread
 * until the source is finished. ran is called after each dispatch. Ends by
 * g_source_destroy and g_source_unref. */
GSource *vwl_embed_new(GMainContext *inner, void (*ran)(void *opaque),
                       void *opaque);

#endif
