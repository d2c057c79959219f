/* SPDX-License-Identifier: BSD-3-Clause */
#include "bus/names.h"

#include <glib.h>

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
