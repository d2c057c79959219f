/* SPDX-License-Identifier: BSD-3-Clause */
/* What users tell windows by: titles and app ids, with prefixes. */
#include "client.h"

#include <string.h>

enum { SET_TITLE = 2, SET_APP_ID = 3 };

#define MAX_MESSAGE 4096u /* what host compositors take */
#define MAX_PREFIX 1024u

static const char *prefix_of(const struct vwl_client *client,
                             unsigned int opcode)
{
    const struct vwl_bridge_options *options = &client->bridge->options;
    const char *prefix = opcode == SET_TITLE    ? options->title_prefix
                         : opcode == SET_APP_ID ? options->app_id_prefix
                                                : NULL;

    return prefix != NULL && *prefix != '\0' && strlen(prefix) <= MAX_PREFIX
               ? prefix
               : NULL;
}

/* Never within a character. */
static size_t cut(const char *text, size_t len, size_t room)
{
    if (len <= room) {
        return len;
    }
    while (room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80) {
        room--;
    }
    return room;
}

/* A message of its own; len bytes of text without a zero. */
static void say(struct vwl_client *client, const struct vwl_object *toplevel,
                unsigned int opcode, const char *prefix, const char *text,
                size_t len)
{
    static const char zeros[4];
    size_t n = strlen(prefix), padded;
    uint32_t head[3] = { toplevel->host_id };

    len = cut(text, len, MAX_MESSAGE - sizeof head - 4 - n);
    padded = (n + len + 1 + 3) & ~(size_t)3;
    head[1] = (uint32_t)(sizeof head + padded) << 16 | opcode;
    head[2] = (uint32_t)(n + len + 1);
    vwl_client_to_host(client, head, sizeof head, -1);
    vwl_client_to_host(client, prefix, n, -1);
    vwl_client_to_host(client, text, len, -1);
    vwl_client_to_host(client, zeros, padded - n - len, -1);
}

void vwl_names_begin(struct vwl_client *client,
                     const struct vwl_object *toplevel)
{
    for (unsigned int opcode = SET_TITLE; opcode <= SET_APP_ID; opcode++) {
        const char *prefix = prefix_of(client, opcode);

        if (prefix != NULL) {
            say(client, toplevel, opcode, prefix, "", 0);
        }
    }
}

bool vwl_names_request(struct vwl_client *client,
                       const struct vwl_object *toplevel,
                       const struct vwl_wire_message *msg, const void *data)
{
    const char *prefix = prefix_of(client, msg->opcode);

    if (prefix == NULL || msg->args[0].value == 0) {
        return false;
    }
    say(client, toplevel, msg->opcode, prefix,
        (const char *)data + msg->args[0].at, msg->args[0].value - 1);
    return true;
}
