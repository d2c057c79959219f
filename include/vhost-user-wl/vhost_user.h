/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user: numbers and layouts of the messages between a front-end (the
 * VMM) and a back-end (this device). Follows the "Vhost-user Protocol"
 * specification of the QEMU project; names are the specification's. The
 * shared-memory messages stand in both dialects: the standard one (protocol
 * feature 22) and the private one that crosvm used before it (bit 31).
 *
 * Everything here is native-endian and packed. Numbers and layouts only.
 */
#ifndef VHOST_USER_WL_VHOST_USER_H
#define VHOST_USER_WL_VHOST_USER_H

#include <linux/types.h>

/* Header flags. */
#define VHOST_USER_VERSION 0x1u
#define VHOST_USER_VERSION_MASK 0x3u
#define VHOST_USER_REPLY_MASK 0x4u
#define VHOST_USER_NEED_REPLY_MASK 0x8u

/* Protocol feature bits (numbers). */
#define VHOST_USER_PROTOCOL_F_MQ 0
#define VHOST_USER_PROTOCOL_F_LOG_SHMFD 1
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_BACKEND_REQ 5
#define VHOST_USER_PROTOCOL_F_PAGEFAULT 8
#define VHOST_USER_PROTOCOL_F_CONFIG 9
#define VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD 10
#define VHOST_USER_PROTOCOL_F_HOST_NOTIFIER 11
#define VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD 12
#define VHOST_USER_PROTOCOL_F_RESET_DEVICE 13
#define VHOST_USER_PROTOCOL_F_INBAND_NOTIFICATIONS 14
#define VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS 15
#define VHOST_USER_PROTOCOL_F_STATUS 16
#define VHOST_USER_PROTOCOL_F_XEN_MMAP 17
#define VHOST_USER_PROTOCOL_F_SHARED_OBJECT 18
#define VHOST_USER_PROTOCOL_F_DEVICE_STATE 19
#define VHOST_USER_PROTOCOL_F_GET_VRING_BASE_INFLIGHT 20
#define VHOST_USER_PROTOCOL_F_GPA_ADDRESSES 21
#define VHOST_USER_PROTOCOL_F_SHMEM 22
#define VHOST_USER_PROTOCOL_F_SHARED_MEMORY_REGIONS 31 /* private dialect */

/* Device feature bits that belong to the transport (numbers). */
#define VHOST_F_LOG_ALL 26
#define VIRTIO_RING_F_INDIRECT_DESC 28
#define VIRTIO_RING_F_EVENT_IDX 29
#define VHOST_USER_F_PROTOCOL_FEATURES 30
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_RING_PACKED 34

/* Requests of the front-end. */
enum vhost_user_request {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_RESET_OWNER = 4,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_LOG_BASE = 6,
    VHOST_USER_SET_LOG_FD = 7,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_SEND_RARP = 19,
    VHOST_USER_NET_SET_MTU = 20,
    VHOST_USER_SET_BACKEND_REQ_FD = 21,
    VHOST_USER_IOTLB_MSG = 22,
    VHOST_USER_SET_VRING_ENDIAN = 23,
    VHOST_USER_GET_CONFIG = 24,
    VHOST_USER_SET_CONFIG = 25,
    VHOST_USER_CREATE_CRYPTO_SESSION = 26,
    VHOST_USER_CLOSE_CRYPTO_SESSION = 27,
    VHOST_USER_POSTCOPY_ADVISE = 28,
    VHOST_USER_POSTCOPY_LISTEN = 29,
    VHOST_USER_POSTCOPY_END = 30,
    VHOST_USER_GET_INFLIGHT_FD = 31,
    VHOST_USER_SET_INFLIGHT_FD = 32,
    VHOST_USER_GPU_SET_SOCKET = 33,
    VHOST_USER_RESET_DEVICE = 34,
    VHOST_USER_VRING_KICK = 35,
    VHOST_USER_GET_MAX_MEM_SLOTS = 36,
    VHOST_USER_ADD_MEM_REG = 37,
    VHOST_USER_REM_MEM_REG = 38,
    VHOST_USER_SET_STATUS = 39,
    VHOST_USER_GET_STATUS = 40,
    VHOST_USER_GET_SHARED_OBJECT = 41,
    VHOST_USER_SET_DEVICE_STATE_FD = 42,
    VHOST_USER_CHECK_DEVICE_STATE = 43,
    VHOST_USER_GET_SHMEM_CONFIG = 44,
    VHOST_USER_GET_SHARED_MEMORY_REGIONS = 1004, /* private dialect */
};

