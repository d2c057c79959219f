/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a VFD sends to its peer. What the peer takes at once is never copied;
 * a small rest is copied here and answered for; a big one waits where it is,
 * in the guest's memory, as a request in flight. Descriptors ride with the
 * first byte of their message, and wait as duplicates of ours.
 *
 * It sends and keeps, and says what came of it; vfd.c does what follows.
 */
#ifndef VWL_WL_OUTBOX_OUTBOX_H
#define VWL_WL_OUTBOX_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#define VWL_OUTBOX_BYTES (64 * 1024u) /* of one VFD */
#define VWL_OUTBOX_FDS 56u            /* of one VFD, the held ones included */

struct vwl_core;
struct vwl_parcel;
struct vwl_request;
struct vwl_vfd;

struct vwl_outbox {
    char *data; /* NULL when empty */
    size_t start;
    size_t len;
    size_t cap;
    uint64_t at;                     /* stream position of the first byte */
    struct vwl_parcel *first, *last; /* descriptors on their way */
    struct vwl_parcel *held; /* those sent without data; ride with the next */
    unsigned int n_fds;
};

/* Sends what follows the first skip bytes of the request, with fds
 * (borrowed); those with a bit in asked are still to come, see wl/foreign.h.
 * 0: sent (request->progress is then total_bytes), copied, or held.
 * -EINPROGRESS: it must wait, on request->waits_on. -EPIPE: the peer is gone.
 * Other -errno: refused, and nothing of it was sent. */
int vwl_outbox_send(struct vwl_vfd *vfd, struct vwl_request *request,
                    size_t skip, const int *fds, unsigned int n_fds,
                    uint32_t asked);

/* Sends what is in here. 0: that was all; -EAGAIN: the peer takes no more;
 * -EPIPE: the peer is gone; other -errno: the host is short of something. */
int vwl_outbox_flush(struct vwl_vfd *vfd);
/* The same, and what waits. -EAGAIN: or answers for descriptors are due. */
int vwl_outbox_feed(struct vwl_vfd *vfd);

/* Sends bytes of the device's own, behind all that is in here; takes fds, 28 at
 * most. What the peer does not take at once waits in here, whatever the
 * bounds: the caller keeps to them. 0, or -EPIPE. */
int vwl_outbox_put(struct vwl_vfd *vfd, const void *data, size_t len, int *fds,
                   unsigned int n_fds);

/* Sends bytes of a snapshot; what the peer does not take waits in here.
 * -errno: the peer is broken, or there is no memory. */
int vwl_outbox_restore(struct vwl_vfd *vfd, const void *data, size_t len);

/* Empties it. */
void vwl_outbox_clear(struct vwl_vfd *vfd);

#endif
