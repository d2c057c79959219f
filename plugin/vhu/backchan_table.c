/* SPDX-License-Identifier: BSD-3-Clause */
#include <glib.h>

#include "vhu/backchan_priv.h"

/* clang-format off */
static const struct vwl_vhu_row rows[] = {
    { VHOST_USER_BACKEND_IOTLB_MSG, "IOTLB_MSG", 32, 32, 0, 0 },
    { VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, "CONFIG_CHANGE_MSG", 0, 0, 0, 0 },
    { VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG, "VRING_HOST_NOTIFIER_MSG",
      24, 24, 0, 1 },
    { VHOST_USER_BACKEND_VRING_CALL, "VRING_CALL", 8, 8, 0, 0 },
    { VHOST_USER_BACKEND_VRING_ERR, "VRING_ERR", 8, 8, 0, 0 },
    { VHOST_USER_BACKEND_SHMEM_MAP, "SHMEM_MAP", 40, 40, 1, 1 },
    { VHOST_USER_BACKEND_SHMEM_UNMAP, "SHMEM_UNMAP", 40, 40, 0, 0 },
    { VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP, "SHMEM_MAP (private)",
      32, 32, 1, 1 },
    { VHOST_USER_BACKEND_PRIVATE_SHMEM_UNMAP, "SHMEM_UNMAP (private)",
      24, 24, 0, 0 },
    { VHOST_USER_BACKEND_FS_MAP, "FS_MAP", 256, 256, 1, 1 },
    { VHOST_USER_BACKEND_FS_UNMAP, "FS_UNMAP", 256, 256, 0, 0 },
    { VHOST_USER_BACKEND_FS_SYNC, "FS_SYNC", 256, 256, 0, 0 },
    { VHOST_USER_BACKEND_FS_IO, "FS_IO", 256, 256, 1, 1 },
    { VHOST_USER_BACKEND_GPU_MAP, "GPU_MAP", 64, 64, 1, 1 },
    { VHOST_USER_BACKEND_EXTERNAL_MAP, "EXTERNAL_MAP", 32, 32, 0, 0 },
};
/* clang-format on */

const struct vwl_vhu_row *vwl_backchan_row(uint32_t request)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].request == request) {
            return &rows[i];
        }
    }
    return NULL;
}
