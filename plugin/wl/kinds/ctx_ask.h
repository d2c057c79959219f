/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transfers that wait for the host's word: the filter of a context keeps the
 * message, and a descriptor stands for the host's answer, which is waited for
 * with a deadline. Nothing else of the connection waits.
 *
 * Ownership: the core holds all of them; each ends with its answer, its
 * deadline or its context. Device thread.
 */
#ifndef VWL_WL_KINDS_CTX_ASK_H
#define VWL_WL_KINDS_CTX_ASK_H

#include <stdint.h>

#include "base/list.h"
#include "policy/filter.h"

struct vwl_core;
struct vwl_vfd;

/* How many questions a host may have at once, whoever asks: a person is to
 * answer them. */
#define VWL_ASKS_MAX 16u

/* How long each of them is waited for. */
#define VWL_ASK_MS 30000u

struct vwl_asks {
    struct vwl_list list; /* struct ask.link */
    unsigned int n;
    int epoll; /* -1: nothing was asked yet */
};

void vwl_asks_init(struct vwl_asks *asks);
void vwl_asks_finish(struct vwl_asks *asks);

/* As ask of struct vwl_filter_ops, for that context. */
int vwl_ask_begin(struct vwl_vfd *vfd, enum vwl_transfer_kind kind,
                  enum vwl_way way, uint32_t ticket);
/* As unask: nobody waits for it any more. */
void vwl_ask_end(struct vwl_vfd *vfd, uint32_t ticket);

/* The epoll descriptor is readable. */
void vwl_asks_dispatch(struct vwl_core *core);

#endif
