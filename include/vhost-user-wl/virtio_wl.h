/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest-visible wire protocol of a virtio-wl device.
 *
 * Numbers and packed layouts only, all little-endian; no behaviour. Shared by
 * the device, by hosts, by guest drivers in user space and by the Linux
 * kernel module, so it needs nothing but <linux/types.h>.
 *
 * The protocol has no published specification; docs/protocol.md says what
 * this project implements of it. "In queue" is queue 0, from the device to
 * the guest; "out queue" is queue 1, where the guest asks and is answered in
 * the same descriptor chain.
 */
#ifndef VHOST_USER_WL_VIRTIO_WL_H
#define VHOST_USER_WL_VIRTIO_WL_H

#include <linux/types.h>

/* Device identity: not registered with the virtio TC. */
#define VIRTIO_ID_WL 63
#define VIRTIO_WL_PCI_VENDOR 0x1af4
#define VIRTIO_WL_PCI_DEVICE 0x107f /* 0x1040 + 63, modern only */

#define VIRTIO_WL_QUEUE_IN 0
#define VIRTIO_WL_QUEUE_OUT 1
#define VIRTIO_WL_QUEUE_COUNT 2
#define VIRTIO_WL_QUEUE_SIZE 256

/* Feature bits (numbers, not masks). */
#define VIRTIO_WL_F_TRANS_FLAGS 1 /* vfd flags are WRITE and READ */
#define VIRTIO_WL_F_SEND_FENCES 2 /* 16-byte SEND_FOREIGN_ID entries */
#define VIRTIO_WL_F_USE_SHMEM 3   /* pfn is relative to region 0 */
/* This project's own, which no other driver or device has. */
#define VIRTIO_WL_F_GUEST_PAGES 16 /* VFD_NEW_PAGES */

#define VIRTIO_WL_SHM_REGION_ID 0
#define VIRTIO_WL_SHM_REGION_SIZE (1ULL << 32) /* default, bytes */
#define VIRTIO_WL_PFN_SHIFT 12

/* Posted buffers of the in queue are of one page. */
#define VIRTIO_WL_IN_BUFFER_SIZE 4096

/* The most descriptors that one SEND carries. */
#define VIRTWL_SEND_MAX_ALLOCS 28

/* The most runs of one VFD_NEW_PAGES, and the most bytes in all of them. */
#define VIRTIO_WL_PAGES_MAX_RUNS 1024u
#define VIRTIO_WL_PAGES_MAX_BYTES (64u << 20)

/* Ids: the host's have this bit set, the guest's have it clear. */
#define VIRTIO_WL_VFD_HOST_ID_BIT 0x40000000u

/* Commands of the out queue; messages of the in queue use some again. */
#define VIRTIO_WL_CMD_VFD_NEW 0x100u
#define VIRTIO_WL_CMD_VFD_CLOSE 0x101u
#define VIRTIO_WL_CMD_VFD_SEND 0x102u
#define VIRTIO_WL_CMD_VFD_RECV 0x103u
#define VIRTIO_WL_CMD_VFD_NEW_CTX 0x104u
#define VIRTIO_WL_CMD_VFD_NEW_PIPE 0x105u
#define VIRTIO_WL_CMD_VFD_HUP 0x106u
#define VIRTIO_WL_CMD_VFD_NEW_DMABUF 0x107u
#define VIRTIO_WL_CMD_VFD_DMABUF_SYNC 0x108u
#define VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID 0x109u
#define VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED 0x10au
#define VIRTIO_WL_CMD_VFD_NEW_PAGES 0x180u /* with F_GUEST_PAGES */

/* Responses. */
#define VIRTIO_WL_RESP_OK 0x1000u
#define VIRTIO_WL_RESP_VFD_NEW 0x1001u
#define VIRTIO_WL_RESP_VFD_NEW_DMABUF 0x1002u
#define VIRTIO_WL_RESP_ERR 0x1100u
#define VIRTIO_WL_RESP_OUT_OF_MEMORY 0x1101u
#define VIRTIO_WL_RESP_INVALID_ID 0x1102u
#define VIRTIO_WL_RESP_INVALID_TYPE 0x1103u
#define VIRTIO_WL_RESP_INVALID_FLAGS 0x1104u
#define VIRTIO_WL_RESP_INVALID_CMD 0x1105u

/* Flags of a VFD with VIRTIO_WL_F_TRANS_FLAGS. */
#define VIRTIO_WL_VFD_WRITE 0x1u
#define VIRTIO_WL_VFD_READ 0x2u
#define VIRTIO_WL_VFD_FENCE 0x8u

