/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: bytes from one descriptor to another, in the main loop: it waits for
 * the slower side, holds at most 64 KiB, and changes no flag of either (they
 * may be shared with other programs).
 */
#ifndef VWL_CLIENT_PUMP_H
#define VWL_CLIENT_PUMP_H

#include <stdbool.h>

struct vwl_pump;

/* Takes neither descriptor, but for `to` with close_to: that is closed at the
 * end of `from`. ended is called once; not from within this. */
struct vwl_pump *vwl_pump_create(int from, int to, bool close_to,
                                 void (*ended)(void *data), void *data);
void vwl_pump_destroy(struct vwl_pump *pump);

#endif
