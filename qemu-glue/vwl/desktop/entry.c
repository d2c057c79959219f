/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <utime.h>

#include "channel/frame.h"
#include "channel/text.h"
#include "entry.h"
#include "files.h"

#define GROUP G_KEY_FILE_DESKTOP_GROUP
#define NAME_KEY "X-vwl-Name"
#define MACHINE_KEY "X-vwl-Machine"
#define NO_ICON "application-x-executable"

static const unsigned int sides[VWL_N_ICONS] = { 64, 128, 256 };

/* What a menu may sort by, of the guest's: not System and Settings, which are
 * the host's own. */
static const char *const main_categories[] = {
    "AudioVideo", "Audio",  "Video",   "Development", "Education", "Game",
    "Graphics",   "Office", "Network", "Science",     "Utility",   NULL,
};

char *vwl_entry_file_id(const char *machine, const char *id)
{
    return g_strconcat(VWL_PREFIX ".vm.", machine, ".", id, NULL);
}

static char *entry_path(const char *machine, const char *id)
{
    g_autofree char *file_id = vwl_entry_file_id(machine, id);
    g_autofree char *name = g_strconcat(file_id, ".desktop", NULL);

    return vwl_files_data("applications", name);
}

static char *icon_path(const char *machine, const char *id, unsigned int icon)
{
    g_autofree char *file_id = vwl_entry_file_id(machine, id);
    g_autofree char *name = g_strdup_printf("hicolor/%ux%u/apps/%s.png",
                                            sides[icon], sides[icon], file_id);

    return vwl_files_data("icons", name);
}

bool vwl_entry_is_machine(const char *name)
{
    size_t len = strspn(name, G_CSET_a_2_z G_CSET_DIGITS "-");

    return g_ascii_islower(name[0]) && len <= 31 && name[len] == '\0';
}

/* ---- an entry ----------------------------------------------------------- */

/* It stands in a line that is split at blanks. */
static bool is_command(const char *path)
{
    return path[0] == '/' &&
           path[strspn(path, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS
                       "/._+-")] == '\0';
}

static void set_list(GKeyFile *file, const char *key, char **list,
                     const char *last)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    for (; list && *list; list++) {
        g_ptr_array_add(all, *list);
    }
    g_ptr_array_add(all, (char *)last);
    g_key_file_set_string_list(file, GROUP, key,
                               (const char *const *)all->pdata, all->len);
}

static bool has_icon(const struct vwl_app *app)
{
    return app->icons[VWL_ICON_64] || app->icons[VWL_ICON_128] ||
           app->icons[VWL_ICON_256];
}

/* set_string alone escapes: a line break in a name stays in its line. */
static GKeyFile *entry_of(const char *machine, const char *command,
                          const struct vwl_app *app)
{
    GKeyFile *file = g_key_file_new();
    g_autofree char *file_id = vwl_entry_file_id(machine, app->id);
    g_autofree char *class = vwl_entry_file_id(machine, app->class);
    g_autofree char *category = g_strconcat("X-vwl-", machine, NULL);
    g_autofree char *run = g_strconcat(command, " launch ", machine, " ",
                                       app->id, NULL);
    g_autofree char *name = app->is_twin
                                ? g_strdup_printf("%s [%s] (%s)", app->name,
                                                  app->id, machine)
                                : g_strdup_printf("%s (%s)", app->name,
                                                  machine);

    g_key_file_set_string(file, GROUP, "Type", "Application");
    g_key_file_set_string(file, GROUP, "Version", "1.4");
    g_key_file_set_string(file, GROUP, "Name", name);
    if (app->comment[0]) {
        g_key_file_set_string(file, GROUP, "Comment", app->comment);
    }
    g_key_file_set_string(file, GROUP, "Icon",
                          has_icon(app) ? file_id : NO_ICON);
    g_key_file_set_string(file, GROUP, "TryExec", command);
    g_key_file_set_string(file, GROUP, "Exec", run);
    g_key_file_set_boolean(file, GROUP, "StartupNotify", TRUE);
    g_key_file_set_string(file, GROUP, "StartupWMClass", class);
    set_list(file, "Categories", app->categories, category);
    set_list(file, "Keywords", app->keywords, machine);
    g_key_file_set_boolean(file, GROUP, "NoDisplay", !app->shown);
    g_key_file_set_string(file, GROUP, MACHINE_KEY, machine);
    g_key_file_set_string(file, GROUP, NAME_KEY, app->name);
    return file;
}

static bool write_icons(const char *machine, const struct vwl_app *app,
                        GError **error)
{
    for (unsigned int i = 0; i < VWL_N_ICONS; i++) {
        g_autofree char *path = icon_path(machine, app->id, i);
        gsize len = 0;
        const void *data = app->icons[i] ? g_bytes_get_data(app->icons[i], &len)
                                         : NULL;

        if (!data) {
            g_unlink(path);
        } else if (!vwl_files_write(path, data, len, error)) {
            return false;
        }
    }
    return true;
}

