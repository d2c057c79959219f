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

/*
 * How long a message may take as a whole, however many pieces it comes in, so
 * that no peer holds a thread up.
 */
typedef struct WLPatience {
    int64_t until; /* g_get_monotonic_time() */
    int stop;      /* an eventfd that ends the wait before, or -1 */
} WLPatience;

/*
 * A whole message, or -errno: -ECONNRESET is the end of the connection,
 * -ETIMEDOUT one that stalls, -ECANCELED one that was stopped, -EPROTO what
 * cannot be a message.  The descriptors are the caller's.
 */
int vhost_user_wl_message_recv(int sock, WLMessage *msg, const WLPatience *p);
/* The descriptors stay the caller's. */
int vhost_user_wl_message_send(int sock, const WLMessage *msg,
                               const WLPatience *p);
void vhost_user_wl_message_close_fds(WLMessage *msg);
/* True: whoever sent it waits for an answer; acked: protocol features. */
bool vhost_user_wl_message_is_answered(const WLMessage *msg, uint64_t acked);
/* A number for an answer of that. */
int vhost_user_wl_message_answer(int sock, const WLMessage *msg, uint64_t value,
                                 const WLPatience *p);

#endif
