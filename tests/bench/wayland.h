/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The two ends of a Wayland benchmark: a client that paints frames as fast as
 * it is given its buffers back, and a compositor stub that looks at the pixels
 * of every frame and gives the buffer back at once. A row of a frame has one
 * colour that both can tell from the frame's number. Of a frame that changed
 * as a whole the stub looks at one pixel of each row and at every 32nd row,
 * others each time; of a smaller one at all that changed and at some of what
 * the frame before had changed. A wrong one is a protocol error, which ends
 * the client's program.
 */
#ifndef VWL_BENCH_WAYLAND_H
#define VWL_BENCH_WAYLAND_H

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_STRIPES 32
#define BENCH_SPOT_WIDTH 256
#define BENCH_SPOT_HEIGHT 16

/* Grey, so that a client paints as fast as memory takes it; never that of the
 * same row in one of the 255 frames before. */
static inline uint8_t bench_shade(uint32_t frame, uint32_t row)
{
    return (uint8_t)(frame * 167u + row * 89u + (row >> 8) * 31u);
}

static inline uint32_t bench_colour(uint32_t frame, uint32_t row)
{
    return bench_shade(frame, row) * 0x01010101u;
}

/* What a selection holds: this many bytes over and over. */
#define BENCH_PERIOD 65521u

static inline void bench_fill(uint8_t *bytes, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)((from + i) % BENCH_PERIOD * 2654435761u >> 24);
    }
}

/* Never returns. */
void bench_stub(const char *path) G_GNUC_NORETURN;

struct bench_client;

struct bench_client *bench_client_open(const char *path);
void bench_client_close(struct bench_client *client);
void bench_client_round_trip(struct bench_client *client);
struct bench_frames {
    int width, height;
    gboolean spot;     /* only a small piece of each changes */
    gboolean unsealed; /* their pool's file may shrink, for all that is known */
};

/* Paints n such frames. Microseconds for each, all of them looked at by the
 * stub. */
double bench_client_frames(struct bench_client *client,
                           const struct bench_frames *frames, unsigned int n);
/* Gives so many bytes away as the selection; bytes per microsecond. */
double bench_client_clipboard(struct bench_client *client, size_t bytes);

#endif
