/* SPDX-License-Identifier: BSD-3-Clause */
#include "wayland/table.h"

#include <stddef.h>
#include <string.h>

#include "wayland/interfaces.h"

/* clang-format off */
static const struct vwl_table_row rows[] = {
    { &wl_compositor_interface, 5 },
    { &wl_subcompositor_interface, 1 },
    { &wl_shm_interface, 1 },
    { &wl_seat_interface, 8 },
    { &wl_output_interface, 4 },
    { &wl_data_device_manager_interface, 3 },
    { &zwp_primary_selection_device_manager_v1_interface, 1 },
    { &xdg_wm_base_interface, 5 },
    { &xdg_activation_v1_interface, 1 },
    { &zxdg_decoration_manager_v1_interface, 1 },
    { &zxdg_output_manager_v1_interface, 3 },
    { &zxdg_exporter_v1_interface, 1 },
    { &zxdg_importer_v1_interface, 1 },
    { &zxdg_exporter_v2_interface, 1 },
    { &zxdg_importer_v2_interface, 1 },
    { &wp_viewporter_interface, 1 },
    { &wp_fractional_scale_manager_v1_interface, 1 },
    { &wp_presentation_interface, 1 },
    { &wp_single_pixel_buffer_manager_v1_interface, 1 },
    { &wp_content_type_manager_v1_interface, 1 },
    { &wp_tearing_control_manager_v1_interface, 1 },
    { &zwp_idle_inhibit_manager_v1_interface, 1 },
    { &ext_idle_notifier_v1_interface, 1 },
    { &zwp_relative_pointer_manager_v1_interface, 1 },
    { &zwp_pointer_constraints_v1_interface, 1 },
    { &zwp_pointer_gestures_v1_interface, 3 },
    { &zwp_keyboard_shortcuts_inhibit_manager_v1_interface, 1 },
    { &zwp_input_timestamps_manager_v1_interface, 1 },
    { &zwp_tablet_manager_v2_interface, 1 },
    { &zwp_text_input_manager_v1_interface, 1 },
    { &zwp_text_input_manager_v3_interface, 1 },
    { &zwp_linux_dmabuf_v1_interface, 4 },
    { &zwp_linux_explicit_synchronization_v1_interface, 2 },
};
/* clang-format on */

const struct vwl_table_row *vwl_table_row(unsigned int i)
{
    return i < sizeof rows / sizeof rows[0] ? &rows[i] : NULL;
}

const struct vwl_table_row *vwl_table_global(const char *name)
{
    const struct vwl_table_row *row;

    for (unsigned int i = 0; (row = vwl_table_row(i)) != NULL; i++) {
        if (strcmp(row->iface->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

uint32_t vwl_table_version(const struct vwl_table_row *row)
{
    uint32_t known = (uint32_t)row->iface->version;

    return known < row->version ? known : row->version;
}
