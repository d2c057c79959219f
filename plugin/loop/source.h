/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sources of a device: named descriptor watches, all in one epoll set, and
 * the gate that they pass: a dispatch holds this lock, and so does a stop,
 * whatever thread iterates the context; after vwl_gate_close nothing passes any
 * more. One GSource watches the set for all of them; it keeps the gate alive,
 * so that one that lost a race finds it closed. Without a context somebody else
 * does: who calls vwl_gate_wait, or polls vwl_gate_fd before. Taken before any
 * other lock.
 */
#ifndef VWL_LOOP_SOURCE_H
#define VWL_LOOP_SOURCE_H

#include <glib.h>
#include <stdbool.h>

#include "base/watched.h"

struct vwl_gate;

/* Sources run in whatever thread iterates the context (borrowed), or calls
 * vwl_gate_wait if it is NULL. -errno: there is no descriptor for the set. */
int vwl_gate_create(GMainContext *context, struct vwl_gate **out);
struct vwl_gate *vwl_gate_ref(struct vwl_gate *gate);
void vwl_gate_unref(struct vwl_gate *gate);

/* False when the calling thread is inside already (it is in a host callback);
 * then it must not unlock. */
bool vwl_gate_lock(struct vwl_gate *gate);
void vwl_gate_unlock(struct vwl_gate *gate);
/* Call locked: from now on no source's function runs. */
void vwl_gate_close(struct vwl_gate *gate);

/* Call locked, in a dispatch. Others have much to do now, perhaps on this
 * processor: it is offered to them before more is looked for, if this thread
 * does nothing else (vwl_gate_wait); otherwise nothing more is. */
void vwl_gate_offer(struct vwl_gate *gate);

/* Call locked, in a dispatch. A source polls something else than the set, each
 * time that it runs, and is woken to go on: others that become ready meanwhile
 * run in the same dispatch. */
void vwl_gate_polls(struct vwl_gate *gate, bool on);
/* Call locked. A source is ready, or another thread wants the lock: whoever
 * stays in a dispatch is to leave it. */
bool vwl_gate_has_news(const struct vwl_gate *gate);

/* Without a context. To be polled for reading (borrowed): wait has something to
 * do. */
int vwl_gate_fd(const struct vwl_gate *gate);
/* Without a context; call it unlocked. Waits, at most timeout_ms (-1: for
 * ever), and runs sources, until `other` (-1: none) can be read: 1 then, else
 * 0. With 0 it does not wait, and what it runs is bounded. Stays to run what
 * comes; wakes up for what other threads do to sources. -ESHUTDOWN: the gate is
 * closed; -EDEADLK: this thread is inside; -errno: `other` cannot be waited
 * for. */
int vwl_gate_wait(struct vwl_gate *gate, int other, int timeout_ms);

struct vwl_source;

/* Runs with the gate locked. condition is 0 for a source that was asked to run
 * by vwl_source_wake*. The function may destroy its own source. */
typedef void (*vwl_source_fn)(void *opaque, GIOCondition condition);

/* It watches nothing yet. name: static, for debuggers. Of those that are ready
 * together, the one that was made first runs first. Call these functions with
 * the gate locked. */
struct vwl_source *vwl_source_create(struct vwl_gate *gate, const char *name,
                                     vwl_source_fn fn, void *opaque);
/* NULL is fine; resets the pointer. */
void vwl_source_destroy(struct vwl_source **source);

/* Watches that descriptor (NULL, or one that is -1: none), until it is closed,
 * for condition (0: paused, not even errors are looked at). One source for each
 * descriptor. A file that nobody can wait for is always ready, as it is for
 * poll. When the kernel has no room for it, the function runs once more in a
 * while, to ask again. Costs nothing when everything is as it was, or less is
 * wanted. */
void vwl_source_watch(struct vwl_source *source, struct vwl_watched *watched,
                      GIOCondition condition);

/* Watches for something to read, and runs once for what came since it ran last
 * though nobody reads it; -errno: such a file has no such edges. */
int vwl_source_watch_edges(struct vwl_source *source,
                           struct vwl_watched *watched);

/* What can be seen without its descriptor, as a ring's new entries are. Both
 * functions get the source's `opaque`. */
struct vwl_glance {
    bool (*look)(void *opaque); /* it is cheap; true: the source is to run */
    bool (*end)(void *opaque);  /* the descriptor tells from now on; the same */
};

/* One source of a gate has this. */
void vwl_source_set_glance(struct vwl_source *source,
                           const struct vwl_glance *glance);
/* Call it in a dispatch. True: what comes is looked for by `look` when the
 * dispatch is over, so the descriptor need not tell of it until `end`, which is
 * called before anybody sleeps. */
bool vwl_source_glances(struct vwl_source *source);

/* Has the function run once more, soon. */
void vwl_source_wake(struct vwl_source *source);
/* The same, but in a while. Asked for again before it ran, it stays when it
 * was; whatever makes the function run takes its place. */
void vwl_source_wake_in(struct vwl_source *source, unsigned int ms);

#endif
