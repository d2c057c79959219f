/* SPDX-License-Identifier: BSD-3-Clause */
#include <gio/gdesktopappinfo.h>
#include <string.h>

#include "icons.h"
#include "programs.h"

#define GROUP G_KEY_FILE_DESKTOP_GROUP
/* What an OnlyShowIn is about where the session names no desktop. */
#define OTHERWISE_DESKTOP "GNOME"

/* A list is sent a step at a time: each APP, then the icons, the sizes that
 * are seen most first, then DONE. */
enum phase { APPS, ICONS_128, ICONS_64, ICONS_256, DONE, AT_REST };

struct program {
    char *id;   /* on the channel */
    char *file; /* the desktop entry's name */
};

struct vwl_programs {
    struct vwl_wire *wire;
    GAppInfoMonitor *monitor;
    char *languages; /* NULL: no list is wanted */
    GPtrArray *list; /* of struct program */
    enum phase phase;
    guint next; /* of the list in this phase */
    unsigned int n_sent;
    size_t icon_bytes;
    guint on_idle, on_later;
};

static void program_free(gpointer data)
{
    struct program *program = data;

    g_free(program->id);
    g_free(program->file);
    g_free(program);
}

/* ---- which -------------------------------------------------------------- */

/* Its name without .desktop; if that is no id, something like it that is. */
static char *id_of(const char *file)
{
    g_autofree char *plain = g_str_has_suffix(file, ".desktop")
                                 ? g_strndup(file, strlen(file) - 8)
                                 : g_strdup(file);
    g_autofree char *sum = NULL;

    if (vwl_frame_is_id(plain)) {
        return g_steal_pointer(&plain);
    }
    sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, file, -1);
    g_strcanon(plain, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_-", '_');
    return g_strdup_printf("%.100s-%.8s", plain, sum);
}

static bool is_in(GDesktopAppInfo *info, const char *key, const char *word)
{
    gsize n;
    g_auto(GStrv) list = g_desktop_app_info_get_string_list(info, key, &n);

    return list && g_strv_contains((const char *const *)list, word);
}

static bool is_wanted(GDesktopAppInfo *info)
{
    const char *desktop = g_getenv("XDG_CURRENT_DESKTOP");

    return g_app_info_get_id(G_APP_INFO(info)) &&
           g_app_info_get_commandline(G_APP_INFO(info)) &&
           !g_desktop_app_info_get_nodisplay(info) &&
           !g_desktop_app_info_get_is_hidden(info) &&
           !g_desktop_app_info_get_boolean(info, "Terminal") &&
           !is_in(info, "Categories", "Settings") &&
           g_desktop_app_info_get_show_in(info, desktop && desktop[0]
                                                    ? NULL
                                                    : OTHERWISE_DESKTOP);
}

static gint by_id(gconstpointer a, gconstpointer b)
{
    const struct program *const *one = a, *const *other = b;

    return strcmp((*one)->id, (*other)->id);
}

static void find_programs(struct vwl_programs *programs)
{
    GList *all = g_app_info_get_all();

    g_ptr_array_set_size(programs->list, 0);
    for (GList *at = all; at && programs->list->len < VWL_MAX_APPS;
         at = at->next) {
        struct program *program;

        if (is_wanted(at->data)) {
            program = g_new0(struct program, 1);
            program->file = g_strdup(g_app_info_get_id(at->data));
            program->id = id_of(program->file);
            g_ptr_array_add(programs->list, program);
        }
    }
    g_list_free_full(all, g_object_unref);
    g_ptr_array_sort(programs->list, by_id);
}

/* ---- in which words ----------------------------------------------------- */

/* By the first language that has one. English stands in every file. */
static char *localized(GKeyFile *file, const char *key, const char *languages)
{
    g_auto(GStrv) list = g_strsplit(languages, ":", 16);
    char *text = NULL;

    for (char **at = list;
         *at && !text && !g_str_has_prefix(*at, "en") && !g_str_equal(*at, "C");
         at++) {
        g_autofree char *found = g_key_file_get_locale_for_key(file, GROUP, key,
                                                               *at);

        /* Newer GLibs find "C" for "C.UTF-8", even of a key that is missing. */
        if (found && !g_str_equal(found, "C")) {
            text = g_key_file_get_locale_string(file, GROUP, key, *at, NULL);
        }
    }
    text = text ? text : g_key_file_get_string(file, GROUP, key, NULL);
    return text ? text : g_strdup("");
}

