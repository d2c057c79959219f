/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of a machine's programs: gathered from APP and ICON, taken as a
 * whole at DONE. What a list does not name any more goes from the desktop then;
 * without a DONE nothing does. Which programs the user has hidden is kept in
 * $XDG_DATA_HOME/vwl/MACHINE/programs.conf.
 */
#ifndef VWL_DESKTOP_APPS_H
#define VWL_DESKTOP_APPS_H

#include "channel/frame.h"
#include "entry.h"
#include "rate.h"

struct vwl_apps;

typedef void (*vwl_apps_log_fn)(void *opaque, const char *line);

struct vwl_apps *vwl_apps_create(const char *machine, const char *command,
                                 vwl_apps_log_fn log, void *opaque);
void vwl_apps_destroy(struct vwl_apps *apps);

void vwl_apps_app(struct vwl_apps *apps, const struct vwl_frame *frame);
void vwl_apps_icon(struct vwl_apps *apps, const struct vwl_frame *frame);
/* Whether there is a new list. */
bool vwl_apps_done(struct vwl_apps *apps, const struct vwl_frame *frame);
/* The connection ended: half a list is none. */
void vwl_apps_drop(struct vwl_apps *apps);

/* Of struct vwl_app, sorted by id; before the first list those on the
 * desktop. */
const GPtrArray *vwl_apps_list(const struct vwl_apps *apps);
/* The program with that id, or NULL. */
const struct vwl_app *vwl_apps_find(const struct vwl_apps *apps,
                                    const char *id);
bool vwl_apps_show(struct vwl_apps *apps, const char *id, bool shown,
                   GError **error);
/* Whether they are on the desktop at all. */
void vwl_apps_export(struct vwl_apps *apps, bool exported);

/* All that is kept of a machine; with NULL of every one that has entries. */
void vwl_apps_forget(const char *machine);

#endif
