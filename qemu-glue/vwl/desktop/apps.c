/* SPDX-License-Identifier: BSD-3-Clause */
#include <glib/gstdio.h>
#include <string.h>

#include "apps.h"
#include "files.h"
#include "png.h"

#define HIDDEN "Hidden"

struct vwl_apps {
    char *machine, *command;
    vwl_apps_log_fn log;
    void *opaque;
    GPtrArray *list; /* the last whole one */
    GKeyFile *hidden;
    bool exported;
    bool from_guest; /* list is the guest's, not what was on the desktop */
    struct vwl_rate rate;
    /* the list that comes in */
    GHashTable *next; /* lower-case id: struct vwl_app */
    unsigned int n_named;
    size_t n_icon_bytes;
    unsigned int n_icons_left_out;
};

static void say(const struct vwl_apps *apps, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

static void say(const struct vwl_apps *apps, const char *format, ...)
{
    g_autofree char *line = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    if (apps->log) {
        apps->log(apps->opaque, line);
    }
}

static char *hidden_path(const char *machine)
{
    g_autofree char *folder = g_build_filename("vwl", machine, NULL);

    return vwl_files_data(folder, "programs.conf");
}

static bool is_hidden(const struct vwl_apps *apps, const char *id)
{
    return g_key_file_get_boolean(apps->hidden, HIDDEN, id, NULL);
}

struct vwl_apps *vwl_apps_create(const char *machine, const char *command,
                                 vwl_apps_log_fn log, void *opaque)
{
    struct vwl_apps *apps = g_new0(struct vwl_apps, 1);
    g_autofree char *path = hidden_path(machine);

    apps->machine = g_strdup(machine);
    apps->command = g_strdup(command);
    apps->log = log;
    apps->opaque = opaque;
    apps->exported = true;
    apps->rate = (struct vwl_rate){ .burst = VWL_LIST_BURST,
                                    .window_ms = VWL_LIST_MS };
    apps->hidden = g_key_file_new();
    g_key_file_load_from_file(apps->hidden, path, G_KEY_FILE_NONE, NULL);
    apps->list = vwl_entry_load(machine);
    apps->next = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                       (GDestroyNotify)vwl_app_destroy);
    return apps;
}

void vwl_apps_destroy(struct vwl_apps *apps)
{
    if (!apps) {
        return;
    }
    g_hash_table_unref(apps->next);
    g_ptr_array_unref(apps->list);
    g_key_file_unref(apps->hidden);
    g_free(apps->machine);
    g_free(apps->command);
    g_free(apps);
}

/* ---- a list comes in ---------------------------------------------------- */

void vwl_apps_drop(struct vwl_apps *apps)
{
    g_hash_table_remove_all(apps->next);
    apps->n_named = 0;
    apps->n_icon_bytes = 0;
    apps->n_icons_left_out = 0;
}

void vwl_apps_app(struct vwl_apps *apps, const struct vwl_frame *frame)
{
    g_autofree char *key = g_ascii_strdown(frame->strings[VWL_APP_ID], -1);

    apps->n_named++;
    if (g_hash_table_size(apps->next) < VWL_MAX_APPS &&
        !g_hash_table_contains(apps->next, key)) {
        struct vwl_app *app = vwl_app_create(frame->strings);

        app->shown = !is_hidden(apps, app->id);
        g_hash_table_insert(apps->next, g_steal_pointer(&key), app);
    }
}

void vwl_apps_icon(struct vwl_apps *apps, const struct vwl_frame *frame)
{
    uint32_t side = vwl_frame_number(frame, VWL_ICON_WIDTH);
    g_autofree char *key = g_ascii_strdown(frame->strings[VWL_ICON_ID], -1);
    struct vwl_app *app = g_hash_table_lookup(apps->next, key);
    unsigned int icon = side == 64    ? VWL_ICON_64
                        : side == 128 ? VWL_ICON_128
                                      : VWL_ICON_256;

    if (!app || app->icons[icon] ||
        apps->n_icon_bytes + frame->n_pixel_bytes > VWL_MAX_ICON_TOTAL) {
        apps->n_icons_left_out++;
        return;
    }
    apps->n_icon_bytes += frame->n_pixel_bytes;
    app->icons[icon] = vwl_png(frame->pixels, side);
}

/* ---- to the desktop ----------------------------------------------------- */

static gint by_id(gconstpointer a, gconstpointer b)
{
    const struct vwl_app *const *one = a, *const *other = b;

    return strcmp((*one)->id, (*other)->id);
}

/* Two programs of one name are told apart by their ids. */
static void find_twins(GPtrArray *list)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < list->len; i++) {
        struct vwl_app *app = list->pdata[i];
        struct vwl_app *first = g_hash_table_lookup(names, app->name);

        if (first) {
            first->is_twin = app->is_twin = true;
        } else {
            g_hash_table_insert(names, app->name, app);
        }
    }
}

