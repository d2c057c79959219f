/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/inbox/messages.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/iov.h"
#include "base/le.h"
#include "wl/answer.h"
#include "wl/state.h"
#include "wl/vfd.h"

struct vwl_message {
    struct vwl_list link;   /* of vwl_messages.fifo */
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

static struct vwl_message *message_push(struct vwl_vfd *owner,
                                        enum vwl_message_kind kind,
                                        size_t bytes, size_t tail_bytes)
{
    struct vwl_core *core = owner->core;
    struct vwl_messages *messages = &core->messages;
    struct vwl_message *message;
    bool was_empty = vwl_list_is_empty(&messages->fifo);

    message = g_malloc0(sizeof *message + tail_bytes);
    message->kind = kind;
    message->owner = owner;
    message->charged_bytes = bytes;
    vwl_list_insert(&messages->fifo, &message->link);
    vwl_list_insert(&owner->messages, &message->of_vfd);
    vwl_messages_charge(messages, bytes);
    if (was_empty && !messages->handing) {
        core->ops->message_ready(core->opaque);
    }
    return message;
}

void vwl_messages_push_new(struct vwl_vfd *owner, struct vwl_vfd *fresh)
{
    message_push(owner, VWL_MESSAGE_NEW, sizeof(struct virtio_wl_ctrl_vfd_new),
                 0)
        ->fresh = fresh;
}

void vwl_messages_push_recv(struct vwl_vfd *owner, const uint32_t *ids,
                            unsigned int n_ids, const void *data, size_t len)
{
    size_t tail = n_ids * sizeof *ids + len;
    struct vwl_message *message = message_push(owner, VWL_MESSAGE_RECV,
                                               VWL_RECV_HEAD_BYTES + tail,
                                               tail);

    message->n_ids = n_ids;
    message->len = len;
    if (n_ids) {
        memcpy(message->ids, ids, n_ids * sizeof *ids);
    }
    memcpy(message->ids + n_ids, data, len);
}

void vwl_messages_push_hup(struct vwl_vfd *vfd)
{
    message_push(vfd, VWL_MESSAGE_HUP, sizeof(struct virtio_wl_ctrl_vfd), 0);
}

static void message_free(struct vwl_message *message)
{
    vwl_messages_uncharge(&message->owner->core->messages,
                          message->charged_bytes);
    vwl_list_remove(&message->link);
    vwl_list_remove(&message->of_vfd);
    g_free(message);
}

static_assert(sizeof(struct virtio_wl_ctrl_vfd_sendrecv) == VWL_RECV_HEAD_BYTES,
              "the head of a VFD_RECV");

void vwl_messages_recv_head(uint8_t head[VWL_RECV_HEAD_BYTES], uint32_t id,
                            uint32_t n_ids)
{
    struct virtio_wl_ctrl_vfd_sendrecv recv = {
        .hdr.type = htole32(VIRTIO_WL_CMD_VFD_RECV),
        .vfd_id = htole32(id),
        .vfd_count = htole32(n_ids),
    };

    memcpy(head, &recv, VWL_RECV_HEAD_BYTES);
}

static ssize_t message_write_new(struct vwl_vfd *vfd,
                                 const struct iovec *buffer,
                                 unsigned int n_buffer)
{
    struct virtio_wl_ctrl_vfd_new new;

    vwl_answer_announce(vfd, &new);
    vwl_iov_write(buffer, n_buffer, 0, &new, sizeof new);
    vfd->life = VWL_VFD_KNOWN;
    return sizeof new;
}

static ssize_t message_write_recv(struct vwl_message *message,
                                  const struct iovec *buffer,
                                  unsigned int n_buffer, size_t room)
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
    vwl_messages_recv_head(head, message->owner->id, message->n_ids);
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

static ssize_t message_write_hup(struct vwl_message *message,
                                 const struct iovec *buffer,
                                 unsigned int n_buffer)
{
    struct virtio_wl_ctrl_vfd hup = {
        .hdr.type = htole32(VIRTIO_WL_CMD_VFD_HUP),
        .vfd_id = htole32(message->owner->id),
    };

    if (vwl_iov_write(buffer, n_buffer, 0, &hup, sizeof hup) < sizeof hup) {
        return -ENOBUFS;
    }
    message->owner->core->counters.hangups++;
    return sizeof hup;
}

static struct vwl_message *message_first(const struct vwl_messages *messages)
{
    return vwl_list_entry(messages->fifo.next, struct vwl_message, link);
}

ssize_t vwl_messages_deliver(struct vwl_core *core, const struct iovec *buffer,
                             unsigned int n_buffer, struct vwl_vfd **keeper)
{
    struct vwl_message *message = message_first(&core->messages);
    size_t room = vwl_iov_bytes(buffer, n_buffer);
    size_t left = message->len;
    ssize_t n;

    *keeper = NULL;
    switch (message->kind) {
    case VWL_MESSAGE_NEW:
        n = room < sizeof(struct virtio_wl_ctrl_vfd_new)
                ? -ENOBUFS
                : message_write_new(message->fresh, buffer, n_buffer);
        break;
    case VWL_MESSAGE_RECV:
        n = message_write_recv(message, buffer, n_buffer, room);
        *keeper = message->owner;
        break;
    default:
        n = message_write_hup(message, buffer, n_buffer);
        break;
    }
    if (n < 0) {
        return n;
    }
    core->counters.received_bytes += left - message->len;
    if (message->len == 0) {
        message_free(message);
    }
    return n;
}

static void message_view(const struct vwl_message *message,
                         struct vwl_message_view *view)
{
    const uint8_t *tail = (const uint8_t *)message->ids;

    *view = (struct vwl_message_view){
        .kind = message->kind,
        .owner = message->owner,
        .fresh = message->fresh,
        .ids = message->ids,
        .n_ids = message->n_ids,
        .data = tail + (message->done ? message->done
                                      : message->n_ids * sizeof(uint32_t)),
        .len = message->len,
    };
}

bool vwl_messages_peek(const struct vwl_vfd *vfd, struct vwl_message_view *view)
{
    if (vwl_list_is_empty(&vfd->messages)) {
        return false;
    }
    message_view(vwl_list_entry(vfd->messages.next, struct vwl_message, of_vfd),
                 view);
    return true;
}

void vwl_messages_drop(struct vwl_vfd *vfd)
{
    message_free(
        vwl_list_entry(vfd->messages.next, struct vwl_message, of_vfd));
}

void vwl_messages_visit(const struct vwl_messages *messages,
                        void (*visit)(void *opaque,
                                      const struct vwl_message_view *view),
                        void *opaque)
{
    const struct vwl_list *fifo = &messages->fifo;

    for (struct vwl_list *link = fifo->next; link != fifo; link = link->next) {
        struct vwl_message_view view;

        message_view(vwl_list_entry(link, struct vwl_message, link), &view);
        visit(opaque, &view);
    }
}

void vwl_messages_init(struct vwl_messages *messages)
{
    vwl_list_init(&messages->fifo);
}
