/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost-user-wl/plugin.h"
#include "vhost-user-wl/vhost_user.h"
#include "vhost-user-wl/virtio_wl.h"

static_assert(sizeof(vwl_socket) == 2 * sizeof(void *), "final");
