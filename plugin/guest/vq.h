/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A virtqueue from the device's side: one face over the split and the packed
 * ring. virtio 1.2, sections 2.7 and 2.8. Each field that the driver can
 * change is loaded once into a local, checked, and then used.
 *
 * A chain is taken with vwl_vq_pop, filled, and given back with vwl_vq_push;
 * nothing is visible to the driver until vwl_vq_publish. Chains may be given
 * back in any order, and outlive a stop: a chain that was taken before a stop
 * may be pushed after the next start if that start kept it ("held").
 *
 * With an IOTLB, a descriptor or ring part whose translation is missing makes
 * vwl_vq_pop (or _start, _publish...) report -EAGAIN and leaves the ring as it
 * was; vwl_vq_miss says what to ask for.
 *
 * A broken ring (-EPROTO, -EFAULT...) is remembered: everything is refused
 * until the next start. Silent: the caller logs. Device thread.
 */
#ifndef VWL_GUEST_VQ_H
#define VWL_GUEST_VQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "guest/dirty.h"
#include "guest/iotlb.h"
#include "guest/mem.h"

#define VWL_VQ_MAX_SIZE 32768u
/* The most pieces that one chain may have, by descriptors and, behind an IOMMU,
 * by translations; a chain above it breaks the ring. 64 MiB in pages. */
#define VWL_CHAIN_MAX_STEPS 16384u
#define VWL_VQ_PACKED_FRESH_BASE 0x80008000u

struct vwl_vq;

struct vwl_vq_setup {
    bool packed;
    bool event_idx;
    bool indirect;
    uint32_t size; /* entries; a power of two for the split ring */
    /* Front-end addresses, or I/O virtual ones when iotlb is not NULL; names
     * as in virtio 1.2: driver = available ring, device = used ring. */
    uint64_t desc, driver, device;
    bool log_used;       /* SET_VRING_ADDR flag bit 0 */
    uint64_t log_gpa;    /* guest address of the used ring, for the log */
    uint32_t base;       /* as SET_VRING_BASE. Packed: bits 0 to 14 where taking
                            goes on and bit 15 its wrap counter, 16 to 30 and
                            31 the same of the used ones */
    struct vwl_mem *mem; /* a reference is taken */
    struct vwl_iotlb *iotlb; /* borrowed; NULL without ACCESS_PLATFORM */
    struct vwl_dirty *dirty; /* borrowed; may be NULL */
    /* Borrowed queue region; may be NULL. One that comes from an earlier
     * process decides where the ring goes on, whatever base says, and its
     * unfinished chains are popped first, in their order, as resubmitted.
     * After such a start process the ring once without a kick, and call the
     * driver once without asking. */
    void *inflight;
};

/* One taken request or buffer. Fields are read-only for the caller but
 * `user`. Spans point into guest memory: their bytes may change any time. */
struct vwl_chain {
    struct iovec *out; /* device-readable pieces, in order */
    unsigned int n_out;
    size_t out_bytes;
    struct vwl_span *in; /* device-writable pieces, in order */
    unsigned int n_in;
    size_t in_bytes;
    unsigned int steps; /* what finding its pieces took, at most
                           VWL_CHAIN_MAX_STEPS */
    bool resubmitted;   /* was in flight when an earlier device died: answer it
                         with an error, do not do it again */
    void *user;         /* the caller's */
    /* private to guest/ */
    struct vwl_mem *mem;
    uint16_t id;       /* head descriptor, or the packed buffer id */
    uint16_t slots;    /* ring slots that it took (packed) */
    uint16_t entries;  /* of the ring's descriptors: all that it keeps in use */
    uint16_t track;    /* its entry in the in-flight region */
    uint32_t position; /* ring position it was taken from, for unpop */
    uint64_t in_flight_no;
};

struct vwl_vq *vwl_vq_create(void);
void vwl_vq_destroy(struct vwl_vq *vq); /* NULL is fine */

/* Starts a stopped ring. held: chains that the caller still holds from before
 * the last stop, which the in-flight region must not make come back (may be
 * NULL, 0). -EINVAL: size 0, above VWL_VQ_MAX_SIZE, not a power of two
 * (split), wrong alignment, base out of range, an in-flight region that does
 * not fit, a held chain that cannot be of this ring, or started already;
 * -EFAULT: a part is not in guest memory; -EAGAIN: an IOTLB miss, try again
 * after the update. On failure the ring stays stopped. */
int vwl_vq_start(struct vwl_vq *vq, const struct vwl_vq_setup *setup,
                 struct vwl_chain *const *held, unsigned int n_held);

/* Publishes what was pushed and stops; the base for GET_VRING_BASE. Whether
 * the driver wants a call is lost: publish first. */
uint32_t vwl_vq_stop(struct vwl_vq *vq);

bool vwl_vq_is_started(const struct vwl_vq *vq);
bool vwl_vq_is_broken(const struct vwl_vq *vq);
/* After an error of start, or of a ring that is broken: what is wrong, in
 * words. Valid until the next call. */
const char *vwl_vq_why(const struct vwl_vq *vq);
/* Declares the ring broken, for a fault that the caller found. */
void vwl_vq_break(struct vwl_vq *vq);

