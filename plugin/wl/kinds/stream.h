/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What pipes and sockets that carry bytes alone have in common.
 */
#ifndef VWL_WL_KINDS_STREAM_H
#define VWL_WL_KINDS_STREAM_H

#include "wl/vfd.h"

/* Of vwl_vfd_ops. */
ssize_t vwl_stream_receive(struct vwl_vfd *vfd, const struct iovec *buffer,
                           unsigned int n_buffer);
ssize_t vwl_stream_read(struct vwl_vfd *vfd, const struct iovec *iov,
                        unsigned int n_iov);
/* Whether a snapshot takes what a peer has sent and nobody has read. */
bool vwl_stream_has_unread(const struct vwl_vfd *vfd);

#endif
