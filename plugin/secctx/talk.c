/* SPDX-License-Identifier: BSD-3-Clause */
#include "talk.h"

#include <errno.h>
#include <string.h>

#define MANAGER "wp_security_context_manager_v1"
#define HEADER 8u

enum id {
    DISPLAY = 1,
    REGISTRY,
    FIRST_SYNC,
    THE_MANAGER,
    CONTEXT,
    LAST_SYNC,
};

enum {
    DISPLAY_SYNC = 0,
    DISPLAY_GET_REGISTRY = 1,
    REGISTRY_BIND = 0,
    MANAGER_DESTROY = 0,
    MANAGER_CREATE_LISTENER = 1,
    CONTEXT_DESTROY = 0,
    CONTEXT_SET_SANDBOX_ENGINE = 1,
    CONTEXT_SET_APP_ID = 2,
    CONTEXT_SET_INSTANCE_ID = 3,
    CONTEXT_COMMIT = 4,
};

enum {
    DISPLAY_ERROR = 0,
    REGISTRY_GLOBAL = 0,
    CALLBACK_DONE = 0,
};

/* ---- writing ------------------------------------------------------------ */

static void put(struct vwl_talk *talk, uint32_t value)
{
    memcpy(talk->out + talk->out_len, &value, sizeof value);
    talk->out_len += sizeof value;
}

static void put_text(struct vwl_talk *talk, const char *text)
{
    size_t len = strlen(text) + 1;

    put(talk, (uint32_t)len);
    memcpy(talk->out + talk->out_len, text, len);
    memset(talk->out + talk->out_len + len, 0, -len & 3);
    talk->out_len += len + (-len & 3);
}

/* Its size is known at the end. */
static size_t begin(struct vwl_talk *talk, enum id object)
{
    size_t at = talk->out_len;

    put(talk, object);
    put(talk, 0);
    return at;
}

static void end(struct vwl_talk *talk, size_t at, uint32_t opcode)
{
    uint32_t word = (uint32_t)(talk->out_len - at) << 16 | opcode;

    memcpy(talk->out + at + 4, &word, sizeof word);
}

static void say(struct vwl_talk *talk, enum id object, uint32_t opcode)
{
    end(talk, begin(talk, object), opcode);
}

static void say_number(struct vwl_talk *talk, enum id object, uint32_t opcode,
                       uint32_t value)
{
    size_t at = begin(talk, object);

    put(talk, value);
    end(talk, at, opcode);
}

static void say_text(struct vwl_talk *talk, enum id object, uint32_t opcode,
                     const char *text)
{
    size_t at = begin(talk, object);

    put_text(talk, text);
    end(talk, at, opcode);
}

static void ask_for_context(struct vwl_talk *talk)
{
    size_t at;

    talk->out_len = talk->out_sent = 0;
    at = begin(talk, REGISTRY);
    put(talk, talk->manager);
    put_text(talk, MANAGER);
    put(talk, 1);
    put(talk, THE_MANAGER);
    end(talk, at, REGISTRY_BIND);
    say_number(talk, THE_MANAGER, MANAGER_CREATE_LISTENER, CONTEXT);
    say_text(talk, CONTEXT, CONTEXT_SET_SANDBOX_ENGINE, talk->names.engine);
    say_text(talk, CONTEXT, CONTEXT_SET_APP_ID, talk->names.app_id);
    say_text(talk, CONTEXT, CONTEXT_SET_INSTANCE_ID, talk->names.instance_id);
    say(talk, CONTEXT, CONTEXT_COMMIT);
    say(talk, CONTEXT, CONTEXT_DESTROY);
    say(talk, THE_MANAGER, MANAGER_DESTROY);
    say_number(talk, DISPLAY, DISPLAY_SYNC, LAST_SYNC);
    talk->fds_due = true;
    talk->asked = true;
}

/* ---- reading ------------------------------------------------------------ */

static uint32_t get(const uint8_t *event, size_t at)
{
    uint32_t value;

    memcpy(&value, event + at, sizeof value);
    return value;
}

