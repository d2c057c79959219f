/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Time for a core_rig is what its test says: GLib's clock and the core's timer
 * are replaced (by the linker: see own_clock in meson.build). It stands still
 * until it is moved.
 */
#ifndef TESTS_UNIT_OWN_CLOCK_H
#define TESTS_UNIT_OWN_CLOCK_H

#include "core_rig.h"

/* By so many ms; the core then does what is due. */
void own_clock_advance(struct core_rig *rig, int64_t ms);

#endif
