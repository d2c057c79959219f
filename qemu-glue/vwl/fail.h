/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what goes wrong, in the one form that people read: "WHAT; NEXT
 * STEP". The kind says what a program makes of it: its exit status, or the
 * name of an error on the bus.
 */
#ifndef VWL_FAIL_H
#define VWL_FAIL_H

#include <gio/gio.h>
#include <stdbool.h>

enum vwl_fail {
    VWL_FAIL_FAILED,
    VWL_FAIL_USAGE,
    VWL_FAIL_NOT_FOUND,
    VWL_FAIL_EXISTS,
    VWL_FAIL_NOT_RUNNING,
    VWL_FAIL_NO_AGENT,
    VWL_FAIL_REFUSED,
};

/* Registered with GDBus: such errors cross the bus unchanged. */
#define VWL_FAIL (vwl_fail_quark())
GQuark vwl_fail_quark(void);

/* Sets *error to the text, which is "WHAT; NEXT STEP". Returns false. */
bool vwl_fail(GError **error, enum vwl_fail kind, const char *format, ...)
    G_GNUC_PRINTF(3, 4);

/* The message of an error without what GDBus puts in front. */
char *vwl_fail_text(const GError *error);

#endif
