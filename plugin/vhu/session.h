/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One front-end's session: features, memory, rings, logs, the back-end
 * channel. It parses, checks and answers every request by itself, never waits,
 * and tells its owner by ops when a ring may run or must stop and when the
 * guest was reset. It does not process rings: that is the pump's part, which
 * takes the virtqueues from here. vhost-user specification. Device thread.
 *
 * Life of a ring: configured by NUM, ADDR, BASE; "started" from the first kick
 * (or a kick descriptor, since what is in the ring already may be processed)
 * to GET_VRING_BASE; "running" while started and enabled. The virtqueue itself
 * (vwl_vq) is started with the ring and stopped by GET_VRING_BASE.
 */
#ifndef VWL_VHU_SESSION_H
#define VWL_VHU_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/watched.h"
#include "guest/vq.h"
#include "vhu/backchan.h"

struct vwl_session;

enum vwl_reset_reason {
    VWL_RESET_STATUS,  /* SET_STATUS 0 */
    VWL_RESET_DEVICE,  /* RESET_DEVICE */
    VWL_RESET_OWNER,   /* a second handshake */
    VWL_RESET_BASE,    /* rings restarted from a fresh base */
    VWL_RESET_CHANNEL, /* the back-end channel closed while stopped */
};

struct vwl_session_config {
    uint64_t features;          /* device features to offer (with transport
                                   bits; bit 30 is added) */
    uint64_t features_need_shm; /* of these, offered to a front-end that has
                                   set protocol features with one of the
                                   shared-memory dialects, or that is the owner
                                   and has not set any yet */
    uint64_t protocol_features; /* to offer */
    uint64_t shm_size;          /* length of region 0, bytes */
    bool keep_files;            /* of guest memory */
};

/* Called by the session while it serves a request. They must not call
 * vwl_session_destroy. */
struct vwl_session_ops {
    /* The guest is gone or starts anew: drop all of its state, without
     * completing anything. Rings are stopped (or about to start fresh, for
     * VWL_RESET_BASE). */
    void (*reset)(void *opaque, enum vwl_reset_reason reason);
    /* A ring began to run (same descriptor or not): look at
     * vwl_session_ring_runs, vwl_session_kick. Called after the reset call,
     * if any. keep: a start that goes on where the last stop stood, so that
     * chains held since then are still to be given back; false: chains held
     * from before the stop are dropped (before this call returns). */
    void (*ring_started)(void *opaque, unsigned int index, bool keep);
    /* Its kick descriptor is another one, a kick came as a message (in-band),
     * or one may have been missed: process the ring, poll what it has now. */
    void (*ring_changed)(void *opaque, unsigned int index);
    /* The ring stops (GET_VRING_BASE, disable, reset): complete what needs no
     * waiting, push it, hold the rest. After the call it is not touched until
     * it runs again. */
    void (*ring_stopping)(void *opaque, unsigned int index);
    /* Chains that the owner holds from a ring, for vwl_vq_start. */
    unsigned int (*ring_held)(void *opaque, unsigned int index,
                              struct vwl_chain *const **held);
    /* An IOTLB range becomes invalid: end whatever uses it now (with errors),
     * so that none of it is touched after the call. */
    void (*iotlb_invalidate)(void *opaque, uint64_t iova, uint64_t size);
    /* IOTLB or memory changed: rings that waited for it may go on. */
    void (*memory_changed)(void *opaque);
    /* Is this one of the files that we had the front-end map into region 0?
     * If so *shm_offset is where. Such table entries are not guest memory. */
    bool (*own_file)(void *opaque, uint64_t st_dev, uint64_t st_ino,
                     uint64_t *shm_offset);
    /* Region 0 was seen at this guest address in a memory table. */
    void (*shm_base)(void *opaque, uint64_t gpa);
    /* Feature bits were set (before rings start). */
    void (*features)(void *opaque, uint64_t acked);
    /* SET_DEVICE_STATE_FD: a transfer begins that way, and takes *fd; one
     * before it ends. -errno: refused. May be NULL: there is none. */
    int (*state_start)(void *opaque, bool save, int *fd);
    /* CHECK_DEVICE_STATE: how the last transfer ended; -EINPROGRESS:
     * vwl_session_state_done follows. NULL with the other. */
    int (*state_check)(void *opaque);
};

