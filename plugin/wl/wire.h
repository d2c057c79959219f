/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Little-endian numbers in a copy of a message.
 */
#ifndef VWL_WL_WIRE_H
#define VWL_WL_WIRE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t vwl_get32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static inline void vwl_put32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static inline void vwl_put64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

#endif
