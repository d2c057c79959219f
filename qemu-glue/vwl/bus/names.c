/* SPDX-License-Identifier: BSD-3-Clause */
#include "bus/names.h"

#include <gio/gio.h>

char *vwl_bus_machine_path(const char *name)
{
    GString *path = g_string_new(VWL_BUS_PATH "/machine/");

    for (; *name; name++) {
        if (*name == '-') {
            g_string_append(path, "_2d");
        } else {
            g_string_append_c(path, *name);
        }
    }
    return g_string_free(path, FALSE);
}

bool vwl_bus_is_gone(const GError *error)
{
    return g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY) ||
           g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN);
}
