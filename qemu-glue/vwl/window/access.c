/* SPDX-License-Identifier: BSD-3-Clause */
#include "access.h"

#include <string.h>

#include "machine.h"
#include "rows.h"

/* Labels in the order of the words of the setting's table. */
static const struct kind {
    const char *setting, *title;
    const char *labels[6];
} kinds[] = {
    { "clipboard",
      "Clipboard",
      { "Both ways", "Into the machine", "Out of the machine", "Off",
        "Ask each time", NULL } },
    { "primary",
      "Selected text",
      { "Both ways", "Into the machine", "Out of the machine", "Off",
        "Ask each time", NULL } },
    { "drag",
      "Drag and drop",
      { "Both ways", "Into the machine", "Out of the machine", "Off",
        "Ask each time", NULL } },
    { "links", "Links", { "Ask each time", "Open", "Never open", NULL } },
    { "notifications", "Notifications", { "Shown", "Hidden", NULL } },
    { "apps", "Programs in the launcher", { "Shown", "Hidden", NULL } },
};

struct access {
    VwlBusMachine *machine;
    GtkWidget *choices[G_N_ELEMENTS(kinds)];
    bool is_showing; /* a change is the service's, not a person's */
    vwl_access_failed_fn failed;
    void *data;
};

static char **words_of(const struct kind *kind)
{
    return g_strsplit(vwl_setting_find(kind->setting, NULL)->value, "|", -1);
}

static void show(struct access *access)
{
    GVariant *settings = vwl_bus_machine_get_settings(access->machine);

    access->is_showing = true;
    for (size_t i = 0; settings && i < G_N_ELEMENTS(kinds); i++) {
        char **words = words_of(&kinds[i]);
        const char *word = "";

        g_variant_lookup(settings, kinds[i].setting, "&s", &word);
        for (guint j = 0; words[j]; j++) {
            if (strcmp(words[j], word) == 0) {
                gtk_drop_down_set_selected(GTK_DROP_DOWN(access->choices[i]),
                                           j);
            }
        }
        g_strfreev(words);
    }
    access->is_showing = false;
}

struct change {
    GtkWidget *section; /* a reference */
    struct access *access;
};

static void on_configured(GObject *source, GAsyncResult *result, gpointer data)
{
    struct change *change = data;
    GError *error = NULL;

    if (!vwl_bus_machine_call_configure_finish(VWL_BUS_MACHINE(source), NULL,
                                               result, &error)) {
        change->access->failed(change->access->data, error);
        show(change->access);
        g_error_free(error);
    }
    g_object_unref(change->section);
    g_free(change);
}

static size_t index_of(const struct access *access, GtkWidget *choice)
{
    size_t i = 0;

    while (i + 1 < G_N_ELEMENTS(kinds) && access->choices[i] != choice) {
        i++;
    }
    return i;
}

static void on_chosen(GObject *choice, GParamSpec *spec, gpointer section)
{
    struct access *access = g_object_get_data(section, "access");
    const struct kind *kind;
    GVariantBuilder settings;
    struct change *change;
    char **words;
    guint at;

    if (access->is_showing) {
        return;
    }
    kind = &kinds[index_of(access, GTK_WIDGET(choice))];
    words = words_of(kind);
    at = gtk_drop_down_get_selected(GTK_DROP_DOWN(choice));
    if (at < g_strv_length(words)) {
        change = g_new(struct change, 1);
        *change = (struct change){ g_object_ref(section), access };
        g_variant_builder_init(&settings, G_VARIANT_TYPE("a{ss}"));
        g_variant_builder_add(&settings, "{ss}", kind->setting, words[at]);
        vwl_bus_machine_call_configure(access->machine,
                                       g_variant_builder_end(&settings), NULL,
                                       on_configured, change);
    }
    g_strfreev(words);
}

static void access_free(gpointer data)
{
    struct access *access = data;

    g_signal_handlers_disconnect_by_data(access->machine, access);
    g_object_unref(access->machine);
    g_free(access);
}

GtkWidget *vwl_access_new(VwlBusMachine *machine, vwl_access_failed_fn failed,
                          void *data)
{
    struct access *access = g_new0(struct access, 1);
    GtkWidget *list, *section = vwl_rows_section("On this desktop", &list);

    *access = (struct access){ .machine = g_object_ref(machine),
                               .failed = failed,
                               .data = data };
    g_object_set_data_full(G_OBJECT(section), "access", access, access_free);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        GtkWidget *choice = gtk_drop_down_new_from_strings(kinds[i].labels);

        access->choices[i] = choice;
        gtk_accessible_update_property(GTK_ACCESSIBLE(choice),
                                       GTK_ACCESSIBLE_PROPERTY_LABEL,
                                       kinds[i].title, -1);
        vwl_rows_add(list, NULL, kinds[i].title, NULL, choice);
        g_signal_connect(choice, "notify::selected", G_CALLBACK(on_chosen),
                         section);
    }
    show(access);
    g_signal_connect_swapped(machine, "notify::settings", G_CALLBACK(show),
                             access);
    return section;
}
