/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: what a start needs to know, found out in a thread, as it starts
 * programs and waits for them.
 */
#ifndef VWL_SERVICE_PREPARE_H
#define VWL_SERVICE_PREPARE_H

#include "host.h"
#include "machine.h"

struct vwl_prepared {
    struct vwl_machine *machine;
    struct vwl_host host;
};

/* What there is lives until this returns. */
typedef void (*vwl_prepared_fn)(void *data, const struct vwl_prepared *prepared,
                                const GError *error);

/* display, sound: sockets of who wants it, where the machine's settings name
 * none; may be NULL. done is called in the main context, later. */
void vwl_prepare(const char *name, const char *display, const char *sound,
                 vwl_prepared_fn done, void *data);

#endif
