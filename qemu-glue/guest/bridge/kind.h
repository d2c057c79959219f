/* SPDX-License-Identifier: BSD-3-Clause */
/* Interfaces whose messages the bridge takes part in: what their objects have
 * as a role. */
#ifndef VWL_BRIDGE_KIND_H
#define VWL_BRIDGE_KIND_H

#include "wayland/objects.h"

enum vwl_kind {
    VWL_KIND_PLAIN,
    VWL_KIND_DISPLAY,
    VWL_KIND_REGISTRY,
    VWL_KIND_SHM,
    VWL_KIND_POOL,
    VWL_KIND_BUFFER,
    VWL_KIND_SURFACE,
    VWL_KIND_KEYBOARD,
    VWL_KIND_VIEWPORTER,
    VWL_KIND_TOPLEVEL,
    VWL_KIND_PRESENTATION,
    VWL_KIND_FEEDBACK,
    VWL_KIND_DMABUF,
    VWL_KIND_DMABUF_PARAMS,
    VWL_KIND_DMABUF_FEEDBACK,
    VWL_KIND_SYNC_FACTORY,
    VWL_KIND_SYNC,
    VWL_KIND_BUFFER_RELEASE,
};

/* NULL: plain. */
const void *vwl_kind_role(const struct wl_interface *iface);
enum vwl_kind vwl_kind_of(const struct vwl_object *object);

#endif
