/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest, its host peers and a front-end around one core, for the targets
 * that play whole sessions. Beside what sanitizers see: nothing is answered
 * twice or not at all, every message names VFDs that the guest knows, each id
 * is listed once, no byte of a context is lost or doubled either way, nothing
 * follows a hang-up, what the guest knows can be named,
 * mappings never overlap, the core's sums are right after every step, nothing
 * is left after a reset, and no descriptor stays readable for nothing.
 */
#ifndef VWL_TEST_FUZZ_WL_WORLD_H
#define VWL_TEST_FUZZ_WL_WORLD_H

#include "wl_front.h"

#define WORLD_MAX_OPS 300
#define WORLD_PEERS 8
#define WORLD_HELD 8
#define WORLD_ASKED 8
#define WORLD_PENDING 64
#define WORLD_BIG 70000

struct asked {
    struct vwl_request request;
    struct iovec iov[2];
    uint8_t *bytes;
};

struct world {
    struct fuzz_input in;
    struct vwl_core *core;
    struct vwl_log log;
    uint64_t features;
    bool has_shm;
    struct wl_front front;
    int peers[WORLD_PEERS];    /* compositors' ends */
    uint8_t last[WORLD_PEERS]; /* the byte that each received last */
    bool rubbish; /* somebody sent anything, or in the middle of another */
    int held[WORLD_HELD];   /* what they were sent */
    int asked[WORLD_ASKED]; /* for foreign ids: where the answers go */
    unsigned int next_asked;
    struct asked *pending[WORLD_PENDING];
    unsigned int n_pending;
    const struct vwl_request *executing;
    GHashTable *known;     /* ids that the guest has */
    GHashTable *announced; /* how often a message may still list them */
    GHashTable *listed;    /* those of the device's ids that one has listed */
    GHashTable *hung;      /* VFDs that hung up */
    GHashTable *streams;   /* of contexts: the last byte that came */
    bool lost_track;       /* an answer was cut short */
    bool restored;         /* the queue came from outside */
    uint32_t host_ids[8];
    unsigned int n_host_ids;
    uint64_t token;
};

/* A core as the input's first byte says; with the same limits as ever. */
void world_init(struct world *world, const uint8_t *data, size_t size);
void world_finish(struct world *world);
int world_make_core(struct world *world, const struct vwl_core_config *limits,
                    struct vwl_core **out);
extern const struct vwl_core_config world_limits;

/* One operation. */
void world_step(struct world *world);
/* Whether the core's sums are right: wl_census.c. */
void world_census(struct world *world);
/* Messages may list it once more. */
void world_announce(struct world *world, uint32_t id);
/* What the core forgets at a reset, the guest and the front-end forget. */
void world_was_reset(struct world *world, bool late);

/* Everybody sends this, from its beginning, as far as WORLD_BIG. */
extern uint8_t world_big[WORLD_BIG];
/* Whether these may follow *last in a stream: the pattern goes on, or somebody
 * begins it again. */
bool world_is_stream(uint8_t *last, const uint8_t *bytes, size_t len);

/* wl_requests.c: what the guest asks; for the core, a request that was
 * answered; and a request that never will be. */
void world_do_new(struct world *world);
void world_do_send(struct world *world);
void world_do_foreign(struct world *world);
void world_do_close(struct world *world);
void world_do_raw(struct world *world);
void world_on_complete(void *opaque, struct vwl_request *request);
void world_asked_free(struct asked *asked);

/* wl_messages.c: one message, and all there is until nothing moves. */
void world_do_next(struct world *world);
void world_do_settle(struct world *world);

/* wl_peers.c: host programs come, speak, and use what they were sent. */
void world_do_accept(struct world *world);
void world_do_peer(struct world *world);
void world_do_held(struct world *world);

#endif
