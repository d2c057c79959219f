/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/stream.h"

#include <errno.h>

#include "wl/inbox/recv.h"
#include "wl/state.h"

ssize_t vwl_stream_read(struct vwl_vfd *vfd, const struct iovec *iov,
                        unsigned int n_iov)
{
    ssize_t n = vwl_peer_read(vfd->how, vfd->fd, &vfd->core->bounce, iov, n_iov,
                              vfd->core->closer);

    if (n == -EAGAIN) {
        return 0;
    }
    if (n <= 0) {
        vwl_vfd_in_end(vfd);
        return 0;
    }
    return n;
}

ssize_t vwl_stream_receive(struct vwl_vfd *vfd, const struct iovec *buffer,
                           unsigned int n_buffer)
{
    struct vwl_recv recv;
    ssize_t n;

    vwl_recv_begin(&recv, buffer, n_buffer);
    n = vwl_stream_read(vfd, recv.iov, recv.n_iov);
    return n > 0 ? vwl_recv_end(&recv, vfd, (size_t)n) : 0;
}

bool vwl_stream_has_unread(const struct vwl_vfd *vfd)
{
    return vfd->fd >= 0 && vfd->in < VWL_IN_ENDED &&
           (vfd->flags & VIRTIO_WL_VFD_READ);
}
