/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: one machine in the window: what it is and does, buttons to start and
 * stop it, its programs with a button each, its windows and figures (asked for
 * every two seconds while the page is on the screen), and what it may do on
 * this desktop (access.h).
 */
#ifndef VWL_WINDOW_PAGE_H
#define VWL_WINDOW_PAGE_H

#include <gtk/gtk.h>

#include "vwl-bus.h"

/* The widget holds a reference to the machine. */
GtkWidget *vwl_page_new(VwlBusMachine *machine);

/* "Running", "Off": a state for people. */
const char *vwl_page_state(VwlBusMachine *machine);

#endif
