/* SPDX-License-Identifier: BSD-3-Clause */
/* A sync_file that a peer sent: hangs up when it is signalled. */
#include "base/fd.h"
#include "wl/answer.h"
#include "wl/kinds/kinds.h"

static int fence_adopt(struct vwl_vfd *vfd, int *fd,
                       const struct vwl_fd_info *info, uint64_t *copied)
{
    vfd->fd = vwl_fd_steal(fd);
    return 0;
}

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

const struct vwl_vfd_ops vwl_fence_ops = {
    .name = "fence",
    .bytes = sizeof(struct vwl_vfd),
    .send_refusal = -VWL_EBADTYPE,
    .adopt = fence_adopt,
    .receive = fence_receive,
    .fd_to_send = fence_fd_to_send,
    .saved = {
        .kind = VWL_IMAGE_FENCE,
        .flags = VIRTIO_WL_VFD_FENCE,
        .hangs_up = true, /* better signalled than waited for indefinitely */
    },
};
