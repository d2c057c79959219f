/* SPDX-License-Identifier: BSD-3-Clause */
#include "page.h"

#include <string.h>

#include "access.h"
#include "fail.h"
#include "figures.h"
#include "rows.h"

#define LOOK_SECONDS 2
#define WIDTH 560

struct page {
    VwlBusMachine *machine;
    GtkWidget *widget; /* not a reference: it holds this */
    GtkWidget *subtitle, *trouble;
    GtkWidget *start, *save, *stop, *force;
    GtkWidget *programs, *windows, *figures; /* lists */
    char *failure; /* of the last thing that was asked for, or NULL */
    unsigned int look;
    bool is_looking;
};

/* ---- what is shown ------------------------------------------------------ */

static const struct {
    const char *state, *text;
} states[] = {
    { "off", "Off" },           { "starting", "Starting" },
    { "running", "Running" },   { "saving", "Saving" },
    { "stopping", "Stopping" }, { "failed", "Not running" },
};

const char *vwl_page_state(VwlBusMachine *machine)
{
    const char *state = vwl_bus_machine_get_state(machine);

    if (g_strcmp0(state, "off") == 0 && vwl_bus_machine_get_saved(machine)) {
        return "Saved";
    }
    for (size_t i = 0; state && i < G_N_ELEMENTS(states); i++) {
        if (strcmp(states[i].state, state) == 0) {
            return states[i].text;
        }
    }
    return "";
}

static void show_subtitle(struct page *page)
{
    GString *text = g_string_new(vwl_page_state(page->machine));
    gint64 since = vwl_bus_machine_get_since(page->machine);
    GDateTime *time = since ? g_date_time_new_from_unix_local(since) : NULL;
    const char *system = vwl_bus_machine_get_system(page->machine);
    unsigned int memory = vwl_bus_machine_get_memory(page->machine);

    if (time) {
        char *when = g_date_time_format(time, "%F %H:%M");

        g_string_append_printf(text, " since %s", when);
        g_free(when);
        g_date_time_unref(time);
    }
    if (system && system[0]) {
        g_string_append_printf(text, " · %s", system);
    }
    if (memory) {
        g_string_append_printf(text, " · %u MiB · %s", memory,
                               vwl_bus_machine_get_accelerator(page->machine));
    }
    gtk_label_set_text(GTK_LABEL(page->subtitle), text->str);
    g_string_free(text, TRUE);
}

static void show_trouble(struct page *page)
{
    const char *error = vwl_bus_machine_get_error(page->machine);
    const char *warning = vwl_bus_machine_get_warning(page->machine);
    const char *text = page->failure           ? page->failure
                       : error && error[0]     ? error
                       : warning && warning[0] ? warning
                                               : NULL;

    gtk_widget_set_visible(page->trouble, text != NULL);
    gtk_label_set_text(GTK_LABEL(page->trouble), text ? text : "");
    gtk_widget_remove_css_class(page->trouble, "error");
    gtk_widget_remove_css_class(page->trouble, "warning");
    gtk_widget_add_css_class(page->trouble,
                             text == warning ? "warning" : "error");
}

static void show_buttons(struct page *page)
{
    const char *state = vwl_bus_machine_get_state(page->machine);
    bool is_off = g_strcmp0(state, "off") == 0 ||
                  g_strcmp0(state, "failed") == 0;
    bool is_stopping = g_strcmp0(state, "stopping") == 0;
    bool is_saving = g_strcmp0(state, "saving") == 0;

    gtk_widget_set_visible(page->start, is_off);
    gtk_widget_set_visible(page->save, !is_off && !is_stopping);
    gtk_widget_set_sensitive(page->save, g_strcmp0(state, "running") == 0);
    gtk_widget_set_visible(page->stop, !is_off);
    gtk_widget_set_sensitive(page->stop, !is_stopping && !is_saving);
    gtk_widget_set_visible(page->force, is_stopping);
}

static void show(struct page *page)
{
    show_subtitle(page);
    show_trouble(page);
    show_buttons(page);
}

/* ---- what is asked for -------------------------------------------------- */

static void fail(void *data, const GError *error)
{
    struct page *page = data;

    g_free(page->failure);
    page->failure = error ? vwl_fail_text(error) : NULL;
    show_trouble(page);
}

/* A reference to the page's widget lives with each call. */
static struct page *begin(struct page *page)
{
    g_object_ref(page->widget);
    return page;
}

static void end(struct page *page, GError *error)
{
    if (error) {
        fail(page, error);
        g_error_free(error);
    }
    g_object_unref(page->widget);
}

static void on_started(GObject *source, GAsyncResult *result, gpointer data)
{
    GError *error = NULL;

    vwl_bus_machine_call_start_finish(VWL_BUS_MACHINE(source), result, &error);
    end(data, error);
}

