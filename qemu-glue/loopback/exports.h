/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where guest and VMM are one process: what the guest sends by number and the
 * device asks its host for. A number is one of this table; they count up and
 * are never 0. Any thread.
 */
#ifndef VWL_LOOPBACK_EXPORTS_H
#define VWL_LOOPBACK_EXPORTS_H

#include <stdint.h>

#define VWL_EXPORTS_MAX_ID ((1u << 28) - 1)

struct vwl_exports;

struct vwl_exports *vwl_exports_new(void);
/* NULL is fine. */
void vwl_exports_free(struct vwl_exports *exports);

/* Takes *fd; its number. -ENOSPC: there are too many. */
int vwl_exports_add(struct vwl_exports *exports, int *fd);
void vwl_exports_remove(struct vwl_exports *exports, uint32_t id);
/* A descriptor of the caller's own, or -errno. */
int vwl_exports_get(struct vwl_exports *exports, uint64_t id);

#endif
