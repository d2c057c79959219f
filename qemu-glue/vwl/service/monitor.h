/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what the service says to a machine's QEMU, and hears from it: power
 * off, end, be saved, and go on from what was saved.
 *
 * Thread: the main context's.
 */
#ifndef VWL_SERVICE_MONITOR_H
#define VWL_SERVICE_MONITOR_H

#include <glib.h>
#include <stdbool.h>

enum vwl_monitor_begin {
    VWL_MONITOR_BOOTS, /* a QEMU that was just started */
    VWL_MONITOR_LOADS, /* the same, which waits for what was saved (saved.h) */
    VWL_MONITOR_FOUND, /* one that another service has started */
};

/* Not called from within the functions below, but for `saved`. */
struct vwl_monitor_ops {
    /* The guest, or we, have had it power off. */
    void (*powered_off)(void *data);
    /* It is of no use: kill it. Text is "WHAT; NEXT STEP". */
    void (*broken)(void *data, const char *text);
    /* The guest stands still for want of room; NULL: no more. */
    void (*waits)(void *data, const char *text);
    /* NULL: it is saved, and stands still; else it runs on. */
    void (*saved)(void *data, const GError *error);
};

struct vwl_monitor;

/* name, version: of the machine, of its QEMU; line: QEMU's, which outlives
 * it. */
struct vwl_monitor *vwl_monitor_create(const char *path, const char *name,
                                       const char *version, char *const *line,
                                       enum vwl_monitor_begin begin,
                                       const struct vwl_monitor_ops *ops,
                                       void *data);
void vwl_monitor_destroy(struct vwl_monitor *monitor);

/* QEMU has not yet gone on with what was saved. */
bool vwl_monitor_is_loading(const struct vwl_monitor *monitor);

/* False if it cannot be said to QEMU. */
bool vwl_monitor_power_down(struct vwl_monitor *monitor);
bool vwl_monitor_quit(struct vwl_monitor *monitor);
bool vwl_monitor_save(struct vwl_monitor *monitor);

#endif
