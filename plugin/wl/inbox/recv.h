/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VFD_RECV that is read from a host peer straight into the guest's buffer:
 * where its data go, and what stands before them. A buffer without room for
 * data is not used; what was read for it is queued instead.
 */
#ifndef VWL_WL_INBOX_RECV_H
#define VWL_WL_INBOX_RECV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "wl/inbox/messages.h"

#define VWL_RECV_PIECES 64

struct vwl_vfd;

struct vwl_recv {
    const struct iovec *buffer; /* the guest's */
    unsigned int n_buffer;
    size_t room;                       /* for data in it; 0: staged instead */
    struct iovec iov[VWL_RECV_PIECES]; /* read the peer's bytes into these */
    unsigned int n_iov;
    uint8_t staged[VWL_RECV_DATA_BYTES];
};

void vwl_recv_begin(struct vwl_recv *recv, const struct iovec *buffer,
                    unsigned int n_buffer);
/* n bytes (not 0) were read: the length of the message, or 0 when it was
 * queued. */
ssize_t vwl_recv_end(const struct vwl_recv *recv, struct vwl_vfd *vfd,
                     size_t n);

#endif
