/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Purpose: bytes, and descriptors with them, on their way out of a socket that
 * must not block. At most 1 MiB waits: who does not read that much is given
 * up.
 */
#ifndef VWL_SERVICE_OUTBOX_H
#define VWL_SERVICE_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>

struct vwl_outbox;

/* fd is borrowed. broken is called once, from the main loop, when nothing can
 * be sent any more; it may destroy the outbox. */
struct vwl_outbox *vwl_outbox_create(int fd, void (*broken)(void *data),
                                     void *data);
void vwl_outbox_destroy(struct vwl_outbox *outbox);

/* Copies the bytes; duplicates the descriptors, which travel with the first of
 * them. False if too much waits already. */
bool vwl_outbox_put(struct vwl_outbox *outbox, const void *bytes, size_t length,
                    const int *fds, size_t n_fds);

#endif
