/* SPDX-License-Identifier: BSD-3-Clause */
#include "given.h"

gboolean vwl_want_json, vwl_want_quiet;

static GPtrArray *given;

static void begin(void)
{
    if (!given) {
        given = g_ptr_array_new();
        g_ptr_array_add(given, NULL);
    }
}

void vwl_given_add(const char *name, const char *value)
{
    begin();
    g_ptr_array_insert(given, (int)given->len - 1, g_strdup(name));
    g_ptr_array_insert(given, (int)given->len - 1, g_strdup(value));
}

char *const *vwl_given_settings(void)
{
    begin();
    return (char *const *)given->pdata;
}
