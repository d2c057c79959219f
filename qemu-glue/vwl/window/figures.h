/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the lists of a machine's windows and figures, from what Look of the
 * interface Machine says.
 */
#ifndef VWL_WINDOW_FIGURES_H
#define VWL_WINDOW_FIGURES_H

#include <gtk/gtk.h>

/* NULL for both variants: it does not run. Lists that show the same already
 * are left as they are. */
void vwl_figures_show(GtkWidget *figures_list, GtkWidget *windows_list,
                      GVariant *figures, GVariant *windows);

#endif
