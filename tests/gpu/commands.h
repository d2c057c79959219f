/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands of the two devices; each returns the type of the answer. */
#ifndef TESTS_GPU_COMMANDS_H
#define TESTS_GPU_COMMANDS_H

#include "virtio.h"

/* Resources of the GPU: a blob of these pages; 64 by 64 pixels; the n pages,
 * of which len bytes each, that back one; and its end. */
uint32_t gpu_blob(struct virtio *gpu, uint32_t id, const uint32_t *pages,
                  uint32_t n);
uint32_t gpu_2d(struct virtio *gpu, uint32_t id);
uint32_t gpu_attach(struct virtio *gpu, uint32_t id, const uint32_t *pages,
                    uint32_t n, uint32_t len);
uint32_t gpu_unref(struct virtio *gpu, uint32_t id);

/* Sends through context 1: a VFD, or what a VIRTIO_WL_FOREIGN_ kind and a
 * value name, with rubbish where drivers leave rubbish. */
uint32_t wl_send_vfd(struct virtio *wl, uint32_t id);
uint32_t wl_send(struct virtio *wl, uint32_t kind, uint64_t value);
/* A buffer of XR24. */
uint32_t wl_new_dmabuf(struct virtio *wl, uint32_t id, uint32_t width,
                       uint32_t height);
/* A command of an id and flags. */
uint32_t wl_short(struct virtio *wl, uint32_t type, uint32_t id,
                  uint32_t flags);

#endif
