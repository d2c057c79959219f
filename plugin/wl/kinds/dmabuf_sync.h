/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Beginning to use a dmabuf waits for the devices that use it, and a device may
 * begin to between any look and the call; the kernel has no call that does not
 * wait. So a thread makes it, one of a closer that closes nothing: others would
 * hold it up.
 *
 * Device thread; the thread itself touches nothing else.
 */
#ifndef VWL_WL_KINDS_DMABUF_SYNC_H
#define VWL_WL_KINDS_DMABUF_SYNC_H

#include <stdint.h>

struct vwl_closer;
struct vwl_dmabuf_sync;

/* The call itself, here and now: 0 or -errno. */
int vwl_dmabuf_sync_now(int fd, uint32_t flags);

/* Has it made by a thread of the closer's, with a duplicate of fd. -errno;
 * -EBUSY: too many wait as it is. */
int vwl_dmabuf_sync_begin(struct vwl_closer *closer, int fd, uint32_t flags,
                          struct vwl_dmabuf_sync **out);
/* Readable when it has returned. */
int vwl_dmabuf_sync_fd(const struct vwl_dmabuf_sync *sync);
/* Frees it. What the call returned; -EINPROGRESS: it has not, and whatever it
 * returns is nobody's business. */
int vwl_dmabuf_sync_end(struct vwl_dmabuf_sync *sync);

#endif
