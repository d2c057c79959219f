/* SPDX-License-Identifier: BSD-3-Clause */
#include "command.h"
#include "fail.h"
#include "say.h"
#include "service.h"
#include "start.h"

#define START_SECONDS 300

/* Of who was clicked; both are used up. */
static char *take_token(void)
{
    const char *token = g_getenv("XDG_ACTIVATION_TOKEN");
    char *taken = g_strdup(token ? token : g_getenv("DESKTOP_STARTUP_ID"));

    g_unsetenv("XDG_ACTIVATION_TOKEN");
    g_unsetenv("DESKTOP_STARTUP_ID");
    return taken;
}

static void launch(VwlBusMachine *machine, const char *id, GError **error)
{
    GVariantDict dict;
    char *token = take_token();

    if (vwl_start(machine, NULL, false, START_SECONDS, error)) {
        g_variant_dict_init(&dict, NULL);
        if (token) {
            g_variant_dict_insert(&dict, "activation-token", "s", token);
        }
        vwl_bus_machine_call_launch_sync(machine, id, g_variant_dict_end(&dict),
                                         NULL, error);
    }
    g_free(token);
}

static int run(int argc, char **argv)
{
    GError *error = NULL;
    VwlBusMachine *machine;

    if (argc != 3) {
        return vwl_refuse("launch: say a machine and a program's id; see: vwl "
                          "apps");
    }
    machine = vwl_service_target(2, argv, &error);
    if (machine) {
        launch(machine, argv[2], &error);
        g_object_unref(machine);
    }
    return error ? vwl_complain(error) : VWL_STATUS_OK;
}

const struct vwl_command vwl_command_launch = {
    .name = "launch",
    .arguments = "NAME ID",
    .summary = "Start a program of the launcher's, and its machine first",
    .run = run,
};
