/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/inbox.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/iov.h"
#include "base/le.h"
#include "wl/state.h"
#include "wl/vfd.h"

struct vwl_message {
    struct vwl_list link;   /* of vwl_inbox.fifo */
    struct vwl_list of_vfd; /* of vwl_vfd.messages of the owner */
    struct vwl_vfd *owner;
    struct vwl_vfd *fresh; /* VWL_MESSAGE_NEW */
    enum vwl_message_kind kind;
    unsigned int n_ids; /* VWL_MESSAGE_RECV; 0 once they were delivered */
    size_t len;
    size_t done;
    size_t charged_bytes;
    uint32_t ids[]; /* and the data */
};

void vwl_inbox_charge(struct vwl_core *core, size_t bytes)
{
    core->inbox.queued_bytes += bytes;
}

void vwl_inbox_uncharge(struct vwl_core *core, size_t bytes)
{
    struct vwl_inbox *inbox = &core->inbox;

    inbox->queued_bytes -= bytes;
    while (!vwl_list_is_empty(&inbox->queue_paused) &&
           inbox->queued_bytes <= core->config.max_queued_bytes / 2) {
        struct vwl_vfd *vfd = vwl_list_entry(inbox->queue_paused.next,
                                             struct vwl_vfd, paused);

        vwl_list_remove(&vfd->paused);
        vwl_vfd_resume(vfd, VWL_PAUSE_QUEUE);
    }
}

static struct vwl_message *push(struct vwl_vfd *owner,
                                enum vwl_message_kind kind, size_t bytes,
                                size_t tail_bytes)
{
    struct vwl_core *core = owner->core;
    struct vwl_inbox *inbox = &core->inbox;
    struct vwl_message *message;
    bool was_empty = vwl_list_is_empty(&inbox->fifo);

    message = g_malloc0(sizeof *message + tail_bytes);
    message->kind = kind;
    message->owner = owner;
    message->charged_bytes = bytes;
    vwl_list_insert(&inbox->fifo, &message->link);
    vwl_list_insert(&owner->messages, &message->of_vfd);
    vwl_inbox_charge(core, bytes);
    if (was_empty && !inbox->handing) {
        core->ops->message_ready(core->opaque);
    }
    return message;
}

void vwl_inbox_push_new(struct vwl_vfd *owner, struct vwl_vfd *fresh)
{
    push(owner, VWL_MESSAGE_NEW, sizeof(struct virtio_wl_ctrl_vfd_new), 0)
        ->fresh = fresh;
}

void vwl_inbox_push_recv(struct vwl_vfd *owner, const uint32_t *ids,
                         unsigned int n_ids, const void *data, size_t len)
{
    size_t tail = n_ids * sizeof *ids + len;
    struct vwl_message *message = push(owner, VWL_MESSAGE_RECV,
                                       VWL_RECV_HEAD_BYTES + tail, tail);

    message->n_ids = n_ids;
    message->len = len;
    if (n_ids) {
        memcpy(message->ids, ids, n_ids * sizeof *ids);
    }
    memcpy(message->ids + n_ids, data, len);
}

void vwl_inbox_push_hup(struct vwl_vfd *vfd)
{
    push(vfd, VWL_MESSAGE_HUP, sizeof(struct virtio_wl_ctrl_vfd), 0);
}

static void message_free(struct vwl_message *message)
{
    struct vwl_core *core = message->owner->core;
    size_t bytes = message->charged_bytes;

    vwl_list_remove(&message->link);
    vwl_list_remove(&message->of_vfd);
    g_free(message);
    vwl_inbox_uncharge(core, bytes);
}

void vwl_recv_head(uint8_t head[VWL_RECV_HEAD_BYTES], uint32_t id,
                   uint32_t n_ids)
{
    vwl_le_put32(head, VIRTIO_WL_CMD_VFD_RECV);
    vwl_le_put32(head + 4, 0);
    vwl_le_put32(head + 8, id);
    vwl_le_put32(head + 12, n_ids);
}

