/* SPDX-License-Identifier: BSD-3-Clause */
#include "figures.h"

#include "rows.h"

enum unit {
    COUNT,
    BYTES,
    SECONDS, /* of milliseconds */
};

static const struct {
    const char *key, *title;
    enum unit unit;
} known[] = {
    { "memory-bytes", "Memory in use", BYTES },
    { "processor-ms", "Processor time", SECONDS },
    { "connections", "Programs connected", COUNT },
    { "shared-bytes", "Memory for pictures", BYTES },
    { "sent-bytes", "Sent to the desktop", BYTES },
    { "received-bytes", "Received from it", BYTES },
};

static char *text_of(enum unit unit, guint64 value)
{
    switch (unit) {
    case BYTES:
        return g_format_size_full(value, G_FORMAT_SIZE_IEC_UNITS);
    case SECONDS:
        return g_strdup_printf("%" G_GUINT64_FORMAT " s", value / 1000);
    default:
        return g_strdup_printf("%" G_GUINT64_FORMAT, value);
    }
}

/* Whether the list shows something else so far; remembers what it will. */
static bool is_new(GtkWidget *list, GVariant *value)
{
    GVariant *before = g_object_get_data(G_OBJECT(list), "shown");
    bool same = before && value && g_variant_equal(before, value);

    g_object_set_data_full(G_OBJECT(list), "shown",
                           value ? g_variant_ref(value) : NULL,
                           (GDestroyNotify)g_variant_unref);
    return !same;
}

static void show_figures(GtkWidget *list, GVariant *figures)
{
    vwl_rows_clear(list);
    for (size_t i = 0; figures && i < G_N_ELEMENTS(known); i++) {
        guint64 value;
        char *text;

        if (g_variant_lookup(figures, known[i].key, "t", &value)) {
            text = text_of(known[i].unit, value);
            vwl_rows_add(list, NULL, known[i].title, NULL, gtk_label_new(text));
            g_free(text);
        }
    }
    if (!gtk_widget_get_first_child(list)) {
        vwl_rows_add_hint(list, "It does not run.");
    }
}

static void show_windows(GtkWidget *list, GVariant *windows)
{
    const char *id, *title;
    GVariantIter iter;

    vwl_rows_clear(list);
    if (windows) {
        g_variant_iter_init(&iter, windows);
        while (g_variant_iter_next(&iter, "(&s&s)", &id, &title)) {
            vwl_rows_add(list, NULL, title[0] ? title : "Without a title", id,
                         NULL);
        }
    }
    if (!gtk_widget_get_first_child(list)) {
        vwl_rows_add_hint(list, "It has none open.");
    }
}

void vwl_figures_show(GtkWidget *figures_list, GtkWidget *windows_list,
                      GVariant *figures, GVariant *windows)
{
    if (is_new(figures_list, figures)) {
        show_figures(figures_list, figures);
    }
    if (is_new(windows_list, windows)) {
        show_windows(windows_list, windows);
    }
}
