/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the service's end of a daemon's --control (plugin/daemon/control.h):
 * it connects as soon as the daemon listens, and again to the next one. The
 * daemon stands between a guest and this: what it says is bounded, and a line
 * that is none ends the connection.
 *
 * Thread: the main context's. Not to be destroyed from within its ops.
 */
#ifndef VWL_SERVICE_REMOTE_H
#define VWL_SERVICE_REMOTE_H

#include <glib.h>
#include <stdbool.h>

struct vwl_remote;

struct vwl_remote_ops {
    /* Connected: nothing has been said yet. */
    void (*ready)(void *data);
    /* kind: clipboard, primary, drag; way: to-guest, from-guest. */
    void (*ask)(void *data, unsigned int number, const char *kind,
                const char *way);
    void (*over)(void *data, unsigned int number);
    /* All questions are over. */
    void (*gone)(void *data);
};

/* name: of the machine, for the log. */
struct vwl_remote *vwl_remote_create(const char *path, const char *name,
                                     const struct vwl_remote_ops *ops,
                                     void *data);
void vwl_remote_destroy(struct vwl_remote *remote); /* NULL is fine */

/* False: nobody is there. */
bool vwl_remote_set(struct vwl_remote *remote, const char *kind,
                    const char *way);
void vwl_remote_answer(struct vwl_remote *remote, unsigned int number,
                       bool allow);

/* figures: a{st}; windows: a(ss), application id and title, sanitised; both
 * borrowed, and NULL if there is no answer. */
typedef void (*vwl_seen_fn)(void *data, GVariant *figures, GVariant *windows);

/* Calls seen once, also from within. */
void vwl_remote_look(struct vwl_remote *remote, vwl_seen_fn seen, void *data);

#endif