static ssize_t write_new(struct vwl_vfd *vfd, const struct iovec *buffer,
                         unsigned int n_buffer)
{
    struct vwl_core *core = vfd->core;
    uint8_t bytes[32] = { 0 };
    uint64_t pfn = vwl_core_pfn_none(core);

    if (vfd->map) {
        vwl_core_pfn(core, vwl_map_offset(vfd->map), &pfn);
    }
    vwl_le_put32(bytes, VIRTIO_WL_CMD_VFD_NEW);
    vwl_le_put32(bytes + 8, vfd->id);
    vwl_le_put32(bytes + 12, vwl_vfd_told_flags(vfd));
    vwl_le_put64(bytes + 16, pfn);
    vwl_le_put32(bytes + 24, (uint32_t)vfd->size_bytes);
    vwl_iov_write(buffer, n_buffer, 0, bytes, sizeof bytes);
    vfd->is_known = true;
    return sizeof bytes;
}

static ssize_t write_recv(struct vwl_message *message,
                          const struct iovec *buffer, unsigned int n_buffer,
                          size_t room)
{
    uint8_t head[VWL_RECV_HEAD_BYTES];
    size_t at = VWL_RECV_HEAD_BYTES + message->n_ids * sizeof(uint32_t);
    const uint8_t *data = (const uint8_t *)message->ids + message->done;
    size_t len = message->len;

    if (room < at + 1) {
        return -ENOBUFS;
    }
    if (message->done == 0) {
        data += message->n_ids * sizeof(uint32_t);
    }
    len = MIN(len, room - at);
    vwl_recv_head(head, message->owner->id, message->n_ids);
    vwl_iov_write(buffer, n_buffer, 0, head, sizeof head);
    for (unsigned int i = 0; i < message->n_ids; i++) {
        uint8_t id[4];

        vwl_le_put32(id, message->ids[i]);
        vwl_iov_write(buffer, n_buffer, sizeof head + i * sizeof id, id,
                      sizeof id);
    }
    vwl_iov_write(buffer, n_buffer, at, data, len);
    message->done = (size_t)(data - (const uint8_t *)message->ids) + len;
    message->len -= len;
    message->n_ids = 0;
    return (ssize_t)(at + len);
}

/* A message went into a buffer; vfd: who keeps it, or NULL. */
static void delivered(struct vwl_core *core, struct vwl_vfd *vfd,
                      uint64_t token)
{
    core->counters.messages++;
    vwl_share_use(&core->inbox.share, vfd, token);
}

static ssize_t deliver(struct vwl_core *core, struct vwl_message *message,
                       const struct iovec *buffer, unsigned int n_buffer,
                       uint64_t token)
{
    size_t room = vwl_iov_bytes(buffer, n_buffer);
    size_t left = message->len;
    uint8_t hup[12] = { 0 };
    ssize_t n;

    switch (message->kind) {
    case VWL_MESSAGE_NEW:
        n = room < sizeof(struct virtio_wl_ctrl_vfd_new)
                ? -ENOBUFS
                : write_new(message->fresh, buffer, n_buffer);
        break;
    case VWL_MESSAGE_RECV:
        n = write_recv(message, buffer, n_buffer, room);
        break;
    default:
        vwl_le_put32(hup, VIRTIO_WL_CMD_VFD_HUP);
        vwl_le_put32(hup + 8, message->owner->id);
        n = vwl_iov_write(buffer, n_buffer, 0, hup, sizeof hup) < sizeof hup
                ? -ENOBUFS
                : (ssize_t)sizeof hup;
        core->counters.hangups += n > 0;
        break;
    }
    if (n < 0) {
        return n;
    }
    delivered(core, message->kind == VWL_MESSAGE_RECV ? message->owner : NULL,
              token);
    core->counters.received_bytes += left - message->len;
    if (message->len == 0) {
        message_free(message);
    }
    return n;
}

static void hold_back(struct vwl_vfd *vfd, struct vwl_list *list,
                      enum vwl_pause reason)
{
    vwl_list_remove(&vfd->paused);
    vwl_list_insert(list, &vfd->paused);
    vwl_vfd_pause(vfd, reason);
}

/* Whoever filled a buffer probably has more: it is read again without asking
 * epoll, a few times only, since others may have become ready. */
