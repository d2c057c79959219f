/* SPDX-License-Identifier: BSD-3-Clause */
/* What a host peer's descriptors become. */
#include <errno.h>

#include "base/fd.h"
#include "base/iov.h"
#include "wl/kinds/dmabuf.h"
#include "wl/peer/classify.h"
#include "wl/peer/closer.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* A message with descriptors, while they become VFDs. */
struct vwl_group {
    struct vwl_vfd *ctx;
    unsigned int pending;
    unsigned int n;
    struct vwl_vfd *vfds[VWL_PEER_MAX_FDS];
    size_t len;
    uint8_t data[];
};

static size_t group_bytes(const struct vwl_group *group)
{
    return group->len + group->n * 36u + VWL_RECV_HEAD_BYTES;
}

static void group_uncharge(const struct vwl_group *group)
{
    struct vwl_core *core = group->ctx->core;

    vwl_messages_uncharge(&core->messages, group_bytes(group));
    vwl_vfd_resume_queued(core);
}

/* More than 28 are told in several messages. Every one needs a byte of data;
 * the early ones get no more, as a reader must have all descriptors of a
 * Wayland message when it has its last byte. */
static void group_deliver(struct vwl_group *group)
{
    size_t done = 0;
    unsigned int first = 0;

    do {
        unsigned int left = group->n - first;
        unsigned int n = left;
        size_t len = group->len - done;
        uint32_t ids[VWL_PEER_MAX_FDS];

        if (left > VIRTWL_SEND_MAX_ALLOCS && len > 1) {
            n = VIRTWL_SEND_MAX_ALLOCS;
            len = 1;
        }
        for (unsigned int i = 0; i < n; i++) {
            struct vwl_vfd *vfd = group->vfds[first + i];

            vfd->group = NULL;
            ids[i] = vfd->id;
            vwl_messages_push_new(group->ctx, vfd);
        }
        vwl_messages_push_recv(group->ctx, ids, n, group->data + done, len);
        first += n;
        done += len;
    } while (done < group->len);
    for (unsigned int i = 0; i < group->n; i++) {
        group->vfds[i]->enrolled = true;
        vwl_vfd_watch(group->vfds[i]);
    }
}

static void settle_one(struct vwl_group *group)
{
    struct vwl_vfd *ctx = group->ctx;

    if (--group->pending > 0) {
        return;
    }
    group_deliver(group);
    group_uncharge(group);
    g_free(group);
    if (ctx->group) {
        ctx->group = NULL;
        vwl_vfd_resume(ctx, VWL_PAUSE_GROUP);
    }
}

void vwl_group_destroy(struct vwl_group *group)
{
    group_uncharge(group);
    for (unsigned int i = 0; i < group->n; i++) {
        group->vfds[i]->group = NULL;
        vwl_vfd_close(group->vfds[i], true);
    }
    g_free(group);
}

static void on_settled(struct vwl_vfd *vfd)
{
    vfd->settled = NULL;
    if (vfd->group) {
        settle_one(vfd->group);
    }
}

/* Of the size and the place that memory may have. */
static int adopt(struct vwl_vfd *vfd, const struct vwl_fd_info *info)
{
    if (info->size_bytes > UINT32_MAX) {
        return -EFBIG;
    }
    return vfd->core->has_shm ? vwl_dmabuf_adopt(vfd) : -ENODEV;
}

static void receive_fence(struct vwl_vfd *vfd, int *fd)
{
    vfd->fd = vwl_fd_steal(fd);
    vfd->ops = &vwl_vfd_fence_ops;
}

static void receive_stream(struct vwl_vfd *vfd, int *fd,
                           const struct vwl_fd_info *info)
{
    vfd->fd = vwl_fd_steal(fd);
    if (info->class == VWL_FD_SOCKET) {
        vfd->ops = &vwl_vfd_socket_ops;
        vfd->how = VWL_PEER_SOCKET;
    } else {
        vfd->ops = &vwl_vfd_pipe_ops;
        vfd->how = VWL_PEER_SHARED_PIPE;
    }
}

/* Takes *fd. 0; -EINPROGRESS: the group is told; -errno. */
static int create_one(struct vwl_core *core, int *fd, uint64_t *copied,
                      struct vwl_group *group, struct vwl_vfd **out)
{
    struct vwl_fd_info info;
    struct vwl_vfd *vfd;
    int err;

    err = vwl_vfd_create_host(core, &vwl_vfd_opaque_ops, &vfd);
    if (err < 0) {
        return err;
    }
    vwl_classify(*fd, &info);
    vfd->flags = info.flags;
    *out = vfd;
    if (info.class == VWL_FD_PIPE || info.class == VWL_FD_SOCKET) {
        receive_stream(vfd, fd, &info);
        return 0;
    }
    if (info.class == VWL_FD_FENCE) {
        receive_fence(vfd, fd);
        return 0;
    }
    if (info.class == VWL_FD_OPAQUE) {
        vwl_closer_close(core->closer, fd);
        return 0;
    }
    vfd->ops = &vwl_vfd_shm_ops;
    vfd->send_fd = vwl_fd_steal(fd);
    err = info.class == VWL_FD_DMABUF ? adopt(vfd, &info) : 0;
    if (err == 0) {
        err = vwl_shm_receive(vfd, &info, copied);
    }
    if (err == -EINPROGRESS) {
        vfd->group = group;
        vfd->settled = on_settled;
        return err;
    }
    if (err < 0) {
        log_compositor_bug(core->log,
                           "vfd 0x%" PRIx32 ": a file of %" PRIu64
                           " bytes cannot be shown to the guest: %s",
                           vfd->id, info.size_bytes, g_strerror(-err));
        vwl_shm_become_opaque(vfd);
    }
    return 0;
}

int vwl_group_receive(struct vwl_vfd *ctx, int *fds, unsigned int n_fds,
                      const struct iovec *iov, unsigned int n_iov, size_t len)
{
    struct vwl_group *group = g_try_malloc0(sizeof *group + len);
    uint64_t copied = 0;
    int err = group ? 0 : -ENOMEM;

    if (!group) {
        vwl_closer_close_all(ctx->core->closer, fds, n_fds);
        return err;
    }
    group->ctx = ctx;
    group->len = len;
    group->pending = 1;
    vwl_iov_read(iov, n_iov, 0, group->data, len);
    for (unsigned int i = 0; i < n_fds; i++) {
        struct vwl_vfd *made = NULL;

        err = create_one(ctx->core, &fds[i], &copied, group, &made);
        if (err < 0 && err != -EINPROGRESS) {
            break;
        }
        group->pending += err == -EINPROGRESS;
        group->vfds[group->n++] = made;
        err = 0;
    }
    vwl_messages_charge(&ctx->core->messages, group_bytes(group));
    if (err < 0) {
        vwl_closer_close_all(ctx->core->closer, fds, n_fds);
        vwl_group_destroy(group);
        return err;
    }
    if (group->pending > 1) {
        ctx->group = group;
        vwl_vfd_pause(ctx, VWL_PAUSE_GROUP);
    }
    settle_one(group);
    return 0;
}
