/* SPDX-License-Identifier: BSD-3-Clause */
#include "wayland/table.h"

#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "wayland/interfaces.h"

/* Reasons that several rows share. */
#define SCREEN "reads the screen"
#define INJECTS "makes input for other windows"
#define GRABS "takes keys and pointer from other windows"
#define CLIPBOARD "clipboard without focus"
#define WINDOWS "lists and controls other windows"
#define DESKTOP "a part of the desktop, above other windows"
#define COMPOSITOR "private to one compositor"
#define LOCK "locks the session"
#define SCREENS "the screens' settings"
#define DEVICES "the input devices' settings"
#define HARDWARE "hardware of the host"
#define X11 "for X servers of the host"
#define TOOLKIT "private to a toolkit"
#define PAST "connections past the device"
#define LIBRARY "private to a library"
#define BUS "names services of the host's session bus"
#define OLD "a newer one replaces it"

/* clang-format off */
#define TABLED(name, verdict, version, why) \
    { #name, verdict, version, &name##_interface, why }
#define UNTABLED(name, verdict, version, why) \
    { #name, verdict, version, NULL, why }
#define REFUSED(name, why) { #name, VWL_REFUSED, 0, NULL, why }

/* Sorted by name, as strcmp does. */
static const struct vwl_table_row rows[] = {
    REFUSED(_wl_fullscreen_shell, DESKTOP),
    REFUSED(agl_screenshooter, SCREEN),
    REFUSED(agl_shell, WINDOWS),
    REFUSED(agl_shell_desktop, WINDOWS),
    REFUSED(agl_shell_ext, WINDOWS),
    REFUSED(cosmic_a11y_manager_v1, GRABS),
    REFUSED(cosmic_atspi_manager_v1, GRABS),
    REFUSED(cosmic_corner_radius_manager_v1, COMPOSITOR),
    REFUSED(dummy, INJECTS),
    UNTABLED(ext_background_effect_manager_v1, VWL_ALLOWED, 1,
        "blur behind own windows"),
    REFUSED(ext_data_control_manager_v1, CLIPBOARD),
    REFUSED(ext_foreign_toplevel_image_capture_source_manager_v1, SCREEN),
    REFUSED(ext_foreign_toplevel_list_v1, WINDOWS),
    TABLED(ext_idle_notifier_v1, VWL_ASKED, 1, "tells when the user is away"),
    REFUSED(ext_image_copy_capture_manager_v1, SCREEN),
    REFUSED(ext_output_image_capture_source_manager_v1, SCREEN),
    REFUSED(ext_session_lock_manager_v1, LOCK),
    REFUSED(ext_transient_seat_manager_v1, INJECTS),
    REFUSED(ext_workspace_manager_v1, WINDOWS),
    REFUSED(frog_color_management_factory_v1, COMPOSITOR),
    REFUSED(gtk_primary_selection_device_manager, OLD),
    REFUSED(gtk_shell1, BUS),
    REFUSED(hyprland_ctm_control_manager_v1, SCREENS),
    REFUSED(hyprland_focus_grab_manager_v1, GRABS),
    REFUSED(hyprland_global_shortcuts_manager_v1, GRABS),
    REFUSED(hyprland_input_capture_manager_v1, GRABS),
    REFUSED(hyprland_lock_notifier_v1, LOCK),
    REFUSED(hyprland_surface_manager_v1, COMPOSITOR),
    REFUSED(hyprland_toplevel_export_manager_v1, SCREEN),
    REFUSED(hyprland_toplevel_mapping_manager_v1, WINDOWS),
    REFUSED(ivi_application, DESKTOP),
    REFUSED(ivi_hmi_controller, WINDOWS),
    REFUSED(jay_popup_ext_manager_v1, DESKTOP),
    REFUSED(jay_tray_v1, DESKTOP),
    REFUSED(kde_external_brightness_v1, SCREENS),
    REFUSED(kde_lockscreen_overlay_v1, DESKTOP),
    REFUSED(kde_output_device_registry_v2, SCREENS),
    REFUSED(kde_output_device_v2, SCREENS),
    REFUSED(kde_output_management_v2, SCREENS),
    REFUSED(kde_output_order_v1, SCREENS),
    REFUSED(kde_primary_output_v1, SCREENS),
    REFUSED(kde_screen_edge_manager_v1, GRABS),
    REFUSED(mir_shell_v1, DESKTOP),
    REFUSED(mutter_x11_interop, X11),
    REFUSED(org_kde_kwin_appmenu_manager, BUS),
    TABLED(org_kde_kwin_blur_manager, VWL_ALLOWED, 1,
        "blur behind own windows"),
    TABLED(org_kde_kwin_contrast_manager, VWL_ALLOWED, 2,
        "contrast behind own windows"),
    REFUSED(org_kde_kwin_dpms_manager, SCREENS),
    REFUSED(org_kde_kwin_fake_input, INJECTS),
    TABLED(org_kde_kwin_idle, VWL_ASKED, 1, "tells when the user is away"),
    REFUSED(org_kde_kwin_keystate, GRABS),
    REFUSED(org_kde_kwin_outputdevice, SCREENS),
    REFUSED(org_kde_kwin_outputmanagement, SCREENS),
    REFUSED(org_kde_kwin_remote_access_manager, SCREEN),
    TABLED(org_kde_kwin_server_decoration_manager, VWL_ALLOWED, 1,
        "frames drawn by the compositor"),
    REFUSED(org_kde_kwin_server_decoration_palette_manager,
            "a file of the host by its path"),
    TABLED(org_kde_kwin_shadow_manager, VWL_ALLOWED, 2,
        "shadow of own windows"),
    TABLED(org_kde_kwin_slide_manager, VWL_ALLOWED, 1,
        "how own windows appear"),
    REFUSED(org_kde_plasma_activation_feedback, WINDOWS),
    REFUSED(org_kde_plasma_shell, DESKTOP),
    REFUSED(org_kde_plasma_virtual_desktop_management, WINDOWS),
    REFUSED(org_kde_plasma_window_management, WINDOWS),
    UNTABLED(overlay_prioritizer, VWL_ASKED, 0,
        "Chrome OS: a hint on own surfaces"),
    REFUSED(qt_surface_extension, TOOLKIT),
    REFUSED(qt_text_input_method_manager_v1, TOOLKIT),
    REFUSED(qt_windowmanager, TOOLKIT),
    REFUSED(river_input_manager_v1, DEVICES),
    REFUSED(river_layer_shell_v1, DESKTOP),
    REFUSED(river_libinput_config_v1, DEVICES),
    REFUSED(river_window_manager_v1, WINDOWS),
    REFUSED(river_xkb_bindings_v1, GRABS),
    REFUSED(river_xkb_config_v1, DEVICES),
    UNTABLED(surface_augmenter, VWL_ASKED, 0,
        "Chrome OS: effects on own surfaces"),
    REFUSED(test_driver, INJECTS),
    REFUSED(tizen_clipboard, CLIPBOARD),
    REFUSED(tizen_display_policy, WINDOWS),
    REFUSED(tizen_effect, COMPOSITOR),
    REFUSED(tizen_embedded_compositor, PAST),
    REFUSED(tizen_gesture, GRABS),
    REFUSED(tizen_indicator, WINDOWS),
    REFUSED(tizen_input_device_manager, INJECTS),
    REFUSED(tizen_keyrouter, GRABS),
    REFUSED(tizen_launchscreen, COMPOSITOR),
    REFUSED(tizen_move_resize, WINDOWS),
    REFUSED(tizen_policy, WINDOWS),
    REFUSED(tizen_renderer, COMPOSITOR),
    REFUSED(tizen_screen_rotation, SCREENS),
    REFUSED(tizen_screenshooter, SCREEN),
    REFUSED(tizen_surface, COMPOSITOR),
    REFUSED(tizen_video, COMPOSITOR),
    REFUSED(treeland_capture_manager_v1, SCREEN),
    REFUSED(treeland_dde_shell_manager_v1, DESKTOP),
    REFUSED(treeland_foreign_toplevel_manager_v1, WINDOWS),
    REFUSED(treeland_output_manager_v1, SCREENS),
    REFUSED(treeland_personalization_manager_v1, DESKTOP),
    REFUSED(treeland_shortcut_manager_v1, GRABS),
    REFUSED(treeland_virtual_output_manager_v1, SCREENS),
    REFUSED(treeland_wallpaper_color_manager_v1, DESKTOP),
    REFUSED(treeland_window_management_v1, WINDOWS),
    REFUSED(vicinae_hotkey_manager_v1, GRABS),
    REFUSED(weston_capture_v1, SCREEN),
    REFUSED(weston_content_protection, HARDWARE),
    REFUSED(weston_debug_v1, "logs of the compositor"),
    REFUSED(weston_desktop_shell, DESKTOP),
    REFUSED(weston_direct_display_v1, HARDWARE),
    REFUSED(weston_restricted_buffer_v1, HARDWARE),
    REFUSED(weston_screensaver, DESKTOP),
    REFUSED(weston_screenshooter, SCREEN),
    REFUSED(weston_test, INJECTS),
    REFUSED(weston_test_runner, INJECTS),
    REFUSED(weston_touch_calibration, INJECTS),
    TABLED(wl_compositor, VWL_ALLOWED, 6, "surfaces"),
    TABLED(wl_data_device_manager, VWL_ALLOWED, 3,
        "clipboard and drags while focused; see --clipboard, --drag"),
    REFUSED(wl_drm, HARDWARE),
    REFUSED(wl_eglstream, HARDWARE),
    REFUSED(wl_eglstream_controller, HARDWARE),
    REFUSED(wl_eglstream_display, HARDWARE),
    TABLED(wl_fixes, VWL_ALLOWED, 1, "ends own registries"),
    TABLED(wl_output, VWL_ALLOWED, 4, "scale and size of the screens"),
    TABLED(wl_seat, VWL_ALLOWED, 10, "input while an own window has the focus"),
    REFUSED(wl_shell, OLD),
    TABLED(wl_shm, VWL_ALLOWED, 2, "pictures in shared memory"),
    TABLED(wl_subcompositor, VWL_ALLOWED, 1, "parts of own windows"),
    REFUSED(wl_text_input_manager, OLD),
    REFUSED(wlproxy_sync_v1, LIBRARY),
    REFUSED(wlproxy_test, LIBRARY),
    TABLED(wp_alpha_modifier_v1, VWL_ALLOWED, 1, "opacity of own surfaces"),
    TABLED(wp_color_manager_v1, VWL_ALLOWED, 1, "colours of own pictures"),
    TABLED(wp_color_representation_manager_v1, VWL_ALLOWED, 1,
        "how own pictures are encoded"),
    TABLED(wp_commit_timing_manager_v1, VWL_ALLOWED, 1,
        "pacing of own frames"),
    TABLED(wp_content_type_manager_v1, VWL_ALLOWED, 1,
        "a hint on own surfaces"),
    TABLED(wp_cursor_shape_manager_v1, VWL_ALLOWED, 2,
        "cursors of the host's theme over own windows"),
    REFUSED(wp_drm_lease_device_v1, HARDWARE),
    TABLED(wp_fifo_manager_v1, VWL_ALLOWED, 1, "pacing of own frames"),
    TABLED(wp_fractional_scale_manager_v1, VWL_ALLOWED, 1,
        "sharp windows on fractional screens"),
    REFUSED(wp_image_description_reference_v1,
            "no global: an argument of wp_color_manager_v1"),
    REFUSED(wp_linux_drm_syncobj_manager_v1,
            "a synchronisation object that no guest has"),
    UNTABLED(wp_pointer_warp_v1, VWL_ASKED, 1,
        "moves the pointer within own windows"),
    TABLED(wp_presentation, VWL_ALLOWED, 2, "when own frames were shown"),
    REFUSED(wp_security_context_manager_v1, PAST),
    TABLED(wp_single_pixel_buffer_manager_v1, VWL_ALLOWED, 1,
        "buffers of one colour"),
    TABLED(wp_tearing_control_manager_v1, VWL_ALLOWED, 1,
        "a hint on own surfaces"),
    TABLED(wp_viewporter, VWL_ALLOWED, 1, "own surfaces cropped and scaled"),
    TABLED(xdg_activation_v1, VWL_ALLOWED, 1,
        "asks to be raised; the compositor decides by the user's input"),
    UNTABLED(xdg_session_manager_v1, VWL_ASKED, 1,
        "restores positions by names that host programs use, too"),
    REFUSED(xdg_shell, OLD),
    TABLED(xdg_system_bell_v1, VWL_ALLOWED, 1, "a beep"),
    TABLED(xdg_toplevel_drag_manager_v1, VWL_ALLOWED, 1,
        "own windows that follow a drag"),
    TABLED(xdg_toplevel_icon_manager_v1, VWL_ALLOWED, 1,
        "icon of an own window"),
    TABLED(xdg_toplevel_tag_manager_v1, VWL_ASKED, 1,
        "tags that the host's window rules may trust"),
    TABLED(xdg_wm_base, VWL_ALLOWED, 7, "windows"),
    TABLED(xdg_wm_dialog_v1, VWL_ALLOWED, 1, "dialogs of own windows"),
    REFUSED(xwayland_shell_v1, X11),
    REFUSED(xx_fractional_scale_manager_v2, COMPOSITOR),
    REFUSED(xx_pip_shell_v1, DESKTOP),
    REFUSED(zaura_output_manager, SCREENS),
    REFUSED(zaura_output_manager_v2, SCREENS),
    UNTABLED(zaura_shell, VWL_ASKED, 0,
        "Chrome OS: places windows, names programs"),
    REFUSED(zcosmic_keyboard_layout_manager_v1, DEVICES),
    REFUSED(zcosmic_output_manager_v1, SCREENS),
    REFUSED(zcosmic_overlap_notify_v1, WINDOWS),
    REFUSED(zcosmic_toplevel_info_v1, WINDOWS),
    REFUSED(zcosmic_toplevel_manager_v1, WINDOWS),
    REFUSED(zcosmic_workspace_image_capture_source_manager_v1, SCREEN),
    REFUSED(zcosmic_workspace_manager_v1, WINDOWS),
    REFUSED(zcosmic_workspace_manager_v2, WINDOWS),
    REFUSED(zcr_color_manager_v1, SCREENS),
    UNTABLED(zcr_keyboard_configuration_v1, VWL_ASKED, 0,
        "Chrome OS: tells about the keyboard"),
    UNTABLED(zcr_keyboard_extension_v1, VWL_ASKED, 0,
        "Chrome OS: tells about the keyboard"),
    UNTABLED(zcr_stylus_v2, VWL_ASKED, 0, "Chrome OS: pens while focused"),
    UNTABLED(zcr_text_input_extension_v1, VWL_ASKED, 0,
        "Chrome OS: more of the input method"),
    REFUSED(zkde_screencast_unstable_v1, SCREEN),
    REFUSED(zqt_key_v1, TOOLKIT),
    REFUSED(zwlr_data_control_manager_v1, CLIPBOARD),
    REFUSED(zwlr_export_dmabuf_manager_v1, SCREEN),
    REFUSED(zwlr_foreign_toplevel_manager_v1, WINDOWS),
    REFUSED(zwlr_gamma_control_manager_v1, SCREENS),
    REFUSED(zwlr_input_inhibit_manager_v1, GRABS),
    REFUSED(zwlr_layer_shell_v1, DESKTOP),
    REFUSED(zwlr_output_manager_v1, SCREENS),
    REFUSED(zwlr_output_power_manager_v1, SCREENS),
    REFUSED(zwlr_screencopy_manager_v1, SCREEN),
    REFUSED(zwlr_virtual_pointer_manager_v1, INJECTS),
    REFUSED(zwp_fullscreen_shell_v1, DESKTOP),
    TABLED(zwp_idle_inhibit_manager_v1, VWL_ASKED, 1,
        "keeps the screen from locking"),
    REFUSED(zwp_input_method_manager_v2, INJECTS),
    REFUSED(zwp_input_method_v1, INJECTS),
    REFUSED(zwp_input_panel_v1, INJECTS),
    TABLED(zwp_input_timestamps_manager_v1, VWL_ALLOWED, 1,
        "times of own input events"),
    TABLED(zwp_keyboard_shortcuts_inhibit_manager_v1, VWL_ASKED, 1,
        "takes the desktop's shortcuts while focused"),
    TABLED(zwp_linux_dmabuf_v1, VWL_ALLOWED, 5,
        "pictures in graphics memory that the guest was given"),
    TABLED(zwp_linux_explicit_synchronization_v1, VWL_ALLOWED, 2,
        "fences for own buffers"),
    TABLED(zwp_pointer_constraints_v1, VWL_ASKED, 1,
        "holds the pointer while focused"),
    TABLED(zwp_pointer_gestures_v1, VWL_ALLOWED, 3, "gestures while focused"),
    TABLED(zwp_primary_selection_device_manager_v1, VWL_ALLOWED, 1,
        "middle-click paste while focused; see --primary"),
    TABLED(zwp_relative_pointer_manager_v1, VWL_ALLOWED, 1,
        "pointer motion while focused"),
    REFUSED(zwp_tablet_manager_v1, OLD),
    TABLED(zwp_tablet_manager_v2, VWL_ALLOWED, 1, "pens while focused"),
    TABLED(zwp_text_input_manager_v1, VWL_ALLOWED, 1,
        "input methods while focused"),
    TABLED(zwp_text_input_manager_v2, VWL_ALLOWED, 1,
        "input methods while focused"),
    TABLED(zwp_text_input_manager_v3, VWL_ALLOWED, 1,
        "input methods while focused"),
    REFUSED(zwp_virtual_keyboard_manager_v1, INJECTS),
    REFUSED(zwp_xwayland_keyboard_grab_manager_v1, GRABS),
    TABLED(zxdg_decoration_manager_v1, VWL_ALLOWED, 1,
        "frames drawn by the compositor"),
    TABLED(zxdg_exporter_v1, VWL_ASKED, 1,
        "gives out handles of own windows; v2 replaces it"),
    TABLED(zxdg_exporter_v2, VWL_ASKED, 1, "gives out handles of own windows"),
    TABLED(zxdg_importer_v1, VWL_ASKED, 1,
        "may attach a dialog to a host window; v2 replaces it"),
    TABLED(zxdg_importer_v2, VWL_ASKED, 1,
        "may attach a dialog to a host window whose handle it knows"),
    TABLED(zxdg_output_manager_v1, VWL_ALLOWED, 3, "layout of the screens"),
    REFUSED(zxdg_shell_v6, OLD),
};
/* clang-format on */

const struct vwl_table_row *vwl_table_at(unsigned int i)
{
    return i < G_N_ELEMENTS(rows) ? &rows[i] : NULL;
}

static int by_name(const void *name, const void *row)
{
    return strcmp(name, ((const struct vwl_table_row *)row)->name);
}

const struct vwl_table_row *vwl_table_find(const char *name)
{
    return bsearch(name, rows, G_N_ELEMENTS(rows), sizeof rows[0], by_name);
}

unsigned int vwl_table_index(const struct vwl_table_row *row)
{
    return (unsigned int)(row - rows);
}

const struct vwl_table_row *vwl_table_global(const char *name)
{
    const struct vwl_table_row *row = vwl_table_find(name);

    return row && row->iface ? row : NULL;
}

const struct vwl_table_row *vwl_table_row(unsigned int i)
{
    for (unsigned int at = 0; at < G_N_ELEMENTS(rows); at++) {
        if (rows[at].iface && i-- == 0) {
            return &rows[at];
        }
    }
    return NULL;
}

uint32_t vwl_table_version(const struct vwl_table_row *row)
{
    return row->iface ? MIN(row->version, (uint32_t)row->iface->version) : 0;
}

bool vwl_table_ends(const struct wl_interface *iface, uint16_t opcode)
{
    const struct vwl_wayland_ends *ends = vwl_wayland_ends;

    while (ends->iface && ends->iface != iface) {
        ends++;
    }
    return opcode < 64 && (ends->requests >> opcode & 1);
}
