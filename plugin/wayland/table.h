/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one list of Wayland globals that this project knows: which a guest may
 * have, which it may have when the host says so, which it may not, and why.
 * What is not listed is refused as well. The device filters by it, the bridge
 * offers what it can follow of it, docs/security.md prints it. It says nothing
 * of what is done with a global's messages: whoever relays them keeps handlers
 * of its own, by interface.
 *
 * Adding to what guests may have: a TABLED row in table.c. The build looks for
 * the tables (struct wl_interface) of the global and of all that it makes in
 * the XML of the installed wayland-protocols; where that lacks them, in
 * byhand.txt, or a file listed in meson.build defines them.
 * wayland/interfaces.h, which the build makes, declares them. A row without
 * tables cannot be let through, as nobody could tell what its messages mean.
 */
#ifndef VWL_WAYLAND_TABLE_H
#define VWL_WAYLAND_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

enum vwl_verdict {
    VWL_ALLOWED, /* power over the client's own surfaces alone */
    VWL_ASKED,   /* useful, but takes something from the user: off unless the
                    host allows it by name */
    VWL_REFUSED, /* more than a guest's window needs */
};

struct vwl_table_row {
    const char *name;
    enum vwl_verdict verdict;
    /* The highest version that this project was written for; 0 of those that
     * are refused. The XML that it was built with may be of a lower one, or of
     * one that nobody here has read: see vwl_table_version. */
    uint32_t version;
    const struct wl_interface *iface; /* NULL: there are no tables */
    const char *why;                  /* a few words */
};

/* All rows, sorted by name; NULL at their end. */
const struct vwl_table_row *vwl_table_at(unsigned int i);
/* The place of a row among them. */
unsigned int vwl_table_index(const struct vwl_table_row *row);
/* By its name, as a registry announces it; NULL: it is not listed. */
const struct vwl_table_row *vwl_table_find(const char *name);

/* The same of those rows alone that have tables. */
const struct vwl_table_row *vwl_table_global(const char *name);
const struct vwl_table_row *vwl_table_row(unsigned int i);

/* The highest version to offer. Messages of higher ones are unknown, or were
 * not read. 0: it has no tables. */
uint32_t vwl_table_version(const struct vwl_table_row *row);

/* Whether that request is a destructor. Looks through a list. */
bool vwl_table_ends(const struct wl_interface *iface, uint16_t opcode);

#endif
