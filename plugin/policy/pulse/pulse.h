/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Private to policy/: the filter of PulseAudio's native protocol, versions 13
 * to 35. A connection carries frames, each with a head of five big-endian
 * words: length, channel, two words of offset, flags. Those of the channel
 * PULSE_COMMANDS hold a command: tagged values, of which the first two are the
 * command's number and the tag that its answer bears. All others are audio of
 * the stream that has that channel.
 *
 * frames.c parts them, send.c makes some; table.c sorts the commands; request.c
 * judges those of the guest, answer.c those of the server; tags.c reads values;
 * streams.c knows which streams are the guest's own.
 *
 * Two things are asked of the server on behalf of the guest, under the tag of
 * the command that needs it: which sink or source a new stream means. It may
 * only be one of these (pipewire-pulse would take any node, also other
 * programs' streams), and a source must not be the monitor of a sink. The
 * stream is then made with the number of what was found.
 */
#ifndef VWL_POLICY_PULSE_PULSE_H
#define VWL_POLICY_PULSE_PULSE_H

#include "policy/filter_priv.h"

#define PULSE_HEAD_BYTES 20u
#define PULSE_COMMANDS UINT32_MAX
#define PULSE_NO_INDEX UINT32_MAX
#define PULSE_NO_TAG UINT32_MAX

#define PULSE_OLDEST 13u
#define PULSE_NEWEST 35u

/* Limits of one connection. */
#define PULSE_MAX_REQUEST_BYTES 65536u
#define PULSE_MAX_ANSWER_BYTES (1024u * 1024u)
#define PULSE_MAX_PLAYED_BYTES (1024u * 1024u)
#define PULSE_MAX_RECORDED_BYTES (16u * 1024u * 1024u)
#define PULSE_MAX_STREAMS 64u
#define PULSE_MAX_PENDING 1024u
#define PULSE_MAX_HELD_BYTES 65536u  /* of requests, while a device is asked */
#define PULSE_MAX_LATER_BYTES 65536u /* that wait for the end of audio */

/* Those that are named in the code. */
enum {
    PULSE_ERROR = 0,
    PULSE_REPLY = 2,
    PULSE_CREATE_PLAYBACK = 3,
    PULSE_CREATE_RECORD = 5,
    PULSE_AUTH = 8,
    PULSE_GET_SINK_INFO = 21,
    PULSE_GET_SOURCE_INFO = 23,
    PULSE_PLAYBACK_KILLED = 64,
    PULSE_RECORD_KILLED = 65,
    PULSE_SUBSCRIBE_EVENT = 66,
    PULSE_RECORD_MOVED = 79,
};

enum {
    PULSE_ERR_ACCESS = 1,
};

/* Where values stand in a message. */
enum {
    ITEM_COMMAND,
    ITEM_TAG,
    ITEM_FIRST,
    ITEM_SECOND,
    /* of CREATE_PLAYBACK_STREAM and CREATE_RECORD_STREAM */
    ITEM_DEVICE_INDEX = 4,
    ITEM_DEVICE_NAME = 5,
    ITEM_NO_MOVE = 14,
    ITEM_DIRECT_ON_INPUT = 19, /* of the latter */
    /* of the answer to the latter */
    ITEM_CREATED_SOURCE = 8,
    /* of RECORD_STREAM_MOVED */
    ITEM_MOVED_SOURCE = 3,
    /* of what tells about a sink or source */
    ITEM_INFO_INDEX = 2,
    ITEM_INFO_NAME = 3,
    ITEM_INFO_MONITOR_OF = 10,
};

#define PULSE_VERSION_MASK 0xffffu

enum pulse_rule {
    PULSE_REFUSED,
    PULSE_IGNORED, /* an answer, when nothing was asked */
    PULSE_PASSES,
    PULSE_AUTHENTICATES,
    PULSE_SUBSCRIBES,
    PULSE_CREATES,
    PULSE_DELETES,
    PULSE_OWN,    /* its first argument is the number of an own stream */
    PULSE_REMOVES /* properties by their names */
};

struct pulse_command {
    const char *name; /* as libpulse calls it, without PA_COMMAND_ */
    enum pulse_rule rule;
    bool records;     /* it passes for those who may record alone */
    const char *args; /* the first ones, by their tags; ? is a boolean, t may
                         be no string */
    const char *why;  /* of what it gives, or gives away */
};

/* NULL: nobody has read what it means. */
const struct pulse_command *pulse_command(uint32_t number);
/* The server may say that unasked. */
bool pulse_is_event(uint32_t number);

/* ---- tags.c ---- */

#define PULSE_MAX_ITEMS 24u

struct pulse_item {
    uint8_t tag;
    size_t at, len; /* of the tag and the value, in the message */
    uint32_t value; /* of L */
};

struct pulse_walk {
    struct pulse_item items[PULSE_MAX_ITEMS];
    unsigned int n; /* may be more than that */
    bool has_properties;
};

static inline uint32_t pulse_get(const uint8_t *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 |
           (uint32_t)from[2] << 8 | from[3];
}

static inline void pulse_put(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

/* The values of a whole message. False: they are not as they must be. */
bool pulse_walk(const uint8_t *data, size_t len, struct pulse_walk *walk);
/* Whether they begin like that, from the third on. */
bool pulse_is(const struct pulse_walk *walk, const char *args);
/* A message that could be walked, without the properties that are not for
 * guests to set. */
void pulse_copy(GByteArray *to, const uint8_t *data, size_t len);
/* Whether a guest may set, and remove, that property. */
bool pulse_may_set(const char *key);

void pulse_put_word(GByteArray *to, uint32_t value);
void pulse_put_text(GByteArray *to, const char *text); /* NULL: none */

/* ---- the filter ---- */

struct pulse_flow {
    uint32_t left; /* of audio */
    bool passes;   /* that audio */
    GByteArray *later;
};

struct pulse_stream {
    bool records;
    uint32_t channel, index;
    uint32_t source; /* of those that record */
};

/* A command that the server has not answered. */
struct pulse_pending {
    uint32_t number;
    uint32_t device;    /* of a stream that records: what was found */
    GByteArray *create; /* its device is asked for first; or NULL */
};

struct pulse {
    struct vwl_filter *filter; /* that it is of */
    struct pulse_flow flow[VWL_N_WAYS];
    GHashTable *pending; /* tag: struct pulse_pending */
    GArray *streams;     /* struct pulse_stream */
    unsigned int n_creating;
    size_t held_bytes;
    bool authenticates;
};

/* ---- frames.c ---- */

struct pulse *pulse_create(struct vwl_filter *filter);
void pulse_destroy(struct pulse *pulse);
/* Takes the first frame of data, or what there is of it: how much that was, or
 * anything once the connection is over. */
size_t pulse_take(struct pulse *pulse, enum vwl_way way, const uint8_t *data,
                  size_t len);
/* Nothing that passes has a descriptor. */
void pulse_check_fds(struct pulse *pulse, enum vwl_way way);

/* ---- send.c ---- */

/* The guest did what ends the connection. */
void pulse_fault(struct pulse *pulse, const char *format, ...)
    G_GNUC_PRINTF(2, 3);
/* A command, as soon as no audio is on its way there. */
void pulse_send(struct pulse *pulse, enum vwl_way way, const uint8_t *data,
                size_t len);

/* Tells the guest, and the log; command may be NULL. */
void pulse_refuse(struct pulse *pulse, const struct pulse_command *command,
                  uint32_t tag);

/* ---- request.c, answer.c ---- */

void pulse_request(struct pulse *pulse, const uint8_t *data, size_t len);
void pulse_answer(struct pulse *pulse, const uint8_t *data, size_t len);

/* ---- streams.c ---- */

struct pulse_stream *pulse_stream_find(struct pulse *pulse, bool records,
                                       uint32_t channel);
bool pulse_stream_is_own(struct pulse *pulse, bool records, uint32_t index);
void pulse_stream_remove(struct pulse *pulse, bool records, uint32_t channel);

struct pulse_pending *pulse_pending_add(struct pulse *pulse, uint32_t tag,
                                        uint32_t number);
void pulse_pending_remove(struct pulse *pulse, uint32_t tag);
void pulse_pending_free(void *pending);

#endif
