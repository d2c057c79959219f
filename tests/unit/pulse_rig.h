/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A filter of PulseAudio's protocol between a client and a server that are a
 * test. Messages are made from tagged values.
 */
#ifndef VWL_TESTS_PULSE_RIG_H
#define VWL_TESTS_PULSE_RIG_H

#include "policy/pulse/pulse.h"
#include "policy_rig.h"

#define NONE UINT32_MAX

extern const struct vwl_socket_policy play, record;
extern const char *const nothing[]; /* no properties */
extern unsigned int refusals;       /* that the log was told of */

/* Bytes; a big-endian word. */
void put(GByteArray *out, const void *data, size_t len);
void put_be(GByteArray *out, uint32_t word);

/* A command, in args: L a word; t a text, which may be NULL; P a
 * NULL-terminated array of keys and values; 1 and 0 as they are; a, m, v two
 * channels of anything; U a time; x a cookie; N the end of a list. */
GByteArray *command(const char *args, ...);
/* So many bytes; without them if there are more than 4096. */
GByteArray *audio(uint32_t channel, uint32_t len, uint32_t flags);

/* Commands that are long. Those of the server begin with a tag. */
GByteArray *create_playback(uint32_t tag, uint32_t sink, const char *name);
GByteArray *create_record(uint32_t tag, uint32_t source, const char *name,
                          bool moves, uint32_t direct);
GByteArray *device(uint32_t tag, uint32_t index, const char *name,
                   uint32_t monitor_of);
GByteArray *created_record(uint32_t tag, uint32_t channel, uint32_t source,
                           const char *name);

/* Pushes a command. */
int say(struct policy_rig *rig, enum vwl_way way, const char *args, ...);
/* All that passed is that command. */
void hear(struct policy_rig *rig, enum vwl_way way, const char *args, ...);
/* Pushes that: it passes as it is; it is refused; the connection ends. */
void passes(struct policy_rig *rig, enum vwl_way way, GByteArray *data);
void is_refused(struct policy_rig *rig, GByteArray *data, uint32_t tag);
void is_over(struct policy_rig *rig, GByteArray *data, enum vwl_way way,
             const char *why);

/* An authenticated connection. */
void begin(struct policy_rig *rig, const struct vwl_socket_policy *policy);
/* A stream to the default sink, whose sink input is 40 and the channel. */
void play_to_default(struct policy_rig *rig, uint32_t tag, uint32_t channel);

#endif