static void on_stopped(GObject *source, GAsyncResult *result, gpointer data)
{
    GError *error = NULL;

    vwl_bus_machine_call_stop_finish(VWL_BUS_MACHINE(source), result, &error);
    end(data, error);
}

static void on_launched(GObject *source, GAsyncResult *result, gpointer data)
{
    GError *error = NULL;

    vwl_bus_machine_call_launch_finish(VWL_BUS_MACHINE(source), result, &error);
    end(data, error);
}

/* The desktop that this window is on is where the machine's belong, too. */
static void on_start(GtkButton *button, struct page *page)
{
    const char *display = g_getenv("WAYLAND_DISPLAY");
    const char *runtime = g_get_user_runtime_dir();
    GVariantDict options;
    char *path;

    fail(page, NULL);
    g_variant_dict_init(&options, NULL);
    if (display && display[0]) {
        path = g_canonicalize_filename(display, runtime);
        g_variant_dict_insert(&options, "display", "s", path);
        g_free(path);
    }
    vwl_bus_machine_call_start(page->machine, g_variant_dict_end(&options),
                               NULL, on_started, begin(page));
}

static void stop(struct page *page, const char *how)
{
    GVariantDict options;

    fail(page, NULL);
    g_variant_dict_init(&options, NULL);
    if (how) {
        g_variant_dict_insert(&options, how, "b", TRUE);
    }
    vwl_bus_machine_call_stop(page->machine, g_variant_dict_end(&options), NULL,
                              on_stopped, begin(page));
}

static void on_stop(GtkButton *button, struct page *page)
{
    stop(page, NULL);
}

static void on_save(GtkButton *button, struct page *page)
{
    stop(page, "save");
}

static void on_force(GtkButton *button, struct page *page)
{
    stop(page, "force");
}

/* ---- programs ----------------------------------------------------------- */

/* By which the compositor knows that the new window is what was clicked for;
 * NULL where it has no such thing. */
static char *new_token(struct page *page)
{
    GdkDisplay *display = gtk_widget_get_display(page->widget);
    GdkAppLaunchContext *context = gdk_display_get_app_launch_context(display);
    GAppInfo *info = g_app_info_create_from_commandline(
        "vwl", NULL, G_APP_INFO_CREATE_SUPPORTS_STARTUP_NOTIFICATION, NULL);
    char *token = info ? g_app_launch_context_get_startup_notify_id(
                             G_APP_LAUNCH_CONTEXT(context), info, NULL)
                       : NULL;

    g_clear_object(&info);
    g_object_unref(context);
    return token;
}

static void on_open(GtkButton *button, struct page *page)
{
    const char *id = g_object_get_data(G_OBJECT(button), "id");
    char *token = new_token(page);
    GVariantDict platform;

    fail(page, NULL);
    g_variant_dict_init(&platform, NULL);
    if (token) {
        g_variant_dict_insert(&platform, "activation-token", "s", token);
    }
    vwl_bus_machine_call_launch(page->machine, id,
                                g_variant_dict_end(&platform), NULL,
                                on_launched, begin(page));
    g_free(token);
}

static void add_program(struct page *page, const char *id, const char *name,
                        const char *icon)
{
    char *label = g_strdup_printf("Open %s", name);
    GtkWidget *button = vwl_rows_button("Open", label);

    g_object_set_data_full(G_OBJECT(button), "id", g_strdup(id), g_free);
    g_signal_connect(button, "clicked", G_CALLBACK(on_open), page);
    vwl_rows_add(page->programs, icon, name, NULL, button);
    g_free(label);
}

static void show_programs(struct page *page)
{
    GVariant *apps = vwl_bus_machine_get_apps(page->machine);
    const char *id, *name, *icon;
    GVariantIter iter;
    gboolean shown;
    bool has_some = false;

    vwl_rows_clear(page->programs);
    if (apps) {
        g_variant_iter_init(&iter, apps);
        while (g_variant_iter_next(&iter, "(&s&s&sb)", &id, &name, &icon,
                                   &shown)) {
            add_program(page, id, name, icon);
            has_some = true;
        }
    }
    if (!has_some) {
        vwl_rows_add_hint(page->programs,
                          "They are here when it has run once.");
    }
}

/* ---- windows and figures ------------------------------------------------ */

static void on_looked(GObject *source, GAsyncResult *result, gpointer data)
{
    struct page *page = data;
    GVariant *figures = NULL, *windows = NULL;

    page->is_looking = false;
    if (vwl_bus_machine_call_look_finish(VWL_BUS_MACHINE(source), &figures,
                                         &windows, result, NULL)) {
        vwl_figures_show(page->figures, page->windows, figures, windows);
        g_variant_unref(windows);
        g_variant_unref(figures);
    } else {
        vwl_figures_show(page->figures, page->windows, NULL, NULL);
    }
    end(page, NULL);
}

