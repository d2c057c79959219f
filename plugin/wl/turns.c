/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/turns.h"

#include <string.h>

#include "wl/state.h"
#include "wl/vfd.h"

/* Whoever filled all its buffers may fill so many times as many. */
#define FILLS_MORE 4
#define FILLS_MAX (1 + VWL_MORE_MAX)

static void turns_hold_back(struct vwl_vfd *vfd, struct vwl_list *list,
                            enum vwl_pause reason)
{
    vwl_list_remove(&vfd->paused);
    vwl_list_insert(list, &vfd->paused);
    vwl_vfd_pause(vfd, reason);
}

/* Whether it is somebody else's turn. */
static bool turns_is_held_back(struct vwl_core *core, struct vwl_vfd *vfd)
{
    if (vwl_share_is_used_up(&core->share, vfd)) {
        turns_hold_back(vfd, &core->share.paused, VWL_PAUSE_SHARE);
        return true;
    }
    if (core->messages.queued_bytes > core->config.max_queued_bytes) {
        turns_hold_back(vfd, &core->queue_paused, VWL_PAUSE_QUEUE);
        return true;
    }
    return false;
}

/* A message went into a buffer; vfd: who keeps it, or NULL. */
static void turns_delivered(struct vwl_core *core, struct vwl_vfd *vfd,
                            uint64_t token)
{
    core->counters.messages++;
    vwl_share_use(&core->share, vfd, token);
}

static ssize_t turns_deliver_queued(struct vwl_core *core,
                                    const struct iovec *buffer,
                                    unsigned int n_buffer, uint64_t token)
{
    struct vwl_vfd *keeper;
    ssize_t n = vwl_messages_deliver(core, buffer, n_buffer, &keeper);

    if (n > 0) {
        turns_delivered(core, keeper, token);
        vwl_vfd_resume_queued(core);
    }
    return n;
}

static void turns_had(struct vwl_vfd *vfd, size_t data_bytes, bool full)
{
    vfd->core->counters.received_bytes += data_bytes;
    vwl_ready_had(&vfd->core->ready, vfd, full);
}

/* Reads one peer: what came of it, or 0 when it had nothing, or only what was
 * queued. */
static ssize_t turns_read(struct vwl_vfd *vfd, const struct iovec *buffer,
                          unsigned int n_buffer, uint64_t token)
{
    ssize_t n = vfd->ops->receive(vfd, buffer, n_buffer);
    bool full = vfd->filter ? vfd->had_more
                            : n == VWL_RECV_HEAD_BYTES + VWL_RECV_DATA_BYTES;

    if (n > 0) {
        turns_delivered(vfd->core, vfd, token);
        vfd->fills = full ? FILLS_MORE : 1;
        turns_had(vfd, (size_t)n - VWL_RECV_HEAD_BYTES, full);
    }
    return n;
}

/* How many buffers a peer may fill now that mostly fills them, and that nobody
 * waits for: no more than would soon be its share anyway. */
static unsigned int turns_fills(const struct vwl_vfd *vfd,
                                const struct iovec *buffer,
                                unsigned int n_buffer)
{
    const struct vwl_core *core = vfd->core;
    const struct vwl_share *share = &core->share;
    unsigned int free = share->n_free > vfd->n_lent
                            ? share->n_free - vfd->n_lent
                            : 0;

    if (vfd->fills <= 1 || !vfd->ops->read || n_buffer != 1 ||
        buffer->iov_len < VWL_RECV_HEAD_BYTES + VWL_RECV_DATA_BYTES ||
        !core->ops->more_buffers || !vwl_ready_is_alone(&core->ready)) {
        return 1;
    }
    return share->ring_size ? MIN(vfd->fills, 1 + free / 4) : vfd->fills;
}

/* They are full but the last, which has so many bytes. */
static void turns_filled(struct vwl_vfd *vfd,
                         const struct vwl_whole_buffer *buffers, unsigned int n)
{
    uint8_t head[VWL_RECV_HEAD_BYTES];

    vwl_messages_recv_head(head, vfd->id, 0);
    for (unsigned int i = 0; i < n; i++) {
        memcpy(buffers[i].base, head, sizeof head);
        turns_delivered(vfd->core, vfd, buffers[i].token);
    }
}

/* As turns_read, into up to so many buffers; the length of the message in the
 * first one. */