/* Requests of the back-end, on the channel of SET_BACKEND_REQ_FD. */
enum vhost_user_backend_request {
    VHOST_USER_BACKEND_IOTLB_MSG = 1,
    VHOST_USER_BACKEND_CONFIG_CHANGE_MSG = 2,
    VHOST_USER_BACKEND_VRING_HOST_NOTIFIER_MSG = 3,
    VHOST_USER_BACKEND_VRING_CALL = 4,
    VHOST_USER_BACKEND_VRING_ERR = 5,
    VHOST_USER_BACKEND_SHMEM_MAP = 9,
    VHOST_USER_BACKEND_SHMEM_UNMAP = 10,
    /* private dialect */
    VHOST_USER_BACKEND_PRIVATE_SHMEM_MAP = 1000,
    VHOST_USER_BACKEND_PRIVATE_SHMEM_UNMAP = 1001,
    VHOST_USER_BACKEND_FS_MAP = 1002,
    VHOST_USER_BACKEND_FS_UNMAP = 1003,
    VHOST_USER_BACKEND_FS_SYNC = 1004,
    VHOST_USER_BACKEND_FS_IO = 1005,
    VHOST_USER_BACKEND_GPU_MAP = 1006,
    VHOST_USER_BACKEND_EXTERNAL_MAP = 1007,
};

#define VHOST_USER_VRING_INDEX_MASK 0xffu
#define VHOST_USER_VRING_NOFD_MASK 0x100u
#define VHOST_USER_VRING_ADDR_F_LOG 0x1u
#define VHOST_USER_IOTLB_MISS 1
#define VHOST_USER_IOTLB_UPDATE 2
#define VHOST_USER_IOTLB_INVALIDATE 3
#define VHOST_USER_IOTLB_ACCESS_FAIL 4
#define VHOST_USER_ACCESS_RO 1
#define VHOST_USER_ACCESS_WO 2
#define VHOST_USER_ACCESS_RW 3
#define VHOST_USER_SHMEM_MAP_F_RW 0x1u        /* standard dialect */
#define VHOST_USER_PRIVATE_SHMEM_MAP_F_R 0x1u /* private dialect */
#define VHOST_USER_PRIVATE_SHMEM_MAP_F_W 0x2u

/* virtio device status bits, for GET_STATUS and SET_STATUS. */
#define VIRTIO_CONFIG_S_DRIVER_OK_BIT 0x04u
#define VIRTIO_CONFIG_S_NEEDS_RESET_BIT 0x40u

#define VHOST_USER_PACKED __attribute__((packed))

struct vhost_user_header {
    __u32 request;
    __u32 flags;
    __u32 size; /* of the payload, bytes */
} VHOST_USER_PACKED;

struct vhost_user_memory_region {
    __u64 guest_phys_addr;
    __u64 memory_size;
    __u64 userspace_addr;
    __u64 mmap_offset;
} VHOST_USER_PACKED;

/* SET_MEM_TABLE: this, then nregions regions; one descriptor each. */
struct vhost_user_memory {
    __u32 nregions;
    __u32 padding;
} VHOST_USER_PACKED;

/* ADD_MEM_REG and REM_MEM_REG. */
struct vhost_user_single_memory_region {
    __u64 padding;
    struct vhost_user_memory_region region;
} VHOST_USER_PACKED;

struct vhost_user_vring_state {
    __u32 index;
    __u32 num;
} VHOST_USER_PACKED;

