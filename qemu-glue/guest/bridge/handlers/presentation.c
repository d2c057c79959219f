/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Presentation times. The host's clock is not the guest's, though both have
 * the same number: a guest's monotonic clock begins when the guest does. What
 * the host says about a frame lies between the moment when the client asked
 * and the moment when the answer came, so each answer bounds how far the
 * clocks are apart; the quickest answers bound it best, and the recent ones
 * count. Clocks that may be one and the same are taken to be that, and times
 * are passed on untouched: so it is in a loopback.
 */
#include <time.h>

#include "handler.h"
#include "part.h"

#define SECOND INT64_C(1000000000)
#define PERIOD (10 * SECOND)
/* Displays may say when a frame will have been shown. */
#define SLACK (SECOND / 10)
#define MAX_SECONDS (INT64_MAX / SECOND / 4)
#define FLAG_HW_CLOCK 2u

enum { CLOCK_ID = 0 };
enum { PRESENTED = 1 };
enum { SET_TIMESTAMP = 0 };
enum { SEC_HIGH, SEC_LOW, NSEC, REFRESH, SEQ_HIGH, SEQ_LOW, FLAGS };

/* Of a wp_presentation. */
struct clock {
    unsigned int refs;
    bool known;
    int id;
    /* of the current and of the last period: guest minus host, ns */
    struct {
        int64_t low, high;
    } bounds[2];
    int64_t since; /* the current one's begin; 0: none */
};

/* Of a feedback. */
struct asked {
    struct clock *clock;
    int64_t when;
};

/* Of each client: what the last answer added to the host's time. */
struct shift {
    bool known;
    int64_t ns;
};

static const struct vwl_part shift_part = {
    .size = sizeof(struct shift),
};

static int64_t clock_now(const struct clock *clock)
{
    struct timespec now;

    if (!clock->known || clock_gettime(clock->id, &now) < 0) {
        return 0;
    }
    return (int64_t)now.tv_sec * SECOND + now.tv_nsec;
}

static struct clock *clock_of(struct vwl_object *presentation)
{
    struct clock *clock = presentation->data;

    if (clock == NULL) {
        clock = g_new0(struct clock, 1);
        clock->refs = 1;
        presentation->data = clock;
    }
    return clock;
}

static void clock_unref(struct clock *clock)
{
    if (--clock->refs == 0) {
        g_free(clock);
    }
}

static enum vwl_outcome presentation_event(struct vwl_client *client,
                                           struct vwl_object *presentation,
                                           const struct vwl_wire_message *msg,
                                           void *data)
{
    struct clock *clock = clock_of(presentation);

    if (msg->opcode == CLOCK_ID) {
        clock->known = msg->args[0].value <= INT32_MAX;
        clock->id = (int)msg->args[0].value;
        clock->since = 0;
    }
    return VWL_PASS;
}

static void presentation_freed(struct vwl_client *client,
                               struct vwl_object *presentation)
{
    if (presentation->data != NULL) {
        clock_unref(presentation->data);
    }
}

const struct vwl_handler vwl_handle_presentation = {
    .event = presentation_event,
    .freed = presentation_freed,
};

/* ---- wp_presentation_feedback ---- */

static void feedback_made(struct vwl_client *client, struct vwl_object *maker,
                          struct vwl_object *feedback,
                          const struct vwl_wire_message *msg)
{
    struct asked *asked = g_new0(struct asked, 1);

    asked->clock = clock_of(maker);
    asked->clock->refs++;
    asked->when = clock_now(asked->clock);
    feedback->data = asked;
}

static void feedback_freed(struct vwl_client *client,
                           struct vwl_object *feedback)
{
    struct asked *asked = feedback->data;

    if (asked != NULL) {
        clock_unref(asked->clock);
        g_free(asked);
    }
}

/* What to add to a host's time that an answer brings at now and that was asked
 * for at asked (0: not known), all in ns. */
static int64_t clock_offset(struct clock *clock, int64_t asked, int64_t host,
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

/* The times become the guest's. */
static void feedback_presented(struct vwl_client *client,
                               struct vwl_object *feedback,
                               const struct vwl_wire_message *msg, void *data)
{
    const struct vwl_wire_arg *args = msg->args;
    struct asked *asked = feedback->data;
    int64_t now, seconds, time, offset;
    struct shift *shift;

    if (msg->opcode != PRESENTED || asked == NULL) {
        return;
    }
    now = clock_now(asked->clock);
    seconds = (int64_t)((uint64_t)args[SEC_HIGH].value << 32 |
                        args[SEC_LOW].value);
    if (now == 0 || seconds < 0 || seconds > MAX_SECONDS ||
        args[NSEC].value >= SECOND) {
        return;
    }
    time = seconds * SECOND + args[NSEC].value;
    offset = clock_offset(asked->clock, asked->when, time, now);
    shift = vwl_part_of(client, &shift_part);
    shift->known = true;
    shift->ns = offset;
    if (offset == 0 || time + offset < 0) {
        return;
    }
    time += offset;
    vwl_wire_put(data, args[SEC_HIGH].at, (uint32_t)(time / SECOND >> 32));
    vwl_wire_put(data, args[SEC_LOW].at, (uint32_t)(time / SECOND));
    vwl_wire_put(data, args[NSEC].at, (uint32_t)(time % SECOND));
    vwl_wire_put(data, args[FLAGS].at, args[FLAGS].value & ~FLAG_HW_CLOCK);
}

static enum vwl_outcome feedback_event(struct vwl_client *client,
                                       struct vwl_object *feedback,
                                       const struct vwl_wire_message *msg,
                                       void *data)
{
    feedback_presented(client, feedback, msg, data);
    return VWL_PASS;
}

const struct vwl_handler vwl_handle_presentation_feedback = {
    .made = feedback_made,
    .event = feedback_event,
    .freed = feedback_freed,
};

/* ---- wp_commit_timer_v1 ---- */

/* A time of the guest's becomes one of the host's. As long as no answer has
 * told the difference the frame goes without: a time that is far ahead on the
 * host would hold it for as long. */
static enum vwl_outcome timer_request(struct vwl_client *client,
                                      struct vwl_object *timer,
                                      const struct vwl_wire_message *msg,
                                      void *data)
{
    const struct shift *shift = vwl_part_of(client, &shift_part);
    const struct vwl_wire_arg *args = msg->args;
    int64_t seconds, time;

    if (msg->opcode != SET_TIMESTAMP) {
        return VWL_PASS;
    }
    seconds = (int64_t)((uint64_t)args[SEC_HIGH].value << 32 |
                        args[SEC_LOW].value);
    if (args[NSEC].value >= SECOND) {
        return VWL_PASS; /* an error, which the host tells */
    }
    if (!shift->known || seconds < 0 || seconds > MAX_SECONDS) {
        return VWL_DROP;
    }
    time = seconds * SECOND + args[NSEC].value - shift->ns;
    if (time < 0) {
        return VWL_DROP;
    }
    vwl_wire_put(data, args[SEC_HIGH].at, (uint32_t)(time / SECOND >> 32));
    vwl_wire_put(data, args[SEC_LOW].at, (uint32_t)(time / SECOND));
    vwl_wire_put(data, args[NSEC].at, (uint32_t)(time % SECOND));
    return VWL_PASS;
}

const struct vwl_handler vwl_handle_commit_timer = {
    .request = timer_request,
};
