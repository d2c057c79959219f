/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what the window's pages are made of: sections with a heading and
 * rows, and what each row has at its end. Everything that can be pressed has
 * its row's name for those who do not see it.
 *
 * Widgets are returned floating, as GTK's own are.
 */
#ifndef VWL_WINDOW_ROWS_H
#define VWL_WINDOW_ROWS_H

#include <gtk/gtk.h>

/* A heading and an empty list, which *list is. */
GtkWidget *vwl_rows_section(const char *heading, GtkWidget **list);

/* A row of a list: text, a smaller line below it (may be NULL), and a widget at
 * its end (may be NULL). */
void vwl_rows_add(GtkWidget *list, const char *icon, const char *title,
                  const char *subtitle, GtkWidget *end);

/* One line without anything to press, for a list that is empty. */
void vwl_rows_add_hint(GtkWidget *list, const char *text);

void vwl_rows_clear(GtkWidget *list);

/* A button that asks for something of this name. */
GtkWidget *vwl_rows_button(const char *label, const char *name);

/* A label of several lines that can be selected. */
GtkWidget *vwl_rows_text(const char *text);

#endif
