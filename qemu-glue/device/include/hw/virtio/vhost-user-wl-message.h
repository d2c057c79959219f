/*
 * Vhost-user virtio-wl device: messages of vhost-user, for the relay
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VIRTIO_VHOST_USER_WL_MESSAGE_H
#define HW_VIRTIO_VHOST_USER_WL_MESSAGE_H

#include "vhost-user-wl/vhost_user.h"

#define WL_MSG_FDS_MAX 8
#define WL_MSG_PAYLOAD_MAX 4096

/* Those of SET_MEM_TABLE, which has a descriptor for each. */
typedef struct WLMemory {
    struct vhost_user_memory head;
    struct vhost_user_memory_region regions[WL_MSG_FDS_MAX];
} QEMU_PACKED WLMemory;

typedef struct WLMessage {
    uint32_t padding; /* so that the payload is aligned */
    struct vhost_user_header head;
    union {
        uint8_t bytes[WL_MSG_PAYLOAD_MAX];
        uint64_t u64;
        WLMemory memory;
        struct vhost_user_mmap map;
        struct vhost_user_shmem_config shmem_config;
    } payload;
    /* not on the wire */
    int fds[WL_MSG_FDS_MAX];
    unsigned n_fds;
} WLMessage;

/* Bounds every later read and write, so that no peer holds a thread up. */
void vhost_user_wl_message_set_timeout(int sock, unsigned ms);
/*
 * A whole message, or -errno: -ECONNRESET is the end of the connection,
 * -ETIMEDOUT one that stalls, -EPROTO what cannot be a message.  The
 * descriptors are the caller's.
 */
int vhost_user_wl_message_recv(int sock, WLMessage *msg);
/* The descriptors stay the caller's. */
int vhost_user_wl_message_send(int sock, const WLMessage *msg);
void vhost_user_wl_message_close_fds(WLMessage *msg);
/* True: whoever sent it waits for an answer. */
bool vhost_user_wl_message_is_answered(const WLMessage *msg);
/* A number for an answer of that. */
int vhost_user_wl_message_answer(int sock, const WLMessage *msg,
                                 uint64_t value);

#endif
