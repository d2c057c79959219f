/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: run make-machine (guest/make-machine), show its progress, and end
 * it, with all that it started, at Ctrl-C.
 */
#ifndef VWL_CLIENT_MAKER_H
#define VWL_CLIENT_MAKER_H

#include <glib.h>
#include <stdbool.h>

/* argv[0] is the script. What it says but for progress goes to the log. False
 * with *error, which ends in what it said last. */
bool vwl_maker_run(char *const *argv, const char *log, GError **error);

#endif
