/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages that are complete and wait for a buffer of the guest, in order.
 * Whoever takes bytes away from here looks for those that were paused for
 * want of room: nothing in here does.
 */
#ifndef VWL_WL_INBOX_MESSAGES_H
#define VWL_WL_INBOX_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/list.h"
#include "vhost-user-wl/virtio_wl.h"

/* The most data in one VFD_RECV: with any ids it fits into a page. */
#define VWL_RECV_DATA_BYTES 3968u
#define VWL_RECV_HEAD_BYTES 16u /* struct virtio_wl_ctrl_vfd_sendrecv */

struct vwl_core;
struct vwl_vfd;

enum vwl_message_kind {
    VWL_MESSAGE_NEW,
    VWL_MESSAGE_RECV,
    VWL_MESSAGE_HUP,
};

/* What is left to tell of a queued message. */
struct vwl_message_view {
    enum vwl_message_kind kind;
    struct vwl_vfd *owner;
    struct vwl_vfd *fresh; /* of NEW */
    const uint32_t *ids;   /* of RECV */
    unsigned int n_ids;
    const uint8_t *data;
    size_t len;
};

struct vwl_messages {
    struct vwl_list fifo; /* of vwl_message.link */
    uint64_t queued_bytes;
    bool handing; /* somebody takes messages out: it need not be told */
};

void vwl_messages_init(struct vwl_messages *messages);

/* Messages of a group, in order, on behalf of the context that it came from:
 * they go when that is closed, and `fresh` and the VFDs of `ids` with them. */
void vwl_messages_push_new(struct vwl_vfd *owner, struct vwl_vfd *fresh);
void vwl_messages_push_recv(struct vwl_vfd *owner, const uint32_t *ids,
                            unsigned int n_ids, const void *data, size_t len);
void vwl_messages_push_hup(struct vwl_vfd *vfd);

static inline bool vwl_messages_is_empty(const struct vwl_messages *messages)
{
    return vwl_list_is_empty(&messages->fifo);
}

/* Writes the first one into the guest's buffer, which must not be empty: its
 * length, and who keeps the buffer, or NULL. -ENOBUFS: it is too small. */
ssize_t vwl_messages_deliver(struct vwl_core *core, const struct iovec *buffer,
                             unsigned int n_buffer, struct vwl_vfd **keeper);

/* The first one of this VFD; false: there is none. */
bool vwl_messages_peek(const struct vwl_vfd *vfd,
                       struct vwl_message_view *view);
/* Drops that. */
void vwl_messages_drop(struct vwl_vfd *vfd);

/* All that is queued, in order. */
void vwl_messages_visit(const struct vwl_messages *messages,
                        void (*visit)(void *opaque,
                                      const struct vwl_message_view *view),
                        void *opaque);

/* Writes the 16 bytes before the data of a VFD_RECV. */
void vwl_messages_recv_head(uint8_t head[VWL_RECV_HEAD_BYTES], uint32_t id,
                            uint32_t n_ids);

/* Bytes that are held back elsewhere on their way here. */
static inline void vwl_messages_charge(struct vwl_messages *messages,
                                       size_t bytes)
{
    messages->queued_bytes += bytes;
}

static inline void vwl_messages_uncharge(struct vwl_messages *messages,
                                         size_t bytes)
{
    messages->queued_bytes -= bytes;
}

#endif
