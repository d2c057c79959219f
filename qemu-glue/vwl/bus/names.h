/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what the service and its objects are called on the session bus.
 */
#ifndef VWL_BUS_NAMES_H
#define VWL_BUS_NAMES_H

#include <glib.h>
#include <stdbool.h>

#define VWL_BUS_NAME VWL_PREFIX ".Vwl"

/* VWL_BUS_PATH comes from the build: the name with slashes. */

/* The path of a machine's object; the caller frees. */
char *vwl_bus_machine_path(const char *name);

/* The service ended while it was asked: one that nobody needs does so, and the
 * next one starts by being asked, by a new proxy. NULL: no. */
bool vwl_bus_is_gone(const GError *error);

#endif
