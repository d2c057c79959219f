/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A context of a world, the bytes that go through it in both directions, and
 * what may happen to it while calls fail: whatever was answered for arrives,
 * in order and once. Both ends count.
 */
#ifndef VWL_TEST_FAULT_SCENE_H
#define VWL_TEST_FAULT_SCENE_H

#include "world.h"

#define PATIENCE_US (INT64_C(60) * 1000000)

/* Ids of the guest. */
#define CTX 1u
#define MEMORY 5u
#define PIPE 6u
#define SECOND 8u

/* Bytes of one direction. */
struct flow {
    uint64_t sent, received;
    bool cut; /* refused, or hung up */
};

struct scene {
    struct world *world;
    int conn; /* the peer's end of the context; -1: none */
    struct flow out, in;
};

/* The byte at that place of every stream, and len of them. */
uint8_t flow_byte(uint64_t at);
void flow_fill(uint8_t *to, uint64_t at, size_t len);

/* These bytes came, and are counted: they must be the next ones. */
void flow_arrived(struct scene *scene, struct flow *flow, const uint8_t *bytes,
                  size_t len);

/* Whether the device still serves the guest. */
bool scene_alive(const struct scene *scene);
/* Whether the result of a command is the one wanted: always when strict. A
 * ring that works answers, if only with nothing, for want of memory. */
bool scene_is(struct scene *scene, int result, uint32_t want);
/* Whether the guest was told the end of a VFD, or never had it. */
bool scene_has_hung_up(struct scene *scene, uint32_t id);
/* A message of the front-end was answered with err: one that was refused
 * something goes. */
void scene_go_on(struct scene *scene, int err);

/* The context; false: refused. */
bool scene_open(struct scene *scene);
/* The guest sends len bytes, and a VFD if id is not NULL; false: refused, and
 * so is what follows. */
bool scene_send(struct scene *scene, size_t len, const uint32_t *id);
/* The peer receives until all is there, or the end; a descriptor that comes
 * goes to *fd. */
void scene_receive_at_peer(struct scene *scene, int *fd);
/* The peer sends len bytes, the descriptors with the first. */
void scene_send_from_peer(struct scene *scene, size_t len, const int *fds,
                          unsigned int n_fds);
/* The guest receives until all is there; closes what comes along and says how
 * many did. */
unsigned int scene_receive(struct scene *scene);

/* play_state.c: the device is saved and loaded in the middle of it. */
void scene_play_state(struct scene *scene);

#endif
