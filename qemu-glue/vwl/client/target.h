/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: which machine a command is about: the one that is named, the only
 * one there is, or the one whose disk was named.
 */
#ifndef VWL_CLIENT_TARGET_H
#define VWL_CLIENT_TARGET_H

#include <glib.h>

#include "machine.h"

/* The name of a machine that exists; NULL name: the only one. The caller
 * frees; NULL with *error. */
char *vwl_target_name(const char *name, GError **error);

/* A machine of that name, or one for the disk at that path, which is not saved
 * yet. The settings that were given as options are set. NULL with *error. */
struct vwl_machine *vwl_target_machine(const char *name_or_disk,
                                       const char *new_name, GError **error);

#endif
