/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <unistd.h>

#include "command.h"
#include "say.h"
#include "service.h"

static gboolean yes;

static const GOptionEntry entries[] = {
    { "yes", 'y', 0, G_OPTION_ARG_NONE, &yes, "Do not ask", NULL },
    G_OPTION_ENTRY_NULL,
};

/* Only a person at a terminal can be asked. */
static bool is_meant(const char *name)
{
    int answer;

    if (yes) {
        return true;
    }
    if (!isatty(STDIN_FILENO)) {
        return false;
    }
    g_printerr("Delete %s, with all that is in it? [y/N] ", name);
    answer = getchar();
    return answer == 'y' || answer == 'Y';
}

static int run(int argc, char **argv)
{
    GError *error = NULL;
    VwlBusMachine *machine = argc == 2 ? vwl_service_target(argc, argv, &error)
                                       : NULL;
    const char *name;

    if (argc != 2) {
        return vwl_refuse("delete: which machine? See: vwl list");
    }
    if (!machine) {
        return vwl_complain(error);
    }
    name = vwl_bus_machine_get_name(machine);
    if (is_meant(name)) {
        vwl_service_be_patient(machine);
        vwl_bus_machine_call_delete_sync(machine, NULL, &error);
    } else if (!isatty(STDIN_FILENO)) {
        g_object_unref(machine);
        return vwl_refuse("delete: nobody is there to be asked; run: vwl "
                          "delete --yes %s",
                          argv[1]);
    }
    g_object_unref(machine);
    return error ? vwl_complain(error) : VWL_STATUS_OK;
}

const struct vwl_command vwl_command_delete = {
    .name = "delete",
    .arguments = "NAME",
    .summary = "Delete a machine and its disk (not one that was given by file)",
    .entries = entries,
    .run = run,
};
