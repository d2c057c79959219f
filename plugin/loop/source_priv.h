/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the files of the gate alone. Each calls those above it:
 *
 *     gate.c           its life, its lock, its alarm
 *     linger.c         what is done for a moment in place of sleep
 *     source.c         what is in the set, and running what is ready
 *     wait.c           waiting for the set, where no GMainContext does
 */
#ifndef VWL_LOOP_SOURCE_PRIV_H
#define VWL_LOOP_SOURCE_PRIV_H

#include <stdint.h>
#include <sys/epoll.h>

#include "loop/source.h"

/* Of one look into the set. What has no place comes first the next time. */
#define EVENTS 16

/* Entries of the set that are no source's; they sort behind those. */
#define KEY_OTHER (UINT64_MAX - 1)
#define KEY_ALARM UINT64_MAX

/* The one GSource of a device: GLib's share of a dispatch grows with the
 * number of sources, and with that of their descriptors. */
struct stand_in {
    GSource base;
    struct vwl_gate *gate; /* a reference */
};

/* What is done for a moment in place of sleep. */
struct vwl_linger {
    struct vwl_source *glancer; /* NULL: nothing is looked at but the set */
    const struct vwl_glance *glance;
    bool glancing;           /* it does without its descriptor */
    bool glanced;            /* the last time found something by it */
    unsigned int glances;    /* so often since the set was looked into */
    bool waits;              /* in vwl_gate_wait: the thread is the device's */
    bool offers;             /* others are offered the processor, this time */
    unsigned int busy_skips; /* how often they are not to be */
    unsigned int paid;       /* how often it did */
    bool counting;           /* preemptions, from the begin of a source on */
    long preempted;          /* so often until then */
};

struct vwl_gate {
    GMutex lock;
    GThread *inside; /* who holds the lock; atomic */
    bool closed;     /* under the lock, as what follows */
    gint refs;
    gint wanting;              /* threads on their way in; atomic */
    GMainContext *context;     /* NULL: there is an alarm instead */
    struct stand_in *stand_in; /* NULL: no sources, or no context */
    int set;
    int alarm;          /* -1: the context wakes us */
    GPtrArray *sources; /* struct vwl_source; NULL where one went */
    unsigned int n_sources;
    uint32_t generation; /* of the youngest entry of the set */
    bool running;        /* a dispatch; it arms at its end */
    int behind;          /* ready sources that it has found and not run yet */
    bool woken;          /* a source is */
    bool polls;          /* a source does, and is woken for its next turn */
    bool due_changed;
    int64_t due_us;          /* the first of theirs; 0: none */
    int64_t armed_us;        /* when the alarm rings; 0: never */
    struct vwl_source *last; /* that ran; NULL: it went, or it is to rest */
    struct vwl_linger linger;
};

struct vwl_source {
    struct vwl_gate *gate;
    const char *name;
    guint index; /* in gate.sources */
    struct vwl_watched *watched;
    uint32_t wanted, asked; /* events; those in the set, 0: no entry */
    uint32_t generation;    /* of its entry: older events are not for it */
    bool is_always;         /* ready, since the set takes no such file */
    bool is_left_out;       /* the set had no room; it is woken to ask again */
    bool woken;
    int64_t due_us;         /* 0: not to be woken then */
    unsigned int hits;      /* how often in a row a second look paid */
    unsigned int misses;    /* how often none is to follow, where it did not */
    unsigned int skips;     /* how often that still is */
    unsigned int preempted; /* how often in a row it paid nobody that way */
    vwl_source_fn fn;
    void *opaque;
};

static inline bool gate_is_over(const struct vwl_gate *gate)
{
    return gate->closed || gate->n_sources == 0;
}

/* ---- gate.c ---- */

int64_t vwl_gate_now_us(const struct vwl_gate *gate);
/* Whoever waits is to come back when a source is woken or due. A dispatch does
 * it at its end. */
void vwl_gate_arm(struct vwl_gate *gate);

/* ---- linger.c ---- */

/* Something more may come in a moment, mostly from a guest that polls, and
 * sleep costs more than looking for it until then. How many it finds, 0: none,
 * unless gate.linger.glanced says that a source was woken.
 * Time in which nothing comes is lost, so it is tried less often the less it
 * pays, by what ran last: a guest answers sooner than a peer on the host. */
int vwl_gate_linger(struct vwl_gate *gate, struct epoll_event *events);
/* Call it before a source runs. */
void vwl_gate_count(struct vwl_gate *gate);
/* Before anybody sleeps: what was glanced at is told of by its descriptor
 * again; what came meanwhile wakes its source. */
void vwl_gate_stop_glancing(struct vwl_gate *gate);

/* ---- source.c ---- */

/* One dispatch, in which others have no turn. */
void vwl_gate_run(struct vwl_gate *gate);
/* What was found in the set, and what is woken. */
void vwl_gate_run_found(struct vwl_gate *gate, struct epoll_event *events,
                        int n);

#endif
