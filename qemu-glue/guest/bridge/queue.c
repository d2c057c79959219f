/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue.h"

#define SEND_SIZE 65536u

void vwl_queue_init(struct vwl_queue *queue)
{
    queue->bytes = g_byte_array_new();
    queue->fds = g_array_new(FALSE, FALSE, sizeof(struct vwl_attached));
}

void vwl_queue_finish(struct vwl_queue *queue)
{
    g_byte_array_unref(queue->bytes);
    g_array_unref(queue->fds);
}

static struct vwl_attached *attached_at(struct vwl_queue *queue, guint i)
{
    return &g_array_index(queue->fds, struct vwl_attached, i);
}

void vwl_queue_attach(struct vwl_queue *queue, int fd, size_t at)
{
    struct vwl_attached entry = { fd, at };

    g_array_append_val(queue->fds, entry);
}

int vwl_queue_take(struct vwl_queue *queue)
{
    int fd = attached_at(queue, 0)->fd;

    g_array_remove_index(queue->fds, 0);
    return fd;
}

void vwl_queue_put(struct vwl_queue *queue, const void *bytes, size_t len,
                   int fd)
{
    if (fd >= 0) {
        vwl_queue_attach(queue, fd, queue->bytes->len);
    }
    g_byte_array_append(queue->bytes, bytes, (guint)len);
}

void vwl_queue_shift(struct vwl_queue *queue, size_t bytes, unsigned int fds)
{
    if (fds != 0) {
        g_array_remove_range(queue->fds, 0, fds);
    }
    for (guint i = 0; i < queue->fds->len; i++) {
        struct vwl_attached *entry = attached_at(queue, i);

        entry->at = entry->at > bytes ? entry->at - bytes : 0;
    }
    if (bytes != 0) {
        g_byte_array_remove_range(queue->bytes, 0, (guint)bytes);
    }
}

size_t vwl_queue_batch(struct vwl_queue *queue, size_t len, int *fds,
                       unsigned int *n)
{
    len = MIN(len, SEND_SIZE);

    for (*n = 0; *n < queue->fds->len; (*n)++) {
        const struct vwl_attached *entry = attached_at(queue, *n);

        if (entry->at >= len) {
            break;
        }
        if (*n == VWL_MAX_FDS) {
            /* never between a message and its descriptor */
            return entry->at;
        }
        fds[*n] = entry->fd;
    }
    return len;
}
