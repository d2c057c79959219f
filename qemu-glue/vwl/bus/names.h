/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what the service and its objects are called on the session bus.
 */
#ifndef VWL_BUS_NAMES_H
#define VWL_BUS_NAMES_H

#define VWL_BUS_NAME VWL_PREFIX ".Vwl"

/* VWL_BUS_PATH comes from the build: the name with slashes. */

/* The path of a machine's object; the caller frees. */
char *vwl_bus_machine_path(const char *name);

#endif
