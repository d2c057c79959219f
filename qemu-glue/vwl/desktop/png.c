/* SPDX-License-Identifier: BSD-3-Clause */
#include <gio/gio.h>
#include <string.h>

#include "png.h"

/* As the PNG specification has it: of the type and the data of a chunk. */
static uint32_t crc(const uint8_t *data, size_t len)
{
    uint32_t sum = ~0u;

    for (size_t i = 0; i < len; i++) {
        sum ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
        }
    }
    return ~sum;
}

static void put_word(GByteArray *out, uint32_t word)
{
    const uint8_t bytes[] = { (uint8_t)(word >> 24), (uint8_t)(word >> 16),
                              (uint8_t)(word >> 8), (uint8_t)word };

    g_byte_array_append(out, bytes, sizeof bytes);
}

static void put_chunk(GByteArray *out, const char *type, const uint8_t *data,
                      size_t len)
{
    guint at;

    put_word(out, (uint32_t)len);
    at = out->len;
    g_byte_array_append(out, (const guint8 *)type, 4);
    g_byte_array_append(out, data, (guint)len);
    put_word(out, crc(out->data + at, out->len - at));
}

/* Rows, each with a byte before it that says that it is not filtered. */
static GByteArray *rows_of(const uint8_t *pixels, unsigned int side)
{
    GByteArray *rows = g_byte_array_new();

    for (unsigned int y = 0; y < side; y++) {
        g_byte_array_append(rows, (const guint8 *)"", 1);
        g_byte_array_append(rows, pixels + (size_t)y * side * 4, side * 4);
    }
    return rows;
}

static GByteArray *compress(const GByteArray *from)
{
    GConverter *zlib = G_CONVERTER(
        g_zlib_compressor_new(G_ZLIB_COMPRESSOR_FORMAT_ZLIB, 6));
    GByteArray *to = g_byte_array_new();
    GConverterResult result = G_CONVERTER_CONVERTED;
    gsize at = 0;

    while (result != G_CONVERTER_FINISHED && result != G_CONVERTER_ERROR) {
        guint8 some[16384];
        gsize read, written;

        result = g_converter_convert(zlib, from->data + at, from->len - at,
                                     some, sizeof some,
                                     G_CONVERTER_INPUT_AT_END, &read, &written,
                                     NULL);
        if (result != G_CONVERTER_ERROR) {
            at += read;
            g_byte_array_append(to, some, (guint)written);
        }
    }
    g_object_unref(zlib);
    return to;
}

GBytes *vwl_png(const uint8_t *pixels, unsigned int side)
{
    /* width, height; 8 bits, colour and alpha, the only compression, the only
     * filter method, not interlaced */
    const uint8_t head[13] = { 0, 0, (uint8_t)(side >> 8), (uint8_t)side,
                               0, 0, (uint8_t)(side >> 8), (uint8_t)side,
                               8, 6 };
    GByteArray *out = g_byte_array_new();
    GByteArray *rows = rows_of(pixels, side), *packed = compress(rows);

    g_byte_array_append(out, (const guint8 *)"\x89PNG\r\n\x1a\n", 8);
    put_chunk(out, "IHDR", head, sizeof head);
    put_chunk(out, "IDAT", packed->data, packed->len);
    put_chunk(out, "IEND", NULL, 0);
    g_byte_array_unref(rows);
    g_byte_array_unref(packed);
    return g_byte_array_free_to_bytes(out);
}
