/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a machine may do on the host's desktop: its programs as entries, its
 * links, its notifications. The service hands on the frames of the machine's
 * session; nothing here waits, and nothing a machine says ends the connection
 * that the parser has let pass. One object for each machine, in the main loop
 * of the thread that makes it.
 */
#ifndef VWL_DESKTOP_DESKTOP_H
#define VWL_DESKTOP_DESKTOP_H

#include <gio/gio.h>
#include <stdbool.h>

#include "apps.h"

struct vwl_desktop;

enum vwl_wish {
    VWL_WISH_DENY,
    VWL_WISH_ALLOW,
    VWL_WISH_ASK, /* links alone */
};

struct vwl_desktop_policy {
    enum vwl_wish apps, links, notifications;
};

struct vwl_desktop_ops {
    /* A line for the machine's log; text of the guest is clean in it. */
    void (*log)(void *opaque, const char *line);
    /* Whole frames for the guest. */
    void (*send)(void *opaque, const void *data, size_t len);
    /* vwl_desktop_apps is another one. */
    void (*apps_changed)(void *opaque);
    /* Whether a link may be opened: vwl_desktop_answer, once, or never. Only
     * one is asked about at a time. */
    void (*ask)(void *opaque, unsigned int serial, const char *what,
                const char *detail);
};

/* command: VWL_COMMAND, but in tests. bus may be NULL: no notifications. */
struct vwl_desktop *vwl_desktop_create(const char *machine, const char *command,
                                       GDBusConnection *bus,
                                       const struct vwl_desktop_ops *ops,
                                       void *opaque);
/* Entries stay: the machine may be started by them. */
void vwl_desktop_destroy(struct vwl_desktop *desktop);

/* All are allowed at first. */
void vwl_desktop_set_policy(struct vwl_desktop *desktop,
                            const struct vwl_desktop_policy *policy);
/* For HELLO: VWL_MAY_ bits. */
unsigned int vwl_desktop_may(const struct vwl_desktop *desktop);

/* False for a frame that is not for the desktop (HELLO, ANSWER). */
bool vwl_desktop_frame(struct vwl_desktop *desktop,
                       const struct vwl_frame *frame);
/* The connection ended. */
void vwl_desktop_hang_up(struct vwl_desktop *desktop);

void vwl_desktop_answer(struct vwl_desktop *desktop, unsigned int serial,
                        bool allow);
struct vwl_apps *vwl_desktop_apps(struct vwl_desktop *desktop);

#endif
