/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared memory: what a guest asked for, and files that peers sent. */
#include <errno.h>

#include "base/fd.h"
#include "base/page.h"
#include "wl/answer.h"
#include "wl/kinds/kinds.h"
#include "wl/kinds/memory.h"
#include "wl/peer/classify.h"
#include "wl/state.h"

/* Copying is done on the spot: more for one message would be felt. */
#define COPY_MAX_BYTES (64u * 1024 * 1024)

static int shm_adopt(struct vwl_vfd *vfd, int *fd,
                     const struct vwl_fd_info *info, uint64_t *copied)
{
    struct vwl_memory *memory = vwl_memory_of(vfd);
    uint64_t left = COPY_MAX_BYTES - *copied;

    vfd->send_fd = vwl_fd_steal(fd);
    if (info->size_bytes > UINT32_MAX) {
        return -EFBIG;
    }
    vfd->size_bytes = info->size_bytes;
    if (info->class == VWL_FD_EMPTY) {
        return 0;
    }
    if (!vfd->core->has_shm) {
        return -ENODEV;
    }
    if (info->class == VWL_FD_MEMORY) {
        memory->direct = info->size_bytes <= left;
        *copied += memory->direct ? info->size_bytes : 0;
        /* the last page of an odd size: not every front-end maps that */
        return vwl_memory_map(memory, vfd->send_fd,
                              vwl_page_up(info->size_bytes));
    }
    if (info->size_bytes > left) {
        return -EFBIG;
    }
    if (info->parts) {
        log_note(vfd->core->log,
                 "shm 0x%" PRIx32 ": a writable file of %" PRIu64 " bytes is "
                 "copied, since it cannot be sealed against shrinking: what "
                 "its peer writes later is not seen",
                 vfd->id, info->size_bytes);
    }
    *copied += info->size_bytes;
    return vwl_memory_map_copy(memory, info->class == VWL_FD_FILE_COPY);
}

static void shm_on_remade(void *owner, int err)
{
    struct vwl_memory *memory = owner;

    if (err < 0) {
        log_host_bug(memory->vfd.core->log,
                     "shm 0x%" PRIx32 ": memory from the snapshot could not be"
                     " mapped: %s",
                     memory->vfd.id, g_strerror(-err));
        memory->map = NULL;
    }
}

static int shm_restore(struct vwl_vfd *vfd, struct vwl_image *image)
{
    struct vwl_memory *memory = vwl_memory_of(vfd);
    struct vwl_core *core = vfd->core;

    memory->answered_flags = image->answered_flags;
    if (!(image->bits & VWL_IMAGE_FILE)) {
        return 0;
    }
    vfd->send_fd = vwl_fd_steal(&image->fd[0]);
    memory->charged_bytes = vwl_page_up(image->size);
    core->shm_bytes += memory->charged_bytes;
    if (!(image->bits & VWL_IMAGE_MAPPED)) {
        return 0;
    }
    return vwl_map_restore(core, vfd->send_fd, image->offset,
                           memory->charged_bytes, shm_on_remade, memory,
                           &memory->map);
}

const struct vwl_vfd_ops vwl_shm_ops = {
    .name = "shm",
    .bytes = sizeof(struct vwl_memory),
    .send_refusal = -VWL_EBADTYPE,
    .init = vwl_memory_init,
    .free = vwl_memory_free,
    .answer = vwl_memory_answer,
    .announce = vwl_memory_announce,
    .adopt = shm_adopt,
    .fd_to_send = vwl_memory_fd_to_send,
    .sent = vwl_memory_sent,
    .saved = {
        .kind = VWL_IMAGE_SHM,
        .flags = VIRTIO_WL_VFD_WRITE | VIRTIO_WL_VFD_READ,
        .bits = VWL_IMAGE_FILE | VWL_IMAGE_MAPPED,
        .describe = vwl_memory_describe,
        .file = vwl_memory_file,
        .restore = shm_restore,
    },
};

static int shm_start(struct vwl_memory *memory, struct vwl_request *request)
{
    struct vwl_vfd *vfd = &memory->vfd;
    uint64_t len = vfd->size_bytes;
    int err = vwl_memory_charge(memory, len);

    if (err == 0) {
        err = vwl_sealed_memfd("vwl-shm", len, &vfd->send_fd);
    }
    if (err == 0) {
        err = vwl_memory_map(memory, vfd->send_fd, len);
    }
    if (err == -EINPROGRESS) {
        err = vwl_vfd_creation_wait(vfd, request);
        err = err < 0 ? err : -EINPROGRESS;
    }
    return err;
}

int vwl_shm_create(struct vwl_core *core, struct vwl_request *request,
                   uint32_t id, uint32_t flags, uint32_t size)
{
    uint64_t len = vwl_page_up(size);
    struct vwl_vfd *vfd;
    int err;

    if (len == 0) {
        log_guest_bug(core->log, "shm 0x%" PRIx32 ": size 0", id);
        return -EINVAL;
    }
    if (len > UINT32_MAX || len > core->config.shm_window) {
        log_guest_bug(core->log,
                      "shm 0x%" PRIx32 ": %" PRIu32 " bytes are more than"
                      " region 0 has",
                      id, size);
        return -ENOSPC;
    }
    err = vwl_vfd_create(core, &vwl_shm_ops, id, &vfd);
    if (err < 0) {
        return err;
    }
    vfd->size_bytes = len;
    vwl_memory_of(vfd)->answered_flags = flags;
    err = shm_start(vwl_memory_of(vfd), request);
    if (err < 0 && err != -EINPROGRESS && err != -ENOSPC) {
        /* the limits have their own line */
        log_host_bug(core->log,
                     "shm 0x%" PRIx32 ": no memory of %" PRIu64 " bytes: %s",
                     id, len, g_strerror(-err));
    }
    return vwl_vfd_created(vfd, request, err);
}
