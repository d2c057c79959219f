/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the section of a machine's page that says what the machine may do
 * on this desktop: a row for each word of its policy that takes effect at
 * once. What the service has is shown; what is chosen is sent to it.
 */
#ifndef VWL_WINDOW_ACCESS_H
#define VWL_WINDOW_ACCESS_H

#include <gtk/gtk.h>

#include "vwl-bus.h"

/* Called with what went wrong. */
typedef void (*vwl_access_failed_fn)(void *data, const GError *error);

/* The widget holds a reference to the machine. */
GtkWidget *vwl_access_new(VwlBusMachine *machine, vwl_access_failed_fn failed,
                          void *data);

#endif
