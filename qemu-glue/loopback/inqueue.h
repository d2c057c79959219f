/* SPDX-License-Identifier: BSD-3-Clause */
/* The in queue's half of the driver; between its files alone. */
#ifndef VWL_LOOPBACK_INQUEUE_H
#define VWL_LOOPBACK_INQUEUE_H

#include "driver.h"

void vwl_drv_init_tables(struct vwl_drv *drv);
void vwl_drv_finish_tables(struct vwl_drv *drv);

void vwl_drv_collect_in(struct vwl_drv *drv);
void vwl_drv_drop_buffers(struct vwl_drv *drv);

/* vwl_drv_recv of a VFD that is readable. */
int64_t vwl_drv_take(struct vwl_drv *drv, uint32_t id, void *data, size_t cap,
                     uint32_t *ids, unsigned int *n_ids);

/* A VFD enters the table; one that is there already is replaced. */
struct vwl_drv_vfd *vwl_drv_place(struct vwl_drv *drv, uint32_t id,
                                  bool from_host);

#endif