bool vwl_entry_write(const char *machine, const char *command,
                     const struct vwl_app *app, GError **error)
{
    g_autofree char *path = NULL, *data = NULL;
    g_autoptr(GKeyFile) file = NULL;
    gsize len;

    if (!vwl_entry_is_machine(machine) || !vwl_frame_is_id(app->id) ||
        !is_command(command)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "no name that an entry may have");
        return false;
    }
    if (!write_icons(machine, app, error)) {
        return false;
    }
    path = entry_path(machine, app->id);
    file = entry_of(machine, command, app);
    data = g_key_file_to_data(file, &len, NULL);
    return vwl_files_write(path, data, len, error);
}

/* ---- its text ----------------------------------------------------------- */

static char *text_or(const char *text, size_t max, const char *otherwise)
{
    char *clean = vwl_text(text, max);

    if (clean[0]) {
        return clean;
    }
    g_free(clean);
    return g_strdup(otherwise);
}

/* Words between semicolons. */
static char **keywords_of(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, ";", VWL_MAX_KEYWORDS + 1);
    GPtrArray *list = g_ptr_array_new();

    for (unsigned int i = 0; words[i] && i < VWL_MAX_KEYWORDS; i++) {
        char *word = vwl_text(words[i], VWL_MAX_KEYWORD_CHARS);

        if (word[0]) {
            g_ptr_array_add(list, word);
        } else {
            g_free(word);
        }
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}

static char **categories_of(const char *text)
{
    g_auto(GStrv) words = g_strsplit(text, ";", 0);
    GPtrArray *list = g_ptr_array_new();

    for (unsigned int i = 0; main_categories[i]; i++) {
        if (g_strv_contains((const char *const *)words, main_categories[i])) {
            g_ptr_array_add(list, g_strdup(main_categories[i]));
        }
    }
    if (list->len == 0) {
        g_ptr_array_add(list, g_strdup("Utility"));
    } else if (g_str_equal(list->pdata[0], "Audio") ||
               g_str_equal(list->pdata[0], "Video")) {
        /* the specification wants it beside both */
        g_ptr_array_insert(list, 0, g_strdup("AudioVideo"));
    }
    g_ptr_array_add(list, NULL);
    return (char **)g_ptr_array_free(list, FALSE);
}

struct vwl_app *vwl_app_create(const char *const *strings)
{
    struct vwl_app *app = g_new0(struct vwl_app, 1);
    const char *id = strings[VWL_APP_ID];

    app->id = g_strdup(id);
    app->name = text_or(strings[VWL_APP_NAME], VWL_MAX_NAME_CHARS, id);
    app->comment = vwl_text(strings[VWL_APP_COMMENT], VWL_MAX_COMMENT_CHARS);
    app->class = text_or(strings[VWL_APP_CLASS], VWL_MAX_ID_CHARS, id);
    app->keywords = keywords_of(strings[VWL_APP_KEYWORDS]);
    app->categories = categories_of(strings[VWL_APP_CATEGORIES]);
    app->shown = true;
    return app;
}

void vwl_app_destroy(struct vwl_app *app)
{
    if (!app) {
        return;
    }
    for (unsigned int i = 0; i < VWL_N_ICONS; i++) {
        g_clear_pointer(&app->icons[i], g_bytes_unref);
    }
    g_strfreev(app->keywords);
    g_strfreev(app->categories);
    g_free(app->id);
    g_free(app->name);
    g_free(app->comment);
    g_free(app->class);
    g_free(app);
}

/* ---- what is there ------------------------------------------------------ */

/* A file's machine and program (both g_free), if it is ours. */
static bool is_ours(const char *file, char **machine, char **id)
{
    const char *prefix = VWL_PREFIX ".vm.", *end = ".desktop", *dot;

    if (!g_str_has_prefix(file, prefix) || !g_str_has_suffix(file, end)) {
        return false;
    }
    file += strlen(prefix);
    dot = strchr(file, '.');
    if (!dot || strlen(dot) <= strlen(end) + 1) {
        return false;
    }
    *machine = g_strndup(file, (gsize)(dot - file));
    *id = g_strndup(dot + 1, strlen(dot + 1) - strlen(end));
    if (vwl_entry_is_machine(*machine) && vwl_frame_is_id(*id)) {
        return true;
    }
    g_clear_pointer(machine, g_free);
    g_clear_pointer(id, g_free);
    return false;
}

typedef void (*each_fn)(const char *machine, const char *id, void *data);

static void for_each(each_fn each, void *data)
{
    g_autofree char *folder = vwl_files_data("applications", NULL);
    g_autoptr(GPtrArray) names = vwl_files_list(folder);

    for (guint i = 0; i < names->len; i++) {
        g_autofree char *machine = NULL, *id = NULL;

        if (is_ours(names->pdata[i], &machine, &id)) {
            each(machine, id, data);
        }
    }
}

