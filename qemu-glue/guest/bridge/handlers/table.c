/* SPDX-License-Identifier: BSD-3-Clause */
/* Which handler deals with which interface: `handled` of meson.build. */
#include "handler.h"
#include "handler_rows.h"
#include "wayland/interfaces.h"

#define DECLARE(interface, handler) \
    extern const struct vwl_handler vwl_handle_##handler;
#define POINT(interface, handler) \
    { &interface##_interface, &vwl_handle_##handler },

VWL_HANDLER_ROWS(DECLARE)

static const struct {
    const struct wl_interface *iface;
    const struct vwl_handler *handler;
} rows[] = { VWL_HANDLER_ROWS(POINT) };

const void *vwl_handler_of(const struct wl_interface *iface)
{
    for (unsigned int i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].iface == iface) {
            return rows[i].handler;
        }
    }
    return NULL;
}