#define ROUNDS_MAX 4

static void keep_ready(struct vwl_inbox *inbox, struct vwl_vfd *vfd)
{
    vfd->ready_slot = inbox->n_kept;
    inbox->ready[inbox->n_kept++] = vfd;
}

/* False: epoll must be asked. */
static bool another_round(struct vwl_inbox *inbox)
{
    if (inbox->n_kept && inbox->rounds < ROUNDS_MAX) {
        inbox->rounds++;
        inbox->n_ready = inbox->n_kept;
        inbox->next_ready = inbox->n_kept = 0;
        return true;
    }
    for (int i = 0; i < inbox->n_kept; i++) {
        if (inbox->ready[i]) {
            inbox->ready[i]->ready_slot = -1;
        }
    }
    inbox->rounds = inbox->n_kept = 0;
    return false;
}

/* Who was sent something often answers before anybody else speaks. Whoever
 * did so last time is read without asking epoll, once for each time that it is
 * sent something, and not for ever: the others wait meanwhile. */
#define GUESSES_MAX 64

void vwl_inbox_expect(struct vwl_vfd *vfd)
{
    vfd->core->inbox.expected = vfd;
}

static struct vwl_vfd *take_expected(struct vwl_inbox *inbox)
{
    struct vwl_vfd *vfd = inbox->expected;

    inbox->guessed = NULL;
    if (!vfd || !vfd->answers || inbox->guesses == GUESSES_MAX ||
        inbox->next_ready < inbox->n_ready || inbox->n_kept) {
        return NULL;
    }
    inbox->expected = NULL;
    inbox->guessed = vfd;
    inbox->guesses++;
    vfd->answers = false; /* until it turns out that it did */
    return vfd;
}

/* 0: nothing is readable. */
static int ask_epoll(struct vwl_core *core)
{
    struct vwl_inbox *inbox = &core->inbox;
    struct epoll_event events[VWL_READY_MAX];
    int n = epoll_wait(core->in_epoll, events, VWL_READY_MAX, 0);

    inbox->n_ready = MAX(n, 0);
    inbox->more = n == VWL_READY_MAX;
    inbox->next_ready = 0;
    inbox->guesses = 0;
    for (int i = 0; i < n; i++) {
        inbox->ready[i] = events[i].data.ptr;
        inbox->ready[i]->ready_slot = i;
    }
    if (n > 0 && inbox->expected) {
        inbox->expected->answers = n == 1 && inbox->ready[0] == inbox->expected;
        inbox->expected = NULL;
    }
    return inbox->n_ready;
}

/* Whether it is somebody else's turn. */
static bool is_held_back(struct vwl_core *core, struct vwl_vfd *vfd)
{
    struct vwl_inbox *inbox = &core->inbox;

    if (vwl_share_is_used_up(&inbox->share, vfd)) {
        hold_back(vfd, &inbox->share.paused, VWL_PAUSE_SHARE);
        return true;
    }
    if (inbox->queued_bytes > core->config.max_queued_bytes) {
        hold_back(vfd, &inbox->queue_paused, VWL_PAUSE_QUEUE);
        return true;
    }
    return false;
}

/* The next VFD that has something and may be read; NULL: none. */
static struct vwl_vfd *next_ready(struct vwl_core *core, bool *polled)
{
    struct vwl_inbox *inbox = &core->inbox;

    for (;;) {
        struct vwl_vfd *vfd = take_expected(inbox);

        if (!vfd) {
            if (inbox->next_ready == inbox->n_ready && !another_round(inbox)) {
                if (*polled || ask_epoll(core) == 0) {
                    return NULL;
                }
                *polled = true;
            }
            vfd = inbox->ready[inbox->next_ready++];
            if (!vfd) {
                continue;
            }
            vfd->ready_slot = -1;
        }
        if (vfd->in_watched && !is_held_back(core, vfd)) {
            return vfd;
        }
    }
}

