/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The interfaces that code of ours names one by one: those of the table, and
 * those that are made by their requests and need treatment. wayland-scanner
 * makes the objects from the protocols' XML (`private-code`), so each program
 * has its own; pointers to them can be compared. Interfaces that nobody names
 * are reached through the types of the messages that make their objects.
 */
#ifndef VWL_WAYLAND_INTERFACES_H
#define VWL_WAYLAND_INTERFACES_H

#include <wayland-util.h>

#define VWL_INTERFACE(name) extern const struct wl_interface name##_interface

/* wayland */
VWL_INTERFACE(wl_buffer);
VWL_INTERFACE(wl_compositor);
VWL_INTERFACE(wl_data_device);
VWL_INTERFACE(wl_data_device_manager);
VWL_INTERFACE(wl_data_offer);
VWL_INTERFACE(wl_data_source);
VWL_INTERFACE(wl_display);
VWL_INTERFACE(wl_keyboard);
VWL_INTERFACE(wl_output);
VWL_INTERFACE(wl_registry);
VWL_INTERFACE(wl_seat);
VWL_INTERFACE(wl_shm);
VWL_INTERFACE(wl_shm_pool);
VWL_INTERFACE(wl_subcompositor);
VWL_INTERFACE(wl_surface);
/* windows */
VWL_INTERFACE(xdg_activation_token_v1);
VWL_INTERFACE(xdg_activation_v1);
VWL_INTERFACE(xdg_surface);
VWL_INTERFACE(xdg_toplevel);
VWL_INTERFACE(xdg_wm_base);
VWL_INTERFACE(zxdg_decoration_manager_v1);
VWL_INTERFACE(zxdg_exporter_v1);
VWL_INTERFACE(zxdg_exporter_v2);
VWL_INTERFACE(zxdg_importer_v1);
VWL_INTERFACE(zxdg_importer_v2);
VWL_INTERFACE(zxdg_output_manager_v1);
/* pictures */
VWL_INTERFACE(wp_content_type_manager_v1);
VWL_INTERFACE(wp_fractional_scale_manager_v1);
VWL_INTERFACE(wp_presentation);
VWL_INTERFACE(wp_presentation_feedback);
VWL_INTERFACE(wp_single_pixel_buffer_manager_v1);
VWL_INTERFACE(wp_tearing_control_manager_v1);
VWL_INTERFACE(wp_viewporter);
VWL_INTERFACE(zwp_linux_buffer_params_v1);
VWL_INTERFACE(zwp_linux_buffer_release_v1);
VWL_INTERFACE(zwp_linux_dmabuf_feedback_v1);
VWL_INTERFACE(zwp_linux_dmabuf_v1);
VWL_INTERFACE(zwp_linux_explicit_synchronization_v1);
VWL_INTERFACE(zwp_linux_surface_synchronization_v1);
/* input, and what is copied and pasted */
VWL_INTERFACE(ext_idle_notifier_v1);
VWL_INTERFACE(zwp_idle_inhibit_manager_v1);
VWL_INTERFACE(zwp_input_timestamps_manager_v1);
VWL_INTERFACE(zwp_keyboard_shortcuts_inhibit_manager_v1);
VWL_INTERFACE(zwp_pointer_constraints_v1);
VWL_INTERFACE(zwp_pointer_gestures_v1);
VWL_INTERFACE(zwp_primary_selection_device_manager_v1);
VWL_INTERFACE(zwp_primary_selection_device_v1);
VWL_INTERFACE(zwp_primary_selection_offer_v1);
VWL_INTERFACE(zwp_primary_selection_source_v1);
VWL_INTERFACE(zwp_relative_pointer_manager_v1);
VWL_INTERFACE(zwp_tablet_manager_v2);
VWL_INTERFACE(zwp_text_input_manager_v1);
VWL_INTERFACE(zwp_text_input_manager_v3);

#undef VWL_INTERFACE

#endif
