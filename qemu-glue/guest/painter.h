/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small Wayland client over a transport: one xdg_toplevel that shows a
 * known pattern out of wl_shm memory, or a dmabuf. It marshals by hand (no
 * libwayland), so that it runs wherever a transport does, and lays its buffer
 * out so that a device's mistakes show: not at offset 0 of the pool, with a
 * stride that is longer than a row, and a pattern in which no two rows,
 * columns or channels are alike.
 *
 * One thread, the transport's. Returns 0 or -errno; errors are told on
 * stderr once.
 */
#ifndef VWL_GUEST_PAINTER_H
#define VWL_GUEST_PAINTER_H

#include <stdbool.h>
#include <stdint.h>

#include "transport.h"

struct vwl_painter_options {
    uint32_t width, height; /* 0: 320 x 200 */
    const char *title;      /* may be NULL */
    const char *app_id;     /* may be NULL */
    const char *context;    /* name of the host socket; NULL: the default */
    bool quiet;             /* nothing on stderr */
    bool dmabuf;            /* not wl_shm memory, but a dmabuf */
};

struct vwl_painter;

/* Connects and sends the first requests. The transport stays the caller's. */
int vwl_painter_create(struct vwl_transport *t,
                       const struct vwl_painter_options *options,
                       struct vwl_painter **out);
/* Closes the connection and the memory. NULL is fine. */
void vwl_painter_destroy(struct vwl_painter *p);

/* Handles what comes within timeout_ms: 1 something, 0 nothing, -EPIPE when
 * the compositor hung up, -EPROTO when it reported an error. */
int vwl_painter_dispatch(struct vwl_painter *p, int timeout_ms);

/* Dispatches until the compositor has shown the pattern (its frame callback
 * came), for timeout_ms at most. */
int vwl_painter_paint(struct vwl_painter *p, int timeout_ms);

/* The compositor asked for the window to be closed. */
bool vwl_painter_is_closed(const struct vwl_painter *p);

/* The pattern: 0x00RRGGBB at a place. tests/pattern.py holds it again. */
uint32_t vwl_pattern_pixel(uint32_t x, uint32_t y, uint32_t width,
                           uint32_t height);

#endif
