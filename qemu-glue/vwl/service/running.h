/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what has to be known of a machine that runs when the service comes
 * back: a file in its runtime folder.
 */
#ifndef VWL_SERVICE_RUNNING_H
#define VWL_SERVICE_RUNNING_H

#include <glib.h>
#include <stdbool.h>

struct vwl_running {
    char **daemon, **qemu; /* their command lines */
    char *version;         /* of QEMU */
    unsigned int memory;
    char *accelerator, *warning;
    /* no pointer is NULL */
};

bool vwl_running_save(const struct vwl_running *running, const char *folder,
                      GError **error);
/* Into one that is finished; what is missing is empty. */
void vwl_running_load(struct vwl_running *running, const char *folder);
/* Empty, and not yet the owner of anything. */
void vwl_running_init(struct vwl_running *running);
void vwl_running_finish(struct vwl_running *running);

#endif
