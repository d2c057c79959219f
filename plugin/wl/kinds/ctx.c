/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/ctx.h"

#include <errno.h>

#include "base/closer.h"
#include "policy/filter.h"
#include "wl/inbox/recv.h"
#include "wl/kinds/channels.h"
#include "wl/kinds/connect.h"
#include "wl/kinds/ctx_filter.h"
#include "wl/kinds/kinds.h"
#include "wl/kinds/received.h"
#include "wl/state.h"

static void ctx_init(struct vwl_vfd *vfd)
{
    vfd->core->n_contexts++;
}

static void ctx_free(struct vwl_vfd *vfd)
{
    vwl_channel_forget(vwl_ctx_of(vfd));
    vfd->core->n_contexts--;
}

/* From the host to the guest. */
static ssize_t ctx_read(struct vwl_vfd *vfd, const struct iovec *iov,
                        unsigned int n_iov)
{
    int fds[VWL_PEER_MAX_FDS], err;
    unsigned int n_fds = 0;
    ssize_t n = vwl_peer_read_fds(vfd->fd, iov, n_iov, fds, &n_fds,
                                  vfd->core->closer);

    if (n == -EAGAIN) {
        return 0;
    }
    if (n <= 0) {
        vwl_ctx_read_end(vfd, (int)n);
        return 0;
    }
    if (n_fds == 0) {
        return n;
    }
    err = vwl_received_message(vwl_ctx_of(vfd), fds, n_fds, iov, n_iov,
                               (size_t)n);
    if (err < 0) {
        vwl_ctx_break(vfd, "no VFDs for the descriptors of its peer", err);
    }
    return 0;
}

static ssize_t ctx_receive(struct vwl_vfd *vfd, const struct iovec *buffer,
                           unsigned int n_buffer)
{
    struct vwl_recv recv;
    ssize_t n;

    if (vfd->filter) {
        return vwl_ctx_filtered_receive(vfd, buffer, n_buffer);
    }
    vwl_recv_begin(&recv, buffer, n_buffer);
    n = ctx_read(vfd, recv.iov, recv.n_iov);
    return n > 0 ? vwl_recv_end(&recv, vfd, (size_t)n) : 0;
}

static ssize_t ctx_read_many(struct vwl_vfd *vfd, const struct iovec *iov,
                             unsigned int n_iov)
{
    return vfd->filter ? vwl_ctx_filtered_read(vfd, iov, n_iov)
                       : ctx_read(vfd, iov, n_iov);
}

/* A guest that gets a duplicate back (as a paste's descriptor, say) would
 * write past the filter. */
static int ctx_fd_to_send(const struct vwl_vfd *vfd)
{
    return vwl_ctx_rules(vfd) ? -1 : vfd->fd;
}

static void ctx_finish(struct vwl_vfd *vfd)
{
    vwl_received_destroy(vwl_ctx_of(vfd)->received);
    g_clear_pointer(&vfd->filter, vwl_filter_destroy);
}

static void ctx_answer(const struct vwl_vfd *vfd, struct vwl_vfd_words *words)
{
    words->flags = vwl_core_has(vfd->core, VIRTIO_WL_F_TRANS_FLAGS)
                       ? VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE
                       : VIRTIO_WL_VFD_LEGACY_CONTROL;
}

const struct vwl_vfd_ops vwl_ctx_ops = {
    .name = "ctx",
    .bytes = sizeof(struct vwl_ctx),
    .is_context = true,
    .init = ctx_init,
    .free = ctx_free,
    .finish = ctx_finish,
    .answer = ctx_answer,
    .receive = ctx_receive,
    .read = ctx_read_many,
    .fd_to_send = ctx_fd_to_send,
    .filtered = vwl_ctx_filtered,
    .saved = {
        .kind = VWL_IMAGE_CTX,
        .flags = VIRTIO_WL_VFD_WRITE | VIRTIO_WL_VFD_READ,
        .hangs_up = true,
    },
};

int vwl_ctx_create(struct vwl_core *core, struct vwl_request *request,
                   uint32_t id, size_t socket)
{
    struct vwl_vfd *vfd;
    int err;

    if (core->n_contexts >= core->config.max_contexts) {
        log_guest_bug(core->log,
                      "ctx 0x%" PRIx32 ": the limit of %" PRIu32
                      " contexts is reached",
                      id, core->config.max_contexts);
        return -ENOSPC;
    }
    err = vwl_vfd_create(core, &vwl_ctx_ops, id, &vfd);
    if (err < 0) {
        return err;
    }
    vwl_ctx_of(vfd)->socket = socket;
    err = vwl_connect_start(vwl_ctx_of(vfd), request);
    return vwl_vfd_created(vfd, request, err);
}
