/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/inbox/recv.h"

#include "base/iov.h"
#include "wl/vfd.h"

void vwl_recv_begin(struct vwl_recv *recv, const struct iovec *buffer,
                    unsigned int n_buffer)
{
    recv->buffer = buffer;
    recv->n_buffer = n_buffer;
    recv->n_iov = vwl_iov_slice(buffer, n_buffer, VWL_RECV_HEAD_BYTES,
                                VWL_RECV_DATA_BYTES, recv->iov, VWL_RECV_PIECES,
                                &recv->room);
    if (recv->room == 0) {
        recv->iov[0] = (struct iovec){ recv->staged, sizeof recv->staged };
        recv->n_iov = 1;
    }
}

ssize_t vwl_recv_end(const struct vwl_recv *recv, struct vwl_vfd *vfd, size_t n)
{
    uint8_t head[VWL_RECV_HEAD_BYTES];

    if (recv->room == 0) {
        vwl_messages_push_recv(vfd, NULL, 0, recv->staged, n);
        return 0;
    }
    vwl_messages_recv_head(head, vfd->id, 0);
    vwl_iov_write(recv->buffer, recv->n_buffer, 0, head, sizeof head);
    return VWL_RECV_HEAD_BYTES + (ssize_t)n;
}
