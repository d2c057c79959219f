/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the user does in cage's window: compositors take a selection only with
 * the serial of that. Beside the keyboard and pointer of cage there are others
 * of the same seat here, which hear the same.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <wayland-client.h>

/* The user came, went, pressed or released something: @serial; @focused: and
 * the window has the keyboard. On cage's thread. */
typedef void (*vwl_acted_fn)(uint32_t serial, bool focused);

/* Once, with a seat of version 1 that nobody else listens to. */
void vwl_seat_begin(struct wl_seat *seat, vwl_acted_fn acted);
