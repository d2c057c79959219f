/* SPDX-License-Identifier: BSD-3-Clause */
#include "say.h"

#include <stdarg.h>

#include "fail.h"
#include "given.h"

void vwl_say(const char *format, ...)
{
    va_list args;
    char *text;

    if (vwl_want_quiet) {
        return;
    }
    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("%s\n", text);
    g_free(text);
}

static bool is_usage(const GError *error)
{
    return error->domain == G_OPTION_ERROR ||
           g_error_matches(error, VWL_FAIL, VWL_FAIL_USAGE);
}

int vwl_complain(GError *error)
{
    int status = is_usage(error) ? VWL_STATUS_USAGE : VWL_STATUS_FAILED;
    char *text = vwl_fail_text(error);

    g_printerr("vwl: %s\n", text);
    g_free(text);
    g_error_free(error);
    return status;
}

int vwl_refuse(const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_printerr("vwl: %s\n", text);
    g_free(text);
    return VWL_STATUS_USAGE;
}

void vwl_print_json(JsonBuilder *builder)
{
    JsonNode *root = json_builder_get_root(builder);
    char *text = json_to_string(root, TRUE);

    g_print("%s\n", text);
    g_free(text);
    json_node_unref(root);
}
