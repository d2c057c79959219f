/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/fd.h"
#include "wl/answer.h"
#include "wl/inbox/recv.h"
#include "wl/state.h"
#include "wl/vfd.h"

ssize_t vwl_stream_receive(struct vwl_vfd *vfd, const struct iovec *buffer,
                           unsigned int n_buffer)
{
    struct vwl_recv recv;
    ssize_t n;

    vwl_recv_begin(&recv, buffer, n_buffer);
    n = vwl_peer_read(vfd->how, vfd->fd, &vfd->core->bounce, recv.iov,
                      recv.n_iov);
    if (n == -EAGAIN) {
        return 0;
    }
    if (n <= 0) {
        vwl_vfd_in_end(vfd);
        return 0;
    }
    return vwl_recv_end(&recv, vfd, (size_t)n);
}

static int pipe_fd_to_send(const struct vwl_vfd *vfd)
{
    return vfd->send_fd;
}

/* Our copy of the end that was sent would hide its last holder's going. */
static void pipe_sent(struct vwl_vfd *vfd)
{
    vwl_fd_clear(&vfd->send_fd);
}

const struct vwl_vfd_ops vwl_vfd_pipe_ops = {
    .kind = VWL_VFD_PIPE,
    .name = "pipe",
    .receive = vwl_stream_receive,
    .fd_to_send = pipe_fd_to_send,
    .sent = pipe_sent,
};

static int nothing_to_send(const struct vwl_vfd *vfd)
{
    return -1;
}

/* From the host; guests make none. */
const struct vwl_vfd_ops vwl_vfd_socket_ops = {
    .kind = VWL_VFD_SOCKET,
    .name = "socket",
    .receive = vwl_stream_receive,
    .fd_to_send = nothing_to_send,
};

const struct vwl_vfd_ops vwl_vfd_opaque_ops = {
    .kind = VWL_VFD_OPAQUE,
    .name = "opaque",
    .send_refusal = -EPERM,
    .fd_to_send = nothing_to_send,
};

int vwl_pipe_create(struct vwl_core *core, struct vwl_request *request,
                    uint32_t id, uint32_t flags)
{
    bool guest_writes = flags == VIRTIO_WL_VFD_WRITE;
    struct vwl_vfd *vfd;
    int fds[2] = { -1, -1 };
    int err = vwl_vfd_create(core, &vwl_vfd_pipe_ops, id, &vfd);

    if (err < 0) {
        return err;
    }
    err = pipe2(fds, O_CLOEXEC) < 0 ? -errno
                                    : vwl_fd_admit(MAX(fds[0], fds[1]));
    if (err < 0) {
        vwl_fds_clear(fds, 2);
        log_host_bug(core->log, "pipe 0x%" PRIx32 ": %s", id, g_strerror(-err));
        vwl_vfd_close(vfd, true);
        return err;
    }
    /* the peer's end stays in the blocking mode that programs expect */
    vfd->fd = fds[guest_writes];
    vfd->send_fd = fds[!guest_writes];
    fcntl(vfd->fd, F_SETFL, O_NONBLOCK);
    vfd->how = VWL_PEER_OWN_PIPE;
    vfd->flags = flags;
    vfd->enrolled = true;
    vfd->is_known = true;
    vwl_vfd_watch(vfd);
    if (!vfd->in_watched && !vfd->out_watched) {
        vwl_vfd_close(vfd, true);
        return -ENOMEM;
    }
    vwl_answer_new(core, request, vfd);
    return 0;
}
