/* SPDX-License-Identifier: BSD-3-Clause */
/* What stands for a descriptor that is of no use to a guest, so that the
 * message that came with it can arrive. */
#include <errno.h>

#include "base/closer.h"
#include "wl/kinds/kinds.h"
#include "wl/state.h"

static int opaque_adopt(struct vwl_vfd *vfd, int *fd,
                        const struct vwl_fd_info *info, uint64_t *copied)
{
    vwl_closer_close(vfd->core->closer, fd);
    return 0;
}

static int opaque_fd_to_send(const struct vwl_vfd *vfd)
{
    return -1;
}

const struct vwl_vfd_ops vwl_opaque_ops = {
    .name = "opaque",
    .bytes = sizeof(struct vwl_vfd),
    .send_refusal = -EPERM,
    .adopt = opaque_adopt,
    .fd_to_send = opaque_fd_to_send,
    .saved = {
        .kind = VWL_IMAGE_OPAQUE,
        .flags = VIRTIO_WL_VFD_WRITE | VIRTIO_WL_VFD_READ,
    },
};
