/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages towards the guest: those that are complete and wait for a buffer,
 * and the peers that have something.
 *
 * Complete messages go first; only when there is none a peer is read, one
 * VFD_RECV for each in turn. So nothing piles up here while the guest posts no
 * buffers, and nothing comes between the messages of one group.
 */
#ifndef VWL_WL_INBOX_H
#define VWL_WL_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "wl/share.h"

/* The most data in one VFD_RECV: with any ids it fits into a page. */
#define VWL_RECV_DATA_BYTES 3968u
#define VWL_RECV_HEAD_BYTES 16u

#define VWL_READY_MAX 64

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

struct vwl_inbox {
    struct vwl_list fifo; /* of vwl_message.link */
    uint64_t queued_bytes;
    bool handing; /* vwl_core_next_message is at work */

    struct vwl_vfd *ready[VWL_READY_MAX]; /* NULL where one was closed */
    int n_ready;
    int next_ready;
    int n_kept; /* of ready: filled a buffer, so looked at once more */
    int rounds; /* that were made without asking epoll */
    bool more;  /* epoll may know of more than it said */
    struct vwl_vfd *expected; /* that was sent something and tends to answer at
                                 once; NULL: nobody */
    struct vwl_vfd *guessed;  /* the one that was read for that reason */
    unsigned int guesses;     /* since epoll was asked */

    struct vwl_share share;
    struct vwl_list queue_paused; /* of vwl_vfd.paused */
};

void vwl_inbox_init(struct vwl_core *core);
void vwl_inbox_finish(struct vwl_core *core);
/* Its peer was sent all there was: its answer may be the next to come. */
void vwl_inbox_expect(struct vwl_vfd *vfd);
/* Nothing is queued, nothing is lent, no VFD is left. */
void vwl_inbox_reset(struct vwl_core *core);

/* Messages of a group, in order, on behalf of the context that it came from:
 * they go when that is closed, and `fresh` and the VFDs of `ids` with them. */
void vwl_inbox_push_new(struct vwl_vfd *owner, struct vwl_vfd *fresh);
void vwl_inbox_push_recv(struct vwl_vfd *owner, const uint32_t *ids,
                         unsigned int n_ids, const void *data, size_t len);
void vwl_inbox_push_hup(struct vwl_vfd *vfd);

/* All that is queued, in order. */
void vwl_inbox_visit(const struct vwl_core *core,
                     void (*visit)(void *opaque,
                                   const struct vwl_message_view *view),
                     void *opaque);

/* Bytes that are held back elsewhere on their way here. */
void vwl_inbox_charge(struct vwl_core *core, size_t bytes);
void vwl_inbox_uncharge(struct vwl_core *core, size_t bytes);

/* A VFD goes: its messages, its place among the ready ones, its buffers. */
void vwl_inbox_forget(struct vwl_vfd *vfd);

/* Writes the 16 bytes before the data of a VFD_RECV. */
void vwl_recv_head(uint8_t head[VWL_RECV_HEAD_BYTES], uint32_t id,
                   uint32_t n_ids);

#endif
