/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the pump's files alone. Each calls those below it:
 *
 *     pump.c           sources and life; settle ends every dispatch
 *     pump_ops.c       what it answers to the core and the session
 *     pump_buffers.c   dmabufs
 *     pump_pages.c     the guest's own pages
 *     pump_state.c     snapshots; the features that the core was told
 *     pump_extra.c     the pump's part of a snapshot
 *     pump_ring.c      takes what is in the rings
 *     pump_record.c    requests on their way, and giving them back
 */
#ifndef VWL_LOOP_PUMP_PRIV_H
#define VWL_LOOP_PUMP_PRIV_H

#include "loop/contexts.h"
#include "loop/pump.h"
#include "loop/scout.h"
#include "vhost-user-wl/virtio_wl.h"

/*
 * A request of the out queue on its way through the core:
 *
 *     FRESH --handed to the core--> WAITING --completed--> DONE --> given back
 *
 * What completes while its ring runs is given back at once; DONE are those that
 * cannot be yet: the ring stands still, or the place of the answer is unknown.
 */
enum vwl_record_state {
    VWL_RECORD_FRESH,
    VWL_RECORD_WAITING, /* from here on it is in pump.in_flight */
    VWL_RECORD_DONE,
};

struct vwl_record {
    struct vwl_request request;
    struct vwl_chain *chain;
    GList link; /* of pump.in_flight; data is the record */
    enum vwl_record_state state;
    bool lost;         /* it is to fail: see vwl_pump_fail_lost */
    size_t heap_bytes; /* that its pieces take while it waits */
    struct iovec copy; /* of its payload, when the memory was invalidated */
};

struct vwl_pump_ring {
    struct vwl_source *kick;
    bool is_due;    /* it wants a look */
    bool is_pushed; /* there is something to publish */
    bool is_deaf;   /* its kick descriptor is unusable, until it changes */
};

/* Why no message goes to the guest though there may be one. */
enum vwl_pump_in {
    VWL_IN_OPEN,
    VWL_IN_STARVED, /* no buffers: until a kick or a start */
    VWL_IN_MISSING, /* a translation: until the memory changes, or a start */
};

/*
 * What came from a snapshot:
 *
 *     NONE --load--> LOADED --out ring starts--> REMAKING --all done--> OPEN
 *       ^              |  ^                         |  |                  |
 *       |              |  +-- the channel went -----+  |                  |
 *       +--------------+---- reset, other features ----+------------------+
 *
 * Rings are not processed in LOADED and REMAKING. Where the front-end maps by
 * the back-end channel and has not given any, LOADED lasts until it comes, for
 * a bounded time.
 */
enum vwl_pump_restored {
    VWL_RESTORED_NONE,
    VWL_RESTORED_LOADED,
    VWL_RESTORED_REMAKING, /* its memory is being mapped */
    VWL_RESTORED_OPEN,
};

struct vwl_pump {
    struct vwl_closer *closer;
    struct vwl_core *core;
    struct vwl_session *session; /* NULL once the front-end is gone */
    const struct vwl_host *host;
    struct vwl_log *log;
    struct vwl_gate *gate; /* borrowed */
    uint32_t max_in_flight;
    uint64_t max_copied_bytes;
    uint32_t poll_max_us; /* 0: never */
    uint32_t poll_us;     /* of the next time */
    uint64_t poll_end_us;
    bool polling; /* no kicks are asked for: the rings are looked at */
    bool moved;   /* something came since the last look at this */
    bool bulk;    /* and it keeps its peer busy */
    struct vwl_allocators *allocators;
    const struct vwl_pages *pages; /* NULL: there are none */
    struct vwl_contexts *contexts; /* NULL: the host connects, or there are
                                      none */
    struct vwl_scout *scout;       /* NULL once the front-end is gone */

    struct vwl_source *socket;
    struct vwl_source *backchan;
    struct vwl_source *core_in;
    struct vwl_source *core_out;
    struct vwl_source *state; /* the other end of a snapshot */
    struct vwl_source *again; /* work that has no descriptor of its own */

    GQueue in_flight;    /* struct vwl_record, oldest first */
    GPtrArray *spare;    /* struct vwl_record */
    GPtrArray *held;     /* chains of in_flight, made for ring_held */
    size_t copied_bytes; /* in the records' copies */
    size_t heap_bytes;   /* of the records */
    bool has_done;       /* records are DONE: answer them when it is possible */
    bool discarding;     /* completions are not to be given back */

    struct vwl_pump_ring ring[VIRTIO_WL_QUEUE_COUNT];
    enum vwl_pump_in in;
    bool suspended;

    /* buffers behind the one that the core fills, taken for it */
    struct {
        struct vwl_chain *chain[VWL_MORE_MAX];
        unsigned int n;
        size_t last_bytes;
        bool stuck; /* something behind them was given back already */
    } more;

    struct {
        bool known;
        uint64_t gpa;
    } base; /* of region 0 */

    struct {
        bool known;
        uint64_t bits;
        bool shm;
    } acked, told; /* features: of the driver; those that the core knows */

