/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: QEMU's monitor by its JSON protocol, as far as a machine's owner
 * needs it: commands, their answers, and events.
 *
 * QEMU may not listen yet: the connection is tried again until it does, or
 * until this is destroyed. A line of more than 1 MiB, or one that is no JSON,
 * ends the connection.
 *
 * Thread: the main context's. Functions may destroy it from within any call
 * of the ops.
 */
#ifndef VWL_SERVICE_QMP_H
#define VWL_SERVICE_QMP_H

#include <json-glib/json-glib.h>
#include <stdbool.h>

struct vwl_qmp;

struct vwl_qmp_ops {
    void (*ready)(void *data); /* commands are taken now; or NULL */
    void (*event)(void *data, const char *name, JsonObject *details);
    void (*closed)(void *data); /* the last call */
};

struct vwl_qmp *vwl_qmp_create(const char *path, const struct vwl_qmp_ops *ops,
                               void *data);
void vwl_qmp_destroy(struct vwl_qmp *qmp);

/* Called with what the command returned, or NULL and why it was refused. */
typedef void (*vwl_qmp_done_fn)(void *data, JsonNode *value, const char *why);

/* Sends a command; done may be NULL. False if that is not possible. */
bool vwl_qmp_send(struct vwl_qmp *qmp, const char *command,
                  vwl_qmp_done_fn done, void *data);

/* The same with arguments, a JSON object, or NULL; and with a descriptor, which
 * is borrowed, or -1. */
bool vwl_qmp_call(struct vwl_qmp *qmp, const char *command,
                  const char *arguments, int fd, vwl_qmp_done_fn done,
                  void *data);

#endif
