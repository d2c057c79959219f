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
#ifndef VWL_BRIDGE_CLOCK_H
#define VWL_BRIDGE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "kind.h"

struct vwl_wire_message;

struct vwl_clock {
    unsigned int refs;
    bool known;
    int id;
    /* of the current and of the last period: guest minus host, ns */
    struct {
        int64_t low, high;
    } bounds[2];
    int64_t since; /* the current one's begin; 0: none */
};

/* The client asked on this wp_presentation; the answer comes on feedback. */
void vwl_clock_asked(struct vwl_object *presentation,
                     struct vwl_object *feedback);
/* Events of either; the times in data become the guest's. */
void vwl_clock_id(struct vwl_object *presentation,
                  const struct vwl_wire_message *msg);
void vwl_clock_presented(struct vwl_object *feedback,
                         const struct vwl_wire_message *msg, void *data);
void vwl_clock_object_freed(struct vwl_object *object);

/* What to add to a host's time that an answer brings at now and that was asked
 * for at asked (0: not known), all in ns. */
int64_t vwl_clock_offset(struct vwl_clock *clock, int64_t asked, int64_t host,
                         int64_t now);

#endif
