/* SPDX-License-Identifier: BSD-3-Clause */
#include "start.h"

#include <string.h>
#include <unistd.h>

#include "channel/text.h"
#include "fail.h"
#include "folders.h"
#include "host.h"
#include "say.h"
#include "service.h"

#define MOST_LINE 400 /* characters shown of one */

struct wait {
    VwlBusMachine *machine;
    GMainLoop *loop;
    unsigned int seconds, passed;
    bool is_late;
};

/* ---- logs --------------------------------------------------------------- */

char *vwl_last_lines(const char *name, const char *log, unsigned int lines)
{
    char *folder = vwl_folder_state(name);
    char *path = g_build_filename(folder, log, NULL), *text = NULL;
    GString *shown = g_string_new(NULL);
    size_t length = 0, from;

    if (g_file_get_contents(path, &text, &length, NULL)) {
        while (length > 0 && strchr("\r\n", text[length - 1])) {
            length--;
        }
        text[length] = '\0';
        for (from = length; from > 0; from--) {
            if (text[from - 1] == '\n' && --lines == 0) {
                break;
            }
        }
        for (char *line = length > 0 ? text + from : NULL; line;) {
            char *end = strchr(line, '\n'), *clean;

            if (end) {
                *end = '\0';
            }
            clean = vwl_text(line, MOST_LINE);
            g_string_append_printf(shown, "%s\n", clean);
            g_free(clean);
            line = end ? end + 1 : NULL;
        }
    }
    g_free(text);
    g_free(path);
    g_free(folder);
    return g_string_free(shown, FALSE);
}

/* ---- waiting ------------------------------------------------------------ */

static void show(const struct wait *wait)
{
    if (isatty(STDERR_FILENO)) {
        g_printerr("\r%s is starting: %u s\033[K",
                   vwl_bus_machine_get_name(wait->machine), wait->passed);
    }
}

static gboolean on_second(gpointer data)
{
    struct wait *wait = data;

    wait->passed++;
    wait->is_late = wait->passed >= wait->seconds;
    show(wait);
    if (wait->is_late) {
        g_main_loop_quit(wait->loop);
    }
    return G_SOURCE_CONTINUE;
}

static bool is_over(VwlBusMachine *machine)
{
    const char *state = vwl_bus_machine_get_state(machine);

    return g_strcmp0(state, "starting") != 0;
}

static bool is_on(VwlBusMachine *machine)
{
    const char *state = vwl_bus_machine_get_state(machine);

    return g_strcmp0(state, "running") == 0;
}

static void on_state(GObject *machine, GParamSpec *spec, gpointer data)
{
    struct wait *wait = data;

    if (is_over(wait->machine)) {
        g_main_loop_quit(wait->loop);
    }
}

/* The service has gone; another one would take over. */
static void on_owner(GObject *machine, GParamSpec *spec, gpointer data)
{
    struct wait *wait = data;

    g_main_loop_quit(wait->loop);
}

static void wait_for_it(struct wait *wait)
{
    unsigned long state = g_signal_connect(wait->machine, "notify::state",
                                           G_CALLBACK(on_state), wait);
    unsigned long owner = g_signal_connect(wait->machine,
                                           "notify::g-name-owner",
                                           G_CALLBACK(on_owner), wait);
    unsigned int timer = g_timeout_add_seconds(1, on_second, wait);

    if (!is_over(wait->machine)) {
        show(wait);
        g_main_loop_run(wait->loop);
        if (isatty(STDERR_FILENO)) {
            g_printerr("\r\033[K");
        }
    }
    g_source_remove(timer);
    g_signal_handler_disconnect(wait->machine, owner);
    g_signal_handler_disconnect(wait->machine, state);
}

static bool judge(const struct wait *wait, GError **error)
{
    const char *name = vwl_bus_machine_get_name(wait->machine);
    char *lines;

    if (is_on(wait->machine)) {
        return true;
    }
    if (!wait->is_late) {
        const char *why = vwl_bus_machine_get_error(wait->machine);

        return vwl_fail(error, VWL_FAIL_FAILED, "%s",
                        why && why[0] ? why
                                      : "the machine was switched off; see: "
                                        "vwl logs");
    }
    lines = vwl_last_lines(name, "serial.log", 5);
    g_printerr("%s", lines);
    g_free(lines);
    return vwl_fail(error, VWL_FAIL_NO_AGENT,
                    "no agent after %u s (the machine runs on); see: vwl logs "
                    "--serial %s, or give it the kit: vwl stop --force %s && "
                    "vwl run --install-kit %s",
                    wait->seconds, name, name, name);
}

/* ---- start -------------------------------------------------------------- */

static GVariant *options(const char *display, bool discard_saved,
                         GError **error)
{
    GVariantDict dict;
    char *socket = vwl_host_display(display, error), *sound;

    if (!socket) {
        return NULL;
    }
    sound = vwl_host_sound();
    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "display", "s", socket);
    g_variant_dict_insert(&dict, "discard-saved", "b", discard_saved);
    if (sound) {
        g_variant_dict_insert(&dict, "sound", "s", sound);
    }
    g_free(sound);
    g_free(socket);
    return g_variant_dict_end(&dict);
}

bool vwl_start(VwlBusMachine *machine, const char *display, bool discard_saved,
               unsigned int seconds, GError **error)
{
    struct wait wait = { .machine = machine, .seconds = seconds };
    GVariant *how = options(display, discard_saved, error);
    const char *warning;
    bool was_on = is_on(machine), ok;

    if (!how) {
        return false;
    }
    vwl_service_be_patient(machine);
    if (!vwl_bus_machine_call_start_sync(machine, how, NULL, error)) {
        return false;
    }
    wait.loop = g_main_loop_new(NULL, FALSE);
    /* What has changed until now is on its way. */
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    warning = vwl_bus_machine_get_warning(machine);
    if (warning && warning[0] && !was_on) {
        vwl_say("vwl: %s", warning);
    }
    if (seconds > 0) {
        wait_for_it(&wait);
    }
    ok = seconds == 0 || judge(&wait, error);
    g_main_loop_unref(wait.loop);
    return ok;
}
