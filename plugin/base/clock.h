/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The clock of all deadlines: monotonic, in microseconds, never negative.
 */
#ifndef VWL_BASE_CLOCK_H
#define VWL_BASE_CLOCK_H

#include <glib.h>
#include <stdint.h>

static inline uint64_t vwl_clock_us(void)
{
    return (uint64_t)g_get_monotonic_time();
}

#endif
