/* SPDX-License-Identifier: BSD-3-Clause */
#include "rows.h"

#define GAP 6
#define MARGIN 12

static void set_margins(GtkWidget *widget, int margin)
{
    gtk_widget_set_margin_top(widget, margin);
    gtk_widget_set_margin_bottom(widget, margin);
    gtk_widget_set_margin_start(widget, margin);
    gtk_widget_set_margin_end(widget, margin);
}

GtkWidget *vwl_rows_section(const char *heading, GtkWidget **list)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, GAP);
    GtkWidget *label = gtk_label_new(heading);
    GtkWidget *frame = gtk_frame_new(NULL);

    *list = gtk_list_box_new();
    gtk_list_box_set_selection_mode(GTK_LIST_BOX(*list), GTK_SELECTION_NONE);
    gtk_list_box_set_show_separators(GTK_LIST_BOX(*list), TRUE);
    gtk_widget_add_css_class(label, "heading");
    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_frame_set_child(GTK_FRAME(frame), *list);
    gtk_box_append(GTK_BOX(box), label);
    gtk_box_append(GTK_BOX(box), frame);
    return box;
}

static GtkWidget *new_texts(const char *title, const char *subtitle)
{
    GtkWidget *texts = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2);
    GtkWidget *first = gtk_label_new(title), *second;

    gtk_label_set_xalign(GTK_LABEL(first), 0);
    gtk_label_set_ellipsize(GTK_LABEL(first), PANGO_ELLIPSIZE_END);
    gtk_box_append(GTK_BOX(texts), first);
    if (subtitle && subtitle[0]) {
        second = gtk_label_new(subtitle);
        gtk_label_set_xalign(GTK_LABEL(second), 0);
        gtk_label_set_wrap(GTK_LABEL(second), TRUE);
        gtk_widget_add_css_class(second, "dim-label");
        gtk_widget_add_css_class(second, "caption");
        gtk_box_append(GTK_BOX(texts), second);
    }
    gtk_widget_set_hexpand(texts, TRUE);
    gtk_widget_set_valign(texts, GTK_ALIGN_CENTER);
    return texts;
}

static void append(GtkWidget *list, GtkWidget *child)
{
    GtkWidget *row = gtk_list_box_row_new();

    gtk_list_box_row_set_activatable(GTK_LIST_BOX_ROW(row), FALSE);
    gtk_widget_set_focusable(row, FALSE);
    gtk_list_box_row_set_child(GTK_LIST_BOX_ROW(row), child);
    gtk_list_box_append(GTK_LIST_BOX(list), row);
}

void vwl_rows_add(GtkWidget *list, const char *icon, const char *title,
                  const char *subtitle, GtkWidget *end)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, MARGIN);
    GtkWidget *image;
    GIcon *names;

    if (icon) {
        names = g_themed_icon_new(icon);
        g_themed_icon_append_name(G_THEMED_ICON(names),
                                  "application-x-executable");
        image = gtk_image_new_from_gicon(names);
        g_object_unref(names);
        gtk_image_set_icon_size(GTK_IMAGE(image), GTK_ICON_SIZE_LARGE);
        gtk_box_append(GTK_BOX(box), image);
    }
    gtk_box_append(GTK_BOX(box), new_texts(title, subtitle));
    if (end) {
        gtk_widget_set_valign(end, GTK_ALIGN_CENTER);
        gtk_box_append(GTK_BOX(box), end);
    }
    set_margins(box, 8);
    append(list, box);
}

void vwl_rows_add_hint(GtkWidget *list, const char *text)
{
    GtkWidget *label = vwl_rows_text(text);

    gtk_widget_add_css_class(label, "dim-label");
    set_margins(label, 8);
    append(list, label);
}

void vwl_rows_clear(GtkWidget *list)
{
    GtkWidget *row;

    while ((row = gtk_widget_get_first_child(list))) {
        gtk_list_box_remove(GTK_LIST_BOX(list), row);
    }
}

GtkWidget *vwl_rows_button(const char *label, const char *name)
{
    GtkWidget *button = gtk_button_new_with_label(label);

    gtk_accessible_update_property(GTK_ACCESSIBLE(button),
                                   GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
    return button;
}

GtkWidget *vwl_rows_text(const char *text)
{
    GtkWidget *label = gtk_label_new(text);

    gtk_label_set_wrap(GTK_LABEL(label), TRUE);
    gtk_label_set_xalign(GTK_LABEL(label), 0);
    gtk_label_set_selectable(GTK_LABEL(label), TRUE);
    gtk_widget_set_focusable(label, FALSE);
    return label;
}
