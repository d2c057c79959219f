/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the service on the session bus, as commands call it. The bus starts
 * it. Proxies are the caller's: g_object_unref.
 */
#ifndef VWL_CLIENT_SERVICE_H
#define VWL_CLIENT_SERVICE_H

#include "vwl-bus.h"

/* The machine of that name, which has a folder. NULL with *error. */
VwlBusMachine *vwl_service_machine(const char *name, GError **error);

/* The machine of argv[1], or the only one. NULL with *error. */
VwlBusMachine *vwl_service_target(int argc, char **argv, GError **error);

/* Which version the service is; the caller frees. NULL with *error. */
char *vwl_service_version(GError **error);

/* No call is given up because it takes long. */
void vwl_service_be_patient(VwlBusMachine *machine);

#endif