/* A new memory table, or an IOTLB change, on a running ring: its own parts are
 * looked up anew. Errors as of start; -EAGAIN leaves the ring started but
 * every call says -EAGAIN until a later refresh succeeds; -EFAULT breaks it.
 * mem may be NULL: the table it has. */
int vwl_vq_refresh(struct vwl_vq *vq, struct vwl_mem *mem);
/* SET_VRING_ADDR on a running ring may switch logging. */
void vwl_vq_set_log(struct vwl_vq *vq, bool log_used, uint64_t log_gpa);

/* 1: *out is a chain; 0: nothing is there; -EAGAIN: see vwl_vq_miss; other
 * -errno: the ring is broken. -ENOMEM: a chain of many pieces and no memory
 * for them; the ring is not broken, and the chain was given back with length 0
 * already: publish it. *out is set for 1 alone. */
int vwl_vq_pop(struct vwl_vq *vq, struct vwl_chain **out);

/* Puts the chain that was popped last back, unread; it is freed. Several go
 * back the last one first: all that was popped since must be back, too (else
 * the ring breaks). */
void vwl_vq_unpop(struct vwl_vq *vq, struct vwl_chain **chain);

/* Gives a chain back with `written` bytes in its device-writable pieces
 * (marked dirty), and frees it. On a stopped or broken ring it is only
 * freed. */
void vwl_vq_push(struct vwl_vq *vq, struct vwl_chain **chain, uint32_t written);

/* Where a running or stopped ring stands: what vwl_vq_stop would answer. */
uint32_t vwl_vq_base(const struct vwl_vq *vq);

/* A taken chain as far as it is needed to answer it in another process: its
 * place, and where the first bytes of an answer go. */
#define VWL_CHAIN_SAVED_PIECES 4
struct vwl_chain_saved {
    uint16_t id, slots, track;
    bool tracked;
    uint64_t number;
    unsigned int n;
    struct {
        uint64_t gpa;
        uint32_t len;
    } piece[VWL_CHAIN_SAVED_PIECES];
};

void vwl_chain_save(const struct vwl_chain *chain,
                    struct vwl_chain_saved *saved);
/* The chain, resubmitted and without readable pieces. Its writable ones are
 * there after a start of the ring that lists it as held, and if they are
 * guest memory then. */
struct vwl_chain *vwl_chain_revive(struct vwl_vq *vq,
                                   const struct vwl_chain_saved *saved);

/* Frees a chain without giving it back: its guest is gone. Valid after the
 * ring's end; NULL is fine. */
void vwl_chain_discard(struct vwl_chain **chain);

/* Makes what was pushed visible. 1: the driver wants a call, 0: it does not,
 * -EAGAIN: an IOTLB miss on the used ring (pushed chains stay pending); other
 * -errno: the ring is broken, and what was pushed is lost. */
int vwl_vq_publish(struct vwl_vq *vq);

/* Asks for a kick (true) or for none; a start asks for one. Enabling returns
 * true when chains came meanwhile, so that the caller looks again instead of
 * sleeping. With the event index a kick comes for the next chain only: ask
 * again each time before sleeping. */
bool vwl_vq_want_kick(struct vwl_vq *vq, bool on);

/* Chains that wait in the ring, as far as the driver said. */
unsigned int vwl_vq_waiting(struct vwl_vq *vq);

/* Visits each buffer that the driver offered since the last visit (or start),
 * without taking it: gpa_or_iova is the address in its first descriptor, as
 * written there. For in-queue accounting; a hint, since the driver may still
 * change it. Once the first visit was made, a chain that is popped before it
 * was seen is shown by the next visit all the same; resubmitted ones are not
 * shown. Returns how many were visited. */
unsigned int vwl_vq_scan(struct vwl_vq *vq,
                         void (*visit)(void *opaque, uint64_t gpa_or_iova),
                         void *opaque);

/* The address that vwl_vq_scan showed for this chain. */
uint64_t vwl_chain_token(const struct vwl_chain *chain);

/* After -EAGAIN: what to ask the front-end for. */
void vwl_vq_miss(const struct vwl_vq *vq, uint64_t *iova, unsigned int *access);

/* Whether a taken chain was translated through this range. An IOMMU's driver
 * may well invalidate what is in use (everything at once, to save single
 * ones): the chain then lives on, and is looked up anew. */
bool vwl_chain_uses(const struct vwl_chain *chain, uint64_t iova,
                    uint64_t size);

/* Takes all pieces from the chain: their translation ends. */
void vwl_chain_forget(struct vwl_chain *chain);

/* Finds the writable pieces of a forgotten chain again; the readable ones do
 * not come back. 0 (at once, when it was not forgotten); -EAGAIN: see
 * vwl_vq_miss; -ENOMEM: it has no pieces, push it with length 0; other
 * -errno: they are not there any more, or the ring is broken. */
int vwl_chain_find(struct vwl_vq *vq, struct vwl_chain *chain);

/* What its lists of pieces take of the heap: 0 for few. */
size_t vwl_chain_heap_bytes(const struct vwl_chain *chain);

/* Copies up to cap bytes from the start of the readable pieces; how many. */
size_t vwl_chain_read_head(const struct vwl_chain *chain, void *buffer,
                           size_t cap);

/* Copies len bytes to offset of the writable pieces; how many fitted. */
size_t vwl_chain_write(struct vwl_chain *chain, size_t offset, const void *data,
                       size_t len);

#endif
