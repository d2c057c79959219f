/* SPDX-License-Identifier: BSD-3-Clause */
#include "service.h"

#include "bus/names.h"
#include "fail.h"
#include "target.h"

static bool is_unreachable(const GError *error)
{
    return error->domain == G_DBUS_ERROR || error->domain == G_IO_ERROR;
}

static char *find_once(GDBusConnection *bus, const char *name, GError **error)
{
    VwlBusManager *manager = vwl_bus_manager_proxy_new_sync(
        bus, G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES, VWL_BUS_NAME,
        VWL_BUS_PATH "/Manager", NULL, error);
    char *path = NULL;

    if (manager) {
        vwl_bus_manager_call_find_sync(manager, name, &path, NULL, error);
        g_object_unref(manager);
    }
    return path;
}

static char *find(GDBusConnection *bus, const char *name, GError **error)
{
    GError *why = NULL;
    char *path = find_once(bus, name, &why);

    if (vwl_bus_is_gone(why)) {
        g_error_free(why);
        return find_once(bus, name, error);
    }
    if (why) {
        g_propagate_error(error, why);
    }
    return path;
}

VwlBusMachine *vwl_service_machine(const char *name, GError **error)
{
    GError *why = NULL;
    GDBusConnection *bus = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, &why);
    char *path = bus ? find(bus, name, &why) : NULL;
    VwlBusMachine *machine = NULL;

    if (path) {
        machine = vwl_bus_machine_proxy_new_sync(bus, G_DBUS_PROXY_FLAGS_NONE,
                                                 VWL_BUS_NAME, path, NULL,
                                                 &why);
    }
    if (why && is_unreachable(why)) {
        char *text = vwl_fail_text(why);

        vwl_fail(error, VWL_FAIL_FAILED,
                 "the service of the machines cannot be reached: %s; run: vwl "
                 "doctor",
                 text);
        g_free(text);
        g_error_free(why);
    } else if (why) {
        g_propagate_error(error, why);
    }
    g_free(path);
    g_clear_object(&bus);
    return machine;
}

char *vwl_service_version(GError **error)
{
    GError *why = NULL;
    VwlBusManager *manager = vwl_bus_manager_proxy_new_for_bus_sync(
        G_BUS_TYPE_SESSION, G_DBUS_PROXY_FLAGS_NONE, VWL_BUS_NAME,
        VWL_BUS_PATH "/Manager", NULL, &why);
    char *version = manager ? vwl_bus_manager_dup_version(manager) : NULL;

    if (!version) {
        vwl_fail(error, VWL_FAIL_FAILED,
                 "it cannot be reached%s%s; log in anew, or in a login without "
                 "a session bus run: dbus-run-session",
                 why ? ": " : "", why ? why->message : "");
        g_clear_error(&why);
    }
    g_clear_object(&manager);
    return version;
}

VwlBusMachine *vwl_service_target(int argc, char **argv, GError **error)
{
    VwlBusMachine *machine = NULL;
    char *name;

    if (argc > 2) {
        vwl_fail(error, VWL_FAIL_USAGE, "one machine at a time; see: %s --help",
                 g_get_prgname());
        return NULL;
    }
    name = vwl_target_name(argc == 2 ? argv[1] : NULL, error);
    if (name) {
        machine = vwl_service_machine(name, error);
    }
    g_free(name);
    return machine;
}

void vwl_service_be_patient(VwlBusMachine *machine)
{
    g_dbus_proxy_set_default_timeout(G_DBUS_PROXY(machine), G_MAXINT);
}
