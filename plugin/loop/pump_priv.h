/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the pump's files alone: its state, what runs rings (pump_ring.c),
 * and what it answers to the core and the session (pump_ops.c).
 */
#ifndef VWL_LOOP_PUMP_PRIV_H
#define VWL_LOOP_PUMP_PRIV_H

#include "loop/contexts.h"
#include "loop/pump.h"
#include "loop/scout.h"
#include "vhost-user-wl/virtio_wl.h"

/* A request of the out queue on its way through the core. */
struct record {
    struct vwl_request request;
    struct vwl_chain *chain;
    GList link;        /* of pump.in_flight; data is the record */
    bool waits;        /* it is in pump.in_flight */
    bool done;         /* completed, and not given back yet */
    bool lost;         /* its memory goes and nothing is left of its payload */
    struct iovec copy; /* of its payload, when the memory was invalidated */
};

struct vwl_pump {
    struct vwl_core *core;
    struct vwl_session *session; /* NULL once the front-end is gone */
    const struct vwl_host *host;
    struct vwl_log *log;
    uint32_t max_in_flight;
    uint64_t max_copied_bytes;
    uint32_t poll_max_us; /* 0: never */
    uint32_t poll_us;     /* of the next time */
    uint64_t poll_end_us;
    bool polling; /* no kicks are asked for: the rings are looked at */
    bool moved;   /* something came since the last look at this */
    struct vwl_allocators *allocators;
    struct vwl_contexts *contexts; /* NULL: the host connects, or there are
                                      none */
    struct vwl_scout *scout;       /* NULL once the front-end is gone */

    struct vwl_source *socket;
    struct vwl_source *backchan;
    struct vwl_source *kick[VIRTIO_WL_QUEUE_COUNT];
    struct vwl_source *core_in;
    struct vwl_source *core_out;
    struct vwl_source *state; /* the other end of a snapshot */
    struct vwl_source *again; /* work that has no descriptor of its own */

    GQueue in_flight;    /* struct record, oldest first */
    GPtrArray *spare;    /* struct record */
    GPtrArray *held;     /* chains of in_flight, made for ring_held */
    size_t copied_bytes; /* in the records' copies */

    bool due[VIRTIO_WL_QUEUE_COUNT];    /* the ring wants a look */
    bool pushed[VIRTIO_WL_QUEUE_COUNT]; /* there is something to publish */
    bool
        bad_kick[VIRTIO_WL_QUEUE_COUNT]; /* not to be polled until it changes */
    bool unplaced;   /* a request is done that could not be given back */
    bool starved;    /* the in ring has no buffers: wait for a kick */
    bool blocked_in; /* the in ring waits for a translation */
    bool suspended;
    bool discarding;  /* completions are not to be given back */
    uint64_t acked;   /* features that the driver took */
    uint64_t applied; /* those that the core knows */
    bool applied_shm;
    bool applied_once;
    bool features_known;
    bool base_known;
    uint64_t base_gpa;

    struct vwl_transfer *transfer; /* NULL: none is under way */
    int state_err;                 /* how the last one ended */
    bool restored;                 /* what is open came from a snapshot */
    bool restoring;                /* and its memory is not mapped yet */
    bool remade;                   /* though that was asked for */
    uint64_t restored_features;    /* that it was made with */
    /* A map or unmap that the back-end channel ended before it returned. */
    bool asking;
    bool asked_done;
    int asked_err;
};

extern const struct vwl_core_ops vwl_pump_core_ops;
extern const struct vwl_session_ops vwl_pump_session_ops;

/* The ring may be processed now. */
bool vwl_pump_runs(struct vwl_pump *pump, unsigned int index);
/* Takes what is in a ring, at most a budget; sets `due` when there is more. */
void vwl_pump_run_out(struct vwl_pump *pump);
void vwl_pump_run_in(struct vwl_pump *pump);
/* Makes what was pushed visible and calls the driver. */
void vwl_pump_publish(struct vwl_pump *pump, unsigned int index);
/* Gives a complete request back to the driver; frees the record. False: not
 * yet, as the place for the answer is not known. */
bool vwl_pump_answer(struct vwl_pump *pump, struct record *record);
/* Frees a record, its chain not given back. */
void vwl_pump_drop(struct vwl_pump *pump, struct record *record);
void vwl_pump_drop_all(struct vwl_pump *pump);
/* A request of a snapshot; it is answered at the next start, with an error
 * when it has no response. */
void vwl_pump_revive(struct vwl_pump *pump, struct vwl_chain *chain,
                     const void *response, size_t response_bytes);
/* Answers what was completed and could not be given back. */
void vwl_pump_answer_done(struct vwl_pump *pump);
/* The guest's memory under these addresses goes: what waits there keeps a copy
 * of its payload, or fails. */
void vwl_pump_forget_range(struct vwl_pump *pump, uint64_t iova, uint64_t size);

/* Snapshots (pump_state.c). */
/* The other end of the transfer moved. */
void vwl_pump_state_run(struct vwl_pump *pump);
int vwl_pump_state_check(struct vwl_pump *pump);
void vwl_pump_state_cancel(struct vwl_pump *pump, bool save_only);
void vwl_pump_state_drop(struct vwl_pump *pump); /* tells nobody */
/* The core is told these features of a driver: remembers that. */
void vwl_pump_note_features(struct vwl_pump *pump, uint64_t features);
/* Whether they are those that the driver has now. */
bool vwl_pump_is_noted(const struct vwl_pump *pump);

/* Dmabufs (pump_buffers.c). */
int vwl_pump_buffer_offer(void *opaque);
int vwl_pump_buffer_alloc(void *opaque, const struct vwl_buffer_wish *wish,
                          struct vwl_buffer *out);
void vwl_pump_probe_stats(const struct vwl_pump *pump, struct vwl_stats *stats);

/* Ends every dispatch: what became due is done, what was pushed is published,
 * and the watches follow the state. */
void vwl_pump_settle(struct vwl_pump *pump);

#endif
