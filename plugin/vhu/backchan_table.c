/* SPDX-License-Identifier: BSD-3-Clause */
#include <glib.h>

#include "vhu/msg.h"

#define REGION_BYTES sizeof(struct vhost_user_memory_region)

/* clang-format off */
static const struct vwl_vhu_row front_rows[] = {
    { VHOST_USER_GET_FEATURES, "GET_FEATURES", 0, 0, 0, 0 },
    { VHOST_USER_SET_FEATURES, "SET_FEATURES", 8, 8, 0, 0 },
    { VHOST_USER_SET_OWNER, "SET_OWNER", 0, 0, 0, 0 },
    { VHOST_USER_RESET_OWNER, "RESET_OWNER", 0, 0, 0, 0 },
    { VHOST_USER_SET_MEM_TABLE, "SET_MEM_TABLE",
      8, 8 + VWL_VHU_MAX_FDS * REGION_BYTES, 0, VWL_VHU_MAX_FDS },
    { VHOST_USER_SET_LOG_BASE, "SET_LOG_BASE", 16, 16, 1, 1 },
    { VHOST_USER_SET_LOG_FD, "SET_LOG_FD", 0, 0, 1, 1 },
    { VHOST_USER_SET_VRING_NUM, "SET_VRING_NUM", 8, 8, 0, 0 },
    { VHOST_USER_SET_VRING_ADDR, "SET_VRING_ADDR", 40, 40, 0, 0 },
    { VHOST_USER_SET_VRING_BASE, "SET_VRING_BASE", 8, 8, 0, 0 },
    { VHOST_USER_GET_VRING_BASE, "GET_VRING_BASE", 8, 8, 0, 0 },
    { VHOST_USER_SET_VRING_KICK, "SET_VRING_KICK", 8, 8, 0, 1 },
    { VHOST_USER_SET_VRING_CALL, "SET_VRING_CALL", 8, 8, 0, 1 },
    { VHOST_USER_SET_VRING_ERR, "SET_VRING_ERR", 8, 8, 0, 1 },
    { VHOST_USER_GET_PROTOCOL_FEATURES, "GET_PROTOCOL_FEATURES", 0, 0, 0, 0 },
    { VHOST_USER_SET_PROTOCOL_FEATURES, "SET_PROTOCOL_FEATURES", 8, 8, 0, 0 },
    { VHOST_USER_GET_QUEUE_NUM, "GET_QUEUE_NUM", 0, 0, 0, 0 },
    { VHOST_USER_SET_VRING_ENABLE, "SET_VRING_ENABLE", 8, 8, 0, 0 },
    { VHOST_USER_SEND_RARP, "SEND_RARP", 8, 8, 0, 0 },
    { VHOST_USER_NET_SET_MTU, "NET_SET_MTU", 8, 8, 0, 0 },
    { VHOST_USER_SET_BACKEND_REQ_FD, "SET_BACKEND_REQ_FD", 0, 0, 1, 1 },
    { VHOST_USER_IOTLB_MSG, "IOTLB_MSG", 32, 32, 0, 0 },
    { VHOST_USER_SET_VRING_ENDIAN, "SET_VRING_ENDIAN", 8, 8, 0, 0 },
    { VHOST_USER_GET_CONFIG, "GET_CONFIG", 12, VWL_VHU_MAX_PAYLOAD, 0, 0 },
    { VHOST_USER_SET_CONFIG, "SET_CONFIG", 12, VWL_VHU_MAX_PAYLOAD, 0, 0 },
    { VHOST_USER_CREATE_CRYPTO_SESSION, "CREATE_CRYPTO_SESSION",
      0, VWL_VHU_MAX_PAYLOAD, 0, 0 },
    { VHOST_USER_CLOSE_CRYPTO_SESSION, "CLOSE_CRYPTO_SESSION", 8, 8, 0, 0 },
    { VHOST_USER_POSTCOPY_ADVISE, "POSTCOPY_ADVISE", 0, 0, 0, 0 },
    { VHOST_USER_POSTCOPY_LISTEN, "POSTCOPY_LISTEN", 0, 0, 0, 0 },
    { VHOST_USER_POSTCOPY_END, "POSTCOPY_END", 0, 0, 0, 0 },
    { VHOST_USER_GET_INFLIGHT_FD, "GET_INFLIGHT_FD", 20, 24, 0, 0 },
    { VHOST_USER_SET_INFLIGHT_FD, "SET_INFLIGHT_FD", 20, 24, 1, 1 },
    { VHOST_USER_GPU_SET_SOCKET, "GPU_SET_SOCKET", 0, 0, 1, 1 },
    { VHOST_USER_RESET_DEVICE, "RESET_DEVICE", 0, 0, 0, 0 },
    { VHOST_USER_VRING_KICK, "VRING_KICK", 8, 8, 0, 0 },
    { VHOST_USER_GET_MAX_MEM_SLOTS, "GET_MAX_MEM_SLOTS", 0, 0, 0, 0 },
    { VHOST_USER_ADD_MEM_REG, "ADD_MEM_REG", 40, 40, 1, 1 },
    { VHOST_USER_REM_MEM_REG, "REM_MEM_REG", 40, 40, 0, 1 },
    { VHOST_USER_SET_STATUS, "SET_STATUS", 8, 8, 0, 0 },
    { VHOST_USER_GET_STATUS, "GET_STATUS", 0, 0, 0, 0 },
    { VHOST_USER_GET_SHARED_OBJECT, "GET_SHARED_OBJECT", 16, 16, 0, 0 },
    { VHOST_USER_SET_DEVICE_STATE_FD, "SET_DEVICE_STATE_FD", 8, 8, 1, 1 },
    { VHOST_USER_CHECK_DEVICE_STATE, "CHECK_DEVICE_STATE", 0, 0, 0, 0 },
    { VHOST_USER_GET_SHMEM_CONFIG, "GET_SHMEM_CONFIG", 0, 0, 0, 0 },
    { VHOST_USER_GET_SHARED_MEMORY_REGIONS, "GET_SHARED_MEMORY_REGIONS",
      0, 0, 0, 0 },
};

static const struct vwl_vhu_row backend_rows[] = {
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

static const struct vwl_vhu_row *find_row(const struct vwl_vhu_row *rows,
                                          size_t n, uint32_t request)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].request == request) {
            return &rows[i];
        }
    }
    return NULL;
}

const struct vwl_vhu_row *vwl_vhu_row(uint32_t request)
{
    return find_row(front_rows, G_N_ELEMENTS(front_rows), request);
}

const struct vwl_vhu_row *vwl_vhu_backend_row(uint32_t request)
{
    return find_row(backend_rows, G_N_ELEMENTS(backend_rows), request);
}
