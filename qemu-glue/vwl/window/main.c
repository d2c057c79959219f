/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The window of the user's machines: a client of the service, as the command
 * vwl is, which holds no state of its own.
 */
#include <locale.h>

#include "fail.h"
#include "window.h"

static gboolean want_version;

static const GOptionEntry entries[] = {
    { "version", 0, 0, G_OPTION_ARG_NONE, &want_version,
      "Print the version and end", NULL },
    G_OPTION_ENTRY_NULL,
};

static int on_options(GApplication *app, GVariantDict *options, gpointer data)
{
    if (want_version) {
        g_print("vwl-window %s\n", VWL_VERSION);
        return 0;
    }
    return -1;
}

static void on_activate(GtkApplication *app, gpointer data)
{
    GtkWindow *window = gtk_application_get_active_window(app);

    gtk_window_present(window ? window : GTK_WINDOW(vwl_window_new(app)));
}

int main(int argc, char **argv)
{
    GtkApplication *app;
    int status;

    setlocale(LC_ALL, "");
    vwl_fail_quark();
    g_set_application_name("Virtual Machines");
    gtk_window_set_default_icon_name(VWL_PREFIX ".Window");
    app = gtk_application_new(VWL_PREFIX ".Window",
                              G_APPLICATION_DEFAULT_FLAGS);
    g_application_add_main_option_entries(G_APPLICATION(app), entries);
    g_application_set_option_context_summary(
        G_APPLICATION(app), "A window of the virtual machines whose programs "
                            "open their windows on this desktop.");
    g_signal_connect(app, "handle-local-options", G_CALLBACK(on_options), NULL);
    g_signal_connect(app, "activate", G_CALLBACK(on_activate), NULL);
    status = g_application_run(G_APPLICATION(app), argc, argv);
    g_object_unref(app);
    return status;
}