static void remove_one(const char *machine, const char *id, void *data)
{
    const char *only = data;
    g_autofree char *path = NULL;

    if (only && !g_str_equal(machine, only)) {
        return;
    }
    path = entry_path(machine, id);
    g_unlink(path);
    for (unsigned int i = 0; i < VWL_N_ICONS; i++) {
        g_autofree char *icon = icon_path(machine, id, i);

        g_unlink(icon);
    }
}

static void note_machine(const char *machine, const char *id, void *data)
{
    GPtrArray *machines = data;

    if (!g_ptr_array_find_with_equal_func(machines, machine, g_str_equal,
                                          NULL)) {
        g_ptr_array_add(machines, g_strdup(machine));
    }
}

GPtrArray *vwl_entry_machines(void)
{
    GPtrArray *machines = g_ptr_array_new_with_free_func(g_free);

    for_each(note_machine, machines);
    return machines;
}

struct load {
    const char *machine;
    GPtrArray *apps;
};

static void load_one(const char *machine, const char *id, void *data)
{
    const struct load *load = data;
    g_autofree char *path = NULL, *name = NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    struct vwl_app *app;

    if (!g_str_equal(machine, load->machine)) {
        return;
    }
    path = entry_path(machine, id);
    if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL)) {
        name = g_key_file_get_string(file, GROUP, NAME_KEY, NULL);
        app = g_new0(struct vwl_app, 1);
        app->id = g_strdup(id);
        app->name = text_or(name, VWL_MAX_NAME_CHARS, id);
        app->shown = !g_key_file_get_boolean(file, GROUP, "NoDisplay", NULL);
        g_ptr_array_add(load->apps, app);
    }
}

GPtrArray *vwl_entry_load(const char *machine)
{
    struct load load = { machine, g_ptr_array_new_with_free_func(
                                      (GDestroyNotify)vwl_app_destroy) };

    for_each(load_one, &load);
    return load.apps;
}

bool vwl_entry_show(const char *machine, const char *id, bool shown,
                    GError **error)
{
    g_autofree char *path = entry_path(machine, id), *data = NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    gsize len;

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, error)) {
        return false;
    }
    g_key_file_set_boolean(file, GROUP, "NoDisplay", !shown);
    data = g_key_file_to_data(file, &len, NULL);
    return vwl_files_write(path, data, len, error);
}

/* ---- the menu ----------------------------------------------------------- */

static char *menu_path(const char *machine)
{
    g_autofree char *name = g_strdup_printf("vwl-%s.menu", machine);

    return g_build_filename(g_get_user_config_dir(), "menus",
                            "applications-merged", name, NULL);
}

static char *folder_path(const char *machine)
{
    g_autofree char *name = g_strdup_printf("vwl-%s.directory", machine);

    return vwl_files_data("desktop-directories", name);
}

bool vwl_entry_write_menu(const char *machine, GError **error)
{
    g_autofree char *menu = menu_path(machine), *folder = folder_path(machine);
    g_autofree char *of_menu = g_strdup_printf(
        "<!DOCTYPE Menu PUBLIC \"-//freedesktop//DTD Menu 1.0//EN\" "
        "\"http://www.freedesktop.org/standards/menu-spec/1.0/menu.dtd\">\n"
        "<Menu><Name>Applications</Name><Menu><Name>vwl-%s</Name>"
        "<Directory>vwl-%s.directory</Directory>"
        "<Include><Category>X-vwl-%s</Category></Include></Menu></Menu>\n",
        machine, machine, machine);
    g_autofree char *of_folder = g_strdup_printf(
        "[Desktop Entry]\nType=Directory\nName=%s\nIcon=computer\n", machine);

    return vwl_files_write(menu, of_menu, strlen(of_menu), error) &&
           vwl_files_write(folder, of_folder, strlen(of_folder), error);
}

static void remove_menu(const char *machine)
{
    g_autofree char *menu = menu_path(machine), *folder = folder_path(machine);

    g_unlink(menu);
    g_unlink(folder);
}

void vwl_entry_remove(const char *machine, const char *id)
{
    g_autoptr(GPtrArray) machines = NULL;

    if (machine && id) {
        remove_one(machine, id, NULL);
        return;
    }
    machines = vwl_entry_machines();
    if (machine) {
        g_ptr_array_set_size(machines, 0);
        g_ptr_array_add(machines, g_strdup(machine));
    }
    for_each(remove_one, (void *)machine);
    for (guint i = 0; i < machines->len; i++) {
        remove_menu(machines->pdata[i]);
    }
}

void vwl_entry_touch_icons(void)
{
    g_autofree char *theme = vwl_files_data("icons", "hicolor");

    /* GTK compares the time of this folder alone with its cache's. */
    utime(theme, NULL);
}
