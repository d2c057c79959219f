/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what was said on the command line that every command has.
 */
#ifndef VWL_CLIENT_GIVEN_H
#define VWL_CLIENT_GIVEN_H

#include <glib.h>

extern gboolean vwl_want_json, vwl_want_quiet;

/* Settings of a machine that were given as options. */
void vwl_given_add(const char *name, const char *value);

/* In order: pairs of name and text; NULL ends it. Not the caller's. */
char *const *vwl_given_settings(void);

#endif
