/* SPDX-License-Identifier: BSD-3-Clause */
/* So many in such a time, and one line of log when there are more. */
#ifndef VWL_DESKTOP_RATE_H
#define VWL_DESKTOP_RATE_H

#include <glib.h>
#include <stdbool.h>

struct vwl_rate {
    unsigned int burst;
    unsigned int window_ms;
    gint64 start_us; /* of the window */
    unsigned int count;
};

/* Whether there may be one more; *tell: it is the first that may not. */
bool vwl_rate_take(struct vwl_rate *rate, bool *tell);

#endif
