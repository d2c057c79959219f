/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A compositor double on libwayland-server: just enough of wl_compositor,
 * wl_shm and xdg_wm_base for a client with toplevels. It shows nothing; it
 * keeps what was committed, for tests to look at. Dispatched by whoever made
 * it, when its descriptor is readable.
 */
#ifndef RIG_COMPOSITOR_H
#define RIG_COMPOSITOR_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct compositor;

/* A surface, alive until its client destroys it or goes. */
struct compositor_surface {
    unsigned int commits; /* all, those without a buffer too */
    uint32_t width, height, stride, format; /* of the last buffer */
    uint8_t *pixels;      /* a copy of its bytes, stride * height */
    char *title, *app_id; /* of its toplevel; may be NULL */
    bool has_toplevel, configured;
    uint32_t acked; /* the last serial that the client acknowledged */
};

struct compositor_options {
    bool keep_frames;  /* frame callbacks only on compositor_frame */
    bool keep_buffers; /* never release one */
    bool ping;         /* ping each client once */
};

/* Listens at path. */
struct compositor *compositor_new(const char *path,
                                  const struct compositor_options *options);
/* Disconnects everybody. NULL is fine. */
void compositor_free(struct compositor *c);

int compositor_fd(const struct compositor *c);
/* Handles all that is there, without waiting. The argument is a compositor. */
void compositor_dispatch(void *c);

unsigned int compositor_clients(const struct compositor *c);
/* Answers to pings, of all clients. */
unsigned int compositor_pongs(const struct compositor *c);
/* Live surfaces: struct compositor_surface. */
const GPtrArray *compositor_surfaces(const struct compositor *c);
/* The first surface with pixels, or NULL. */
const struct compositor_surface *compositor_window(const struct compositor *c);
/* Sends the kept frame callbacks. */
void compositor_frame(struct compositor *c);
/* 0x00RRGGBB of a surface. */
uint32_t compositor_pixel(const struct compositor_surface *surface, uint32_t x,
                          uint32_t y);

#endif