/* Takes *fd, the connected socket. */
struct vwl_session *vwl_session_create(const struct vwl_session_config *config,
                                       const struct vwl_session_ops *ops,
                                       void *opaque, struct vwl_log *log,
                                       int *fd);
/* No op is called by it or after it; everything is closed and unmapped. */
void vwl_session_destroy(struct vwl_session *session);

/* To be watched. */
struct vwl_watched *vwl_session_socket(struct vwl_session *session);
bool vwl_session_wants_write(const struct vwl_session *session);
/* False while an answer waits: no request is read then, so that a front-end
 * that does not read its answers stops itself. Do not poll for reading. */
bool vwl_session_wants_read(const struct vwl_session *session);
/* The kernel is out of memory: stop polling and call dispatch again after a
 * delay. */
bool vwl_session_is_starved(const struct vwl_session *session);

/* Reads, serves and answers what is there, at most a bounded number of
 * messages. 0; -ECONNRESET: the front-end is gone; -EPROTO: its stream is
 * malformed (logged). After an error only destroy is useful. */
int vwl_session_dispatch(struct vwl_session *session);

/* The same for the back-end channel; never an error for the session. */
void vwl_session_dispatch_backchan(struct vwl_session *session);

struct vwl_backchan *vwl_session_backchan(struct vwl_session *session);
/* Guest memory as it is now, borrowed until the next dispatch. */
const struct vwl_mem *vwl_session_mem(const struct vwl_session *session);

/* The ring's virtqueue; valid for the session's life. */
struct vwl_vq *vwl_session_vq(struct vwl_session *session, unsigned int index);
bool vwl_session_ring_runs(const struct vwl_session *session,
                           unsigned int index);
/* To be watched: an eventfd, or none (in-band or polling). It is never read, so
 * it stays readable: look at edges alone. */
struct vwl_watched *vwl_session_kick(struct vwl_session *session,
                                     unsigned int index);
/* Size of the ring, entries. */
unsigned int vwl_session_ring_size(const struct vwl_session *session,
                                   unsigned int index);
/* Calls the driver: eventfd, or VRING_CALL in-band. Never blocks. */
void vwl_session_call(struct vwl_session *session, unsigned int index);

/* The ring is broken: log once, signal its error descriptor (or VRING_ERR
 * in-band), set NEEDS_RESET in the status and tell so (CONFIG_CHANGE, when
 * negotiated). Until it is stopped or reset the ring does nothing;
 * ring_stopping is not called for it. why: static. */
void vwl_session_ring_broken(struct vwl_session *session, unsigned int index,
                             const char *why);

/* After -EAGAIN of the ring's virtqueue: sends an IOTLB miss, unless the same
 * one is asked for already. */
void vwl_session_ring_miss(struct vwl_session *session, unsigned int index);

/* Signals the dirty log's eventfd if pages were marked. Every call and stop
 * does so too; for what is published without a call. */
void vwl_session_flush_log(struct vwl_session *session);

/* Whether device state may be moved: suspended, or no ring is started. */
bool vwl_session_is_still(const struct vwl_session *session);
/* The transfer ended; answers a CHECK_DEVICE_STATE that waits. */
void vwl_session_state_done(struct vwl_session *session, int err);
/* Where a still ring stands; false: it never ran. */
bool vwl_session_ring_base(const struct vwl_session *session,
                           unsigned int index, uint32_t *base);
/* As if this ring had stopped there (used) or never run, and no in-flight
 * request had been given back: for a snapshot. */
void vwl_session_ring_restore(struct vwl_session *session, unsigned int index,
                              bool used, uint32_t base);

/* Suspends the device: rings do not run, nothing goes to the back-end
 * channel; requests are still answered. */
void vwl_session_suspend(struct vwl_session *session, bool on);

#endif
