/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The agent's connection to the host: made, kept and made again. Frames come
 * by ops; what is put here leaves when the loop runs.
 *
 *   OFF -> UP when the socket takes us; HELLO is said at once
 *   UP -> GREETED by the host's HELLO
 *   either -> OFF by an end or a frame that breaks a rule; the next try is
 *   after 1 s, and after twice as long each time up to 30 s; GREETED makes it
 *   1 s again
 */
#ifndef VWL_AGENT_WIRE_H
#define VWL_AGENT_WIRE_H

#include "channel/frame.h"

struct vwl_wire;

struct vwl_wire_ops {
    /* HELLO, the first one, and the others. Descriptors are taken (-1) or
     * closed afterwards. */
    void (*frame)(void *opaque, struct vwl_frame *frame);
    /* The host is gone; only after a HELLO. */
    void (*down)(void *opaque);
    /* Little waits to be sent, after vwl_wire_is_full. */
    void (*drained)(void *opaque);
};

struct vwl_wire *vwl_wire_create(const char *path,
                                 const struct vwl_wire_ops *ops, void *opaque);
void vwl_wire_destroy(struct vwl_wire *wire);

bool vwl_wire_is_greeted(const struct vwl_wire *wire);
/* Much waits: whoever can should put no more. */
bool vwl_wire_is_full(struct vwl_wire *wire);
/* vwl_frame_put to this, then vwl_wire_flush. */
GByteArray *vwl_wire_out(struct vwl_wire *wire);
void vwl_wire_flush(struct vwl_wire *wire);

#endif
