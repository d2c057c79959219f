/* SPDX-License-Identifier: BSD-3-Clause */
#include "kind.h"

#include "wayland/interfaces.h"

struct kind {
    const struct wl_interface *iface;
    enum vwl_kind kind;
};

/* clang-format off */
static const struct kind kinds[] = {
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
/* clang-format on */

const void *vwl_kind_role(const struct wl_interface *iface)
{
    for (unsigned int i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (kinds[i].iface == iface) {
            return &kinds[i];
        }
    }
    return NULL;
}

enum vwl_kind vwl_kind_of(const struct vwl_object *object)
{
    const struct kind *kind = object->role;

    return kind != NULL ? kind->kind : VWL_KIND_PLAIN;
}
