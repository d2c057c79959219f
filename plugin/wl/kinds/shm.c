/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/page.h"
#include "wl/answer.h"
#include "wl/peer/classify.h"
#include "wl/peer/closer.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* A driver without USE_SHMEM is told guest addresses: how long an allocation
 * waits for somebody to know where the region sits. */
#define BASE_RETRY_MS 50
#define BASE_TOTAL_MS 500

/* Copying is done on the spot: more for one message would be felt. */
#define COPY_MAX_BYTES (64u * 1024 * 1024)

static int shm_fd_to_send(const struct vwl_vfd *vfd)
{
    return vfd->send_fd;
}

const struct vwl_vfd_ops vwl_vfd_shm_ops = {
    .kind = VWL_VFD_SHM,
    .name = "shm",
    .send_refusal = -VWL_EBADTYPE,
    .fd_to_send = shm_fd_to_send,
};

void vwl_shm_become_opaque(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;

    if (vfd->ops->free) {
        vfd->ops->free(vfd);
    }
    vwl_map_destroy(vfd->map);
    vfd->map = NULL;
    vwl_fd_clear(&vfd->copy_fd);
    vwl_closer_close(core->closer, &vfd->send_fd);
    core->shm_bytes -= vfd->charged_bytes;
    vfd->charged_bytes = 0;
    vfd->size_bytes = 0;
    vfd->ops = &vwl_vfd_opaque_ops;
}

/* It is mapped and its address known (0), or it is not to be. */
static void shm_end(struct vwl_vfd *vfd, int err)
{
    vwl_list_remove(&vfd->base_waiter);
    vwl_timer_cancel(&vfd->core->timers, &vfd->timer);
    if (vfd->creating) {
        vwl_vfd_creation_end(vfd, err);
        return;
    }
    if (err < 0) {
        vwl_shm_become_opaque(vfd);
    }
    if (vfd->settled) {
        vfd->settled(vfd);
    }
}

static int base_known(struct vwl_vfd *vfd)
{
    uint64_t pfn;

    return vwl_answer_pfn(vfd->core, vwl_map_offset(vfd->map), &pfn);
}

static void on_base_retry(struct vwl_timer *timer)
{
    struct vwl_vfd *vfd = vwl_list_entry(timer, struct vwl_vfd, timer);
    int err = base_known(vfd);

    if (err == -EAGAIN && vwl_clock_us() < vfd->deadline_us) {
        vwl_timer_set(&vfd->core->timers, timer, BASE_RETRY_MS);
        return;
    }
    if (err < 0) {
        log_host_bug(vfd->core->log,
                     "shm 0x%" PRIx32 ": nobody tells where"
                     " region 0 sits",
                     vfd->id);
    }
    shm_end(vfd, err);
}

void vwl_shm_base_changed(struct vwl_core *core)
{
    while (!vwl_list_is_empty(&core->base_waiters)) {
        struct vwl_vfd *vfd = vwl_list_entry(core->base_waiters.next,
                                             struct vwl_vfd, base_waiter);

        if (base_known(vfd) < 0) {
            return;
        }
        shm_end(vfd, 0);
    }
}

static int wait_for_base(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;

    vwl_list_insert(&core->base_waiters, &vfd->base_waiter);
    vwl_timer_init(&vfd->timer, on_base_retry);
    vfd->deadline_us = vwl_clock_us() + BASE_TOTAL_MS * UINT64_C(1000);
    vwl_timer_set(&core->timers, &vfd->timer, BASE_RETRY_MS);
    return -EINPROGRESS;
}

static void on_mapped(void *owner, int err);

static int map_copy(struct vwl_vfd *vfd, int cached_only);

/* What a map attempt came to: 0 = usable, -EINPROGRESS = later, else not. */
static int map_result(struct vwl_vfd *vfd, int err)
{
    if (err < 0) {
        vfd->map = NULL;
        if (vfd->direct) {
            vfd->direct = false;
            return map_copy(vfd, 0);
        }
        return err;
    }
    err = base_known(vfd);
    return err == -EAGAIN ? wait_for_base(vfd) : err;
}

