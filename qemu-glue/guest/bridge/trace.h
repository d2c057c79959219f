/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VWL_BRIDGE_TRACE_H
#define VWL_BRIDGE_TRACE_H

#include "client.h"

/* Prints one message to stderr; the arrow says which way it goes. */
void vwl_trace_message(const struct vwl_client *client, const char *arrow,
                       const struct vwl_object *object,
                       const struct wl_message *proto,
                       const struct vwl_wire_message *msg, const void *data);

#endif
