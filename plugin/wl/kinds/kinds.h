/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kinds of VFD, and what commands make of them. Each stands in the file of
 * its name; command.c lists them for snapshots, received.c by what peers send.
 */
#ifndef VWL_WL_KINDS_KINDS_H
#define VWL_WL_KINDS_KINDS_H

#include <stddef.h>
#include <stdint.h>

#include "wl/vfd.h"

extern const struct vwl_vfd_ops vwl_ctx_ops;
extern const struct vwl_vfd_ops vwl_dmabuf_ops;
extern const struct vwl_vfd_ops vwl_fence_ops;
extern const struct vwl_vfd_ops vwl_opaque_ops;
extern const struct vwl_vfd_ops vwl_pages_ops;
extern const struct vwl_vfd_ops vwl_pipe_ops;
extern const struct vwl_vfd_ops vwl_shm_ops;
extern const struct vwl_vfd_ops vwl_socket_ops;

/* All of these: 0 and the request is answered, -EINPROGRESS, or why not. */

/* Connects to a socket of the configuration. */
int vwl_ctx_create(struct vwl_core *core, struct vwl_request *request,
                   uint32_t id, size_t socket);
/* Of the guest's memory that the request lists. */
int vwl_pages_create(struct vwl_core *core, struct vwl_request *request,
                     uint32_t id);
/* flags: VIRTIO_WL_VFD_WRITE or _READ, what the guest does. */
int vwl_pipe_create(struct vwl_core *core, struct vwl_request *request,
                    uint32_t id, uint32_t flags);
/* flags: what the answer says. */
int vwl_shm_create(struct vwl_core *core, struct vwl_request *request,
                   uint32_t id, uint32_t flags, uint32_t size);

#endif
