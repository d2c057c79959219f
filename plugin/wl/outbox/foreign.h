/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers and fences of the guest's virtual GPU, which a SEND names by number
 * and for which the host has descriptors. The host gives one at once, or a
 * socket on which it comes; then the SEND waits in its VFD's queue, and those
 * of other VFDs go on. Who does not answer in time has refused.
 */
#ifndef VWL_WL_OUTBOX_FOREIGN_H
#define VWL_WL_OUTBOX_FOREIGN_H

#include <stdbool.h>
#include <stdint.h>

struct vwl_core;
struct vwl_foreign;
struct vwl_parcel;
struct vwl_request;
struct vwl_vfd;

/* Of one core. */
struct vwl_foreigns {
    int epoll;       /* answers that are due; -1: nobody was asked yet */
    int signaled_fd; /* a fence that is signalled, asked for once; -1 */
    /* Whose SEND has all its descriptors, or will not get them. */
    void (*settled)(struct vwl_vfd *vfd);
};

void vwl_foreigns_init(struct vwl_foreigns *foreigns,
                       void (*settled)(struct vwl_vfd *vfd));
void vwl_foreigns_reset(struct vwl_foreigns *foreigns);
void vwl_foreigns_finish(struct vwl_foreigns *foreigns);
/* Its epoll descriptor is readable. */
void vwl_foreigns_dispatch(struct vwl_core *core);

/* kind: VIRTIO_WL_FOREIGN_*, but LOCAL. 0: *fd is what was asked for;
 * -EINPROGRESS: *fd is where it comes; other -errno:
 * refused, as the guest is told. */
int vwl_foreign_get(struct vwl_core *core, uint32_t kind, uint64_t value,
                    int *fd);

/* The parcel's descriptors first + i, for each bit i of asked, are sockets
 * where the real ones come; they are taken from there. -errno: the parcel is
 * of no use any more. */
int vwl_foreign_begin(struct vwl_vfd *vfd, struct vwl_parcel *parcel,
                      unsigned int first, uint32_t asked);
/* Descriptors of its request (which waits) are not there yet. */
bool vwl_foreign_is_due(const struct vwl_request *request);
/* 0: all are there; else why not, as the guest is told. */
int vwl_foreign_end(struct vwl_parcel *parcel);
void vwl_foreign_destroy(struct vwl_foreign *foreign); /* NULL is fine */

#endif
