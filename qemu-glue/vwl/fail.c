/* SPDX-License-Identifier: BSD-3-Clause */
#include "fail.h"

static const GDBusErrorEntry names[] = {
    { VWL_FAIL_FAILED, VWL_PREFIX ".Vwl1.Error.Failed" },
    { VWL_FAIL_USAGE, VWL_PREFIX ".Vwl1.Error.Usage" },
    { VWL_FAIL_NOT_FOUND, VWL_PREFIX ".Vwl1.Error.NotFound" },
    { VWL_FAIL_EXISTS, VWL_PREFIX ".Vwl1.Error.Exists" },
    { VWL_FAIL_NOT_RUNNING, VWL_PREFIX ".Vwl1.Error.NotRunning" },
    { VWL_FAIL_NO_AGENT, VWL_PREFIX ".Vwl1.Error.NoAgent" },
    { VWL_FAIL_REFUSED, VWL_PREFIX ".Vwl1.Error.Refused" },
};

GQuark vwl_fail_quark(void)
{
    static gsize quark;

    g_dbus_error_register_error_domain("vwl-fail", &quark, names,
                                       G_N_ELEMENTS(names));
    return (GQuark)quark;
}

bool vwl_fail(GError **error, enum vwl_fail kind, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_propagate_error(error, g_error_new_valist(VWL_FAIL, kind, format, args));
    va_end(args);
    return false;
}

char *vwl_fail_text(const GError *error)
{
    GError *copy = g_error_copy(error);
    char *text;

    g_dbus_error_strip_remote_error(copy);
    text = g_strdup(copy->message);
    g_error_free(copy);
    return text;
}
