/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who holds how many of the guest's buffers. A driver keeps the buffer of a
 * VFD_RECV until its program has read it, so one program that does not read
 * could take them all: a VFD may hold as many as are free now, and at least
 * one; above that its peer is not read until some come back.
 */
#ifndef VWL_WL_INBOX_SHARE_H
#define VWL_WL_INBOX_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

struct vwl_lend;
struct vwl_vfd;

struct vwl_share {
    unsigned int n_free;
    unsigned int ring_size; /* 0: not told, no accounting */
    struct vwl_lend *lends; /* ring_size of them */
    struct vwl_lend **buckets;
    unsigned int n_buckets; /* a power of two */
    struct vwl_list lent;   /* of vwl_lend.link, oldest first */
    struct vwl_list unlent; /* of vwl_lend.link */
    unsigned int n_lent;
    struct vwl_list paused; /* of vwl_vfd.paused: over their share */
};

void vwl_share_init(struct vwl_share *share);
void vwl_share_reset(struct vwl_share *share);

/* A buffer was used; vfd: who keeps it, or NULL. */
void vwl_share_use(struct vwl_share *share, struct vwl_vfd *vfd,
                   uint64_t token);
bool vwl_share_is_used_up(const struct vwl_share *share,
                          const struct vwl_vfd *vfd);
/* The guest gave that buffer back. False: nobody had it. */
bool vwl_share_return(struct vwl_share *share, uint64_t token);
/* How many are free now, of a ring of that size. */
void vwl_share_set_free(struct vwl_share *share, unsigned int n_free,
                        unsigned int ring_size);
/* Moves the paused VFDs that may be read again to another list. */
void vwl_share_take_entitled(struct vwl_share *share,
                             struct vwl_list *entitled);
/* The VFD goes. */
void vwl_share_forget(struct vwl_vfd *vfd);

#endif
