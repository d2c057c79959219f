/* SPDX-License-Identifier: BSD-3-Clause */
#include "uplink.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static struct vwl_lone *lone_at(struct vwl_uplink *uplink, guint i)
{
    return &g_array_index(uplink->lone, struct vwl_lone, i);
}

static void lone_drop(struct vwl_uplink *uplink, struct vwl_lone *lone)
{
    for (unsigned int i = 0; i < lone->n; i++) {
        vwl_transport_close(uplink->transport, lone->handles[i]);
    }
    if (lone->spare >= 0) {
        close(lone->spare);
    }
    *lone = (struct vwl_lone){ .spare = -1 };
}

void vwl_uplink_init(struct vwl_uplink *uplink, struct vwl_transport *transport)
{
    uplink->transport = transport;
    vwl_queue_init(&uplink->queue);
    uplink->closing = g_array_new(FALSE, FALSE, sizeof(struct vwl_attached));
    uplink->lone = g_array_new(FALSE, FALSE, sizeof(struct vwl_lone));
    uplink->asking = (struct vwl_lone){ .spare = -1 };
}

/* Those that were sent up to there. */
static void closing_close(struct vwl_uplink *uplink, size_t sent)
{
    for (guint i = 0; i < uplink->closing->len;) {
        struct vwl_attached *entry = &g_array_index(uplink->closing,
                                                    struct vwl_attached, i);

        if (entry->at <= sent) {
            vwl_transport_close(uplink->transport, entry->fd);
            g_array_remove_index(uplink->closing, i);
        } else {
            entry->at -= sent;
            i++;
        }
    }
}

void vwl_uplink_finish(struct vwl_uplink *uplink)
{
    lone_drop(uplink, &uplink->asking);
    for (guint i = 0; i < uplink->lone->len; i++) {
        lone_drop(uplink, lone_at(uplink, i));
    }
    closing_close(uplink, SIZE_MAX);
    g_array_unref(uplink->lone);
    g_array_unref(uplink->closing);
    vwl_queue_finish(&uplink->queue);
}

size_t vwl_uplink_len(const struct vwl_uplink *uplink)
{
    return uplink->queue.bytes->len;
}

void vwl_uplink_put(struct vwl_uplink *uplink, const void *bytes, size_t len,
                    int vfd)
{
    vwl_queue_put(&uplink->queue, bytes, len, vfd);
}

void vwl_uplink_request(struct vwl_uplink *uplink, uint32_t object,
                        unsigned int opcode, const uint32_t *args,
                        unsigned int n_args, int vfd)
{
    uint32_t words[16] = {
        object,
        (uint32_t)((n_args + 2) * 4) << 16 | opcode,
    };

    if (n_args != 0) {
        memcpy(words + 2, args, n_args * sizeof *args);
    }
    vwl_uplink_put(uplink, words, (n_args + 2) * 4, vfd);
}

void vwl_uplink_alone(struct vwl_uplink *uplink, uint32_t object,
                      const struct vwl_lone *lone)
{
    struct vwl_lone entry = *lone;

    entry.end = vwl_uplink_len(uplink);
    entry.object = object;
    g_array_append_val(uplink->lone, entry);
}

void vwl_uplink_close(struct vwl_uplink *uplink, int vfd)
{
    vwl_uplink_close_after(uplink, vfd, 0);
}

void vwl_uplink_close_after(struct vwl_uplink *uplink, int vfd, size_t more)
{
    struct vwl_attached entry = { vfd, vwl_uplink_len(uplink) + more };

    if (vfd < 0) {
        return;
    }
    if (entry.at == 0) {
        vwl_transport_close(uplink->transport, vfd);
    } else {
        g_array_append_val(uplink->closing, entry);
    }
}

/* Moves what is queued behind what was sent. */
static void shift(struct vwl_uplink *uplink, size_t len, unsigned int n)
{
    vwl_queue_shift(&uplink->queue, len, n);
    closing_close(uplink, len);
    for (guint i = 0; i < uplink->lone->len; i++) {
        lone_at(uplink, i)->begin -= len;
        lone_at(uplink, i)->end -= len;
    }
}

static int send_alone(struct vwl_uplink *uplink, int ctx,
                      vwl_transport_done_fn done, void *opaque)
{
    struct vwl_queue *queue = &uplink->queue;
    struct vwl_lone lone = *lone_at(uplink, 0);
    int vfds[VWL_MAX_FDS], r;
    unsigned int n;
    size_t len = vwl_queue_batch(queue, lone.end, vfds, &n);

    r = vwl_transport_send_checked(uplink->transport, ctx, queue->bytes->data,
                                   len, vfds, n, done, opaque);
    if (r == 0) {
        uplink->asking = lone;
        g_array_remove_index(uplink->lone, 0);
        shift(uplink, len, n);
    }
    return r;
}

static int send_batch(struct vwl_uplink *uplink, int ctx,
                      vwl_transport_done_fn done, void *opaque)
{
    struct vwl_queue *queue = &uplink->queue;
    int vfds[VWL_MAX_FDS], r;
    unsigned int n;
    size_t len = queue->bytes->len;

    if (uplink->lone->len != 0) {
        len = lone_at(uplink, 0)->begin;
    }
    len = vwl_queue_batch(queue, len, vfds, &n);
    r = vwl_transport_send_async(uplink->transport, ctx, queue->bytes->data,
                                 len, vfds, n, done, opaque);
    if (r == 0) {
        shift(uplink, len, n);
    }
    return r;
}

int vwl_uplink_send(struct vwl_uplink *uplink, int ctx,
                    vwl_transport_done_fn done, void *opaque)
{
    bool alone = uplink->lone->len != 0 && lone_at(uplink, 0)->begin == 0;

    return alone ? send_alone(uplink, ctx, done, opaque)
                 : send_batch(uplink, ctx, done, opaque);
}

/* What an answer says of the descriptors, and not of the connection. */
bool vwl_uplink_is_refused(const struct vwl_uplink *uplink, int result)
{
    return uplink->asking.end != 0 &&
           (result == -ENOENT || result == -EINVAL || result == -ENOTTY ||
            result == -ENOMEM || result == -EPERM || result == -EBADF);
}

void vwl_uplink_forget(struct vwl_uplink *uplink)
{
    lone_drop(uplink, &uplink->asking);
}
