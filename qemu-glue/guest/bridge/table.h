/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The one list of what guests are offered: an interface that is not here is
 * not in the guest's registry. Adding a protocol is adding its XML to
 * meson.build and a row in table.c.
 */
#ifndef VWL_BRIDGE_TABLE_H
#define VWL_BRIDGE_TABLE_H

#include <stdint.h>
#include <wayland-util.h>

/* Interfaces whose messages the bridge takes part in. */
enum vwl_kind {
    VWL_KIND_PLAIN,
    VWL_KIND_DISPLAY,
    VWL_KIND_REGISTRY,
    VWL_KIND_SHM,
    VWL_KIND_POOL,
    VWL_KIND_BUFFER,
    VWL_KIND_SURFACE,
    VWL_KIND_KEYBOARD,
    VWL_KIND_VIEWPORTER,
    VWL_KIND_TOPLEVEL,
    VWL_KIND_PRESENTATION,
    VWL_KIND_FEEDBACK,
    VWL_KIND_DMABUF,
    VWL_KIND_DMABUF_PARAMS,
    VWL_KIND_DMABUF_FEEDBACK,
    VWL_KIND_SYNC_FACTORY,
    VWL_KIND_SYNC,
    VWL_KIND_BUFFER_RELEASE,
};

/* The interface of a global, or NULL: not offered. */
const struct wl_interface *vwl_table_global(const char *name);
/* For walking the list; NULL at its end. */
const struct wl_interface *vwl_table_row(unsigned int i);

const struct wl_interface *vwl_table_display(void);
const struct wl_interface *vwl_table_pool(void);
enum vwl_kind vwl_table_kind(const struct wl_interface *iface);

#endif
