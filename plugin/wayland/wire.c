/* SPDX-License-Identifier: BSD-3-Clause */
#include "wayland/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

uint32_t vwl_wire_get(const void *data, size_t at)
{
    uint32_t value;

    memcpy(&value, (const char *)data + at, sizeof value);
    return value;
}

void vwl_wire_put(void *data, size_t at, uint32_t value)
{
    memcpy((char *)data + at, &value, sizeof value);
}

int vwl_wire_size(const void *data, size_t len)
{
    size_t size;

    if (len < VWL_WIRE_HEADER) {
        return 0;
    }
    size = vwl_wire_get(data, 4) >> 16;
    if (size < VWL_WIRE_HEADER || size % 4 != 0) {
        return -EBADMSG;
    }
    return len < size ? 0 : (int)size;
}

void vwl_wire_header(const void *data, uint32_t *object, uint16_t *opcode)
{
    *object = vwl_wire_get(data, 0);
    *opcode = (uint16_t)(vwl_wire_get(data, 4) & 0xffff);
}

uint32_t vwl_wire_since(const struct wl_message *proto)
{
    uint32_t since = 0;

    for (const char *s = proto->signature; *s >= '0' && *s <= '9'; s++) {
        since = since * 10 + (uint32_t)(*s - '0');
    }
    return since != 0 ? since : 1;
}

/* A string or array; *at moves behind it. */
static bool walk_bytes(const char *data, size_t size, size_t *at, bool nullable,
                       struct vwl_wire_arg *arg)
{
    size_t padded;

    if (arg->value == 0) {
        return arg->type == 'a' || nullable;
    }
    if (arg->value > size) {
        return false;
    }
    padded = ((size_t)arg->value + 3) & ~(size_t)3;
    if (padded > size - *at ||
        (arg->type == 's' && data[*at + arg->value - 1] != '\0')) {
        return false;
    }
    *at += padded;
    return true;
}

static bool walk_arg(const char *data, size_t size, size_t *at, bool nullable,
                     struct vwl_wire_arg *arg)
{
    if (size - *at < 4) {
        return false;
    }
    arg->at = *at;
    arg->value = vwl_wire_get(data, *at);
    *at += 4;
    switch (arg->type) {
    case 'i':
    case 'u':
    case 'f':
        return true;
    case 'o':
        return arg->value != 0 || nullable;
    case 'n':
        return arg->value != 0;
    case 's':
    case 'a':
        arg->at = *at;
        return walk_bytes(data, size, at, nullable, arg);
    default:
        return false;
    }
}

int vwl_wire_walk(const struct wl_message *proto, const void *data, size_t size,
                  struct vwl_wire_message *out)
{
    struct vwl_wire_message msg = { .size = size };
    size_t at = VWL_WIRE_HEADER;
    bool nullable = false;

    if (size < VWL_WIRE_HEADER || vwl_wire_size(data, size) != (int)size) {
        return -EBADMSG;
    }
    vwl_wire_header(data, &msg.object, &msg.opcode);
    for (const char *s = proto->signature; *s != '\0'; s++) {
        struct vwl_wire_arg *arg = &msg.args[msg.n_args];

        if (*s >= '0' && *s <= '9') {
            continue;
        }
        if (*s == '?') {
            nullable = true;
            continue;
        }
        if (msg.n_args == VWL_WIRE_MAX_ARGS) {
            return -EBADMSG;
        }
        arg->type = *s;
        arg->iface = proto->types != NULL ? proto->types[msg.n_args] : NULL;
        msg.n_args++;
        if (*s == 'h') {
            msg.n_fds++;
        } else if (!walk_arg(data, size, &at, nullable, arg)) {
            return -EBADMSG;
        }
        nullable = false;
    }
    if (at != size) {
        return -EBADMSG;
    }
    *out = msg;
    return 0;
}
