/* SPDX-License-Identifier: BSD-3-Clause */
#include "seat.h"

#include <unistd.h>

static struct {
    vwl_acted_fn acted;
    struct wl_keyboard *keyboard;
    struct wl_pointer *pointer;
    uint32_t serial;
    bool focused;
} us;

static void acted(uint32_t serial, bool focused)
{
    us.serial = serial;
    us.focused = focused;
    us.acted(serial, focused);
}

static void keyboard_keymap(void *data, struct wl_keyboard *keyboard,
                            uint32_t format, int fd, uint32_t size)
{
    close(fd);
}

static void keyboard_enter(void *data, struct wl_keyboard *keyboard,
                           uint32_t serial, struct wl_surface *surface,
                           struct wl_array *keys)
{
    acted(serial, true);
}

static void keyboard_leave(void *data, struct wl_keyboard *keyboard,
                           uint32_t serial, struct wl_surface *surface)
{
    acted(serial, false);
}

static void keyboard_key(void *data, struct wl_keyboard *keyboard,
                         uint32_t serial, uint32_t time, uint32_t key,
                         uint32_t state)
{
    acted(serial, true);
}

static void keyboard_modifiers(void *data, struct wl_keyboard *keyboard,
                               uint32_t serial, uint32_t depressed,
                               uint32_t latched, uint32_t locked,
                               uint32_t group)
{
}

static const struct wl_keyboard_listener keyboard_listener = {
    .keymap = keyboard_keymap,
    .enter = keyboard_enter,
    .leave = keyboard_leave,
    .key = keyboard_key,
    .modifiers = keyboard_modifiers
};

static void pointer_enter(void *data, struct wl_pointer *pointer,
                          uint32_t serial, struct wl_surface *surface,
                          wl_fixed_t x, wl_fixed_t y)
{
}

static void pointer_leave(void *data, struct wl_pointer *pointer,
                          uint32_t serial, struct wl_surface *surface)
{
}

static void pointer_motion(void *data, struct wl_pointer *pointer,
                           uint32_t time, wl_fixed_t x, wl_fixed_t y)
{
}

static void pointer_button(void *data, struct wl_pointer *pointer,
                           uint32_t serial, uint32_t time, uint32_t button,
                           uint32_t state)
{
    if (us.focused)
        acted(serial, true);
}

static void pointer_axis(void *data, struct wl_pointer *pointer, uint32_t time,
                         uint32_t axis, wl_fixed_t value)
{
}

static const struct wl_pointer_listener pointer_listener = {
    .enter = pointer_enter,
    .leave = pointer_leave,
    .motion = pointer_motion,
    .button = pointer_button,
    .axis = pointer_axis
};

/* What a seat loses and gets again is another one. */
static void seat_capabilities(void *data, struct wl_seat *seat,
                              uint32_t capabilities)
{
    bool keyboard = capabilities & WL_SEAT_CAPABILITY_KEYBOARD;
    bool pointer = capabilities & WL_SEAT_CAPABILITY_POINTER;

    if (keyboard && !us.keyboard) {
        us.keyboard = wl_seat_get_keyboard(seat);
        wl_keyboard_add_listener(us.keyboard, &keyboard_listener, NULL);
    } else if (!keyboard && us.keyboard) {
        wl_keyboard_destroy(us.keyboard);
        us.keyboard = NULL;
        acted(us.serial, false);
    }
    if (pointer && !us.pointer) {
        us.pointer = wl_seat_get_pointer(seat);
        wl_pointer_add_listener(us.pointer, &pointer_listener, NULL);
    } else if (!pointer && us.pointer) {
        wl_pointer_destroy(us.pointer);
        us.pointer = NULL;
    }
}

static const struct wl_seat_listener seat_listener = {
    .capabilities = seat_capabilities
};

void vwl_seat_begin(struct wl_seat *seat, vwl_acted_fn heard)
{
    us.acted = heard;
    wl_seat_add_listener(seat, &seat_listener, NULL);
}
