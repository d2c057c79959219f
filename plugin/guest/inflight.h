/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The in-flight buffer: shared with the front-end, which keeps it when this
 * process dies, it says which requests were taken and not yet given back.
 * vhost-user specification, "Inflight I/O tracking"; layouts of the split and
 * the packed form. Every number read from it is checked, every walk bounded:
 * the front-end can write to it at any time. Device thread.
 */
#ifndef VWL_GUEST_INFLIGHT_H
#define VWL_GUEST_INFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vwl_inflight; /* one mapped buffer for all queues */

/* Bytes of one queue's part, a multiple of 64, and of a whole buffer. */
size_t vwl_inflight_queue_bytes(bool packed, uint16_t queue_size);

/* A fresh zeroed memfd, mapped; *fd is the caller's to hand over and close.
 * -EINVAL: 0 queues, more than 8, or a queue size of 0 or above 32768. */
int vwl_inflight_create(bool packed, uint16_t queues, uint16_t queue_size,
                        struct vwl_inflight **out, int *fd, uint64_t *size);

/* Maps one that comes back (fd borrowed). -EINVAL when numbers do not fit each
 * other or the file. */
int vwl_inflight_open(bool packed, int fd, uint64_t offset, uint64_t size,
                      uint16_t queues, uint16_t queue_size,
                      struct vwl_inflight **out);
/* The form that it was opened with: a ring of the other must not use it. */
bool vwl_inflight_is_packed(const struct vwl_inflight *inflight);
void vwl_inflight_destroy(struct vwl_inflight *inflight); /* NULL is fine */

/* Start of a queue's region (its length is vwl_inflight_queue_bytes), or NULL
 * when the buffer has no such queue or its queue size is not queue_size. */
void *vwl_inflight_queue(struct vwl_inflight *inflight, uint16_t queue,
                         uint16_t queue_size);

#endif
