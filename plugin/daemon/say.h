/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's own lines on standard error. Purpose: one place that puts the
 * program's name in front. Any thread; nothing is owned.
 */
#ifndef VWL_DAEMON_SAY_H
#define VWL_DAEMON_SAY_H

#include <glib.h>

/* One line; the newline is added. Never bytes that a guest sent. */
void vwl_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

#endif
