/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one list of the globals that this project can follow. A global that is
 * not here is not offered to anybody, since nobody could tell what its
 * messages mean. The list says nothing of what is done with a global's
 * messages: whoever relays them keeps handlers of their own, by interface.
 *
 * Adding a protocol: its XML in meson.build, its globals in interfaces.h and
 * a row in table.c.
 */
#ifndef VWL_WAYLAND_TABLE_H
#define VWL_WAYLAND_TABLE_H

#include <stdint.h>
#include <wayland-util.h>

struct vwl_table_row {
    const struct wl_interface *iface;
    /* The highest version that this project was written for. The XML that it
     * was built with may be of a lower one, or of one that nobody here has
     * read: see vwl_table_version. */
    uint32_t version;
};

/* The row of a global, by its name as a registry announces it; NULL: there is
 * none. */
const struct vwl_table_row *vwl_table_global(const char *name);

/* For walking the list; NULL at its end. */
const struct vwl_table_row *vwl_table_row(unsigned int i);

/* The highest version to offer. Messages of higher ones are unknown, or were
 * not read. */
uint32_t vwl_table_version(const struct vwl_table_row *row);

#endif
