/* SPDX-License-Identifier: BSD-3-Clause */
/* A pipe: one that a guest asked for, of which it sends the other end to
 * somebody, or an end that a peer sent. */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "wl/kinds/kinds.h"
#include "wl/kinds/stream.h"
#include "wl/state.h"

static void pipe_answer(const struct vwl_vfd *vfd, struct vwl_vfd_words *words)
{
    words->flags = vwl_core_has(vfd->core, VIRTIO_WL_F_USE_SHMEM) ? 0
                                                                  : vfd->flags;
    words->pfn = 0;
}

static int pipe_adopt(struct vwl_vfd *vfd, int *fd,
                      const struct vwl_fd_info *info, uint64_t *copied)
{
    vfd->fd = vwl_fd_steal(fd);
    vfd->how = VWL_PEER_SHARED_PIPE;
    return 0;
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

/* Less often full or empty, so fewer turns of its writer and its reader. All
 * of a user's programs have 64 MiB together: these take an eighth of it. */
#define WIDE_BYTES (256 * 1024)
#define WIDE_MAX 32

static void pipe_widen(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;

    if (core->n_wide < WIDE_MAX &&
        fcntl(vfd->fd, F_SETPIPE_SZ, WIDE_BYTES) >= 0) {
        vfd->is_wide = true;
        core->n_wide++;
    }
}

static void pipe_free(struct vwl_vfd *vfd)
{
    vfd->core->n_wide -= vfd->is_wide;
}

/* Takes the two ends; 0 when it is watched. */
static int pipe_open(struct vwl_vfd *vfd, int *ours, int *other)
{
    vfd->fd = vwl_fd_steal(ours);
    vfd->send_fd = vwl_fd_steal(other);
    /* the peer's end stays in the blocking mode that programs expect */
    fcntl(vfd->fd, F_SETFL, O_NONBLOCK);
    pipe_widen(vfd);
    vfd->how = VWL_PEER_OWN_PIPE;
    vwl_vfd_open(vfd);
    return vfd->in_watched || vfd->out_watched ? 0 : -ENOMEM;
}

/* ---- in a snapshot ------------------------------------------------------ */

static int pipe_copy(int fd, int size, int copy[2])
{
    if (pipe2(copy, O_CLOEXEC | O_NONBLOCK) < 0) {
        return -errno;
    }
    if (fcntl(copy[1], F_SETPIPE_SZ, fcntl(fd, F_GETPIPE_SZ)) < 0 ||
        tee(fd, copy[1], (size_t)size, SPLICE_F_NONBLOCK) < 0) {
        return errno == EAGAIN ? 0 : -errno;
    }
    return 0;
}

/* What lies in it, which stays there: the device that is saved may go on. */
static int pipe_put(int fd, const struct vwl_image_sink *sink)
{
    int copy[2] = { -1, -1 }, size = 0, err;
    ssize_t n;

    if (ioctl(fd, FIONREAD, &size) < 0 || size <= 0) {
        return 0;
    }
    err = pipe_copy(fd, size, copy);
    while (err == 0 &&
           (n = read(copy[0], sink->scratch, sink->scratch_bytes)) > 0) {
        sink->put(sink->opaque, sink->scratch, (size_t)n);
    }
    vwl_fds_clear(copy, 2);
    return err;
}

static bool pipe_is_unsent(const struct vwl_vfd *vfd)
{
    return vfd->fd >= 0 && vfd->send_fd >= 0 && vfd->how == VWL_PEER_OWN_PIPE &&
           vfd->in != VWL_IN_HUNG;
}

static void pipe_describe(const struct vwl_vfd *vfd, struct vwl_image *image)
{
    image->bits |= pipe_is_unsent(vfd) ? VWL_IMAGE_UNSENT : 0;
}

static int pipe_save_data(const struct vwl_vfd *vfd,
                          const struct vwl_image_sink *sink)
{
    int err;

    if (!pipe_is_unsent(vfd) || (vfd->flags & VIRTIO_WL_VFD_READ)) {
        return vwl_stream_has_unread(vfd) ? pipe_put(vfd->fd, sink) : 0;
    }
    err = pipe_put(vfd->send_fd, sink);
    if (err == 0 && vfd->outbox.len > 0) {
        sink->put(sink->opaque, vfd->outbox.data + vfd->outbox.start,
                  vfd->outbox.len);
    }
    return err;
}

/* The other end was never sent: all of it is ours, and goes on. */
static int pipe_restore(struct vwl_vfd *vfd, struct vwl_image *image)
{
    int err;

    if (!(image->bits & VWL_IMAGE_UNSENT)) {
        return 0;
    }
    err = pipe_open(vfd, &image->fd[0], &image->fd[1]);
    if (err == 0 && image->flags == VIRTIO_WL_VFD_WRITE) {
        err = vwl_outbox_restore(vfd, image->data, image->len);
        vwl_vfd_watch(vfd);
    }
    return err;
}

const struct vwl_vfd_ops vwl_pipe_ops = {
    .name = "pipe",
    .bytes = sizeof(struct vwl_vfd),
    .writes_alone = true,
    .free = pipe_free,
    .answer = pipe_answer,
    .adopt = pipe_adopt,
    .receive = vwl_stream_receive,
    .read = vwl_stream_read,
    .fd_to_send = pipe_fd_to_send,
    .sent = pipe_sent,
    .saved = {
        .kind = VWL_IMAGE_PIPE,
        .flags = VIRTIO_WL_VFD_WRITE | VIRTIO_WL_VFD_READ,
        .bits = VWL_IMAGE_UNSENT,
        .has_data = true,
        .hangs_up = true,
        .describe = pipe_describe,
        .data = pipe_save_data,
        .restore = pipe_restore,
    },
};

int vwl_pipe_create(struct vwl_core *core, struct vwl_request *request,
                    uint32_t id, uint32_t flags)
{
    bool guest_writes = flags == VIRTIO_WL_VFD_WRITE;
    struct vwl_vfd *vfd;
    int fds[2] = { -1, -1 };
    int err = vwl_vfd_create(core, &vwl_pipe_ops, id, &vfd);

    if (err < 0) {
        return err;
    }
    vfd->flags = flags;
    err = pipe2(fds, O_CLOEXEC) < 0 ? -errno
                                    : vwl_fd_admit(MAX(fds[0], fds[1]));
    if (err < 0) {
        vwl_fds_clear(fds, 2);
        log_host_bug(core->log, "pipe 0x%" PRIx32 ": no descriptors for it: %s",
                     id, g_strerror(-err));
    } else {
        err = pipe_open(vfd, &fds[guest_writes], &fds[!guest_writes]);
    }
    return vwl_vfd_created(vfd, request, err);
}
