/* SPDX-License-Identifier: BSD-3-Clause */
#include "bytes.h"

static void put(uint8_t *at, uint64_t value, unsigned int bytes)
{
    for (unsigned int i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static uint64_t get(const uint8_t *at, unsigned int bytes)
{
    uint64_t value = 0;

    for (unsigned int i = 0; i < bytes; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

void put16(void *at, uint16_t value)
{
    put(at, value, 2);
}

void put32(void *at, uint32_t value)
{
    put(at, value, 4);
}

void put64(void *at, uint64_t value)
{
    put(at, value, 8);
}

uint16_t get16(const void *at)
{
    return (uint16_t)get(at, 2);
}

uint32_t get32(const void *at)
{
    return (uint32_t)get(at, 4);
}

uint64_t get64(const void *at)
{
    return get(at, 8);
}

GByteArray *unhex(const char *text)
{
    GByteArray *bytes = g_byte_array_new();

    for (const char *p = text; *p; p++) {
        if (*p != ' ') {
            guint8 b = (guint8)(g_ascii_xdigit_value(p[0]) << 4 |
                                g_ascii_xdigit_value(p[1]));

            g_assert_true(g_ascii_isxdigit(p[0]) && g_ascii_isxdigit(p[1]));
            g_byte_array_append(bytes, &b, 1);
            p++;
        }
    }
    return bytes;
}

char *tohex(const void *data, size_t len)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < len; i++) {
        g_string_append_printf(text, "%02x", ((const guint8 *)data)[i]);
    }
    return g_string_free(text, FALSE);
}
