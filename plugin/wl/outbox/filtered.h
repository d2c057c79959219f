/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sending through a filter: what a guest's request holds is copied once, piece
 * by piece, and only what the filter lets pass goes to the outbox. A request
 * whose peer takes nothing waits in the guest's memory from the byte on that
 * was not copied yet. Descriptors are duplicated first: they leave with their
 * message, which may be complete only several requests later.
 */
#ifndef VWL_WL_OUTBOX_FILTERED_H
#define VWL_WL_OUTBOX_FILTERED_H

#include <stddef.h>
#include <stdint.h>

struct vwl_request;
struct vwl_vfd;

/* As vwl_outbox_send; -EPROTO: the filter ended the connection. */
int vwl_filtered_send(struct vwl_vfd *vfd, struct vwl_request *request,
                      size_t skip, const int *fds, unsigned int n_fds,
                      uint32_t asked);

/* As vwl_outbox_feed; -EPROTO. */
int vwl_filtered_feed(struct vwl_vfd *vfd);

/* Sends what has passed. 0 or -EPIPE. */
int vwl_filtered_flush(struct vwl_vfd *vfd);

#endif
