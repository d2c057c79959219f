/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers that devices can use: those that a guest asked for, which an
 * allocator of the host made, and those that a host peer sent. They are
 * memory like any other, and beyond that can be told when the guest's
 * processor begins and ends to touch them. Somebody who never finishes with a
 * buffer holds up requests on that buffer alone.
 */
#ifndef VWL_WL_KINDS_DMABUF_H
#define VWL_WL_KINDS_DMABUF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "wl/vfd.h"

/* Whether the guest is told that there are dmabufs; the buffers of a peer can
 * be synchronised without. */
bool vwl_dmabuf_offered(struct vwl_core *core);
/* What is offered may be something else now. */
void vwl_dmabuf_offer_changed(struct vwl_core *core);

/* As the others of kinds.h. */
int vwl_dmabuf_create(struct vwl_core *core, struct vwl_request *request,
                      uint32_t id, const struct vwl_buffer_wish *wish);

bool vwl_dmabuf_is(const struct vwl_vfd *vfd);
/* Of a dmabuf; as vwl_core_execute, but -errno when it is refused. */
int vwl_dmabuf_sync(struct vwl_vfd *vfd, struct vwl_request *request);

#endif
