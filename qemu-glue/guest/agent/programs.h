/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The programs of this machine that the host's launcher shall show: those that
 * a menu here would show, but for the ones in a terminal and the settings.
 */
#ifndef VWL_AGENT_PROGRAMS_H
#define VWL_AGENT_PROGRAMS_H

#include "wire.h"

struct vwl_programs;

struct vwl_programs *vwl_programs_create(struct vwl_wire *wire);
void vwl_programs_destroy(struct vwl_programs *programs);

/* Sends the list, in names of these languages ("de:en"); again, some time
 * later, whenever it changes. */
void vwl_programs_list(struct vwl_programs *programs, const char *languages);
/* The wire has place. */
void vwl_programs_go_on(struct vwl_programs *programs);
/* The host is gone, or wants no list. */
void vwl_programs_stop(struct vwl_programs *programs);

/* The exit status for an ANSWER, with its text (g_free) if that is not 0. */
unsigned int vwl_programs_launch(struct vwl_programs *programs, const char *id,
                                 const char *token, char **text);

#endif
