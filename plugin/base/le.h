/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Little-endian numbers in bytes of our own: copies of messages, snapshots.
 * No alignment is asked for. Memory that a guest writes to meanwhile needs
 * single accesses instead: guest/vq_priv.h.
 */
#ifndef VWL_BASE_LE_H
#define VWL_BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t vwl_le_get16(const uint8_t *at)
{
    uint16_t value;

    memcpy(&value, at, sizeof value);
    return le16toh(value);
}

static inline uint32_t vwl_le_get32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static inline uint64_t vwl_le_get64(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static inline void vwl_le_put16(uint8_t *at, uint16_t value)
{
    value = htole16(value);
    memcpy(at, &value, sizeof value);
}

static inline void vwl_le_put32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static inline void vwl_le_put64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

/* The same one after the other: *at moves past the number. */

static inline uint16_t vwl_le_read16(const uint8_t **at)
{
    uint16_t value = vwl_le_get16(*at);

    *at += sizeof value;
    return value;
}

static inline uint32_t vwl_le_read32(const uint8_t **at)
{
    uint32_t value = vwl_le_get32(*at);

    *at += sizeof value;
    return value;
}

static inline uint64_t vwl_le_read64(const uint8_t **at)
{
    uint64_t value = vwl_le_get64(*at);

    *at += sizeof value;
    return value;
}

static inline void vwl_le_write16(uint8_t **at, uint16_t value)
{
    vwl_le_put16(*at, value);
    *at += sizeof value;
}

static inline void vwl_le_write32(uint8_t **at, uint32_t value)
{
    vwl_le_put32(*at, value);
    *at += sizeof value;
}

static inline void vwl_le_write64(uint8_t **at, uint64_t value)
{
    vwl_le_put64(*at, value);
    *at += sizeof value;
}

#endif
