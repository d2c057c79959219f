/* SPDX-License-Identifier: BSD-3-Clause */
/* xdg_toplevel: what users tell windows by, titles and app ids, gets a prefix
 * if the options have one. */
#include <string.h>

#include "handler.h"

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
static void name_send(struct vwl_client *client,
                      const struct vwl_object *toplevel, unsigned int opcode,
                      const char *prefix, const char *text, size_t len)
{
    static const char zeros[4];
    size_t n = strlen(prefix), padded;
    uint32_t head[3] = { toplevel->host_id };

    len = cut(text, len, MAX_MESSAGE - sizeof head - 4 - n);
    padded = (n + len + 1 + 3) & ~(size_t)3;
    head[1] = (uint32_t)(sizeof head + padded) << 16 | opcode;
    head[2] = (uint32_t)(n + len + 1);
    vwl_uplink_put(&client->uplink, head, sizeof head, -1);
    vwl_uplink_put(&client->uplink, prefix, n, -1);
    vwl_uplink_put(&client->uplink, text, len, -1);
    vwl_uplink_put(&client->uplink, zeros, padded - n - len, -1);
}

/* Windows that never get a name have the prefix at least. */
static void toplevel_made(struct vwl_client *client, struct vwl_object *maker,
                          struct vwl_object *toplevel,
                          const struct vwl_wire_message *msg)
{
    for (unsigned int opcode = SET_TITLE; opcode <= SET_APP_ID; opcode++) {
        const char *prefix = prefix_of(client, opcode);

        if (prefix != NULL) {
            name_send(client, toplevel, opcode, prefix, "", 0);
        }
    }
}

static enum vwl_outcome toplevel_request(struct vwl_client *client,
                                         struct vwl_object *toplevel,
                                         const struct vwl_wire_message *msg,
                                         void *data)
{
    const char *prefix = prefix_of(client, msg->opcode);

    if (prefix == NULL || msg->args[0].value == 0) {
        return VWL_PASS;
    }
    name_send(client, toplevel, msg->opcode, prefix,
              (const char *)data + msg->args[0].at, msg->args[0].value - 1);
    return VWL_DONE;
}

const struct vwl_handler vwl_handle_toplevel = {
    .made = toplevel_made,
    .request = toplevel_request,
};
