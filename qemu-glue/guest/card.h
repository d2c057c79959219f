/* SPDX-License-Identifier: BSD-3-Clause */
/* Buffers of a DRM card that the CPU paints (dumb ones), as dma-bufs. */
#ifndef VWL_GUEST_CARD_H
#define VWL_GUEST_CARD_H

#include "transport.h"

/* Of 32 bits a pixel. card: its primary node's descriptor. 0 or -errno. */
int vwl_card_alloc(int card, uint32_t width, uint32_t height,
                   struct vwl_transport_dmabuf *buffer);
/* flags: as of DMA_BUF_IOCTL_SYNC. 0 or -errno. */
int vwl_card_sync(int buffer, uint32_t flags);

#endif
