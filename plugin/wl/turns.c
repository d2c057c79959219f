/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/turns.h"

#include "wl/state.h"
#include "wl/vfd.h"

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

/* Reads one peer: what came of it, or 0 when it had nothing, or only what was
 * queued. */
static ssize_t turns_read(struct vwl_vfd *vfd, const struct iovec *buffer,
                          unsigned int n_buffer, uint64_t token)
{
    struct vwl_core *core = vfd->core;
    ssize_t n = vfd->ops->receive(vfd, buffer, n_buffer);

    if (n > 0) {
        core->counters.received_bytes += (uint64_t)n - VWL_RECV_HEAD_BYTES;
        turns_delivered(core, vfd, token);
        vwl_ready_had(&core->ready, vfd,
                      n == VWL_RECV_HEAD_BYTES + VWL_RECV_DATA_BYTES);
    }
    return n;
}

static ssize_t turns_next(struct vwl_core *core, const struct iovec *buffer,
                          unsigned int n_buffer, uint64_t token)
{
    bool polled = false;

    for (;;) {
        struct vwl_vfd *vfd;
        ssize_t n;

        if (!vwl_messages_is_empty(&core->messages)) {
            return turns_deliver_queued(core, buffer, n_buffer, token);
        }
        vfd = vwl_ready_next(&core->ready, core->in_epoll, &polled);
        if (!vfd) {
            return 0;
        }
        if (!vfd->in_watched || turns_is_held_back(core, vfd)) {
            continue;
        }
        n = turns_read(vfd, buffer, n_buffer, token);
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
