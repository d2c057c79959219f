/* SPDX-License-Identifier: BSD-3-Clause */
#include <json-glib/json-glib.h>
#include <string.h>

#include "command.h"
#include "fail.h"
#include "folders.h"
#include "given.h"
#include "machine.h"
#include "say.h"
#include "service.h"
#include "target.h"

static gboolean reset;

static const GOptionEntry entries[] = {
    { "reset", 0, 0, G_OPTION_ARG_NONE, &reset, "All as it was at first",
      NULL },
    G_OPTION_ENTRY_NULL,
};

static void print_table(const struct vwl_machine *machine)
{
    for (const struct vwl_setting *s = vwl_settings(); s->name; s++) {
        char *text = vwl_machine_get(machine, s->name);
        bool is_initial = !text[0] || strcmp(text, s->initial) == 0;

        if (s->group == VWL_SETTING_POLICY) {
            g_print("%-14s %-24s %s\n", s->name,
                    text[0]         ? text
                    : s->initial[0] ? s->initial
                                    : "-",
                    is_initial ? "(default)" : "");
        }
        g_free(text);
    }
}

static void print_json(const struct vwl_machine *machine)
{
    JsonBuilder *builder = json_builder_new();

    json_builder_begin_object(builder);
    for (const struct vwl_setting *s = vwl_settings(); s->name; s++) {
        char *text = vwl_machine_get(machine, s->name);

        if (s->group == VWL_SETTING_POLICY) {
            json_builder_set_member_name(builder, s->name);
            json_builder_add_string_value(builder, text[0] ? text : s->initial);
        }
        g_free(text);
    }
    json_builder_end_object(builder);
    vwl_print_json(builder);
    g_object_unref(builder);
}

static bool print(const char *name, GError **error)
{
    char *folder = vwl_folder_data(name);
    struct vwl_machine *machine = vwl_machine_load(folder, error);

    if (machine) {
        (vwl_want_json ? print_json : print_table)(machine);
    }
    vwl_machine_free(machine);
    g_free(folder);
    return machine != NULL;
}

/* KEY=VALUE of a policy. */
static bool add(GVariantBuilder *settings, const char *word, GError **error)
{
    const char *equals = strchr(word, '=');
    char *key = g_strndup(word,
                          equals ? (size_t)(equals - word) : strlen(word));
    const struct vwl_setting *setting = vwl_setting_find(key, error);
    bool ok = setting != NULL;

    if (ok && (!equals || setting->group != VWL_SETTING_POLICY)) {
        ok = vwl_fail(error, VWL_FAIL_USAGE,
                      "'%s' is no KEY=VALUE of a policy; see: vwl policy "
                      "--help",
                      word);
    }
    if (ok) {
        g_variant_builder_add(settings, "{ss}", key, equals + 1);
    }
    g_free(key);
    return ok;
}

static void add_all_initial(GVariantBuilder *settings)
{
    for (const struct vwl_setting *s = vwl_settings(); s->name; s++) {
        if (s->group == VWL_SETTING_POLICY) {
            g_variant_builder_add(settings, "{ss}", s->name, "");
        }
    }
}

static void configure(const char *name, GVariant *settings, GError **error)
{
    VwlBusMachine *machine = vwl_service_machine(name, error);
    gboolean need_restart = FALSE;

    if (machine &&
        vwl_bus_machine_call_configure_sync(machine, settings, &need_restart,
                                            NULL, error) &&
        need_restart) {
        vwl_say("It takes effect after: vwl stop %s && vwl run %s", name, name);
    }
    g_clear_object(&machine);
}

static bool change(const char *name, char **words, GError **error)
{
    GVariantBuilder builder;
    GVariant *settings;
    GError *why = NULL;

    g_variant_builder_init(&builder, G_VARIANT_TYPE("a{ss}"));
    if (reset) {
        add_all_initial(&builder);
    }
    for (size_t i = 0; words[i] && !why; i++) {
        add(&builder, words[i], &why);
    }
    settings = g_variant_ref_sink(g_variant_builder_end(&builder));
    if (!why) {
        configure(name, settings, &why);
    }
    g_variant_unref(settings);
    if (why) {
        g_propagate_error(error, why);
    }
    return !why;
}

static int run(int argc, char **argv)
{
    GError *error = NULL;
    bool has_name = argc > 1 && !strchr(argv[1], '=');
    char *name = vwl_target_name(has_name ? argv[1] : NULL, &error);
    char **words = argv + (has_name ? 2 : 1);

    if (!name) {
        return vwl_complain(error);
    }
    if (argc == 1 || !words[0]) {
        if (!reset) {
            print(name, &error);
        }
    }
    if (words[0] || reset) {
        change(name, words, &error);
    }
    g_free(name);
    return error ? vwl_complain(error) : VWL_STATUS_OK;
}

const struct vwl_command vwl_command_policy = {
    .name = "policy",
    .arguments = "[NAME] [KEY=VALUE...]",
    .summary = "Show or change what a machine may do on this desktop",
    .entries = entries,
    .run = run,
};
