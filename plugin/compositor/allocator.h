/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where dmabufs come from. Each kind of allocator stands behind one small
 * table; a set of them is opened once, by the words of the configuration, and
 * asked in the order of preference. Everything is linear and can be mapped.
 *
 *   gbm    Mesa's, on a GPU's render node (only if built with it)
 *   dumb   DRM dumb buffers, on a primary node
 *   udmabuf  sealed memory of ours that the kernel wraps
 *   heap   the dma-heap "system"
 *
 * Devices are opened by `open` alone, so a process can give up the right to
 * open any before it serves a guest. Device thread, but for open and close.
 */
#ifndef VWL_COMPOSITOR_ALLOCATOR_H
#define VWL_COMPOSITOR_ALLOCATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/log.h"
#include "compositor/format.h"

struct vwl_allocators;

/* words: "off" (or NULL); "auto", all that can be opened; or a list with
 * commas of gbm[=PATH], dumb[=PATH], udmabuf, heap, of which each must be
 * there. -EINVAL: a word is wrong; other -errno: it cannot be opened. Either
 * is in the log. */
int vwl_allocators_open(const char *words, struct vwl_log *log,
                        struct vwl_allocators **out);
void vwl_allocators_close(struct vwl_allocators *set); /* NULL is fine */

/* Whether there is any. NULL is fine. */
bool vwl_allocators_any(const struct vwl_allocators *set);
/* "auto" was asked for: what is used may depend on what the host takes. */
bool vwl_allocators_are_auto(const struct vwl_allocators *set);
/* Names, in the order of preference; NULL after the last. */
const char *vwl_allocators_name(const struct vwl_allocators *set,
                                unsigned int index);

/* device: that of the compositor's GPU, 0 if not known; auto prefers
 * allocators of it, and keeps to memory without a GPU for a compositor that
 * has none of ours. On success both descriptors are the caller's. -EINVAL: no
 * pixels, or a format that is not known; -ENOSPC: too long; other -errno as
 * the last allocator said. */
int vwl_allocators_alloc(struct vwl_allocators *set, dev_t device,
                         const struct vwl_buffer_wish *wish,
                         struct vwl_buffer *out);

#endif
