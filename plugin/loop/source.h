/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sources of a device: named descriptor watches on an explicit context,
 * all behind one GSource, and the gate that they pass: a dispatch holds this
 * lock, and so does a stop, whatever thread iterates the context; after
 * vwl_gate_close nothing passes any more. The GSource keeps the gate alive, so
 * that one that lost a race finds it closed. Taken before any other lock.
 */
#ifndef VWL_LOOP_SOURCE_H
#define VWL_LOOP_SOURCE_H

#include <glib.h>
#include <stdbool.h>

struct vwl_gate;

struct vwl_gate *vwl_gate_create(void);
struct vwl_gate *vwl_gate_ref(struct vwl_gate *gate);
void vwl_gate_unref(struct vwl_gate *gate);

/* False when the calling thread is inside already (it is in a host callback);
 * then it must not unlock. */
bool vwl_gate_lock(struct vwl_gate *gate);
void vwl_gate_unlock(struct vwl_gate *gate);
/* Call locked: from now on no source's function runs. */
void vwl_gate_close(struct vwl_gate *gate);

struct vwl_source;

/* Runs in the context's thread with the gate locked. condition is 0 for a
 * source that was asked to run by vwl_source_wake*. The function may destroy
 * its own source. */
typedef void (*vwl_source_fn)(void *opaque, GIOCondition condition);

/* Watches fd (borrowed; -1: none yet) for condition (0: paused, not even
 * errors are looked at). name: static, for debuggers. All sources of a gate
 * are on the same context, and run in the order in which they were made. Call
 * these functions with the gate locked. */
struct vwl_source *vwl_source_create(GMainContext *context,
                                     struct vwl_gate *gate, const char *name,
                                     int fd, GIOCondition condition,
                                     vwl_source_fn fn, void *opaque);
/* NULL is fine; resets the pointer. */
void vwl_source_destroy(struct vwl_source **source);

/* Another condition, or another descriptor; nothing happens when both are as
 * they are. */
void vwl_source_watch(struct vwl_source *source, int fd,
                      GIOCondition condition);

/* Has the function run once more, soon. */
void vwl_source_wake(struct vwl_source *source);
/* The same, but in a while. Asked for again before it ran, it stays when it
 * was; whatever makes the function run takes its place. */
void vwl_source_wake_in(struct vwl_source *source, unsigned int ms);

#endif
