/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of a machine's programs on the host's desktop, below $XDG_DATA_HOME:
 * applications/ID.desktop and icons/hicolor/SIDExSIDE/apps/ID.png, with the ID
 * org.vhost_user_wl.vm.MACHINE.PROGRAM; and a folder of the menu for all of
 * them. A file is our template with text from the guest; nothing in it is run
 * but the command vwl. Files that are as they should be are not touched.
 */
#ifndef VWL_DESKTOP_ENTRY_H
#define VWL_DESKTOP_ENTRY_H

#include <glib.h>
#include <stdbool.h>

#include "channel/bounds.h"

#ifndef VWL_PREFIX
#define VWL_PREFIX "org.vhost_user_wl"
#endif
#define VWL_COMMAND "/usr/bin/vwl"

enum { VWL_ICON_64, VWL_ICON_128, VWL_ICON_256, VWL_N_ICONS };

/* A program of a machine; all text is clean. */
struct vwl_app {
    char *id;
    char *name, *comment;
    char *class; /* the guest's, without prefix */
    char **keywords, **categories;
    GBytes *icons[VWL_N_ICONS]; /* PNG, or NULL */
    bool shown;
    bool is_twin; /* another one has this name */
};

/* From an APP's six strings. */
struct vwl_app *vwl_app_create(const char *const *strings);
void vwl_app_destroy(struct vwl_app *app);

/* a-z first, then those, digits and hyphens, up to 31. */
bool vwl_entry_is_machine(const char *name);
/* g_free; the id of the files, which is the icon's name, too. */
char *vwl_entry_file_id(const char *machine, const char *id);

/* command: VWL_COMMAND, but in tests. */
bool vwl_entry_write(const char *machine, const char *command,
                     const struct vwl_app *app, GError **error);
/* The same for what was written before, if only that changes. */
bool vwl_entry_show(const char *machine, const char *id, bool shown,
                    GError **error);
/* Of one program, or all of a machine and its menu (id NULL), or of every
 * machine (both NULL). */
void vwl_entry_remove(const char *machine, const char *id);
/* The programs of a machine as its files have them: id, name and whether it is
 * shown. */
GPtrArray *vwl_entry_load(const char *machine);
/* The folder of the menu. */
bool vwl_entry_write_menu(const char *machine, GError **error);
/* After icons have changed: so that caches of icons are made anew. */
void vwl_entry_touch_icons(void);

/* The machines that have files. */
GPtrArray *vwl_entry_machines(void);

#endif