static void on_mapped(void *owner, int err)
{
    struct vwl_vfd *vfd = owner;

    err = map_result(vfd, err);
    if (err != -EINPROGRESS) {
        shm_end(vfd, err);
    }
}

int vwl_shm_map(struct vwl_vfd *vfd, int fd, uint64_t len)
{
    int err;

    if (!vwl_core_has(vfd->core, VIRTIO_WL_F_USE_SHMEM)) {
        vwl_maps_anchor(vfd->core);
    }
    err = vwl_map_create(vfd->core, fd, len, on_mapped, vfd, &vfd->map);
    return err == -EINPROGRESS ? err : map_result(vfd, err);
}

int vwl_shm_charge(struct vwl_vfd *vfd, uint64_t bytes)
{
    struct vwl_core *core = vfd->core;

    if (bytes > vwl_core_shm_left(core)) {
        log_guest_bug(core->log,
                      "shm 0x%" PRIx32 ": the limit of %" PRIu64
                      " bytes is reached",
                      vfd->id, core->config.max_shm_bytes);
        return -ENOSPC;
    }
    core->shm_bytes += bytes;
    vfd->charged_bytes += bytes;
    return 0;
}

static int map_copy(struct vwl_vfd *vfd, int cached_only)
{
    int err = vwl_shm_charge(vfd, vwl_page_up(vfd->size_bytes));

    if (err == 0) {
        err = vwl_private_copy(vfd->send_fd, vfd->size_bytes, cached_only,
                               &vfd->copy_fd);
    }
    if (err == 0) {
        err = vwl_shm_map(vfd, vfd->copy_fd, vwl_page_up(vfd->size_bytes));
    }
    return err;
}

static int shm_start(struct vwl_vfd *vfd, struct vwl_request *request)
{
    uint64_t len = vfd->size_bytes;
    int err = vwl_shm_charge(vfd, len);

    if (err == 0) {
        err = vwl_sealed_memfd("vwl-shm", len, &vfd->send_fd);
    }
    if (err == 0) {
        err = vwl_shm_map(vfd, vfd->send_fd, len);
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
                      "shm 0x%" PRIx32 ": size %" PRIu32 " cannot be had", id,
                      size);
        return -ENOSPC;
    }
    err = vwl_vfd_create(core, &vwl_vfd_shm_ops, id, &vfd);
    if (err < 0) {
        return err;
    }
    vfd->size_bytes = len;
    vfd->answered_flags = flags;
    err = shm_start(vfd, request);
    if (err < 0 && err != -EINPROGRESS) {
        if (err != -ENOSPC) { /* the limits have their own line */
            log_host_bug(core->log, "shm 0x%" PRIx32 ": %" PRIu64 " bytes: %s",
                         id, len, g_strerror(-err));
        }
        vwl_vfd_close(vfd, true);
    } else if (err == 0) {
        vfd->is_known = true;
        vwl_answer_new(core, request, vfd);
    }
    return err;
}

int vwl_shm_receive(struct vwl_vfd *vfd, const struct vwl_fd_info *info,
                    uint64_t *copied)
{
    uint64_t left = COPY_MAX_BYTES - *copied;

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
    if (info->class == VWL_FD_DMABUF) {
        return vwl_shm_map(vfd, vfd->send_fd, info->size_bytes);
    }
    if (info->class == VWL_FD_MEMORY) {
        vfd->direct = info->size_bytes <= left;
        *copied += vfd->direct ? info->size_bytes : 0;
        return vwl_shm_map(vfd, vfd->send_fd, info->size_bytes);
    }
    if (info->size_bytes > left) {
        return -EFBIG;
    }
    *copied += info->size_bytes;
    return map_copy(vfd, info->class == VWL_FD_FILE_COPY);
}