static ssize_t turns_read_many(struct vwl_vfd *vfd, const struct iovec *buffer,
                               uint64_t token, unsigned int max)
{
    struct vwl_whole_buffer buffers[1 + VWL_MORE_MAX];
    struct iovec iov[1 + VWL_MORE_MAX];
    struct vwl_core *core = vfd->core;
    unsigned int n = 1, used;
    bool all;
    size_t last;
    ssize_t got;

    buffers[0] = (struct vwl_whole_buffer){ buffer->iov_base, token };
    n += core->ops->more_buffers(core->opaque, max - 1, buffers + 1);
    if (n == 1) {
        return turns_read(vfd, buffer, 1, token);
    }
    for (unsigned int i = 0; i < n; i++) {
        iov[i].iov_base = buffers[i].base + VWL_RECV_HEAD_BYTES;
        iov[i].iov_len = VWL_RECV_DATA_BYTES;
    }
    got = vfd->ops->read(vfd, iov, n);
    if (got <= 0) {
        core->ops->more_filled(core->opaque, 0, 0);
        return got;
    }
    used = ((unsigned int)got - 1) / VWL_RECV_DATA_BYTES + 1;
    last = (size_t)got - (used - 1) * (size_t)VWL_RECV_DATA_BYTES;
    turns_filled(vfd, buffers, used);
    core->ops->more_filled(core->opaque, used - 1, VWL_RECV_HEAD_BYTES + last);
    all = vfd->filter ? vfd->had_more : used == n;
    vfd->fills = (uint8_t)(all ? MIN(n * FILLS_MORE, FILLS_MAX) : used);
    turns_had(vfd, (size_t)got,
              all && (vfd->filter || last == VWL_RECV_DATA_BYTES));
    vwl_ready_ask_next(&core->ready);
    return VWL_RECV_HEAD_BYTES +
           (ssize_t)(used > 1 ? VWL_RECV_DATA_BYTES : last);
}

static ssize_t turns_next(struct vwl_core *core, const struct iovec *buffer,
                          unsigned int n_buffer, uint64_t token)
{
    bool polled = false;

    for (;;) {
        struct vwl_vfd *vfd;
        unsigned int max;
        ssize_t n;

        if (!vwl_messages_is_empty(&core->messages)) {
            return turns_deliver_queued(core, buffer, n_buffer, token);
        }
        vfd = vwl_ready_next(&core->ready, core->in.fd, &polled);
        if (!vfd) {
            return 0;
        }
        if (!vfd->in_watched || turns_is_held_back(core, vfd)) {
            continue;
        }
        max = turns_fills(vfd, buffer, n_buffer);
        n = max > 1 ? turns_read_many(vfd, buffer, token, max)
                    : turns_read(vfd, buffer, n_buffer, token);
        if (n > 0) {
            return n;
        }
    }
}

ssize_t vwl_turns_next_message(struct vwl_core *core,
                               const struct iovec *buffer,
                               unsigned int n_buffer, uint64_t token)
{
    ssize_t n;

    core->messages.handing = true;
    n = turns_next(core, buffer, n_buffer, token);
    core->messages.handing = false;
    return n;
}

/* Reads of one go: then others have their turns. */
#define HOARD_READS 64

static bool turns_may_hoard(const struct vwl_core *core,
                            const struct vwl_vfd *vfd)
{
    return vfd->ops->is_context && vfd->fd >= 0 &&
           core->messages.queued_bytes <= core->config.max_queued_bytes &&
           !vwl_peer_has_fds(vfd->fd, VWL_RECV_DATA_BYTES);
}

void vwl_turns_hoard(struct vwl_core *core)
{
    bool polled = false;

    core->messages.handing = true;
    for (int i = 0; i < HOARD_READS; i++) {
        struct vwl_vfd *vfd = vwl_ready_next(&core->ready, core->in.fd,
                                             &polled);

        if (!vfd) {
            break;
        }
        if (!vfd->in_watched) {
            continue;
        }
        if (turns_may_hoard(core, vfd)) {
            vfd->ops->receive(vfd, NULL, 0); /* no room: it is queued */
        } else {
            turns_hold_back(vfd, &core->still, VWL_PAUSE_STILL);
        }
    }
    core->messages.handing = false;
}

void vwl_turns_hoard_end(struct vwl_core *core)
{
    vwl_vfd_resume_all(&core->still, VWL_PAUSE_STILL);
}

bool vwl_turns_has_more(const struct vwl_core *core)
{
    return !vwl_messages_is_empty(&core->messages) ||
           vwl_ready_has_more(&core->ready);
}

static void turns_resume_entitled(struct vwl_core *core)
{
    struct vwl_list entitled;

    vwl_list_init(&entitled);
    vwl_share_take_entitled(&core->share, &entitled);
    vwl_vfd_resume_all(&entitled, VWL_PAUSE_SHARE);
}

void vwl_turns_buffer_returned(struct vwl_core *core, uint64_t token)
{
    if (vwl_share_return(&core->share, token)) {
        turns_resume_entitled(core);
    }
}

void vwl_turns_buffers_free(struct vwl_core *core, unsigned int n_free,
                            unsigned int ring_size)
{
    vwl_share_set_free(&core->share, n_free, ring_size);
    turns_resume_entitled(core);
}