/* Whole characters, as many as fit into so many bytes. */
static char *cut(char *text, size_t bytes)
{
    const char *end;

    if (strlen(text) > bytes) {
        text[bytes] = '\0';
        g_utf8_validate(text, -1, &end);
        text[end - text] = '\0';
    }
    return text;
}

static void send_app(struct vwl_programs *programs,
                     const struct program *program)
{
    g_autoptr(GDesktopAppInfo) info = g_desktop_app_info_new(program->file);
    const char *path = info ? g_desktop_app_info_get_filename(info) : NULL;
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *class = NULL, *name = NULL, *comment = NULL;
    g_autofree char *keywords = NULL, *categories = NULL;

    if (!path ||
        !g_key_file_load_from_file(file, path, G_KEY_FILE_KEEP_TRANSLATIONS,
                                   NULL)) {
        return;
    }
    class = g_key_file_get_string(file, GROUP, "StartupWMClass", NULL);
    name = cut(localized(file, "Name", programs->languages), 256);
    comment = cut(localized(file, "Comment", programs->languages), 1024);
    keywords = cut(localized(file, "Keywords", programs->languages), 1024);
    categories = g_key_file_get_string(file, GROUP, "Categories", NULL);
    programs->n_sent += vwl_frame_put(vwl_wire_out(programs->wire),
                                      VWL_SIDE_GUEST, VWL_FRAME_APP, 0,
                                      program->id, class ? class : program->id,
                                      name, comment, keywords,
                                      categories ? categories : "", NULL);
}

/* ---- sending ------------------------------------------------------------ */

static void send_icon(struct vwl_programs *programs,
                      const struct program *program, unsigned int side)
{
    size_t len = (size_t)side * side * 4;
    g_autofree char *text = g_strdup_printf("%u", side);
    const char *const strings[] = { program->id, text, text };
    g_autoptr(GDesktopAppInfo) info = NULL;
    g_autofree guint8 *pixels = NULL;
    struct vwl_frame frame = { .type = VWL_FRAME_ICON,
                               .strings = strings,
                               .n_strings = 3,
                               .n_pixel_bytes = len };

    if (programs->icon_bytes + len > VWL_MAX_ICON_TOTAL) {
        return;
    }
    info = g_desktop_app_info_new(program->file);
    pixels = info
                 ? vwl_icons_pixels(g_app_info_get_icon(G_APP_INFO(info)), side)
                 : NULL;
    frame.pixels = pixels;
    if (pixels && vwl_frame_encode(vwl_wire_out(programs->wire), VWL_SIDE_GUEST,
                                   &frame)) {
        programs->icon_bytes += len;
    }
}

static void send_done(struct vwl_programs *programs)
{
    g_autofree char *count = g_strdup_printf("%u", programs->n_sent);

    vwl_frame_put(vwl_wire_out(programs->wire), VWL_SIDE_GUEST, VWL_FRAME_DONE,
                  0, count, NULL);
}

static void step(struct vwl_programs *programs)
{
    static const unsigned int sides[] = {
        [ICONS_128] = 128, [ICONS_64] = 64, [ICONS_256] = 256
    };
    const struct program *program;

    if (programs->next >= programs->list->len) {
        programs->next = 0;
        programs->phase++;
    }
    if (programs->phase == DONE) {
        send_done(programs);
        programs->phase = AT_REST;
    } else if (programs->next < programs->list->len) {
        program = programs->list->pdata[programs->next++];
        if (programs->phase == APPS) {
            send_app(programs, program);
        } else {
            send_icon(programs, program, sides[programs->phase]);
        }
    }
    vwl_wire_flush(programs->wire);
}

