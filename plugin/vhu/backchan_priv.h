/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the files of the back-end channel alone: backchan.c keeps the channel
 * and what waits on it, backchan_requests.c writes the requests,
 * backchan_table.c holds a row for each.
 */
#ifndef VWL_VHU_BACKCHAN_PRIV_H
#define VWL_VHU_BACKCHAN_PRIV_H

#include "vhu/backchan.h"
#include "vhu/msg.h"

/* The fifteen wire numbers of the requests (thirteen requests, two of them in
 * two dialects); NULL for others. */
const struct vwl_vhu_row *vwl_backchan_row(uint32_t request);

/* Sends a request or lets it wait; the result as backchan.h says of all of
 * them. index: the ring of a VRING_CALL. */
int vwl_backchan_submit(struct vwl_backchan *chan, uint32_t number,
                        uint32_t index, const void *payload, uint32_t size,
                        int fd, vwl_backchan_done done, void *opaque,
                        uint64_t cookie);

#endif
