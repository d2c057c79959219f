/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the window: machines at its side, the page of the one that is
 * chosen; or that there are none, or why they cannot be seen.
 */
#ifndef VWL_WINDOW_WINDOW_H
#define VWL_WINDOW_WINDOW_H

#include <gtk/gtk.h>

GtkWidget *vwl_window_new(GtkApplication *app);

#endif
