/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: the service's end of one channel into a machine: a listening socket,
 * which the device connects to for whoever opens it in the guest, at most one
 * connection, its frames (channel/frame.h), and the jobs under way on it.
 *
 *     WAITING  --a connection-->  GREETED  --HELLO-->  READY
 *        ^------ hang-up, a broken rule, no HELLO in 5 s ------'
 *
 * While one is READY, others are turned away. Whatever breaks a rule ends the
 * connection with one line of the log, and then all jobs end, with 125.
 *
 * Thread: the main context's. Functions may be called from within the ops, but
 * for vwl_link_destroy.
 */
#ifndef VWL_SERVICE_LINK_H
#define VWL_SERVICE_LINK_H

#include <gio/gio.h>
#include <stdbool.h>

#include "channel/frame.h"

struct vwl_link;

#define VWL_STATUS_OURS 125 /* not the program's own, nor its absence */

struct vwl_link_ops {
    /* READY, and no more. Text is the guest's: it has passed vwl_text. */
    void (*ready)(void *data, const char *software);
    void (*gone)(void *data);
    /* A frame that belongs to no job. */
    void (*frame)(void *data, const struct vwl_frame *frame);
};

/* name: of the machine, for the log. NULL with *error. */
struct vwl_link *vwl_link_create(const char *path, const char *name,
                                 const struct vwl_link_ops *ops, void *data,
                                 GError **error);
void vwl_link_destroy(struct vwl_link *link);

bool vwl_link_is_ready(const struct vwl_link *link);

/* What HELLO says to the guest: VWL_MAY_ bits. */
void vwl_link_set_may(struct vwl_link *link, unsigned int may);

/* Called once, when a job is over: by the guest's answer, text sanitised, or
 * with VWL_STATUS_OURS. */
typedef void (*vwl_link_ended_fn)(void *data, unsigned int status,
                                  const char *text);

/* Each returns the job's number, or 0 with *error. The descriptors are
 * borrowed. */
unsigned int vwl_link_exec(struct vwl_link *link, const struct vwl_exec *exec,
                           const int fds[VWL_EXEC_FDS], vwl_link_ended_fn ended,
                           void *data, GError **error);
unsigned int vwl_link_launch(struct vwl_link *link, const char *id,
                             const char *token, vwl_link_ended_fn ended,
                             void *data, GError **error);

/* False if there is no such job any more. */
bool vwl_link_signal(struct vwl_link *link, unsigned int job,
                     unsigned int number);
bool vwl_link_resize(struct vwl_link *link, unsigned int job, unsigned int rows,
                     unsigned int columns);

/* Whole frames without a job. False if they cannot be sent. */
bool vwl_link_send(struct vwl_link *link, const void *data, size_t length);

#endif
