/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is on its way from one client to the host: bytes with VFDs, messages
 * that must be sent alone because the host may refuse their descriptors, and
 * VFDs that are to be closed once all before them was sent. One send at a time
 * is under way.
 *
 * VFDs that are attached stay their owners', but the handles of a message that
 * goes alone: those are the uplink's.
 */
#ifndef VWL_BRIDGE_UPLINK_H
#define VWL_BRIDGE_UPLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "../transport.h"
#include "queue.h"

/* Bytes that go in a message of their own: whether the host can use its
 * descriptors, only the answer tells. */
struct vwl_lone {
    size_t begin, end; /* of the uplink's bytes */
    uint32_t object;   /* host id of whose requests they are */
    bool fatal;        /* a refusal ends the client */
    unsigned int n;
    int handles[4]; /* of vwl_transport_import */
    int spare;      /* a descriptor for whoever hears of a refusal; or -1 */
};

struct vwl_uplink {
    struct vwl_transport *transport;
    struct vwl_queue queue; /* with VFDs */
    GArray *closing;        /* struct vwl_attached: VFDs to close once all up to
                               there was sent */
    GArray *lone;           /* of struct vwl_lone, in order */
    struct vwl_lone asking; /* is being sent; end 0: none */
};

void vwl_uplink_init(struct vwl_uplink *uplink,
                     struct vwl_transport *transport);
void vwl_uplink_finish(struct vwl_uplink *uplink);

/* How many bytes wait. */
size_t vwl_uplink_len(const struct vwl_uplink *uplink);

/* Bytes, with a VFD or -1. */
void vwl_uplink_put(struct vwl_uplink *uplink, const void *bytes, size_t len,
                    int vfd);
/* A Wayland message of up to 14 arguments that are one word each. */
void vwl_uplink_request(struct vwl_uplink *uplink, uint32_t object,
                        unsigned int opcode, const uint32_t *args,
                        unsigned int n_args, int vfd);
/* What was queued since lone->begin (a length of the uplink) is to go alone,
 * on behalf of an object; the handles and the spare are taken. */
void vwl_uplink_alone(struct vwl_uplink *uplink, uint32_t object,
                      const struct vwl_lone *lone);
/* Closes a VFD after all that waits was sent. */
void vwl_uplink_close(struct vwl_uplink *uplink, int vfd);
/* After that and so many bytes more, which are to be put next. A negative VFD
 * is none. */
void vwl_uplink_close_after(struct vwl_uplink *uplink, int vfd, size_t more);

/* Sends to the context what may go in one message; done follows if it returns
 * 0. -EBUSY: later. */
int vwl_uplink_send(struct vwl_uplink *uplink, int ctx,
                    vwl_transport_done_fn done, void *opaque);
/* After done: whether a message that went alone was refused. It is in asking
 * until vwl_uplink_forget. */
bool vwl_uplink_is_refused(const struct vwl_uplink *uplink, int result);
void vwl_uplink_forget(struct vwl_uplink *uplink);

#endif
