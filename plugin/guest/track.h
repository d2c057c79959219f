/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * In-flight tracking of one ring, in the shared region that inflight.h hands
 * out; for guest/ alone. A kill may come between any two stores, so the order
 * of the stores here is the point: each is a release store, and what an earlier
 * process left half done is finished or undone by begin().
 */
#ifndef VWL_GUEST_TRACK_H
#define VWL_GUEST_TRACK_H

#include "guest/vq_priv.h"

/* A fresh region is made ready. One with chains in flight sets next_avail (and
 * the used index of a packed ring), and those that are not held go into
 * vq->again in the order they were taken. -EINVAL: it does not fit the ring. */
int vwl_track_split_begin(struct vwl_vq *vq, struct vwl_chain *const *held,
                          unsigned int n_held);
/* -EPROTO: that head is in flight already. */
int vwl_track_split_take(struct vwl_vq *vq, struct vwl_chain_box *box);
void vwl_track_split_untake(struct vwl_vq *vq, struct vwl_chain_box *box);
/* Around the store of the used index: what is pending, as one batch. */
void vwl_track_split_link(struct vwl_vq *vq);
void vwl_track_split_done(struct vwl_vq *vq, uint16_t used_index);

int vwl_track_packed_begin(struct vwl_vq *vq, struct vwl_chain *const *held,
                           unsigned int n_held);
/* Copies one slot of the chain that is walked to a free entry; take() makes
 * these entries the chain's. -EPROTO: no entry is free. */
int vwl_track_packed_stage(struct vwl_vq *vq, struct vwl_track_stage *stage,
                           const struct vwl_desc *desc);
void vwl_track_packed_take(struct vwl_vq *vq, struct vwl_chain_box *box);
void vwl_track_packed_untake(struct vwl_vq *vq, struct vwl_chain_box *box);
/* Around the store of one used slot's flags; vq->next_used has moved on. */
void vwl_track_packed_link(struct vwl_vq *vq, const struct vwl_used *used);
void vwl_track_packed_done(struct vwl_vq *vq, const struct vwl_used *used);
/* Slots of a chain in flight, 0 when the region is wrong. */
unsigned int vwl_track_packed_slots(struct vwl_vq *vq, uint16_t head);
/* The copy at *at, which moves on; -EPROTO. */
int vwl_track_packed_copy(struct vwl_vq *vq, uint16_t *at,
                          struct vwl_desc *desc);

#endif
