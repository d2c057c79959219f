/* SPDX-License-Identifier: BSD-3-Clause */
#include "window.h"

#include <string.h>

#include "fail.h"
#include "page.h"
#include "rows.h"
#include "service.h"

#define WIDTH 860
#define HEIGHT 640
#define SIDE 200

struct window {
    GtkWidget *window;
    GtkWidget *stack; /* "wait", "none", "failed", "machines" */
    GtkWidget *why;   /* of "failed" */
    GtkWidget *list, *pages;
    struct vwl_watch *watch;
};

/* ---- machines ----------------------------------------------------------- */

static GtkWidget *find_row(const struct window *window, VwlBusMachine *machine)
{
    GtkWidget *row = gtk_widget_get_first_child(window->list);

    while (row && g_object_get_data(G_OBJECT(row), "machine") != machine) {
        row = gtk_widget_get_next_sibling(row);
    }
    return row;
}

static void show_state(VwlBusMachine *machine, GParamSpec *spec,
                       GtkWidget *label)
{
    gtk_label_set_text(GTK_LABEL(label), vwl_page_state(machine));
}

static GtkWidget *new_row(VwlBusMachine *machine)
{
    GtkWidget *row = gtk_list_box_row_new();
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2);
    GtkWidget *name = gtk_label_new(vwl_bus_machine_get_name(machine));
    GtkWidget *state = gtk_label_new(vwl_page_state(machine));

    gtk_label_set_xalign(GTK_LABEL(name), 0);
    gtk_label_set_xalign(GTK_LABEL(state), 0);
    gtk_label_set_ellipsize(GTK_LABEL(name), PANGO_ELLIPSIZE_END);
    gtk_widget_add_css_class(state, "dim-label");
    gtk_widget_add_css_class(state, "caption");
    gtk_box_append(GTK_BOX(box), name);
    gtk_box_append(GTK_BOX(box), state);
    gtk_widget_set_margin_top(box, 6);
    gtk_widget_set_margin_bottom(box, 6);
    gtk_list_box_row_set_child(GTK_LIST_BOX_ROW(row), box);
    g_object_set_data_full(G_OBJECT(row), "machine", g_object_ref(machine),
                           g_object_unref);
    gtk_accessible_update_property(GTK_ACCESSIBLE(row),
                                   GTK_ACCESSIBLE_PROPERTY_LABEL,
                                   vwl_bus_machine_get_name(machine), -1);
    g_signal_connect_object(machine, "notify::state", G_CALLBACK(show_state),
                            state, 0);
    g_signal_connect_object(machine, "notify::saved", G_CALLBACK(show_state),
                            state, 0);
    return row;
}

static void show_some(struct window *window)
{
    bool has_some = gtk_widget_get_first_child(window->list) != NULL;

    gtk_stack_set_visible_child_name(GTK_STACK(window->stack),
                                     has_some ? "machines" : "none");
}

static void on_added(void *data, VwlBusMachine *machine)
{
    struct window *window = data;
    const char *name = vwl_bus_machine_get_name(machine);
    GtkWidget *row, *page;

    if (!name || find_row(window, machine)) {
        return;
    }
    row = new_row(machine);
    page = vwl_page_new(machine);
    g_object_set_data(G_OBJECT(row), "page", page);
    gtk_stack_add_child(GTK_STACK(window->pages), page);
    gtk_list_box_append(GTK_LIST_BOX(window->list), row);
    if (!gtk_list_box_get_selected_row(GTK_LIST_BOX(window->list))) {
        gtk_list_box_select_row(GTK_LIST_BOX(window->list),
                                GTK_LIST_BOX_ROW(row));
    }
    show_some(window);
}

static void on_removed(void *data, VwlBusMachine *machine)
{
    struct window *window = data;
    GtkWidget *row = find_row(window, machine), *first;

    if (row) {
        gtk_stack_remove(GTK_STACK(window->pages),
                         g_object_get_data(G_OBJECT(row), "page"));
        gtk_list_box_remove(GTK_LIST_BOX(window->list), row);
    }
    first = gtk_widget_get_first_child(window->list);
    if (first && !gtk_list_box_get_selected_row(GTK_LIST_BOX(window->list))) {
        gtk_list_box_select_row(GTK_LIST_BOX(window->list),
                                GTK_LIST_BOX_ROW(first));
    }
    show_some(window);
}

static void on_selected(GtkListBox *list, GtkListBoxRow *row,
                        struct window *window)
{
    GtkWidget *page = row ? g_object_get_data(G_OBJECT(row), "page") : NULL;

    if (page) {
        gtk_stack_set_visible_child(GTK_STACK(window->pages), page);
    }
}

static int compare(GtkListBoxRow *a, GtkListBoxRow *b, gpointer data)
{
    return strcmp(
        vwl_bus_machine_get_name(g_object_get_data(G_OBJECT(a), "machine")),
        vwl_bus_machine_get_name(g_object_get_data(G_OBJECT(b), "machine")));
}

/* ---- the service -------------------------------------------------------- */

