/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The back-end channel's receiving end, and frames in general; between the
 * files of the front-end double alone.
 */
#ifndef VWL_LOOPBACK_BACKEND_H
#define VWL_LOOPBACK_BACKEND_H

#include "frontend.h"

#define VWL_FE_MAX_PAYLOAD 4096
#define VWL_FE_MAX_FDS 8

struct vwl_fe_frame {
    struct vhost_user_header header;
    uint8_t payload[VWL_FE_MAX_PAYLOAD];
    int fds[VWL_FE_MAX_FDS];
    unsigned int n_fds;
};

/* One whole frame from a channel whose first bytes may be there; waits for
 * the rest up to timeout_ms. -EAGAIN: nothing there. The descriptors are the
 * caller's. */
int vwl_fe_receive(int fd, struct vwl_fe_frame *frame, int timeout_ms);
void vwl_fe_frame_close(struct vwl_fe_frame *frame);

/* Serves all requests that are there. */
void vwl_fe_serve_backend(struct vwl_fe *fe);
void vwl_fe_drop_held(struct vwl_fe *fe);

#endif
