/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: start a machine's two processes, with their pid files and logs where
 * the machine's folders have them.
 */
#ifndef VWL_SERVICE_LAUNCH_H
#define VWL_SERVICE_LAUNCH_H

#include "prepare.h"
#include "process.h"
#include "running.h"

/* What the processes are to be. */
void vwl_launch_describe(struct vwl_running *running,
                         const struct vwl_prepared *prepared,
                         const char *runtime);

/* NULL with *error. loads: QEMU waits for what was saved. */
struct vwl_process *vwl_launch_daemon(const char *name,
                                      const struct vwl_running *running,
                                      GError **error);
struct vwl_process *vwl_launch_qemu(const char *name,
                                    const struct vwl_running *running,
                                    bool loads, GError **error);

/* Why QEMU has ended, by what it said last, and the next step. */
char *vwl_launch_say_why(const char *name, bool loads);

#endif