static void on_connected(void *data)
{
    show_some(data);
}

static void on_failed(void *data, const GError *error)
{
    struct window *window = data;
    char *text = vwl_fail_text(error);

    gtk_label_set_text(GTK_LABEL(window->why), text);
    gtk_stack_set_visible_child_name(GTK_STACK(window->stack), "failed");
    g_free(text);
}

static const struct vwl_watch_ops watch_ops = {
    .added = on_added,
    .removed = on_removed,
    .connected = on_connected,
    .failed = on_failed,
};

static void on_again(GtkButton *button, struct window *window)
{
    gtk_stack_set_visible_child_name(GTK_STACK(window->stack), "wait");
    vwl_watch_connect(window->watch);
}

/* ---- life --------------------------------------------------------------- */

static GtkWidget *new_status(const char *icon, const char *title,
                             GtkWidget *text)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 12);
    GtkWidget *image = gtk_image_new_from_icon_name(icon);
    GtkWidget *label = gtk_label_new(title);

    gtk_image_set_pixel_size(GTK_IMAGE(image), 96);
    gtk_widget_add_css_class(image, "dim-label");
    gtk_widget_add_css_class(label, "title-2");
    gtk_widget_set_halign(text, GTK_ALIGN_CENTER);
    gtk_label_set_justify(GTK_LABEL(text), GTK_JUSTIFY_CENTER);
    gtk_label_set_max_width_chars(GTK_LABEL(text), 60);
    gtk_box_append(GTK_BOX(box), image);
    gtk_box_append(GTK_BOX(box), label);
    gtk_box_append(GTK_BOX(box), text);
    gtk_widget_set_valign(box, GTK_ALIGN_CENTER);
    gtk_widget_set_halign(box, GTK_ALIGN_CENTER);
    return box;
}

static GtkWidget *new_machines(struct window *window)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0);
    GtkWidget *side = gtk_scrolled_window_new();

    window->list = gtk_list_box_new();
    gtk_list_box_set_selection_mode(GTK_LIST_BOX(window->list),
                                    GTK_SELECTION_BROWSE);
    gtk_list_box_set_sort_func(GTK_LIST_BOX(window->list), compare, NULL, NULL);
    gtk_widget_add_css_class(window->list, "navigation-sidebar");
    g_signal_connect(window->list, "row-selected", G_CALLBACK(on_selected),
                     window);
    gtk_widget_set_size_request(side, SIDE, -1);
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(side), GTK_POLICY_NEVER,
                                   GTK_POLICY_AUTOMATIC);
    gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(side), window->list);
    window->pages = gtk_stack_new();
    gtk_widget_set_hexpand(window->pages, TRUE);
    gtk_box_append(GTK_BOX(box), side);
    gtk_box_append(GTK_BOX(box), gtk_separator_new(GTK_ORIENTATION_VERTICAL));
    gtk_box_append(GTK_BOX(box), window->pages);
    return box;
}

static GtkWidget *new_failed(struct window *window)
{
    GtkWidget *again = vwl_rows_button("Try Again", "Try again");
    GtkWidget *status;

    window->why = vwl_rows_text("");
    status = new_status("dialog-error-symbolic",
                        "The Machines Cannot Be Reached", window->why);
    gtk_widget_set_halign(again, GTK_ALIGN_CENTER);
    gtk_widget_add_css_class(again, "suggested-action");
    g_signal_connect(again, "clicked", G_CALLBACK(on_again), window);
    gtk_box_append(GTK_BOX(status), again);
    return status;
}

static void add(struct window *window, GtkWidget *child, const char *name)
{
    gtk_stack_add_named(GTK_STACK(window->stack), child, name);
}

static void window_free(gpointer data)
{
    struct window *window = data;

    vwl_watch_destroy(window->watch);
    g_free(window);
}

GtkWidget *vwl_window_new(GtkApplication *app)
{
    struct window *window = g_new0(struct window, 1);
    GtkWidget *spinner = gtk_spinner_new();

    window->window = gtk_application_window_new(app);
    window->stack = gtk_stack_new();
    gtk_spinner_start(GTK_SPINNER(spinner));
    add(window, spinner, "wait");
    add(window,
        new_status("computer-symbolic", "No Machines",
                   vwl_rows_text("Make one in a terminal: vwl create test\n"
                                 "It appears here when it is ready.")),
        "none");
    add(window, new_failed(window), "failed");
    add(window, new_machines(window), "machines");
    gtk_window_set_title(GTK_WINDOW(window->window), "Virtual Machines");
    gtk_window_set_default_size(GTK_WINDOW(window->window), WIDTH, HEIGHT);
    gtk_window_set_titlebar(GTK_WINDOW(window->window), gtk_header_bar_new());
    gtk_window_set_child(GTK_WINDOW(window->window), window->stack);
    window->watch = vwl_watch_create(&watch_ops, window);
    g_object_set_data_full(G_OBJECT(window->window), "window", window,
                           window_free);
    vwl_watch_connect(window->watch);
    return window->window;
}
