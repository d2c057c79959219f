/* SPDX-License-Identifier: BSD-3-Clause */
#include <gio/gio.h>
#include <locale.h>
#include <string.h>

#include "command.h"
#include "fail.h"
#include "given.h"
#include "machine.h"
#include "say.h"

static const struct vwl_command *const commands[] = {
    &vwl_command_create, &vwl_command_run,    &vwl_command_exec,
    &vwl_command_list,   &vwl_command_stop,   &vwl_command_apps,
    &vwl_command_launch, &vwl_command_policy, &vwl_command_logs,
    &vwl_command_delete, &vwl_command_doctor,
};

static const GOptionEntry common[] = {
    { "json", 0, 0, G_OPTION_ARG_NONE, &vwl_want_json,
      "Results as JSON, where there are any", NULL },
    { "quiet", 'q', 0, G_OPTION_ARG_NONE, &vwl_want_quiet,
      "Errors and results only", NULL },
    G_OPTION_ENTRY_NULL,
};

/* ---- help --------------------------------------------------------------- */

static int print_help(void)
{
    g_print("Usage: vwl COMMAND [OPTION...] [ARGUMENT...]\n\n"
            "Virtual machines whose programs open their windows on this "
            "desktop.\n\nCommands:\n");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (!commands[i]->hidden) {
            g_print("  %-12s %s\n", commands[i]->name, commands[i]->summary);
        }
    }
    g_print("\nvwl COMMAND --help says more of each, vwl --version which "
            "this is.\n");
    return VWL_STATUS_OK;
}

/* ---- options ------------------------------------------------------------ */

/* name is as it was typed: "--memory". */
static gboolean on_setting(const gchar *name, const gchar *value, gpointer data,
                           GError **error)
{
    struct vwl_machine *scratch = vwl_machine_new("", "/");
    bool ok = vwl_machine_set(scratch, name + 2, value, error);

    vwl_machine_free(scratch);
    if (ok) {
        vwl_given_add(name + 2, value);
    }
    return ok;
}

/* What `create` knows, and no person says. */
static bool is_option(const struct vwl_setting *setting)
{
    return strcmp(setting->name, "disk") != 0 &&
           strcmp(setting->name, "system") != 0;
}

static GOptionGroup *settings_group(void)
{
    GOptionGroup *group = g_option_group_new(
        "settings", "Settings of the machine, which are remembered:",
        "Settings of the machine", NULL, NULL);
    GOptionEntry entry[2] = { { NULL }, { NULL } };

    for (const struct vwl_setting *s = vwl_settings(); s->name; s++) {
        if (is_option(s)) {
            char *help = s->initial[0]
                             ? g_strdup_printf("%s (%s)", s->help, s->initial)
                             : g_strdup(s->help);

            entry[0] = (GOptionEntry){
                .long_name = s->name,
                .flags = G_OPTION_FLAG_IN_MAIN,
                .arg = G_OPTION_ARG_CALLBACK,
                .arg_data = (gpointer)on_setting,
                .description = g_intern_string(help),
                .arg_description = s->value,
            };
            g_option_group_add_entries(group, entry);
            g_free(help);
        }
    }
    return group;
}

static int call(const struct vwl_command *command, int argc, char **argv)
{
    GOptionContext *context = g_option_context_new(command->arguments);
    char *program = g_strdup_printf("vwl %s", command->name);
    GError *error = NULL;
    bool ok;

    g_set_prgname(program);
    g_option_context_set_summary(context, command->summary);
    g_option_context_set_strict_posix(context, command->is_prefix);
    if (command->entries) {
        g_option_context_add_main_entries(context, command->entries, NULL);
    }
    g_option_context_add_main_entries(context, common, NULL);
    if (command->settings) {
        g_option_context_add_group(context, settings_group());
    }
    ok = g_option_context_parse(context, &argc, &argv, &error);
    g_option_context_free(context);
    g_free(program);
    if (!ok) {
        g_prefix_error(&error, "%s: ", command->name);
        return vwl_complain(error);
    }
    return command->run(argc, argv);
}

/* ---- start -------------------------------------------------------------- */

static const struct vwl_command *find(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    const struct vwl_command *command;

    setlocale(LC_ALL, "");
    vwl_fail_quark();
    if (argc < 2 || strcmp(argv[1], "--help") == 0 ||
        strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return argc < 2 ? VWL_STATUS_USAGE : VWL_STATUS_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        g_print("vwl %s\n", VWL_VERSION);
        return VWL_STATUS_OK;
    }
    command = find(argv[1]);
    if (!command) {
        return vwl_refuse("there is no command '%s'; run: vwl --help", argv[1]);
    }
    return call(command, argc - 1, argv + 1);
}
