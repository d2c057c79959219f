/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One Wayland message on the wire, walked by its signature. Pure: bytes in,
 * where each argument lies out. Nothing is trusted; nothing is copied.
 * Integers are in the machine's byte order, as everywhere in Wayland.
 */
#ifndef VWL_WAYLAND_WIRE_H
#define VWL_WAYLAND_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <wayland-util.h>

#define VWL_WIRE_HEADER 8u
#define VWL_WIRE_MAX_ARGS 20u /* libwayland's own limit */

struct vwl_wire_arg {
    char type;      /* one of iufsonah */
    uint32_t value; /* of i u f o n; of s and a, the length */
    size_t at;      /* where its 4 bytes (s, a: its contents) begin, counted
                       from the message's begin; h: unused */
    const struct wl_interface *iface; /* of o and n; may be NULL */
};

struct vwl_wire_message {
    uint32_t object;
    uint16_t opcode;
    size_t size;
    unsigned int n_args, n_fds;
    struct vwl_wire_arg args[VWL_WIRE_MAX_ARGS];
};

/* The size of the message that data begins with, 0 while that cannot be told
 * or not all of it is there, -EBADMSG for a size that cannot be. */
int vwl_wire_size(const void *data, size_t len);

/* The header of a whole message. */
void vwl_wire_header(const void *data, uint32_t *object, uint16_t *opcode);

/* A whole message of size bytes. 0 or -EBADMSG; *out is untouched then. */
int vwl_wire_walk(const struct wl_message *proto, const void *data, size_t size,
                  struct vwl_wire_message *out);

/* The interface version that a message came with. */
uint32_t vwl_wire_since(const struct wl_message *proto);

uint32_t vwl_wire_get(const void *data, size_t at);
void vwl_wire_put(void *data, size_t at, uint32_t value);

#endif
