/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A message with descriptors that a context's peer sent, while these become
 * VFDs: it goes to the guest when all of them can be used.
 */
#ifndef VWL_WL_KINDS_RECEIVED_H
#define VWL_WL_KINDS_RECEIVED_H

#include <stddef.h>
#include <sys/uio.h>

struct vwl_ctx;
struct vwl_received;

/* len bytes and the descriptors, which are taken. -errno: it cannot be. */
int vwl_received_message(struct vwl_ctx *ctx, int *fds, unsigned int n_fds,
                         const struct iovec *iov, unsigned int n_iov,
                         size_t len);
/* One that waits, and its VFDs; the context knows it no more. NULL is fine. */
void vwl_received_destroy(struct vwl_received *received);

#endif
