/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/kinds/received.h"

#include <errno.h>

#include "base/closer.h"
#include "base/iov.h"
#include "wl/kinds/ctx.h"
#include "wl/kinds/kinds.h"
#include "wl/kinds/memory.h"
#include "wl/peer/classify.h"
#include "wl/state.h"

struct vwl_received {
    struct vwl_ctx *ctx;
    unsigned int pending; /* VFDs that are not settled, and one while it is
                             being made */
    unsigned int n;
    struct vwl_vfd *vfds[VWL_PEER_MAX_FDS];
    size_t len;
    uint8_t data[];
};

/* What a descriptor becomes. */
static const struct vwl_vfd_ops *const kind_of_class[] = {
    [VWL_FD_MEMORY] = &vwl_shm_ops,    [VWL_FD_MEMORY_COPY] = &vwl_shm_ops,
    [VWL_FD_FILE_COPY] = &vwl_shm_ops, [VWL_FD_EMPTY] = &vwl_shm_ops,
    [VWL_FD_DMABUF] = &vwl_dmabuf_ops, [VWL_FD_PIPE] = &vwl_pipe_ops,
    [VWL_FD_SOCKET] = &vwl_socket_ops, [VWL_FD_FENCE] = &vwl_fence_ops,
    [VWL_FD_OPAQUE] = &vwl_opaque_ops,
};

/* What it costs while it waits. */
static size_t received_bytes(const struct vwl_received *received)
{
    return received->len + received->n * 36u + VWL_RECV_HEAD_BYTES;
}

static void received_uncharge(const struct vwl_received *received)
{
    struct vwl_core *core = received->ctx->vfd.core;

    vwl_messages_uncharge(&core->messages, received_bytes(received));
    vwl_vfd_resume_queued(core);
}

/* More than 28 are told in several messages. Every one needs a byte of data;
 * the early ones get no more, as a reader must have all descriptors of a
 * Wayland message when it has its last byte. */
static void received_deliver(struct vwl_received *received)
{
    struct vwl_vfd *owner = &received->ctx->vfd;
    size_t done = 0;
    unsigned int first = 0;

    do {
        unsigned int left = received->n - first;
        unsigned int n = left;
        size_t len = received->len - done;
        uint32_t ids[VWL_PEER_MAX_FDS];

        if (left > VIRTWL_SEND_MAX_ALLOCS && len > 1) {
            n = VIRTWL_SEND_MAX_ALLOCS;
            len = 1;
        }
        for (unsigned int i = 0; i < n; i++) {
            struct vwl_vfd *vfd = received->vfds[first + i];

            ids[i] = vfd->id;
            vwl_messages_push_new(owner, vfd);
        }
        vwl_messages_push_recv(owner, ids, n, received->data + done, len);
        first += n;
        done += len;
    } while (done < received->len);
    for (unsigned int i = 0; i < received->n; i++) {
        vwl_vfd_open(received->vfds[i]);
    }
}

static void received_settle_one(void *owner)
{
    struct vwl_received *received = owner;
    struct vwl_ctx *ctx = received->ctx;

    if (--received->pending > 0) {
        return;
    }
    received_deliver(received);
    received_uncharge(received);
    g_free(received);
    if (ctx->received) {
        ctx->received = NULL;
        vwl_vfd_resume(&ctx->vfd, VWL_PAUSE_GROUP);
        vwl_vfd_look_at_filter(&ctx->vfd, 0); /* what had to wait for it */
    }
}

void vwl_received_destroy(struct vwl_received *received)
{
    if (!received) {
        return;
    }
    received->ctx->received = NULL;
    received_uncharge(received);
    for (unsigned int i = 0; i < received->n; i++) {
        vwl_vfd_close(received->vfds[i], true);
    }
    g_free(received);
}

/* Takes *fd. 0, also when the guest gets no more than an id of it;
 * -EINPROGRESS: it is settled later; -errno: there is no VFD. */
static int received_make(struct vwl_received *received, int *fd,
                         uint64_t *copied, struct vwl_vfd **out)
{
    struct vwl_core *core = received->ctx->vfd.core;
    struct vwl_fd_info info;
    struct vwl_vfd *vfd;
    int err;

    vwl_classify(*fd, &info);
    err = vwl_vfd_create_host(core, kind_of_class[info.class], &vfd);
    if (err < 0) {
        return err;
    }
    *out = vfd;
    vfd->flags = info.flags;
    err = vfd->ops->adopt(vfd, fd, &info, copied);
    if (err == -EINPROGRESS) {
        struct vwl_memory *memory = vwl_memory_of(vfd);

        memory->settled = received_settle_one;
        memory->owner = received;
        return err;
    }
    if (err < 0) {
        log_compositor_bug(core->log,
                           "vfd 0x%" PRIx32 ": a file of %" PRIu64
                           " bytes cannot be mapped for the guest: %s",
                           vfd->id, info.size_bytes, g_strerror(-err));
        vwl_vfd_change_kind(vfd, &vwl_opaque_ops);
    }
    return 0;
}

int vwl_received_message(struct vwl_ctx *ctx, int *fds, unsigned int n_fds,
                         const struct iovec *iov, unsigned int n_iov,
                         size_t len)
{
    struct vwl_core *core = ctx->vfd.core;
    struct vwl_received *received = g_try_malloc0(sizeof *received + len);
    uint64_t copied = 0;
    int err = received ? 0 : -ENOMEM;

    if (!received) {
        vwl_closer_close_all(core->closer, fds, n_fds);
        return err;
    }
    received->ctx = ctx;
    received->len = len;
    received->pending = 1;
    vwl_iov_read(iov, n_iov, 0, received->data, len);
    for (unsigned int i = 0; i < n_fds; i++) {
        struct vwl_vfd *made = NULL;

        err = received_make(received, &fds[i], &copied, &made);
        if (err < 0 && err != -EINPROGRESS) {
            break;
        }
        received->pending += err == -EINPROGRESS;
        received->vfds[received->n++] = made;
        err = 0;
    }
    vwl_messages_charge(&core->messages, received_bytes(received));
    if (err < 0) {
        vwl_closer_close_all(core->closer, fds, n_fds);
        vwl_received_destroy(received);
        return err;
    }
    if (received->pending > 1) {
        ctx->received = received;
        vwl_vfd_pause(&ctx->vfd, VWL_PAUSE_GROUP);
    }
    received_settle_one(received);
    return 0;
}