    struct vwl_transfer *transfer; /* NULL: none is under way */
    int state_err;                 /* how the last one ended */
    enum vwl_pump_restored restored;
    uint64_t restored_features; /* that the snapshot was made with */
    uint64_t channel_end_us;    /* how long it is waited for; 0: it is not */
};

/* The snapshot's memory is not mapped yet. */
static inline bool vwl_pump_is_restoring(const struct vwl_pump *pump)
{
    return pump->restored == VWL_RESTORED_LOADED ||
           pump->restored == VWL_RESTORED_REMAKING;
}

/* Both rings want a look. */
static inline void vwl_pump_set_due(struct vwl_pump *pump)
{
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        pump->ring[i].is_due = true;
    }
}

extern const struct vwl_core_ops vwl_pump_core_ops;
extern const struct vwl_session_ops vwl_pump_session_ops;

/* ---- pump_ring.c and pump_record.c ---- */

/* The ring may be processed now. */
bool vwl_pump_runs(struct vwl_pump *pump, unsigned int index);
/* Takes what is in a ring, at most a budget; sets is_due when there is more. */
void vwl_pump_run_out(struct vwl_pump *pump);
void vwl_pump_run_in(struct vwl_pump *pump);
/* Of vwl_core_ops. */
unsigned int vwl_pump_more_buffers(void *opaque, unsigned int max,
                                   struct vwl_whole_buffer *buffers);
void vwl_pump_more_filled(void *opaque, unsigned int n, size_t last_bytes);
/* Makes what was pushed visible and calls the driver. */
void vwl_pump_publish(struct vwl_pump *pump, unsigned int index);
/* A ring's call said -errno: asks for the translation that is missing, or
 * declares the ring broken. */
void vwl_pump_ring_failed(struct vwl_pump *pump, unsigned int index, int err);
struct vwl_record *vwl_pump_record_new(struct vwl_pump *pump,
                                       struct vwl_chain *chain);
/* Gives a complete request back to the driver; frees the record. False: not
 * yet, as the place for the answer is not known. */
bool vwl_pump_answer(struct vwl_pump *pump, struct vwl_record *record);
/* Frees a record, its chain not given back. */
void vwl_pump_drop(struct vwl_pump *pump, struct vwl_record *record);
void vwl_pump_drop_all(struct vwl_pump *pump);
/* A request of a snapshot; it is answered at the next start, with an error
 * when it has no response. */
void vwl_pump_revive(struct vwl_pump *pump, struct vwl_chain *chain,
                     const void *response, size_t response_bytes);
/* Answers what was completed and could not be given back. */
void vwl_pump_answer_done(struct vwl_pump *pump);
/* A new one waits. Where the lists of pieces of all that wait take too much,
 * the biggest of them fails. */
void vwl_pump_record_waits(struct vwl_pump *pump, struct vwl_record *record);
/* The guest's memory under these addresses goes: what waits there keeps a copy
 * of its payload, or fails. */
void vwl_pump_forget_range(struct vwl_pump *pump, uint64_t iova, uint64_t size);

/* ---- pump_state.c: snapshots ---- */

/* The other end of the transfer moved. */
void vwl_pump_state_run(struct vwl_pump *pump);
int vwl_pump_state_check(struct vwl_pump *pump);
void vwl_pump_state_cancel(struct vwl_pump *pump, bool save_only);
void vwl_pump_state_drop(struct vwl_pump *pump); /* tells nobody */
/* What was restored is to be mapped; again, where the channel went. */
void vwl_pump_restored_start(struct vwl_pump *pump);
/* Maps it once that is possible, and opens the rings once that is done. */
void vwl_pump_restored_go_on(struct vwl_pump *pump);
/* The core is told these features of a driver: remembers that. */
void vwl_pump_note_features(struct vwl_pump *pump, uint64_t features);
/* Whether they are those that the driver has now. */
bool vwl_pump_is_noted(const struct vwl_pump *pump);

/* ---- pump_extra.c: the pump's part of a snapshot ---- */

size_t vwl_pump_extra_bytes(struct vwl_pump *pump);
/* at has room for that many. */
void vwl_pump_extra_put(struct vwl_pump *pump, uint8_t *at);
/* Whether apply may be called with it. */
bool vwl_pump_extra_check(const uint8_t *at, size_t len);
/* Chains of a snapshot are answered after the next start. */
void vwl_pump_extra_apply(struct vwl_pump *pump, const uint8_t *at);

/* ---- pump_buffers.c: dmabufs ---- */

int vwl_pump_buffer_offer(void *opaque);
int vwl_pump_buffer_alloc(void *opaque, const struct vwl_buffer_wish *wish,
                          struct vwl_buffer *out);
void vwl_pump_probe_stats(const struct vwl_pump *pump, struct vwl_stats *stats);

/* ---- pump_pages.c ---- */

/* Of vwl_core_ops. */
int vwl_pump_pages(void *opaque, const struct vwl_run *runs, unsigned int n,
                   int *fd);

#endif
