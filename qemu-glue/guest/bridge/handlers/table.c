/* SPDX-License-Identifier: BSD-3-Clause */
/* Which handler deals with which interface. */
#include "handler.h"

/* clang-format off */
#define ROWS(row)                                                        \
    row(wl_display, display)                                             \
    row(wl_registry, registry)                                           \
    row(wl_shm, shm)                                                     \
    row(wl_shm_pool, pool)                                               \
    row(wl_buffer, buffer)                                               \
    row(wl_surface, surface)                                             \
    row(wl_keyboard, keyboard)                                           \
    row(wp_viewporter, viewporter)                                       \
    row(xdg_toplevel, toplevel)                                          \
    row(wp_presentation, presentation)                                   \
    row(wp_presentation_feedback, presentation_feedback)                 \
    row(zwp_linux_dmabuf_v1, dmabuf)                                     \
    row(zwp_linux_buffer_params_v1, dmabuf_params)                       \
    row(zwp_linux_dmabuf_feedback_v1, dmabuf_feedback)                   \
    row(zwp_linux_explicit_synchronization_v1, sync_factory)             \
    row(zwp_linux_surface_synchronization_v1, sync)                      \
    row(zwp_linux_buffer_release_v1, buffer_release)

#define DECLARE(interface, handler)                    \
    extern const struct wl_interface interface##_interface; \
    extern const struct vwl_handler vwl_handle_##handler;
#define POINT(interface, handler) \
    { &interface##_interface, &vwl_handle_##handler },
/* clang-format on */

ROWS(DECLARE)

static const struct {
    const struct wl_interface *iface;
    const struct vwl_handler *handler;
} rows[] = { ROWS(POINT) };

const void *vwl_handler_of(const struct wl_interface *iface)
{
    for (unsigned int i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].iface == iface) {
            return rows[i].handler;
        }
    }
    return NULL;
}
