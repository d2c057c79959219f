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

#include <errno.h>
#include <glib.h>

#include "wl/core.h"

#define FRONT_WINDOW (UINT64_C(1) << 21)

struct front_range {
    uint64_t offset, len;
    bool old; /* from before a reset */
};

struct front_answer {
    uint64_t cookie;
    int err;
    bool is_map;
};

struct front {
    bool in_process; /* answers at once, unmaps at a reset */
    bool later;
    bool refuse_map, refuse_unmap;
    bool drops;      /* forgets its mappings at a reset (QEMU does) */
    bool forgot;     /* the device may ask for what is not there */
    uint64_t base;   /* 0: not known */
    GArray *ranges;  /* struct front_range */
    GArray *answers; /* struct front_answer, oldest first */
};

static inline void front_init(struct front *front)
{
    front->ranges = g_array_new(FALSE, FALSE, sizeof(struct front_range));
    front->answers = g_array_new(FALSE, FALSE, sizeof(struct front_answer));
}

static inline void front_finish(struct front *front)
{
    g_array_unref(front->ranges);
    g_array_unref(front->answers);
}

static inline int front_answer(struct front *front, uint64_t cookie,
                               bool is_map, int err)
{
    struct front_answer answer = { cookie, err, is_map };

    if (front->in_process || !front->later) {
        return err;
    }
    g_array_append_val(front->answers, answer);
    return -EINPROGRESS;
}

static inline int front_map(struct front *front, uint64_t cookie,
                            uint64_t offset, uint64_t len)
{
    struct front_range range = { offset, len, false };

    fuzz_check(len > 0 && ((offset | len) & 4095) == 0);
    fuzz_check(len <= FRONT_WINDOW && offset <= FRONT_WINDOW - len);
    for (guint i = 0; i < front->ranges->len; i++) {
        struct front_range *other = &g_array_index(front->ranges,
                                                   struct front_range, i);

        if (offset < other->offset + other->len &&
            other->offset < offset + len) {
            fuzz_check(other->old);
            return front_answer(front, cookie, true, -EEXIST);
        }
    }
    if (front->refuse_map) {
        return front_answer(front, cookie, true, -EIO);
    }
    g_array_append_val(front->ranges, range);
    return front_answer(front, cookie, true, 0);
}

static inline int front_unmap(struct front *front, uint64_t cookie,
                              uint64_t offset, uint64_t len)
{
    for (guint i = 0; i < front->ranges->len; i++) {
        struct front_range *range = &g_array_index(front->ranges,
                                                   struct front_range, i);

        if (range->offset == offset && range->len == len) {
            if (front->refuse_unmap) {
                return front_answer(front, cookie, false, -EIO);
            }
            g_array_remove_index(front->ranges, i);
            return front_answer(front, cookie, false, 0);
        }
    }
    fuzz_check(front->forgot);
    return front_answer(front, cookie, false, -ENOENT);
}

/* The device was reset; answers that it did not get leave it in doubt. */
static inline void front_reset(struct front *front)
{
    front->forgot |= front->answers->len > 0;
    if (front->in_process) {
        /* but those whose unmapping was refused */
        front->forgot = true;
    } else if (front->drops) {
        g_array_set_size(front->ranges, 0);
        front->forgot = true;
    }
    for (guint i = 0; i < front->ranges->len; i++) {
        g_array_index(front->ranges, struct front_range, i).old = true;
    }
}

static inline void front_answer_oldest(struct front *front,
                                       struct vwl_core *core)
{
    struct front_answer answer;

    if (front->answers->len == 0) {
        return;
    }
    answer = g_array_index(front->answers, struct front_answer, 0);
    g_array_remove_index(front->answers, 0);
    if (answer.is_map) {
        vwl_core_map_done(core, answer.cookie, answer.err);
    } else {
        vwl_core_unmap_done(core, answer.cookie, answer.err);
    }
}

#endif
