/* SPDX-License-Identifier: BSD-3-Clause */
/* A stream socket that a peer sent; guests make none. */
#include <sys/socket.h>

#include "base/fd.h"
#include "wl/kinds/kinds.h"
#include "wl/kinds/stream.h"

static int socket_adopt(struct vwl_vfd *vfd, int *fd,
                        const struct vwl_fd_info *info, uint64_t *copied)
{
    vfd->fd = vwl_fd_steal(fd);
    vfd->how = VWL_PEER_SOCKET;
    return 0;
}

static int socket_fd_to_send(const struct vwl_vfd *vfd)
{
    return -1;
}

static int socket_save_data(const struct vwl_vfd *vfd,
                            const struct vwl_image_sink *sink)
{
    ssize_t n;

    if (!vwl_stream_has_unread(vfd)) {
        return 0;
    }
    n = recv(vfd->fd, sink->scratch, sink->scratch_bytes,
             MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) {
        sink->put(sink->opaque, sink->scratch, (size_t)n);
    }
    return 0;
}

const struct vwl_vfd_ops vwl_socket_ops = {
    .name = "socket",
    .bytes = sizeof(struct vwl_vfd),
    .adopt = socket_adopt,
    .receive = vwl_stream_receive,
    .read = vwl_stream_read,
    .fd_to_send = socket_fd_to_send,
    .saved = {
        .kind = VWL_IMAGE_SOCKET,
        .flags = VIRTIO_WL_VFD_WRITE | VIRTIO_WL_VFD_READ,
        .has_data = true,
        .hangs_up = true,
        .data = socket_save_data,
    },
};