/* Flags of a VFD without it (bit 0 means the same in both). */
#define VIRTIO_WL_VFD_LEGACY_WRITE 0x1u
#define VIRTIO_WL_VFD_LEGACY_MAP 0x2u
#define VIRTIO_WL_VFD_LEGACY_CONTROL 0x4u

/* DMABUF_SYNC flags; no others are legal. */
#define VIRTIO_WL_DMABUF_SYNC_READ 0x1u
#define VIRTIO_WL_DMABUF_SYNC_WRITE 0x2u
#define VIRTIO_WL_DMABUF_SYNC_END 0x4u
#define VIRTIO_WL_DMABUF_SYNC_ALL 0x7u

/* Kinds of a SEND_FOREIGN_ID entry. */
#define VIRTIO_WL_FOREIGN_LOCAL 0u
#define VIRTIO_WL_FOREIGN_VIRTGPU 1u
#define VIRTIO_WL_FOREIGN_VIRTGPU_FENCE 2u
#define VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE 3u

/* Every request and message begins so; short responses are `type` alone. */
struct virtio_wl_ctrl_hdr {
    __le32 type;
    __le32 flags; /* unused, 0 */
};

/* VFD_NEW, _NEW_CTX and _NEW_PIPE, their response, and VFD_NEW to the guest.
 * Today's drivers send 64 bytes for each of them. */
struct virtio_wl_ctrl_vfd_new {
    struct virtio_wl_ctrl_hdr hdr;
    __le32 vfd_id;
    __le32 flags; /* VIRTIO_WL_VFD_* */
    __le64 pfn;   /* page of the shared-memory window, or "none" */
    __le32 size;  /* bytes */
    __le32 pad;
};

/* VFD_NEW_DMABUF and its response. */
struct virtio_wl_ctrl_vfd_new_dmabuf {
    struct virtio_wl_ctrl_hdr hdr;
    __le32 vfd_id;
    __le32 flags;
    __le64 pfn;
    __le32 size;
    __le32 width;                     /* pixels; 0 in the response */
    __le32 height;                    /* pixels; 0 in the response */
    __le32 format;                    /* DRM fourcc; 0 in the response */
    __le32 stride0, stride1, stride2; /* bytes */
    __le32 offset0, offset1, offset2; /* bytes */
};

/* VFD_NEW_CTX_NAMED; the name may fill all 32 bytes without a NUL. */
struct virtio_wl_ctrl_vfd_new_ctx_named {
    struct virtio_wl_ctrl_hdr hdr;
    __le32 vfd_id;
    __le32 flags;
    __le64 pfn;
    __le32 size;
    __u8 name[32];
    __u8 pad[4];
};

/* VFD_NEW_PAGES: this, then run_count runs; answered as VFD_NEW is. A run is a
 * __le64: the address of its first page, in whose low twelve bits, which are 0,
 * stands how many pages follow that one. Together they are the file that host
 * peers get, in this order. */
struct virtio_wl_ctrl_vfd_new_pages {
    struct virtio_wl_ctrl_hdr hdr;
    __le32 vfd_id;
    __le32 flags; /* 0 */
    __le32 run_count;
    __le32 pad;
};

/* VFD_CLOSE, and VFD_HUP to the guest. */
struct virtio_wl_ctrl_vfd {
    struct virtio_wl_ctrl_hdr hdr;
    __le32 vfd_id;
};

/* VFD_SEND, SEND_FOREIGN_ID and VFD_RECV: this, then vfd_count ids or
 * entries, then data to the end. */
struct virtio_wl_ctrl_vfd_sendrecv {
    struct virtio_wl_ctrl_hdr hdr;
    __le32 vfd_id;
    __le32 vfd_count;
};

/* An entry of SEND_FOREIGN_ID without VIRTIO_WL_F_SEND_FENCES... */
struct virtio_wl_foreign_entry {
    __le32 kind; /* VIRTIO_WL_FOREIGN_* */
    __le32 id;
};

/* ...and with it. Drivers leave `pad`, the upper half of an id and the value
 * of kind 3 uninitialised: they must be ignored. */
struct virtio_wl_foreign_entry_v2 {
    __le32 kind;
    __le32 pad;
    __le64 value; /* u32 id, or u64 seqno for VIRTGPU_FENCE */
};

struct virtio_wl_ctrl_vfd_dmabuf_sync {
    struct virtio_wl_ctrl_hdr hdr;
    __le32 vfd_id;
    __le32 flags; /* VIRTIO_WL_DMABUF_SYNC_* */
};

#endif
