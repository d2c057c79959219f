/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: a process that outlives the service: in a session of its own, in a
 * scope of the user's systemd where there is one (else the service's end would
 * be its end), known again by its pid file, which says when it was started,
 * too, so that another process of that number is not taken for it.
 *
 * Thread: the main context's.
 */
#ifndef VWL_SERVICE_PROCESS_H
#define VWL_SERVICE_PROCESS_H

#include <gio/gio.h>
#include <stdbool.h>

struct vwl_process;

typedef void (*vwl_process_ended_fn)(void *data);

/* Starts argv; what it prints is appended to the log, which is moved to
 * LOG.old first if it has become long. unit: of its scope, without ".scope".
 * NULL with *error. */
struct vwl_process *vwl_process_start(char *const *argv, const char *pid_file,
                                      const char *log, const char *unit,
                                      GError **error);

/* The one of the pid file, if it lives; else NULL. */
struct vwl_process *vwl_process_find(const char *pid_file);

/* Calls ended once, when it has; not from within this. */
void vwl_process_watch(struct vwl_process *process, vwl_process_ended_fn ended,
                       void *data);

void vwl_process_signal(struct vwl_process *process, int number);

/* Seconds of 1970. */
gint64 vwl_process_since(const struct vwl_process *process);

/* Forgets it; it lives on. NULL is fine. */
void vwl_process_forget(struct vwl_process *process);

#endif
