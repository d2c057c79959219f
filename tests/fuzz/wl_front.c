/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl_front.h"

#include <errno.h>

void wl_front_init(struct wl_front *front)
{
    front->ranges = g_array_new(FALSE, FALSE, sizeof(struct wl_front_range));
    front->answers = g_array_new(FALSE, FALSE, sizeof(struct wl_front_answer));
}

void wl_front_finish(struct wl_front *front)
{
    g_array_unref(front->ranges);
    g_array_unref(front->answers);
}

static int front_answer(struct wl_front *front, uint64_t cookie, bool is_map,
                        int err)
{
    struct wl_front_answer answer = { cookie, err, is_map };

    if (front->in_process || !front->later) {
        return err;
    }
    g_array_append_val(front->answers, answer);
    return -EINPROGRESS;
}

int wl_front_map(struct wl_front *front, uint64_t cookie, uint64_t offset,
                 uint64_t len)
{
    struct wl_front_range range = { offset, len, false };

    fuzz_check(len > 0 && ((offset | len) & 4095) == 0);
    fuzz_check(len <= FRONT_WINDOW && offset <= FRONT_WINDOW - len);
    for (guint i = 0; i < front->ranges->len; i++) {
        struct wl_front_range *other = &g_array_index(front->ranges,
                                                      struct wl_front_range, i);

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

int wl_front_unmap(struct wl_front *front, uint64_t cookie, uint64_t offset,
                   uint64_t len)
{
    for (guint i = 0; i < front->ranges->len; i++) {
        struct wl_front_range *range = &g_array_index(front->ranges,
                                                      struct wl_front_range, i);

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

void wl_front_reset(struct wl_front *front)
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
        g_array_index(front->ranges, struct wl_front_range, i).old = true;
    }
}

void wl_front_answer_oldest(struct wl_front *front, struct vwl_core *core)
{
    struct wl_front_answer answer;

    if (front->answers->len == 0) {
        return;
    }
    answer = g_array_index(front->answers, struct wl_front_answer, 0);
    g_array_remove_index(front->answers, 0);
    if (answer.is_map) {
        vwl_core_map_done(core, answer.cookie, answer.err);
    } else {
        vwl_core_unmap_done(core, answer.cookie, answer.err);
    }
}
