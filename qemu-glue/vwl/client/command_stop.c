/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "fail.h"
#include "folders.h"
#include "say.h"
#include "service.h"

static gboolean force, all, save;

static const GOptionEntry entries[] = {
    { "force", 0, 0, G_OPTION_ARG_NONE, &force,
      "Switch it off: what was not saved in it is lost", NULL },
    { "save", 0, 0, G_OPTION_ARG_NONE, &save,
      "Have it go on from here at its next run, but for its windows", NULL },
    { "all", 0, 0, G_OPTION_ARG_NONE, &all, "All machines that run", NULL },
    G_OPTION_ENTRY_NULL,
};

static bool stop(VwlBusMachine *machine, GError **error)
{
    const char *name = vwl_bus_machine_get_name(machine);
    bool was_on = vwl_bus_machine_get_since(machine) != 0;
    GVariantDict dict;

    g_variant_dict_init(&dict, NULL);
    g_variant_dict_insert(&dict, "force", "b", force);
    g_variant_dict_insert(&dict, "save", "b", save);
    vwl_service_be_patient(machine);
    if (!vwl_bus_machine_call_stop_sync(machine, g_variant_dict_end(&dict),
                                        NULL, error)) {
        return false;
    }
    if (save && was_on) {
        vwl_say("%s is saved. To go on: vwl run %s", name, name);
    }
    return true;
}

static int stop_all(void)
{
    char **names = vwl_folder_names();
    int status = VWL_STATUS_OK;

    for (size_t i = 0; names[i]; i++) {
        GError *error = NULL;
        VwlBusMachine *machine = vwl_service_machine(names[i], &error);

        if (machine) {
            stop(machine, &error);
            g_object_unref(machine);
        }
        if (error) {
            status = vwl_complain(error);
        }
    }
    g_strfreev(names);
    return status;
}

static int run(int argc, char **argv)
{
    GError *error = NULL;
    VwlBusMachine *machine;

    if (save && force) {
        return vwl_refuse("stop: --save or --force, not both; see: vwl stop "
                          "--help");
    }
    if (all && argc > 1) {
        return vwl_refuse("stop: --all needs no name; run: vwl stop --all");
    }
    if (all) {
        return stop_all();
    }
    machine = vwl_service_target(argc, argv, &error);
    if (machine) {
        stop(machine, &error);
        g_object_unref(machine);
    }
    return error ? vwl_complain(error) : VWL_STATUS_OK;
}

const struct vwl_command vwl_command_stop = {
    .name = "stop",
    .arguments = "[NAME]",
    .summary = "Have a machine power off, or save it as it is",
    .entries = entries,
    .run = run,
};