static gboolean on_time(gpointer data)
{
    struct page *page = data;

    if (gtk_widget_get_mapped(page->widget) && !page->is_looking) {
        page->is_looking = true;
        vwl_bus_machine_call_look(page->machine, NULL, on_looked, begin(page));
    }
    return G_SOURCE_CONTINUE;
}

static void on_map(GtkWidget *widget, struct page *page)
{
    on_time(page);
}

/* ---- life --------------------------------------------------------------- */

static void page_free(gpointer data)
{
    struct page *page = data;

    g_source_remove(page->look);
    g_signal_handlers_disconnect_by_data(page->machine, page);
    g_object_unref(page->machine);
    g_free(page->failure);
    g_free(page);
}

static GtkWidget *new_head(struct page *page)
{
    GtkWidget *head = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12);
    GtkWidget *texts = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2);
    GtkWidget *title = gtk_label_new(vwl_bus_machine_get_name(page->machine));

    page->subtitle = vwl_rows_text("");
    gtk_widget_add_css_class(page->subtitle, "dim-label");
    gtk_widget_add_css_class(title, "title-1");
    gtk_label_set_xalign(GTK_LABEL(title), 0);
    gtk_box_append(GTK_BOX(texts), title);
    gtk_box_append(GTK_BOX(texts), page->subtitle);
    gtk_widget_set_hexpand(texts, TRUE);
    gtk_box_append(GTK_BOX(head), texts);
    page->start = vwl_rows_button("Start", "Start");
    page->save = vwl_rows_button("Save", "Save");
    page->stop = vwl_rows_button("Stop", "Stop");
    page->force = vwl_rows_button("Switch Off", "Switch off");
    gtk_widget_add_css_class(page->start, "suggested-action");
    gtk_widget_add_css_class(page->force, "destructive-action");
    gtk_widget_set_tooltip_text(
        page->save, "Stop it; it goes on from here at its next start, but for "
                    "its windows");
    gtk_widget_set_tooltip_text(page->force,
                                "At once: what was not saved in it is lost");
    for (size_t i = 0; i < 4; i++) {
        GtkWidget *button = (GtkWidget *[]){ page->start, page->save,
                                             page->stop, page->force }[i];

        gtk_widget_set_valign(button, GTK_ALIGN_CENTER);
        gtk_box_append(GTK_BOX(head), button);
    }
    g_signal_connect(page->start, "clicked", G_CALLBACK(on_start), page);
    g_signal_connect(page->save, "clicked", G_CALLBACK(on_save), page);
    g_signal_connect(page->stop, "clicked", G_CALLBACK(on_stop), page);
    g_signal_connect(page->force, "clicked", G_CALLBACK(on_force), page);
    return head;
}

static GtkWidget *new_body(struct page *page)
{
    GtkWidget *body = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18);

    gtk_widget_set_size_request(body, WIDTH, -1);
    gtk_widget_set_halign(body, GTK_ALIGN_CENTER);
    gtk_widget_set_margin_top(body, 18);
    gtk_widget_set_margin_bottom(body, 18);
    gtk_box_append(GTK_BOX(body), new_head(page));
    page->trouble = vwl_rows_text("");
    gtk_box_append(GTK_BOX(body), page->trouble);
    gtk_box_append(GTK_BOX(body),
                   vwl_rows_section("Programs", &page->programs));
    gtk_box_append(GTK_BOX(body), vwl_rows_section("Windows", &page->windows));
    gtk_box_append(GTK_BOX(body), vwl_access_new(page->machine, fail, page));
    gtk_box_append(GTK_BOX(body), vwl_rows_section("Figures", &page->figures));
    return body;
}

GtkWidget *vwl_page_new(VwlBusMachine *machine)
{
    struct page *page = g_new0(struct page, 1);

    page->machine = g_object_ref(machine);
    /* A stop may take as long as the guest wants. */
    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(machine), G_MAXINT);
    page->widget = gtk_scrolled_window_new();
    gtk_scrolled_window_set_child(GTK_SCROLLED_WINDOW(page->widget),
                                  new_body(page));
    gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(page->widget),
                                   GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
    g_object_set_data_full(G_OBJECT(page->widget), "page", page, page_free);
    vwl_figures_show(page->figures, page->windows, NULL, NULL);
    show(page);
    show_programs(page);
    g_signal_connect_swapped(machine, "notify", G_CALLBACK(show), page);
    g_signal_connect_swapped(machine, "notify::apps", G_CALLBACK(show_programs),
                             page);
    g_signal_connect_swapped(machine, "notify::state", G_CALLBACK(on_time),
                             page);
    g_signal_connect(page->widget, "map", G_CALLBACK(on_map), page);
    page->look = g_timeout_add_seconds(LOOK_SECONDS, on_time, page);
    return page->widget;
}
