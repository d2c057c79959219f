/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest is answered. Inside, success and failure are 0 and -errno;
 * this is the one place that turns them into responses.
 */
#ifndef VWL_WL_ANSWER_H
#define VWL_WL_ANSWER_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhost-user-wl/virtio_wl.h"

struct vwl_core;
struct vwl_request;
struct vwl_vfd;

/* What a guest alone gets wrong, and the protocol has responses for. No system
 * call that is used here fails with these, so they cannot be mixed up. */
#define VWL_EBADID EBADSLT       /* no such VFD, or not an id to take */
#define VWL_EBADTYPE EMEDIUMTYPE /* a VFD of a kind that cannot do that */
#define VWL_EBADFLAGS EBADR
#define VWL_EBADCMD EBADRQC

/* -errno that means "not now, and not the guest's fault". */
bool vwl_answer_is_shortage(int err);

/* Fills in a response of four bytes: OK, or what -errno is to the guest. */
void vwl_answer(struct vwl_core *core, struct vwl_request *request, int err);
/* The response of a VFD that was made. */
void vwl_answer_new(struct vwl_core *core, struct vwl_request *request,
                    const struct vwl_vfd *vfd);

/* The VFD_NEW by which the guest is told of one that it did not make. */
void vwl_answer_announce(const struct vwl_vfd *vfd,
                         struct virtio_wl_ctrl_vfd_new *out);

/* A place in region 0 as the guest is told it in this mode. -EAGAIN: its
 * address is not known. */
int vwl_answer_pfn(struct vwl_core *core, uint64_t shm_offset, uint64_t *pfn);

#endif