static void write_all(struct vwl_apps *apps)
{
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < apps->list->len && !error; i++) {
        vwl_entry_write(apps->machine, apps->command, apps->list->pdata[i],
                        &error);
    }
    if (apps->list->len != 0 && !error) {
        vwl_entry_write_menu(apps->machine, &error);
    }
    if (error) {
        say(apps, "programs: cannot write their entries: %s", error->message);
    }
    vwl_entry_touch_icons();
}

const struct vwl_app *vwl_apps_find(const struct vwl_apps *apps, const char *id)
{
    for (guint i = 0; i < apps->list->len; i++) {
        const struct vwl_app *app = apps->list->pdata[i];

        if (g_str_equal(app->id, id)) {
            return app;
        }
    }
    return NULL;
}

/* Those that the list does not name. */
static void remove_others(struct vwl_apps *apps)
{
    g_autoptr(GPtrArray) there = vwl_entry_load(apps->machine);

    for (guint i = 0; i < there->len; i++) {
        const struct vwl_app *app = there->pdata[i];

        if (!vwl_apps_find(apps, app->id)) {
            vwl_entry_remove(apps->machine, app->id);
        }
    }
    if (apps->list->len == 0) {
        vwl_entry_remove(apps->machine, NULL);
    }
}

static void take(struct vwl_apps *apps)
{
    GHashTableIter iter;
    gpointer key, app;

    g_ptr_array_set_size(apps->list, 0);
    g_hash_table_iter_init(&iter, apps->next);
    while (g_hash_table_iter_next(&iter, &key, &app)) {
        g_ptr_array_add(apps->list, app);
        g_hash_table_iter_steal(&iter);
        g_free(key);
    }
    g_ptr_array_sort(apps->list, by_id);
    find_twins(apps->list);
    apps->from_guest = true;
}

bool vwl_apps_done(struct vwl_apps *apps, const struct vwl_frame *frame)
{
    uint32_t count = vwl_frame_number(frame, 0);
    unsigned int n = g_hash_table_size(apps->next);
    bool tell, ok = vwl_rate_take(&apps->rate, &tell);

    if (tell) {
        say(apps, "programs: more than %u lists in %u s, not taken",
            VWL_LIST_BURST, VWL_LIST_MS / 1000);
    }
    if (ok && count != apps->n_named) {
        say(apps, "programs: a list of %u said to be of %u, not taken",
            apps->n_named, count);
        ok = false;
    }
    if (ok && apps->n_named > n) {
        say(apps, "programs: %u entries, %u taken", apps->n_named, n);
    }
    if (ok && apps->n_icons_left_out != 0) {
        say(apps, "programs: %u icons left out", apps->n_icons_left_out);
    }
    if (ok) {
        take(apps);
    }
    vwl_apps_drop(apps);
    if (ok && apps->exported) {
        remove_others(apps);
        write_all(apps);
    }
    return ok;
}

const GPtrArray *vwl_apps_list(const struct vwl_apps *apps)
{
    return apps->list;
}

/* ---- the user's wishes -------------------------------------------------- */

bool vwl_apps_show(struct vwl_apps *apps, const char *id, bool shown,
                   GError **error)
{
    struct vwl_app *app = (struct vwl_app *)vwl_apps_find(apps, id);
    g_autofree char *path = hidden_path(apps->machine), *data = NULL;
    gsize len;

    if (!app) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "no such program");
        return false;
    }
    if (shown) {
        g_key_file_remove_key(apps->hidden, HIDDEN, id, NULL);
    } else {
        g_key_file_set_boolean(apps->hidden, HIDDEN, id, TRUE);
    }
    data = g_key_file_to_data(apps->hidden, &len, NULL);
    if (!vwl_files_write(path, data, len, error)) {
        return false;
    }
    app->shown = shown;
    return !apps->exported ||
           (apps->from_guest
                ? vwl_entry_write(apps->machine, apps->command, app, error)
                : vwl_entry_show(apps->machine, id, shown, error));
}

void vwl_apps_export(struct vwl_apps *apps, bool exported)
{
    if (apps->exported == exported) {
        return;
    }
    apps->exported = exported;
    if (!exported) {
        vwl_entry_remove(apps->machine, NULL);
    } else if (apps->from_guest) {
        write_all(apps);
    }
}

void vwl_apps_forget(const char *machine)
{
    g_autoptr(GPtrArray) machines = machine ? NULL : vwl_entry_machines();

    for (guint i = 0; machines && i < machines->len; i++) {
        vwl_apps_forget(machines->pdata[i]);
    }
    if (machine) {
        g_autofree char *path = hidden_path(machine);

        vwl_entry_remove(machine, NULL);
        g_unlink(path);
    }
}