static ssize_t next_message(struct vwl_core *core, const struct iovec *buffer,
                            unsigned int n_buffer, uint64_t token)
{
    struct vwl_inbox *inbox = &core->inbox;
    bool polled = false;

    for (;;) {
        struct vwl_vfd *vfd;
        ssize_t n;

        if (!vwl_list_is_empty(&inbox->fifo)) {
            return deliver(core,
                           vwl_list_entry(inbox->fifo.next, struct vwl_message,
                                          link),
                           buffer, n_buffer, token);
        }
        vfd = next_ready(core, &polled);
        if (!vfd) {
            if (vwl_list_is_empty(&inbox->fifo)) {
                return 0;
            }
            continue;
        }
        n = vfd->ops->receive(vfd, buffer, n_buffer);
        if (n > 0) {
            core->counters.received_bytes += (uint64_t)n - VWL_RECV_HEAD_BYTES;
            delivered(core, vfd, token);
            vfd->answers |= vfd == inbox->guessed;
            if (n == VWL_RECV_HEAD_BYTES + VWL_RECV_DATA_BYTES) {
                keep_ready(inbox, vfd);
            }
            return n;
        }
    }
}

ssize_t vwl_core_next_message(struct vwl_core *core, const struct iovec *buffer,
                              unsigned int n_buffer, uint64_t token)
{
    ssize_t n;

    core->inbox.handing = true;
    n = next_message(core, buffer, n_buffer, token);
    core->inbox.handing = false;
    return n;
}

bool vwl_core_has_more(const struct vwl_core *core)
{
    const struct vwl_inbox *inbox = &core->inbox;

    return !vwl_list_is_empty(&inbox->fifo) || inbox->more || inbox->n_kept ||
           inbox->next_ready < inbox->n_ready;
}

bool vwl_core_wants_buffers(const struct vwl_core *core)
{
    return !vwl_list_is_empty(&core->inbox.share.paused);
}

void vwl_inbox_forget(struct vwl_vfd *vfd)
{
    struct vwl_core *core = vfd->core;

    while (!vwl_list_is_empty(&vfd->messages)) {
        struct vwl_message *message = vwl_list_entry(vfd->messages.next,
                                                     struct vwl_message,
                                                     of_vfd);

        for (unsigned int i = 0; i < message->n_ids; i++) {
            struct vwl_vfd *listed = g_hash_table_lookup(core->vfds,
                                                         GUINT_TO_POINTER(
                                                             message->ids[i]));

            if (listed) {
                vwl_vfd_close(listed, true);
            }
        }
        message_free(message);
    }
    vwl_share_forget(vfd);
    vwl_list_remove(&vfd->paused);
    if (core->inbox.expected == vfd) {
        core->inbox.expected = NULL;
    }
    if (vfd->ready_slot >= 0) {
        core->inbox.ready[vfd->ready_slot] = NULL;
        vfd->ready_slot = -1;
    }
}

void vwl_inbox_visit(const struct vwl_core *core,
                     void (*visit)(void *opaque,
                                   const struct vwl_message_view *view),
                     void *opaque)
{
    const struct vwl_list *fifo = &core->inbox.fifo;

    for (struct vwl_list *link = fifo->next; link != fifo; link = link->next) {
        const struct vwl_message *message = vwl_list_entry(link,
                                                           struct vwl_message,
                                                           link);
        const uint8_t *tail = (const uint8_t *)message->ids;
        struct vwl_message_view view = {
            .kind = message->kind,
            .owner = message->owner,
            .fresh = message->fresh,
            .ids = message->ids,
            .n_ids = message->n_ids,
            .data = tail + (message->done ? message->done
                                          : message->n_ids * sizeof(uint32_t)),
            .len = message->len,
        };

        visit(opaque, &view);
    }
}

void vwl_inbox_init(struct vwl_core *core)
{
    struct vwl_inbox *inbox = &core->inbox;

    vwl_list_init(&inbox->fifo);
    vwl_share_init(&inbox->share);
    vwl_list_init(&inbox->queue_paused);
}

void vwl_inbox_reset(struct vwl_core *core)
{
    vwl_share_reset(&core->inbox.share);
    core->inbox.n_ready = core->inbox.next_ready = 0;
    core->inbox.n_kept = core->inbox.rounds = 0;
}

void vwl_inbox_finish(struct vwl_core *core)
{
    vwl_inbox_reset(core);
}
