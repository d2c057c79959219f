/* SPDX-License-Identifier: BSD-3-Clause */
#include "rate.h"

bool vwl_rate_take(struct vwl_rate *rate, bool *tell)
{
    gint64 now = g_get_monotonic_time();

    if (rate->count == 0 ||
        now - rate->start_us >= (gint64)rate->window_ms * 1000) {
        rate->start_us = now;
        rate->count = 0;
    }
    if (rate->count <= rate->burst) {
        rate->count++;
    }
    *tell = false;
    if (rate->count <= rate->burst) {
        return true;
    }
    *tell = rate->count == rate->burst + 1;
    rate->count = rate->burst + 2;
    return false;
}
