/* SPDX-License-Identifier: BSD-3-Clause */
#include "plain.h"

#include <string.h>

#include "bytes.h"

void plain_add_word(struct plain *message, uint32_t word)
{
    put32(message->bytes + message->len, word);
    message->len += 4;
}

struct plain plain_say(uint32_t object, uint32_t opcode)
{
    struct plain message = { .len = 4 };

    put32(message.bytes, object);
    plain_add_word(&message, opcode);
    return message;
}

void plain_add_text(struct plain *message, const char *text)
{
    uint32_t len = (uint32_t)strlen(text) + 1;

    plain_add_word(message, len);
    memcpy(message->bytes + message->len, text, len);
    message->len += (len + 3) & ~3u;
}

void plain_close(struct plain *message)
{
    put32(message->bytes + 4, message->len << 16 | get32(message->bytes + 4));
}

struct plain plain_words(uint32_t object, uint32_t opcode, unsigned int n,
                         uint32_t first, uint32_t second)
{
    struct plain message = plain_say(object, opcode);

    if (n > 0) {
        plain_add_word(&message, first);
    }
    if (n > 1) {
        plain_add_word(&message, second);
    }
    plain_close(&message);
    return message;
}

struct plain plain_global(uint32_t name, const char *iface, uint32_t new_id)
{
    struct plain message = plain_say(PLAIN_REGISTRY, 0);

    plain_add_word(&message, name);
    plain_add_text(&message, iface);
    plain_add_word(&message, 3);
    if (new_id) {
        plain_add_word(&message, new_id);
    }
    plain_close(&message);
    return message;
}
