/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <glib.h>
#include <time.h>

#include "wayland/wire.h"

#define SECOND INT64_C(1000000000)
#define PERIOD (10 * SECOND)
/* Displays may say when a frame will have been shown. */
#define SLACK (SECOND / 10)
#define MAX_SECONDS (INT64_MAX / SECOND / 4)
#define FLAG_HW_CLOCK 2u

enum { CLOCK_ID = 0, SYNC_OUTPUT = 0, PRESENTED = 1 };
enum { SEC_HIGH, SEC_LOW, NSEC, REFRESH, SEQ_HIGH, SEQ_LOW, FLAGS };

struct asked {
    struct vwl_clock *clock;
    int64_t when;
};

static int64_t now_of(const struct vwl_clock *clock)
{
    struct timespec now;

    if (!clock->known || clock_gettime(clock->id, &now) < 0) {
        return 0;
    }
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

static struct vwl_clock *clock_of(struct vwl_object *presentation)
{
    struct vwl_clock *clock = presentation->data;

    if (clock == NULL) {
        clock = g_new0(struct vwl_clock, 1);
        clock->refs = 1;
        presentation->data = clock;
    }
    return clock;
}

static void clock_unref(struct vwl_clock *clock)
{
    if (--clock->refs == 0) {
        g_free(clock);
    }
}

void vwl_clock_asked(struct vwl_object *presentation,
                     struct vwl_object *feedback)
{
    struct asked *asked = g_new0(struct asked, 1);

    asked->clock = clock_of(presentation);
    asked->clock->refs++;
    asked->when = now_of(asked->clock);
    feedback->data = asked;
}

void vwl_clock_object_freed(struct vwl_object *object)
{
    if (object->data == NULL) {
        return;
    }
    if (vwl_kind_of(object) == VWL_KIND_PRESENTATION) {
        clock_unref(object->data);
        object->data = NULL;
    } else if (vwl_kind_of(object) == VWL_KIND_FEEDBACK) {
        struct asked *asked = object->data;

        clock_unref(asked->clock);
        g_free(asked);
        object->data = NULL;
    }
}

void vwl_clock_id(struct vwl_object *presentation,
                  const struct vwl_wire_message *msg)
{
    struct vwl_clock *clock = clock_of(presentation);

    if (msg->opcode == CLOCK_ID) {
        clock->known = msg->args[0].value <= INT32_MAX;
        clock->id = (int)msg->args[0].value;
        clock->since = 0;
    }
}

int64_t vwl_clock_offset(struct vwl_clock *clock, int64_t asked, int64_t host,
                         int64_t now)
{
    int64_t low = asked != 0 ? asked - host : INT64_MIN / 2;
    int64_t high = now - host;

    if (clock->since != 0 && now - clock->since > PERIOD) {
        clock->bounds[1] = clock->bounds[0];
        clock->bounds[0].low = low;
        clock->bounds[0].high = high;
        clock->since = now;
    }
    if (clock->since == 0 || low > clock->bounds[0].high + SLACK ||
        low > clock->bounds[1].high + SLACK ||
        high + SLACK < clock->bounds[0].low ||
        high + SLACK < clock->bounds[1].low) {
        /* the first, or one of the clocks was set or stood still */
        clock->bounds[0].low = clock->bounds[1].low = low;
        clock->bounds[0].high = clock->bounds[1].high = high;
        clock->since = now;
    }
    clock->bounds[0].low = MAX(clock->bounds[0].low, low);
    clock->bounds[0].high = MIN(clock->bounds[0].high, high);
    low = MAX(clock->bounds[0].low, clock->bounds[1].low);
    high = MIN(clock->bounds[0].high, clock->bounds[1].high);
    return low <= SLACK && high >= -SLACK ? 0 : high;
}

void vwl_clock_presented(struct vwl_object *feedback,
                         const struct vwl_wire_message *msg, void *data)
{
    const struct vwl_wire_arg *args = msg->args;
    struct asked *asked = feedback->data;
    int64_t now, seconds, time, offset;

    if (msg->opcode != PRESENTED || asked == NULL) {
        return;
    }
    now = now_of(asked->clock);
    seconds = (int64_t)((uint64_t)args[SEC_HIGH].value << 32 |
                        args[SEC_LOW].value);
    if (now == 0 || seconds < 0 || seconds > MAX_SECONDS ||
        args[NSEC].value >= SECOND) {
        return;
    }
    time = seconds * SECOND + args[NSEC].value;
    offset = vwl_clock_offset(asked->clock, asked->when, time, now);
    if (offset == 0 || time + offset < 0) {
        return;
    }
    time += offset;
    vwl_wire_put(data, args[SEC_HIGH].at, (uint32_t)(time / SECOND >> 32));
    vwl_wire_put(data, args[SEC_LOW].at, (uint32_t)(time / SECOND));
    vwl_wire_put(data, args[NSEC].at, (uint32_t)(time % SECOND));
    vwl_wire_put(data, args[FLAGS].at, args[FLAGS].value & ~FLAG_HW_CLOCK);
}
