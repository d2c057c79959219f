/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fields of a request, by their names in virtio_wl.h.
 */
#ifndef VWL_WL_REQUEST_H
#define VWL_WL_REQUEST_H

#include <stddef.h>

#include "base/le.h"
#include "vhost-user-wl/virtio_wl.h"
#include "wl/core.h"

/* A __le32 of struct type that lies at bytes; another size does not compile. */
#define VWL_FIELD32(bytes, type, field)                           \
    vwl_le_get32(                                                 \
        (const uint8_t *)(bytes) + offsetof(struct type, field) + \
        0 * sizeof(char[sizeof(((struct type *)0)->field) == 4 ? 1 : -1]))

/* The same of a request, which must be so long. */
#define VWL_REQUEST32(request, type, field) \
    VWL_FIELD32((request)->head, type, field)

/* All that name a VFD do so at the same place. */
static inline uint32_t vwl_request_id(const struct vwl_request *request)
{
    return VWL_REQUEST32(request, virtio_wl_ctrl_vfd, vfd_id);
}

#endif
