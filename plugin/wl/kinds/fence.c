/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/answer.h"
#include "wl/vfd.h"

/* It polls readable when it is signalled, and stays so. */
static ssize_t fence_receive(struct vwl_vfd *vfd, const struct iovec *buffer,
                             unsigned int n_buffer)
{
    vwl_vfd_in_end(vfd);
    return 0;
}

static int fence_fd_to_send(const struct vwl_vfd *vfd)
{
    return vfd->fd;
}

const struct vwl_vfd_ops vwl_vfd_fence_ops = {
    .kind = VWL_VFD_FENCE,
    .name = "fence",
    .send_refusal = -VWL_EBADTYPE,
    .receive = fence_receive,
    .fd_to_send = fence_fd_to_send,
};
