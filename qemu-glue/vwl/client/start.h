/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: start a machine and wait until its agent has spoken, with a line of
 * progress meanwhile.
 */
#ifndef VWL_CLIENT_START_H
#define VWL_CLIENT_START_H

#include <stdbool.h>

#include "vwl-bus.h"

/* display: of the settings, or NULL. discard_saved: what it was saved as is not
 * wanted. seconds: of patience; 0: none is needed,
 * return when it was started. False with *error; the machine runs on where
 * only the agent is missing. */
bool vwl_start(VwlBusMachine *machine, const char *display, bool discard_saved,
               unsigned int seconds, GError **error);

/* The last lines of a log file, made fit for a terminal. The caller frees. */
char *vwl_last_lines(const char *name, const char *log, unsigned int lines);

#endif
