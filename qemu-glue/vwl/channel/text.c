/* SPDX-License-Identifier: BSD-3-Clause */
#include <glib.h>
#include <stdbool.h>
#include <string.h>

#include "text.h"

#define REPLACEMENT 0xfffdu

/* clang-format off */
static const struct { gunichar first, last; } unfit[] = {
    { 0x0000, 0x001f }, { 0x007f, 0x009f }, /* controls */
    { 0x00ad, 0x00ad }, { 0x061c, 0x061c },
    { 0x180e, 0x180e }, { 0x200b, 0x200f }, /* no width, directions */
    { 0x202a, 0x202e }, { 0x2060, 0x206f },
    { 0xe000, 0xf8ff }, /* private */
    { 0xfdd0, 0xfdef }, { 0xfeff, 0xfeff }, { 0xfff0, 0xfffb },
    { 0xe0000, 0xe0fff }, /* tags */
    { 0xf0000, 0x10ffff }, /* private */
};
/* clang-format on */

static bool is_fit(gunichar c)
{
    for (size_t i = 0; i < G_N_ELEMENTS(unfit); i++) {
        if (c >= unfit[i].first && c <= unfit[i].last) {
            return false;
        }
    }
    return (c & 0xfffe) != 0xfffe;
}

/* The character at *at, which is moved behind it. */
static gunichar take(const char **at)
{
    gunichar c = g_utf8_get_char_validated(*at, -1);

    if (c == (gunichar)-1 || c == (gunichar)-2) {
        (*at)++;
        return REPLACEMENT;
    }
    *at = g_utf8_next_char(*at);
    return c;
}

char *vwl_text(const char *text, size_t max)
{
    GString *out = g_string_new(NULL);
    const char *at = text ? text : "";
    bool blank = false;
    size_t n = 0;

    while (*at && n < max) {
        gunichar c = take(&at);

        if (g_unichar_isspace(c)) {
            blank = out->len != 0;
            continue;
        }
        if (blank && ++n < max) {
            g_string_append_c(out, ' ');
        }
        blank = false;
        if (n < max) {
            g_string_append_unichar(out, is_fit(c) ? c : REPLACEMENT);
            n++;
        }
    }
    return g_string_free(out, FALSE);
}
