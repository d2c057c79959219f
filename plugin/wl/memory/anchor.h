/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A page of ours in region 0, for drivers that are told guest addresses.
 */
#ifndef VWL_WL_MEMORY_ANCHOR_H
#define VWL_WL_MEMORY_ANCHOR_H

#include <stdint.h>

struct vwl_core;

/* Maps a page of ours at the start of the window for as long as the device
 * runs, so that every memory table of the front-end tells where it is. */
void vwl_anchor_map(struct vwl_core *core);
/* The same for a snapshot's, at its place. */
int vwl_anchor_restore(struct vwl_core *core, uint64_t offset);

#endif
