/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prefixes of titles and application ids: a person and the host's window rules
 * can tell by them whose window it is. The guest's text follows, cleaned of
 * what could hide or turn round the prefix where it is shown.
 */
#include <string.h>

#include "policy/filter_priv.h"

#define XDG_TOPLEVEL_SET_TITLE 2
#define XDG_TOPLEVEL_SET_APP_ID 3

/* As old libwayland's: a longer message ends the connection. */
#define MAX_MESSAGE_BYTES 4096u

/* Marks of writing direction reorder what stands before them. */
static bool turns_text(gunichar c)
{
    return c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

/* What is no character becomes a question mark, control characters and ends of
 * lines become spaces. */
void marks_clean(GString *out, const char *text, size_t len, size_t max)
{
    const char *end = text + len;

    while (text < end) {
        gunichar c = g_utf8_get_char_validated(text, end - text);
        char bytes[6];
        int n;

        if (c == (gunichar)-1 || c == (gunichar)-2) {
            c = '?';
            text++;
        } else {
            text = g_utf8_next_char(text);
        }
        if (turns_text(c)) {
            continue;
        }
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029) {
            c = ' ';
        }
        n = g_unichar_to_utf8(c, bytes);
        if (out->len + (size_t)n > max) {
            return;
        }
        g_string_append_len(out, bytes, n);
    }
}

enum verdict marks_text(struct vwl_filter *filter, const uint8_t *data,
                        const struct vwl_wire_message *message,
                        const char *prefix)
{
    const struct vwl_wire_arg *arg = &message->args[0];
    GString *text;

    if (!prefix) {
        return VERDICT_PASS;
    }
    text = g_string_new(prefix);
    marks_clean(text, (const char *)data + arg->at,
                arg->value ? arg->value - 1 : 0,
                MAX_MESSAGE_BYTES - VWL_WIRE_HEADER - 4 - 1);
    filter_emit_text(filter, VWL_TO_HOST, message->object, message->opcode,
                     text->str);
    g_string_free(text, TRUE);
    return VERDICT_DONE;
}

void marks_window(struct vwl_filter *filter, uint32_t toplevel)
{
    const struct vwl_rules *rules = filter->rules;

    if (rules->title_prefix) {
        filter_emit_text(filter, VWL_TO_HOST, toplevel, XDG_TOPLEVEL_SET_TITLE,
                         rules->title_prefix);
    }
    if (rules->app_id_prefix) {
        filter_emit_text(filter, VWL_TO_HOST, toplevel, XDG_TOPLEVEL_SET_APP_ID,
                         rules->app_id_prefix);
    }
}
