/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "base/page.h"
#include "vhu/backchan_priv.h"

static bool range_is_good(uint64_t offset, uint64_t len)
{
    uint64_t mask = vwl_page_host_bytes() - 1;

    return len > 0 && !((offset | len) & mask) && offset + len >= len;
}

int vwl_backchan_shmem_map(struct vwl_backchan *chan, uint8_t shmid, int fd,
                           uint64_t fd_offset, uint64_t shm_offset,
                           uint64_t len, bool writable, vwl_backchan_done done,
                           void *opaque, uint64_t cookie)
{
    if (!range_is_good(fd_offset, len) || !range_is_good(shm_offset, len) ||
        fd < 0) {
        return -EINVAL;
    }
    switch (vwl_backchan_dialect(chan)) {
    case VWL_SHM_STANDARD: {
        struct vhost_user_mmap map = {
            .shmid = shmid,
            .fd_offset = fd_offset,
            .shm_offset = shm_offset,
            .len = len,
            .flags = writable ? VHOST_USER_SHMEM_MAP_F_RW : 0,
        };

        return vwl_backchan_submit(chan, VHOST_USER_BACKEND_SHMEM_MAP, 0, &map,
                                   sizeof map, fd, done, opaque, cookie);
    }
    case VWL_SHM_PRIVATE: {
        struct vhost_user_private_shmem_map map = {
            .flags = VHOST_USER_PRIVATE_SHMEM_MAP_F_R |
                     (writable ? VHOST_USER_PRIVATE_SHMEM_MAP_F_W : 0),
            .shmid = shmid,
            .shm_offset = shm_offset,
            .fd_offset = fd_offset,
            .len = len,
        };

        return vwl_backchan_submit(chan, VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP,
                                   0, &map, sizeof map, fd, done, opaque,
                                   cookie);
    }
    case VWL_SHM_NONE:
        break;
    }
    return -EOPNOTSUPP;
}

int vwl_backchan_shmem_unmap(struct vwl_backchan *chan, uint8_t shmid,
                             uint64_t shm_offset, uint64_t len,
                             vwl_backchan_done done, void *opaque,
                             uint64_t cookie)
{
    if (!range_is_good(shm_offset, len)) {
        return -EINVAL;
    }
    switch (vwl_backchan_dialect(chan)) {
    case VWL_SHM_STANDARD: {
        struct vhost_user_mmap map = {
            .shmid = shmid,
            .shm_offset = shm_offset,
            .len = len,
        };

        return vwl_backchan_submit(chan, VHOST_USER_BACKEND_SHMEM_UNMAP, 0,
                                   &map, sizeof map, -1, done, opaque, cookie);
    }
    case VWL_SHM_PRIVATE: {
        struct vhost_user_private_shmem_unmap map = {
            .shmid = shmid,
            .shm_offset = shm_offset,
            .len = len,
        };

        return vwl_backchan_submit(chan, VHOST_USER_BACKEND_PRIVATE_SHMEM_UNMAP,
                                   0, &map, sizeof map, -1, done, opaque,
                                   cookie);
    }
    case VWL_SHM_NONE:
        break;
    }
    return -EOPNOTSUPP;
}

int vwl_backchan_iotlb(struct vwl_backchan *chan,
                       const struct vhost_user_iotlb *msg,
                       vwl_backchan_done done, void *opaque, uint64_t cookie)
{
    return vwl_backchan_submit(chan, VHOST_USER_BACKEND_IOTLB_MSG, 0, msg,
                               sizeof *msg, -1, done, opaque, cookie);
}

int vwl_backchan_config_change(struct vwl_backchan *chan,
                               vwl_backchan_done done, void *opaque,
                               uint64_t cookie)
{
    return vwl_backchan_submit(chan, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0,
                               NULL, 0, -1, done, opaque, cookie);
}

int vwl_backchan_vring_err(struct vwl_backchan *chan, uint32_t index)
{
    struct vhost_user_vring_state state = { .index = index };

    return vwl_backchan_submit(chan, VHOST_USER_BACKEND_VRING_ERR, 0, &state,
                               sizeof state, -1, NULL, NULL, 0);
}

int vwl_backchan_vring_host_notifier(struct vwl_backchan *chan,
                                     const struct vhost_user_vring_area *area,
                                     int fd, vwl_backchan_done done,
                                     void *opaque, uint64_t cookie)
{
    if ((fd < 0) != !!(area->index & VHOST_USER_VRING_NOFD_MASK)) {
        return -EINVAL;
    }
    return vwl_backchan_submit(chan, VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG,
                               0, area, sizeof *area, fd, done, opaque, cookie);
}

int vwl_backchan_gpu_map(struct vwl_backchan *chan,
                         const struct vhost_user_gpu_map *map, int fd,
                         vwl_backchan_done done, void *opaque, uint64_t cookie)
{
    return vwl_backchan_submit(chan, VHOST_USER_BACKEND_GPU_MAP, 0, map,
                               sizeof *map, fd, done, opaque, cookie);
}

int vwl_backchan_external_map(struct vwl_backchan *chan,
                              const struct vhost_user_external_map *map,
                              vwl_backchan_done done, void *opaque,
                              uint64_t cookie)
{
    return vwl_backchan_submit(chan, VHOST_USER_BACKEND_EXTERNAL_MAP, 0, map,
                               sizeof *map, -1, done, opaque, cookie);
}

int vwl_backchan_fs(struct vwl_backchan *chan, uint32_t request,
                    const struct vhost_user_fs_backend *msg, int fd,
                    vwl_backchan_done done, void *opaque, uint64_t cookie)
{
    if (request < VHOST_USER_BACKEND_FS_MAP ||
        request > VHOST_USER_BACKEND_FS_IO) {
        return -EINVAL;
    }
    return vwl_backchan_submit(chan, request, 0, msg, sizeof *msg, fd, done,
                               opaque, cookie);
}
