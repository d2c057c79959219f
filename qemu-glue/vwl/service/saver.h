/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: has QEMU write the state of a machine into a file, or load it, and
 * sees to the end of that. The guest stands still before and after both.
 *
 * QEMU 8.2 and newer is told the file's path; older ones, which know no files,
 * get a descriptor.
 *
 * Thread: the main context's.
 */
#ifndef VWL_SERVICE_SAVER_H
#define VWL_SERVICE_SAVER_H

#include "qmp.h"

struct vwl_saver;

/* Called once, not from within a call below; why is NULL if it was done. */
typedef void (*vwl_saver_done_fn)(void *data, const char *why);

/* version: of QEMU, whose monitor has to be ready. A load needs a QEMU that was
 * started with "-incoming defer". */
struct vwl_saver *vwl_saver_save(struct vwl_qmp *qmp, const char *version,
                                 const char *path, vwl_saver_done_fn done,
                                 void *data);
struct vwl_saver *vwl_saver_load(struct vwl_qmp *qmp, const char *version,
                                 const char *path, vwl_saver_done_fn done,
                                 void *data);

/* Within done, or after the monitor's end: QEMU's answers are its. */
void vwl_saver_destroy(struct vwl_saver *saver);

#endif
