/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptors on their way to a peer, as duplicates of ours: the guest may
 * close what it has sent.
 */
#ifndef VWL_WL_OUTBOX_PARCEL_H
#define VWL_WL_OUTBOX_PARCEL_H

#include <stdint.h>

struct vwl_closer;
struct vwl_foreign;

struct vwl_parcel {
    struct vwl_parcel *next; /* in an outbox */
    uint64_t at; /* stream position of the byte that they ride with */
    struct vwl_foreign *foreign; /* some are still asked for; or NULL */
    struct vwl_closer *closer;   /* whoever received them may hold no more */
    unsigned int n;
    int fds[];
};

/* Duplicates them. -errno when there is no room for them. */
int vwl_parcel_create(struct vwl_closer *closer, const int *fds, unsigned int n,
                      struct vwl_parcel **out);
/* Takes them as they are. -ENOMEM: they are still the caller's. */
int vwl_parcel_adopt(struct vwl_closer *closer, const int *fds, unsigned int n,
                     struct vwl_parcel **out);
void vwl_parcel_destroy(struct vwl_parcel *parcel); /* NULL is fine */

#endif
