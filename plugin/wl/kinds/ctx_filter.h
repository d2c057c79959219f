/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A context whose stream is filtered: what its peer sends is read into our own
 * memory, and only what passes is written to the guest. When the guest is at
 * fault it gets the protocol's error, and the context is hung up behind that.
 */
#ifndef VWL_WL_KINDS_CTX_FILTER_H
#define VWL_WL_KINDS_CTX_FILTER_H

#include <sys/types.h>
#include <sys/uio.h>

struct vwl_rules;
struct vwl_vfd;

/* What its socket is held to; NULL: nothing. */
const struct vwl_rules *vwl_ctx_rules(const struct vwl_vfd *vfd);
/* From here on, if its socket has rules. */
void vwl_ctx_filter(struct vwl_vfd *vfd);

/* As receive, read and filtered of struct vwl_vfd_ops. */
ssize_t vwl_ctx_filtered_receive(struct vwl_vfd *vfd,
                                 const struct iovec *buffer,
                                 unsigned int n_buffer);
ssize_t vwl_ctx_filtered_read(struct vwl_vfd *vfd, const struct iovec *iov,
                              unsigned int n_iov);
void vwl_ctx_filtered(struct vwl_vfd *vfd, int err);

#endif
