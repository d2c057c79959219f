/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The front-end's half of region 0, for the core's fuzz target: it keeps the
 * table of mappings, refuses what the input says, answers at once or later,
 * and insists that nothing is mapped over another mapping and nothing unmapped
 * that is not there.
 */
#ifndef VWL_TEST_FUZZ_WL_FRONT_H
#define VWL_TEST_FUZZ_WL_FRONT_H

#include "fuzz.h"

#include <glib.h>

#include "wl/core.h"

#define FRONT_WINDOW (UINT64_C(1) << 21)

struct wl_front_range {
    uint64_t offset, len;
    bool old; /* from before a reset */
};

struct wl_front_answer {
    uint64_t cookie;
    int err;
    bool is_map;
};

struct wl_front {
    bool in_process; /* answers at once, unmaps at a reset */
    bool later;
    bool refuse_map, refuse_unmap;
    bool drops;      /* forgets its mappings at a reset (QEMU does) */
    bool forgot;     /* the device may ask for what is not there */
    uint64_t base;   /* 0: not known */
    GArray *ranges;  /* struct wl_front_range */
    GArray *answers; /* struct wl_front_answer, oldest first */
};

void wl_front_init(struct wl_front *front);
void wl_front_finish(struct wl_front *front);

/* The core asks: 0, an error, or -EINPROGRESS when the answer comes later. */
int wl_front_map(struct wl_front *front, uint64_t cookie, uint64_t offset,
                 uint64_t len);
int wl_front_unmap(struct wl_front *front, uint64_t cookie, uint64_t offset,
                   uint64_t len);
/* Gives the core the oldest answer that it did not get yet, if any. */
void wl_front_answer_oldest(struct wl_front *front, struct vwl_core *core);

/* The device was reset; answers that it did not get leave it in doubt. */
void wl_front_reset(struct wl_front *front);

#endif
