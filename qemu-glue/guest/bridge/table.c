/* SPDX-License-Identifier: BSD-3-Clause */
#include "table.h"

#include <stddef.h>
#include <string.h>

#define ROWS(row)                                                              \
    row(wl_compositor) row(wl_subcompositor) row(wl_shm) row(wl_seat) row(     \
        wl_output) row(wl_data_device_manager)                                 \
        row(zwp_primary_selection_device_manager_v1) row(xdg_wm_base) row(     \
            xdg_activation_v1) row(zxdg_decoration_manager_v1)                 \
            row(zxdg_output_manager_v1) row(zxdg_exporter_v1) row(             \
                zxdg_importer_v1) row(zxdg_exporter_v2) row(zxdg_importer_v2)  \
                row(wp_viewporter) row(wp_fractional_scale_manager_v1) row(    \
                    wp_presentation) row(wp_single_pixel_buffer_manager_v1)    \
                    row(wp_content_type_manager_v1) row(                       \
                        wp_tearing_control_manager_v1)                         \
                        row(zwp_idle_inhibit_manager_v1) row(                  \
                            ext_idle_notifier_v1)                              \
                            row(zwp_relative_pointer_manager_v1) row(          \
                                zwp_pointer_constraints_v1)                    \
                                row(zwp_pointer_gestures_v1) row(              \
                                    zwp_keyboard_shortcuts_inhibit_manager_v1) \
                                    row(zwp_input_timestamps_manager_v1) row(  \
                                        zwp_tablet_manager_v2)                 \
                                        row(zwp_text_input_manager_v1) row(    \
                                            zwp_text_input_manager_v3)         \
                                            row(zwp_linux_dmabuf_v1) row(      \
                                                zwp_linux_explicit_synchronization_v1)

#define DECLARE(name) extern const struct wl_interface name##_interface;
ROWS(DECLARE)
extern const struct wl_interface wl_display_interface;
extern const struct wl_interface wl_registry_interface;
extern const struct wl_interface wl_shm_pool_interface;
extern const struct wl_interface wl_buffer_interface;
extern const struct wl_interface wl_surface_interface;
extern const struct wl_interface wl_keyboard_interface;
extern const struct wl_interface xdg_toplevel_interface;
extern const struct wl_interface wp_presentation_feedback_interface;
extern const struct wl_interface zwp_linux_buffer_params_v1_interface;
extern const struct wl_interface zwp_linux_dmabuf_feedback_v1_interface;
extern const struct wl_interface zwp_linux_surface_synchronization_v1_interface;
extern const struct wl_interface zwp_linux_buffer_release_v1_interface;

#define POINT(name) &name##_interface,
static const struct wl_interface *const rows[] = { ROWS(POINT) };

static const struct {
    const struct wl_interface *iface;
    enum vwl_kind kind;
} kinds[] = {
    { &wl_display_interface, VWL_KIND_DISPLAY },
    { &wl_registry_interface, VWL_KIND_REGISTRY },
    { &wl_shm_interface, VWL_KIND_SHM },
    { &wl_shm_pool_interface, VWL_KIND_POOL },
    { &wl_buffer_interface, VWL_KIND_BUFFER },
    { &wl_surface_interface, VWL_KIND_SURFACE },
    { &wl_keyboard_interface, VWL_KIND_KEYBOARD },
    { &wp_viewporter_interface, VWL_KIND_VIEWPORTER },
    { &xdg_toplevel_interface, VWL_KIND_TOPLEVEL },
    { &wp_presentation_interface, VWL_KIND_PRESENTATION },
    { &wp_presentation_feedback_interface, VWL_KIND_FEEDBACK },
    { &zwp_linux_dmabuf_v1_interface, VWL_KIND_DMABUF },
    { &zwp_linux_buffer_params_v1_interface, VWL_KIND_DMABUF_PARAMS },
    { &zwp_linux_dmabuf_feedback_v1_interface, VWL_KIND_DMABUF_FEEDBACK },
    { &zwp_linux_explicit_synchronization_v1_interface, VWL_KIND_SYNC_FACTORY },
    { &zwp_linux_surface_synchronization_v1_interface, VWL_KIND_SYNC },
    { &zwp_linux_buffer_release_v1_interface, VWL_KIND_BUFFER_RELEASE },
};

const struct wl_interface *vwl_table_row(unsigned int i)
{
    return i < sizeof rows / sizeof rows[0] ? rows[i] : NULL;
}

const struct wl_interface *vwl_table_global(const char *name)
{
    const struct wl_interface *row;

    for (unsigned int i = 0; (row = vwl_table_row(i)) != NULL; i++) {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

const struct wl_interface *vwl_table_display(void)
{
    return &wl_display_interface;
}

const struct wl_interface *vwl_table_pool(void)
{
    return &wl_shm_pool_interface;
}

enum vwl_kind vwl_table_kind(const struct wl_interface *iface)
{
    for (unsigned int i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].iface == iface) {
            return kinds[i].kind;
        }
    }
    return VWL_KIND_PLAIN;
}
