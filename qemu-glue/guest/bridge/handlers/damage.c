/* SPDX-License-Identifier: BSD-3-Clause */
#include "damage.h"

#include <glib.h>

static int64_t end_of(int32_t at, int32_t size)
{
    return (int64_t)at + size;
}

static struct vwl_rect join(struct vwl_rect a, struct vwl_rect b)
{
    struct vwl_rect r = { MIN(a.x, b.x), MIN(a.y, b.y), 0, 0 };
    int64_t right = MAX(end_of(a.x, a.width), end_of(b.x, b.width));
    int64_t bottom = MAX(end_of(a.y, a.height), end_of(b.y, b.height));

    r.width = (int32_t)MIN(right - r.x, INT32_MAX);
    r.height = (int32_t)MIN(bottom - r.y, INT32_MAX);
    return r;
}

static bool covers(const struct vwl_rect *a, const struct vwl_rect *b)
{
    return a->x <= b->x && a->y <= b->y &&
           end_of(a->x, a->width) >= end_of(b->x, b->width) &&
           end_of(a->y, a->height) >= end_of(b->y, b->height);
}

static int64_t area_of(struct vwl_rect rect)
{
    return (int64_t)rect.width * rect.height;
}

/* One more where there is no room: with that which grows least by it. */
static void join_nearest(struct vwl_damage *damage, struct vwl_rect rect)
{
    int64_t least = INT64_MAX;
    unsigned int nearest = 0, n = 0;

    for (unsigned int i = 0; i < damage->n; i++) {
        const struct vwl_rect *old = &damage->rects[i];
        int64_t growth = area_of(join(*old, rect)) - area_of(*old);

        if (growth < least) {
            least = growth;
            nearest = i;
        }
    }
    rect = join(damage->rects[nearest], rect);
    for (unsigned int i = 0; i < damage->n; i++) {
        if (!covers(&rect, &damage->rects[i])) {
            damage->rects[n++] = damage->rects[i];
        }
    }
    damage->rects[n++] = rect;
    damage->n = n;
}

void vwl_damage_add(struct vwl_damage *damage, struct vwl_rect rect)
{
    int64_t right = end_of(rect.x, rect.width);
    int64_t bottom = end_of(rect.y, rect.height);

    if (rect.width <= 0 || rect.height <= 0 || damage->all) {
        return;
    }
    if (right <= 0 || bottom <= 0) {
        return;
    }
    /* what is left of or above a buffer would only overflow in a join */
    rect.x = MAX(rect.x, 0);
    rect.y = MAX(rect.y, 0);
    rect.width = (int32_t)(MIN(right, INT32_MAX) - rect.x);
    rect.height = (int32_t)(MIN(bottom, INT32_MAX) - rect.y);
    for (unsigned int i = 0; i < damage->n; i++) {
        if (covers(&damage->rects[i], &rect)) {
            return;
        }
        if (covers(&rect, &damage->rects[i])) {
            damage->rects[i] = rect;
            return;
        }
    }
    if (damage->n < VWL_MAX_RECTS) {
        damage->rects[damage->n++] = rect;
        return;
    }
    join_nearest(damage, rect);
}

static int32_t scaled(int64_t value, int32_t scale)
{
    return (int32_t)CLAMP(value * scale, INT32_MIN, INT32_MAX);
}

void vwl_damage_merge(struct vwl_damage *damage, const struct vwl_damage *more,
                      int32_t scale)
{
    damage->all |= more->all;
    for (unsigned int i = 0; i < more->n; i++) {
        const struct vwl_rect *r = &more->rects[i];

        vwl_damage_add(damage, (struct vwl_rect){
                                   scaled(r->x, scale),
                                   scaled(r->y, scale),
                                   scaled(r->width, scale),
                                   scaled(r->height, scale),
                               });
    }
}
