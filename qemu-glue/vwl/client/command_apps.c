/* SPDX-License-Identifier: BSD-3-Clause */
#include <json-glib/json-glib.h>

#include "command.h"
#include "given.h"
#include "say.h"
#include "service.h"

static gboolean refresh;
static char *show, *hide;

static const GOptionEntry entries[] = {
    { "show", 0, 0, G_OPTION_ARG_STRING, &show,
      "Have this program in the host's launcher", "ID" },
    { "hide", 0, 0, G_OPTION_ARG_STRING, &hide, "Take it from there", "ID" },
    { "refresh", 0, 0, G_OPTION_ARG_NONE, &refresh,
      "Have the machine tell its programs again", NULL },
    G_OPTION_ENTRY_NULL,
};

static void print_table(GVariant *apps)
{
    GVariantIter iter;
    const char *id, *name;
    gboolean shown;

    g_variant_iter_init(&iter, apps);
    if (g_variant_n_children(apps) == 0) {
        vwl_say("No programs are known; run the machine, and then: vwl apps "
                "--refresh");
        return;
    }
    g_print("%-40s %-7s %s\n", "ID", "STATE", "NAME");
    while (g_variant_iter_next(&iter, "(&s&s&sb)", &id, &name, NULL, &shown)) {
        g_print("%-40s %-7s %s\n", id, shown ? "shown" : "hidden", name);
    }
}

static void print_json(GVariant *apps)
{
    JsonBuilder *builder = json_builder_new();
    GVariantIter iter;
    const char *id, *name, *icon;
    gboolean shown;

    json_builder_begin_array(builder);
    g_variant_iter_init(&iter, apps);
    while (g_variant_iter_next(&iter, "(&s&s&sb)", &id, &name, &icon, &shown)) {
        json_builder_begin_object(builder);
        json_builder_set_member_name(builder, "id");
        json_builder_add_string_value(builder, id);
        json_builder_set_member_name(builder, "name");
        json_builder_add_string_value(builder, name);
        json_builder_set_member_name(builder, "icon");
        json_builder_add_string_value(builder, icon);
        json_builder_set_member_name(builder, "shown");
        json_builder_add_boolean_value(builder, shown);
        json_builder_end_object(builder);
    }
    json_builder_end_array(builder);
    vwl_print_json(builder);
    g_object_unref(builder);
}

static void act(VwlBusMachine *machine, GError **error)
{
    GVariant *apps;

    if (show || hide) {
        vwl_bus_machine_call_set_shown_sync(machine, show ? show : hide,
                                            show != NULL, NULL, error);
        return;
    }
    if (refresh) {
        vwl_bus_machine_call_refresh_sync(machine, NULL, error);
        return;
    }
    apps = vwl_bus_machine_get_apps(machine);
    if (apps) {
        (vwl_want_json ? print_json : print_table)(apps);
    }
}

static int run(int argc, char **argv)
{
    GError *error = NULL;
    VwlBusMachine *machine;

    if (!!show + !!hide + refresh > 1) {
        return vwl_refuse("apps: one thing at a time; see: vwl apps --help");
    }
    machine = vwl_service_target(argc, argv, &error);
    if (machine) {
        act(machine, &error);
        g_object_unref(machine);
    }
    return error ? vwl_complain(error) : VWL_STATUS_OK;
}

const struct vwl_command vwl_command_apps = {
    .name = "apps",
    .arguments = "[NAME]",
    .summary = "List a machine's programs, show and hide them in the launcher",
    .entries = entries,
    .run = run,
};
