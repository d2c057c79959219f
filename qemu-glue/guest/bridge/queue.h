/* SPDX-License-Identifier: BSD-3-Clause */
/* Bytes on their way, with what is attached to them: descriptors of the
 * guest's or VFDs. The queue does not close what is attached. */
#ifndef VWL_BRIDGE_QUEUE_H
#define VWL_BRIDGE_QUEUE_H

#include <glib.h>
#include <stddef.h>

/* What one sendmsg or SEND takes of libwayland's and of virtio-wl's. */
#define VWL_MAX_FDS 28u

/* A descriptor or VFD that belongs to the byte at `at` of a queue. */
struct vwl_attached {
    int fd;
    size_t at;
};

struct vwl_queue {
    GByteArray *bytes;
    GArray *fds; /* of struct vwl_attached */
};

void vwl_queue_init(struct vwl_queue *queue);
void vwl_queue_finish(struct vwl_queue *queue);

/* fd belongs to the byte at `at`. */
void vwl_queue_attach(struct vwl_queue *queue, int fd, size_t at);
/* Takes the first that is attached; there is one. */
int vwl_queue_take(struct vwl_queue *queue);

/* Appends bytes, with a descriptor that belongs to them; -1: none. */
void vwl_queue_put(struct vwl_queue *queue, const void *bytes, size_t len,
                   int fd);
/* Takes bytes and attached ones from the front; what stays moves along. */
void vwl_queue_shift(struct vwl_queue *queue, size_t bytes, unsigned int fds);
/* How many of the first len bytes one message may hold, and what is attached
 * to those. */
size_t vwl_queue_batch(struct vwl_queue *queue, size_t len, int *fds,
                       unsigned int *n);

#endif
