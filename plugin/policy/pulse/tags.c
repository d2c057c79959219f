/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "policy/pulse/pulse.h"

/* What names a stream and its program, and no more. Others choose devices and
 * what is loaded for a stream (filter.want; of PipeWire target.object,
 * stream.capture.sink, media.class, filter graphs), or whose remembered volume
 * it has (module-stream-restore.id). */
static const char *const keys[] = {
    "application.icon_name",
    "application.id",
    "application.language",
    "application.name",
    "application.process.binary",
    "application.process.host",
    "application.process.id",
    "application.process.machine_id",
    "application.process.session_id",
    "application.process.user",
    "application.version",
    "media.artist",
    "media.copyright",
    "media.icon_name",
    "media.language",
    "media.name",
    "media.role",
    "media.software",
    "media.title",
};

/* "phone" silences the host's music. */
static const char *const roles[] = {
    "a11y",  "animation",  "event", "game",
    "music", "production", "test",  "video",
};

struct reader {
    const uint8_t *data;
    size_t len, at;
};

static bool skip(struct reader *reader, size_t bytes)
{
    if (bytes > reader->len - reader->at) {
        return false;
    }
    reader->at += bytes;
    return true;
}

static bool skip_text(struct reader *reader)
{
    const uint8_t *from = reader->data + reader->at;
    const uint8_t *zero = memchr(from, 0, reader->len - reader->at);

    return zero && skip(reader, (size_t)(zero - from) + 1);
}

/* A byte that says how many things of so many bytes follow. */
static bool skip_counted(struct reader *reader, size_t bytes)
{
    return reader->at < reader->len &&
           skip(reader, 1 + reader->data[reader->at] * bytes);
}

static bool take_word(struct reader *reader, uint32_t *value)
{
    if (!skip(reader, 4)) {
        return false;
    }
    *value = pulse_get(reader->data + reader->at - 4);
    return true;
}

static bool take_tag(struct reader *reader, uint8_t tag)
{
    return skip(reader, 1) && reader->data[reader->at - 1] == tag;
}

static bool skip_blob(struct reader *reader, uint32_t *len)
{
    return take_word(reader, len) && skip(reader, *len);
}

/* ---- properties --------------------------------------------------------- */

bool pulse_may_set(const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (strcmp(keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_role(const uint8_t *value, size_t len)
{
    for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
        if (len == strlen(roles[i]) + 1 && memcmp(value, roles[i], len) == 0) {
            return true;
        }
    }
    return false;
}

/* One of a format says how samples are encoded. */
static bool property_passes(const char *key, const uint8_t *value, size_t len,
                            bool of_format)
{
    if (of_format) {
        return g_str_has_prefix(key, "format.");
    }
    return pulse_may_set(key) &&
           (strcmp(key, "media.role") != 0 || is_role(value, len));
}

/* The rest of a list of them; `to` gets it, if it is not NULL, with those that
 * pass. */
static bool take_properties(struct reader *reader, bool of_format,
                            GByteArray *to)
{
    for (;;) {
        size_t from = reader->at;
        const char *key = (const char *)reader->data + from + 1;
        uint32_t len, again;

        if (reader->at < reader->len && reader->data[from] == 'N') {
            reader->at++;
            if (to) {
                g_byte_array_append(to, (const guint8 *)"N", 1);
            }
            return true;
        }
        if (!take_tag(reader, 't') || !skip_text(reader) ||
            !take_tag(reader, 'L') || !take_word(reader, &len) ||
            !take_tag(reader, 'x') || !skip_blob(reader, &again) ||
            len != again) {
            return false;
        }
        if (to && property_passes(key, reader->data + reader->at - len, len,
                                  of_format)) {
            g_byte_array_append(to, reader->data + from,
                                (guint)(reader->at - from));
        }
    }
}

/* ---- values ------------------------------------------------------------- */

static bool take_format(struct reader *reader, GByteArray *to)
{
    size_t from = reader->at;

    if (!take_tag(reader, 'B') || !skip(reader, 1) || !take_tag(reader, 'P')) {
        return false;
    }
    if (to) {
        g_byte_array_append(to, reader->data + from,
                            (guint)(reader->at - from));
    }
    return take_properties(reader, true, to);
}

static bool skip_value(struct reader *reader, uint8_t tag)
{
    uint32_t len;

    switch (tag) {
    case 'N':
    case '0':
    case '1':
        return true;
    case 'B':
        return skip(reader, 1);
    case 'L':
    case 'V':
        return skip(reader, 4);
    case 'a':
        return skip(reader, 6);
    case 'R':
    case 'r':
    case 'T':
    case 'U':
        return skip(reader, 8);
    case 'm':
        return skip_counted(reader, 1);
    case 'v':
        return skip_counted(reader, 4);
    case 't':
        return skip_text(reader);
    case 'x':
        return skip_blob(reader, &len);
    default:
        return false;
    }
}

/* The next value, its tag first. */
static bool take_value(struct reader *reader, GByteArray *to)
{
    size_t from = reader->at;
    uint8_t tag;

    if (!skip(reader, 1)) {
        return false;
    }
    tag = reader->data[from];
    if (tag == 'P' || tag == 'f') {
        if (to) {
            g_byte_array_append(to, &tag, 1);
        }
        return tag == 'P' ? take_properties(reader, false, to)
                          : take_format(reader, to);
    }
    if (!skip_value(reader, tag)) {
        return false;
    }
    if (to) {
        g_byte_array_append(to, reader->data + from,
                            (guint)(reader->at - from));
    }
    return true;
}

/* ---- messages ----------------------------------------------------------- */

bool pulse_walk(const uint8_t *data, size_t len, struct pulse_walk *walk)
{
    struct reader reader = { data, len, 0 };

    *walk = (struct pulse_walk){ .n = 0 };
    while (reader.at < len) {
        struct pulse_item item = { .tag = data[reader.at], .at = reader.at };

        if (!take_value(&reader, NULL)) {
            return false;
        }
        item.len = reader.at - item.at;
        item.value = item.tag == 'L' ? pulse_get(data + item.at + 1) : 0;
        walk->has_properties |= item.tag == 'P' || item.tag == 'f';
        if (walk->n < PULSE_MAX_ITEMS) {
            walk->items[walk->n] = item;
        }
        walk->n++;
    }
    return walk->n >= 2 && walk->items[0].tag == 'L' &&
           walk->items[1].tag == 'L';
}

bool pulse_is(const struct pulse_walk *walk, const char *args)
{
    for (unsigned int i = 2; *args; i++, args++) {
        uint8_t tag;

        if (i >= walk->n || i >= PULSE_MAX_ITEMS) {
            return false;
        }
        tag = walk->items[i].tag;
        if (*args == '?'
                ? tag != '0' && tag != '1'
                : tag != (uint8_t)*args && !(*args == 't' && tag == 'N')) {
            return false;
        }
    }
    return true;
}

void pulse_copy(GByteArray *to, const uint8_t *data, size_t len)
{
    struct reader reader = { data, len, 0 };

    while (reader.at < len && take_value(&reader, to)) {
    }
}

void pulse_put_word(GByteArray *to, uint32_t value)
{
    uint8_t bytes[5] = { 'L' };

    pulse_put(bytes + 1, value);
    g_byte_array_append(to, bytes, sizeof bytes);
}

void pulse_put_text(GByteArray *to, const char *text)
{
    if (!text) {
        g_byte_array_append(to, (const guint8 *)"N", 1);
        return;
    }
    g_byte_array_append(to, (const guint8 *)"t", 1);
    g_byte_array_append(to, (const guint8 *)text, (guint)strlen(text) + 1);
}
