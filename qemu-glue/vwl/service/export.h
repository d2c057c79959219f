/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: one machine on the session bus: the interface Machine of
 * bus/vwl.xml.in in front of a box.
 */
#ifndef VWL_SERVICE_EXPORT_H
#define VWL_SERVICE_EXPORT_H

#include <gio/gio.h>
#include <stdbool.h>

struct vwl_export;

struct vwl_export_ops {
    /* A box has processes now, or none any more. */
    void (*alive)(void *data, struct vwl_export *export, bool is_alive);
    /* The machine was deleted; the callee destroys the export, later. */
    void (*deleted)(void *data, struct vwl_export *export);
};

struct vwl_export *vwl_export_create(GDBusObjectManagerServer *manager,
                                     const char *name,
                                     const struct vwl_export_ops *ops,
                                     void *data);
void vwl_export_destroy(struct vwl_export *export);

/* Reads again what the machine's file says of it. */
void vwl_export_refresh(struct vwl_export *export);

/* To a question that was asked about it. */
void vwl_export_answer(struct vwl_export *export, unsigned int serial,
                       bool allow);

const char *vwl_export_name(const struct vwl_export *export);

#endif