/* name, interface, version */
static int on_global(struct vwl_talk *talk, const uint8_t *event, size_t size)
{
    size_t len, room;

    if (size < HEADER + 12) {
        return -EBADMSG;
    }
    len = get(event, HEADER + 4);
    room = size - HEADER - 12;
    if (len > room || len + (-len & 3) != room) {
        return -EBADMSG;
    }
    if (len == sizeof MANAGER &&
        memcmp(event + HEADER + 8, MANAGER, sizeof MANAGER) == 0) {
        talk->found = true;
        talk->manager = get(event, HEADER);
    }
    return -EINPROGRESS;
}

static int on_event(struct vwl_talk *talk, const uint8_t *event, size_t size)
{
    uint32_t object = get(event, 0), opcode = get(event, 4) & 0xffff;

    if (object == DISPLAY && opcode == DISPLAY_ERROR) {
        talk->error = size >= HEADER + 8 ? get(event, HEADER + 4) : 0;
        return -EPROTO;
    }
    if (object == REGISTRY && opcode == REGISTRY_GLOBAL) {
        return on_global(talk, event, size);
    }
    if (object == FIRST_SYNC && opcode == CALLBACK_DONE && !talk->asked) {
        if (!talk->found) {
            return -EOPNOTSUPP;
        }
        ask_for_context(talk);
    } else if (object == LAST_SYNC && opcode == CALLBACK_DONE) {
        /* one that answers what was not sent yet is not to be believed */
        return talk->asked && talk->out_sent == talk->out_len ? 0 : -EBADMSG;
    }
    return -EINPROGRESS;
}

/* The size of the first event; 0: not all of it is there. */
static int next_size(const struct vwl_talk *talk, size_t *size)
{
    *size = 0;
    if (talk->in_len < HEADER) {
        return 0;
    }
    *size = get(talk->in, 4) >> 16;
    if (*size < HEADER || *size > VWL_TALK_LONGEST_EVENT || *size % 4 != 0) {
        return -EBADMSG;
    }
    *size = *size <= talk->in_len ? *size : 0;
    return 0;
}

static int drain(struct vwl_talk *talk)
{
    size_t size;
    int result = next_size(talk, &size);

    while (result == 0 && size > 0) {
        result = on_event(talk, talk->in, size);
        if (result != -EINPROGRESS) {
            return result;
        }
        talk->in_len -= size;
        memmove(talk->in, talk->in + size, talk->in_len);
        result = next_size(talk, &size);
    }
    return result < 0 ? result : -EINPROGRESS;
}

/* ---- life --------------------------------------------------------------- */

static bool is_fine(const char *name)
{
    return name && *name &&
           strnlen(name, VWL_TALK_LONGEST_NAME + 1) <= VWL_TALK_LONGEST_NAME;
}

int vwl_talk_init(struct vwl_talk *talk, const struct vwl_talk_names *names)
{
    memset(talk, 0, sizeof *talk);
    if (!is_fine(names->engine) || !is_fine(names->app_id) ||
        !is_fine(names->instance_id)) {
        return -EINVAL;
    }
    talk->names = *names;
    talk->result = -EINPROGRESS;
    say_number(talk, DISPLAY, DISPLAY_GET_REGISTRY, REGISTRY);
    say_number(talk, DISPLAY, DISPLAY_SYNC, FIRST_SYNC);
    return 0;
}

const void *vwl_talk_to_send(const struct vwl_talk *talk, size_t *len)
{
    *len = talk->out_len - talk->out_sent;
    return *len ? talk->out + talk->out_sent : NULL;
}

void vwl_talk_sent(struct vwl_talk *talk, size_t len)
{
    talk->out_sent += len;
    talk->fds_due = talk->fds_due && len == 0;
}

int vwl_talk_feed(struct vwl_talk *talk, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (talk->result == -EINPROGRESS && len > 0) {
        size_t room = sizeof talk->in - talk->in_len;
        size_t n = len < room ? len : room;

        memcpy(talk->in + talk->in_len, at, n);
        talk->in_len += n;
        at += n;
        len -= n;
        talk->result = drain(talk);
    }
    return talk->result;
}
