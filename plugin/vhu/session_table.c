/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhu/session_private.h"

#define ANY VWL_VHU_MAX_PAYLOAD
#define FDS VWL_VHU_MAX_FDS
#define TABLE_MAX (8 + FDS * sizeof(struct vhost_user_memory_region))

/* Number and name; payload, from and to; descriptors, from and to. */
#define SHAPE(name, ...)                      \
    {                                         \
        VHOST_USER_##name, #name, __VA_ARGS__ \
    }

/* clang-format off */
static const struct vwl_session_row rows[] = {
    { SHAPE(GET_FEATURES, 0, 0, 0, 0),
      VWL_REPLY_VALUE, vwl_session_get_features },
    { SHAPE(SET_FEATURES, 8, 8, 0, 0),
      VWL_REPLY_ACK, vwl_session_set_features },
    { SHAPE(SET_OWNER, 0, 0, 0, 0),
      VWL_REPLY_ACK, vwl_session_set_owner },
    { SHAPE(RESET_OWNER, 0, 0, 0, 0),
      VWL_REPLY_ACK, vwl_session_reset_owner },
    { SHAPE(SET_MEM_TABLE, 8, TABLE_MAX, 0, FDS),
      VWL_REPLY_ACK, vwl_session_set_mem_table },
    { SHAPE(SET_LOG_BASE, 16, 16, 1, 1),
      VWL_REPLY_LOGGED, vwl_session_set_log_base },
    { SHAPE(SET_LOG_FD, 0, 0, 1, 1),
      VWL_REPLY_ACK, vwl_session_set_log_fd },
    { SHAPE(SET_VRING_NUM, 8, 8, 0, 0),
      VWL_REPLY_ACK, vwl_session_set_vring_num },
    { SHAPE(SET_VRING_ADDR, 40, 40, 0, 0),
      VWL_REPLY_ACK, vwl_session_set_vring_addr },
    { SHAPE(SET_VRING_BASE, 8, 8, 0, 0),
      VWL_REPLY_ACK, vwl_session_set_vring_base },
    { SHAPE(GET_VRING_BASE, 8, 8, 0, 0),
      VWL_REPLY_BODY, vwl_session_get_vring_base },
    { SHAPE(SET_VRING_KICK, 8, 8, 0, 1),
      VWL_REPLY_ACK, vwl_session_set_vring_kick },
    { SHAPE(SET_VRING_CALL, 8, 8, 0, 1),
      VWL_REPLY_ACK, vwl_session_set_vring_call },
    { SHAPE(SET_VRING_ERR, 8, 8, 0, 1),
      VWL_REPLY_ACK, vwl_session_set_vring_err },
    { SHAPE(GET_PROTOCOL_FEATURES, 0, 0, 0, 0),
      VWL_REPLY_VALUE, vwl_session_get_protocol_features },
    { SHAPE(SET_PROTOCOL_FEATURES, 8, 8, 0, 0),
      VWL_REPLY_ACK, vwl_session_set_protocol_features },
    { SHAPE(GET_QUEUE_NUM, 0, 0, 0, 0),
      VWL_REPLY_VALUE, vwl_session_get_queue_num },
    { SHAPE(SET_VRING_ENABLE, 8, 8, 0, 0),
      VWL_REPLY_ACK, vwl_session_set_vring_enable },
    { SHAPE(SET_BACKEND_REQ_FD, 0, 0, 1, 1),
      VWL_REPLY_ACK, vwl_session_set_backend_fd },
    { SHAPE(IOTLB_MSG, 32, 32, 0, 0),
      VWL_REPLY_STATUS, vwl_session_iotlb_msg },
    { SHAPE(GET_CONFIG, 12, ANY, 0, 0),
      VWL_REPLY_BODY, vwl_session_get_config },
    { SHAPE(SET_CONFIG, 12, ANY, 0, 0),
      VWL_REPLY_ACK, vwl_session_set_config },
    { SHAPE(GET_INFLIGHT_FD, 20, 24, 0, 0),
      VWL_REPLY_BODY, vwl_session_get_inflight },
    { SHAPE(SET_INFLIGHT_FD, 20, 24, 1, 1),
      VWL_REPLY_ACK, vwl_session_set_inflight },
    { SHAPE(RESET_DEVICE, 0, 0, 0, 0),
      VWL_REPLY_ACK, vwl_session_reset_device },
    { SHAPE(VRING_KICK, 8, 8, 0, 0),
      VWL_REPLY_ACK, vwl_session_vring_kick },
    { SHAPE(GET_MAX_MEM_SLOTS, 0, 0, 0, 0),
      VWL_REPLY_VALUE, vwl_session_get_mem_slots },
    { SHAPE(ADD_MEM_REG, 40, 40, 1, 1),
      VWL_REPLY_ACK, vwl_session_add_region },
    { SHAPE(REM_MEM_REG, 40, 40, 0, 1),
      VWL_REPLY_ACK, vwl_session_remove_region },
    { SHAPE(SET_STATUS, 8, 8, 0, 0),
      VWL_REPLY_ACK, vwl_session_set_status },
    { SHAPE(GET_STATUS, 0, 0, 0, 0),
      VWL_REPLY_VALUE, vwl_session_get_status },
    /* bit 8 says that no descriptor comes back */
    { SHAPE(SET_DEVICE_STATE_FD, 8, 8, 1, 1),
      VWL_REPLY_STATUS, vwl_session_set_state_fd, 0x101 },
    { SHAPE(CHECK_DEVICE_STATE, 0, 0, 0, 0),
      VWL_REPLY_STATUS, vwl_session_check_state },
    { SHAPE(GET_SHMEM_CONFIG, 0, 0, 0, 0),
      VWL_REPLY_BODY, vwl_session_get_shmem_config },
    { SHAPE(GET_SHARED_MEMORY_REGIONS, 0, 0, 0, 0),
      VWL_REPLY_BODY, vwl_session_get_private_regions },

    /* Of the specification, and no part of this device. */
    { SHAPE(SEND_RARP, 8, 8, 0, 0) },
    { SHAPE(NET_SET_MTU, 8, 8, 0, 0) },
    { SHAPE(SET_VRING_ENDIAN, 8, 8, 0, 0) },
    { SHAPE(CREATE_CRYPTO_SESSION, 0, ANY, 0, 0) },
    { SHAPE(CLOSE_CRYPTO_SESSION, 8, 8, 0, 0) },
    { SHAPE(POSTCOPY_ADVISE, 0, 0, 0, 0) },
    { SHAPE(POSTCOPY_LISTEN, 0, 0, 0, 0) },
    { SHAPE(POSTCOPY_END, 0, 0, 0, 0) },
    { SHAPE(GPU_SET_SOCKET, 0, 0, 1, 1) },
    { SHAPE(GET_SHARED_OBJECT, 16, 16, 0, 0) },
};
/* clang-format on */

const struct vwl_session_row *vwl_session_row(uint32_t request)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].shape.request == request) {
            return &rows[i];
        }
    }
    return NULL;
}