static gboolean on_idle(gpointer data)
{
    struct vwl_programs *programs = data;

    step(programs);
    if (programs->phase != AT_REST && !vwl_wire_is_full(programs->wire)) {
        return G_SOURCE_CONTINUE;
    }
    programs->on_idle = 0;
    return G_SOURCE_REMOVE;
}

void vwl_programs_go_on(struct vwl_programs *programs)
{
    if (programs->on_idle == 0 && programs->phase != AT_REST) {
        programs->on_idle = g_idle_add(on_idle, programs);
    }
}

static void begin(struct vwl_programs *programs)
{
    find_programs(programs);
    programs->phase = APPS;
    programs->next = programs->n_sent = 0;
    programs->icon_bytes = 0;
    vwl_programs_go_on(programs);
}

/* A list under way is finished first: the host takes whole ones. */
static gboolean on_later(gpointer data)
{
    struct vwl_programs *programs = data;

    if (programs->phase != AT_REST) {
        return G_SOURCE_CONTINUE;
    }
    programs->on_later = 0;
    begin(programs);
    return G_SOURCE_REMOVE;
}

static void later(struct vwl_programs *programs)
{
    if (programs->languages && programs->on_later == 0) {
        programs->on_later = g_timeout_add(VWL_COALESCE_MS, on_later, programs);
    }
}

void vwl_programs_list(struct vwl_programs *programs, const char *languages)
{
    g_free(programs->languages);
    programs->languages = g_strdup(languages);
    if (programs->phase == AT_REST) {
        begin(programs);
    } else {
        later(programs);
    }
}

void vwl_programs_stop(struct vwl_programs *programs)
{
    g_clear_pointer(&programs->languages, g_free);
    programs->phase = AT_REST;
    g_clear_handle_id(&programs->on_idle, g_source_remove);
    g_clear_handle_id(&programs->on_later, g_source_remove);
}

struct vwl_programs *vwl_programs_create(struct vwl_wire *wire)
{
    struct vwl_programs *programs = g_new0(struct vwl_programs, 1);

    programs->wire = wire;
    programs->phase = AT_REST;
    programs->list = g_ptr_array_new_with_free_func(program_free);
    programs->monitor = g_app_info_monitor_get();
    g_signal_connect_swapped(programs->monitor, "changed", G_CALLBACK(later),
                             programs);
    return programs;
}

void vwl_programs_destroy(struct vwl_programs *programs)
{
    if (!programs) {
        return;
    }
    vwl_programs_stop(programs);
    g_signal_handlers_disconnect_by_data(programs->monitor, programs);
    g_object_unref(programs->monitor);
    g_ptr_array_unref(programs->list);
    g_free(programs);
}

/* ---- starting ----------------------------------------------------------- */

static const struct program *find(struct vwl_programs *programs, const char *id)
{
    for (guint i = 0; i < programs->list->len; i++) {
        const struct program *program = programs->list->pdata[i];

        if (g_str_equal(program->id, id)) {
            return program;
        }
    }
    return NULL;
}

unsigned int vwl_programs_launch(struct vwl_programs *programs, const char *id,
                                 const char *token, char **text)
{
    const struct program *program = find(programs, id);
    g_autoptr(GDesktopAppInfo) info = NULL;
    g_autoptr(GAppLaunchContext) context = g_app_launch_context_new();
    g_autoptr(GError) error = NULL;

    if (!program && programs->phase == AT_REST) {
        find_programs(programs); /* it is new, or nobody asked for a list */
        program = find(programs, id);
    }
    info = program ? g_desktop_app_info_new(program->file) : NULL;
    if (!info) {
        *text = g_strdup("no such program");
        return 127;
    }
    if (token[0]) {
        g_app_launch_context_setenv(context, "XDG_ACTIVATION_TOKEN", token);
        g_app_launch_context_setenv(context, "DESKTOP_STARTUP_ID", token);
    }
    if (!g_app_info_launch(G_APP_INFO(info), NULL, context, &error)) {
        *text = g_strdup(error->message);
        return 126;
    }
    return 0;
}
