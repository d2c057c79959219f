/* SPDX-License-Identifier: BSD-3-Clause */
/* Keymaps come as memory. */
#include "handler.h"

enum { KEYMAP = 0 };

const struct vwl_handler vwl_handle_keyboard = {
    .memory_events = 1u << KEYMAP,
};
