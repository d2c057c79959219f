/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Notifications of a machine, shown by the host's own server under the
 * machine's name: text alone, bounded, never critical. One that is replaced or
 * closed on either side is so on the other.
 */
#ifndef VWL_DESKTOP_NOTES_H
#define VWL_DESKTOP_NOTES_H

#include <gio/gio.h>
#include <stdbool.h>
#include <stdint.h>

struct vwl_notes;

struct vwl_notes_ops {
    /* The user has closed it. */
    void (*closed)(void *opaque, uint32_t id);
    void (*log)(void *opaque, const char *line);
};

/* bus is the session's, and may be NULL: nothing is shown then. */
struct vwl_notes *vwl_notes_create(GDBusConnection *bus, const char *machine,
                                   const struct vwl_notes_ops *ops,
                                   void *opaque);
void vwl_notes_destroy(struct vwl_notes *notes);

void vwl_notes_show(struct vwl_notes *notes, uint32_t id, const char *title,
                    const char *body, uint32_t urgency);
void vwl_notes_close(struct vwl_notes *notes, uint32_t id);
/* The connection ended: so do they. */
void vwl_notes_close_all(struct vwl_notes *notes);

#endif
