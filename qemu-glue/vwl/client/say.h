/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what people read: results on standard output, the rest on standard
 * error, each line with "vwl: " in front.
 */
#ifndef VWL_CLIENT_SAY_H
#define VWL_CLIENT_SAY_H

#include <gio/gio.h>
#include <json-glib/json-glib.h>

enum {
    VWL_STATUS_OK = 0,
    VWL_STATUS_FAILED = 1,
    VWL_STATUS_USAGE = 2,
};

/* A remark; nothing with --quiet. */
void vwl_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* What was built, on standard output. */
void vwl_print_json(JsonBuilder *builder);

/* Prints the error, frees it, and returns the status that fits. */
int vwl_complain(GError *error);

/* The same of an error that is made here. */
int vwl_refuse(const char *format, ...) G_GNUC_PRINTF(1, 2);

#endif