struct vhost_user_vring_addr {
    __u32 index;
    __u32 flags; /* VHOST_USER_VRING_ADDR_F_LOG */
    __u64 descriptor;
    __u64 used;
    __u64 available;
    __u64 log;
} VHOST_USER_PACKED;

struct vhost_user_log {
    __u64 size;
    __u64 offset;
} VHOST_USER_PACKED;

struct vhost_user_iotlb {
    __u64 iova;
    __u64 size;
    __u64 user_addr;
    __u8 permission; /* VHOST_USER_ACCESS_* */
    __u8 type;       /* VHOST_USER_IOTLB_* */
    __u8 padding[6];
} VHOST_USER_PACKED;

/* GET_CONFIG and SET_CONFIG: this, then size bytes. */
#define VHOST_USER_MAX_CONFIG_SIZE 256
struct vhost_user_config {
    __u32 offset;
    __u32 size;
    __u32 flags;
} VHOST_USER_PACKED;

/* GET_INFLIGHT_FD and SET_INFLIGHT_FD; the padding is only the compiler's. */
struct vhost_user_inflight {
    __u64 mmap_size;
    __u64 mmap_offset;
    __u16 num_queues;
    __u16 queue_size;
    __u8 padding[4];
} VHOST_USER_PACKED;

/* SET_DEVICE_STATE_FD. */
struct vhost_user_device_state {
    __u32 direction;
    __u32 phase;
} VHOST_USER_PACKED;

/* GET_SHMEM_CONFIG's reply: sizes by region id. */
struct vhost_user_shmem_config {
    __u32 nregions; /* count of non-zero sizes */
    __u32 padding;
    __u64 memory_sizes[256]; /* bytes */
} VHOST_USER_PACKED;

/* GET_SHARED_MEMORY_REGIONS' reply: u64 count, then count of these. */
struct vhost_user_private_shmem_region {
    __u8 id;
    __u8 padding[7];
    __u64 length; /* bytes */
} VHOST_USER_PACKED;

/* SHMEM_MAP (one descriptor) and SHMEM_UNMAP of the standard dialect. */
struct vhost_user_mmap {
    __u8 shmid;
    __u8 padding[7];
    __u64 fd_offset;
    __u64 shm_offset;
    __u64 len;
    __u64 flags; /* VHOST_USER_SHMEM_MAP_F_RW */
} VHOST_USER_PACKED;

struct vhost_user_private_shmem_map {
    __u8 flags; /* VHOST_USER_PRIVATE_SHMEM_MAP_F_* */
    __u8 shmid;
    __u8 padding[6];
    __u64 shm_offset;
    __u64 fd_offset;
    __u64 len;
} VHOST_USER_PACKED;

struct vhost_user_private_shmem_unmap {
    __u8 shmid;
    __u8 padding[7];
    __u64 shm_offset;
    __u64 len;
} VHOST_USER_PACKED;

struct vhost_user_vring_area {
    __u64 index; /* VHOST_USER_VRING_INDEX_MASK and _NOFD_MASK */
    __u64 size;
    __u64 offset;
} VHOST_USER_PACKED;

#define VHOST_USER_FS_BACKEND_ENTRIES 8
struct vhost_user_fs_backend {
    __u64 fd_offset[VHOST_USER_FS_BACKEND_ENTRIES];
    __u64 cache_offset[VHOST_USER_FS_BACKEND_ENTRIES];
    __u64 len[VHOST_USER_FS_BACKEND_ENTRIES];
    __u64 flags[VHOST_USER_FS_BACKEND_ENTRIES];
} VHOST_USER_PACKED;

struct vhost_user_gpu_map {
    __u8 shmid;
    __u8 padding[7];
    __u64 shm_offset;
    __u64 len;
    __u32 memory_idx;
    __u32 handle_type;
    __u8 device_uuid[16];
    __u8 driver_uuid[16];
} VHOST_USER_PACKED;

struct vhost_user_external_map {
    __u8 shmid;
    __u8 padding[7];
    __u64 shm_offset;
    __u64 len;
    __u64 ptr; /* an address of the process that both ends share */
} VHOST_USER_PACKED;

#endif
