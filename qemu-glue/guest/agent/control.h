/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the other commands of vwl-guest reach the agent of the session: a socket
 * in $XDG_RUNTIME_DIR that takes one line and answers by one.
 */
#ifndef VWL_AGENT_CONTROL_H
#define VWL_AGENT_CONTROL_H

#include <gio/gio.h>
#include <stdbool.h>

struct vwl_control;

/* The answer to a line (g_free): "ok", or "no " and why. */
typedef char *(*vwl_control_fn)(void *opaque, const char *line);

char *vwl_control_path(void);

/* NULL with *error. */
struct vwl_control *vwl_control_create(const char *path, vwl_control_fn answer,
                                       void *opaque, GError **error);
void vwl_control_destroy(struct vwl_control *control);

/* The other side: says a line, waits for the answer. NULL with *error if there
 * is no agent. */
char *vwl_control_ask(const char *path, const char *line, GError **error);

#endif
