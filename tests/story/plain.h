/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of Wayland by plain bytes, for guests and compositors that are a
 * test.
 */
#ifndef VWL_STORY_PLAIN_H
#define VWL_STORY_PLAIN_H

#include <stdint.h>

#define PLAIN_REGISTRY 2

struct plain {
    uint8_t bytes[96];
    uint32_t len;
};

/* One that is begun, what is added, and its end. */
struct plain plain_say(uint32_t object, uint32_t opcode);
void plain_add_word(struct plain *message, uint32_t word);
void plain_add_text(struct plain *message, const char *text);
void plain_close(struct plain *message);

/* Of n words. */
struct plain plain_words(uint32_t object, uint32_t opcode, unsigned int n,
                         uint32_t first, uint32_t second);
/* Of the registry, of version 3: announced, or bound to new_id. */
struct plain plain_global(uint32_t name, const char *iface, uint32_t new_id);

#endif
