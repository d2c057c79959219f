/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest of a core_rig asks, as bytes, and what it is told. Whoever
 * "asks" expects the answer at once and returns its type, a RESP_*; a request
 * that may wait is a struct asked that the test executes itself.
 */
#ifndef TESTS_UNIT_ASK_H
#define TESTS_UNIT_ASK_H

#include "core_rig.h"

/* A request and what it stands on. */
struct asked {
    struct vwl_request request;
    uint8_t *bytes;
    struct iovec iov;
};

/* A request of these bytes with room for so many of the answer, not executed
 * yet. */
struct asked *ask_init(const void *bytes, size_t len, size_t room);
/* A VFD_SEND of ids and data. */
struct asked *send_init(uint32_t id, const uint32_t *ids, uint32_t n_ids,
                        const void *data, size_t len);
/* A CLOSE. */
struct asked *close_init(uint32_t id);
/* Only when it was answered: the core holds it until then. */
void asked_free(struct asked *asked);

/* The 64-byte form that today's drivers send for every NEW. */
void fill_new(uint8_t bytes[64], uint32_t type, uint32_t id, uint32_t flags,
              uint32_t size);

/* Asks these bytes, with room for 64 of the answer. */
uint32_t ask(struct core_rig *rig, const void *bytes, size_t len);
/* The same with any room: the whole answer is in response, its length in *n;
 * both may be NULL. */
uint32_t ask_room(struct core_rig *rig, const void *bytes, size_t len,
                  size_t room, uint8_t response[64], size_t *n);
/* A NEW of any type, a CLOSE, a SEND. */
uint32_t ask_new(struct core_rig *rig, uint32_t type, uint32_t id,
                 uint32_t flags, uint32_t size);
uint32_t ask_close(struct core_rig *rig, uint32_t id);
uint32_t ask_send(struct core_rig *rig, uint32_t id, const uint32_t *ids,
                  uint32_t n_ids, const void *data, size_t len);

/* A context of that id; returns the compositor's end, the caller's. */
int open_ctx(struct core_rig *rig, uint32_t id);

/* The next message into rig->message: its length, 0, or -ENOBUFS. */
ssize_t next_message(struct core_rig *rig);
/* The next message is a VFD_HUP of that VFD. */
void expect_hup(struct core_rig *rig, uint32_t id);
/* It is a VFD_RECV; returns its data, *len is its length. */
const uint8_t *expect_recv(struct core_rig *rig, uint32_t id, uint32_t n_ids,
                           size_t *len);
/* It is a VFD_NEW; returns the id. */
uint32_t expect_new(struct core_rig *rig, uint32_t flags, uint64_t pfn,
                    uint32_t size);

#endif
