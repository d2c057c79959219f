/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device as the loop runs it, its front-end, guest and host peers, for the
 * fuzz target of vhost-user sessions. Each vhu_do_ is one operation of a
 * program: it takes what it needs of the input.
 */
#ifndef VWL_TEST_FUZZ_VHU_WORLD_H
#define VWL_TEST_FUZZ_VHU_WORLD_H

#include "loop/pump.h"

#include "vhu_front.h"

#define PEERS 4
/* All that the device may offer: 1-3, 26, 28-30, 32-34; 0 1 3 5 9 10 12-16 22
 * 31. */
#define FEATURES UINT64_C(0x77400000e)
#define PROTOCOL UINT64_C(0x8041f62b)

struct vhu_world {
    struct fuzz_input in;
    GMainContext *context;
    struct vwl_gate *gate;
    struct vwl_pump *pump;
    struct vwl_pump_config config;
    struct vwl_host host;
    struct vwl_log log;
    bool gone; /* the device gave the session up */
    struct vhu_front front;
    int peers[PEERS];
    GByteArray *state; /* a snapshot of this session, or a part of one */
};

/* The device does what there is, in so many rounds at most. */
void vhu_step_device(struct vhu_world *world, unsigned int most);

/* vhu_start.c: what front-ends do. */
void vhu_do_handshake(struct vhu_world *world);
void vhu_do_memory(struct vhu_world *world);
void vhu_do_start(struct vhu_world *world);
void vhu_do_stop(struct vhu_world *world);
void vhu_do_reset(struct vhu_world *world);
void vhu_do_iotlb(struct vhu_world *world);
void vhu_do_inflight(struct vhu_world *world);
void vhu_do_log(struct vhu_world *world);

/* vhu_guest.c: buffers for messages, requests, kicks, bytes anywhere in
 * memory, and compositors. */
void vhu_do_buffer(struct vhu_world *world);
void vhu_do_request(struct vhu_world *world);
void vhu_do_kick(struct vhu_world *world);
void vhu_do_poke(struct vhu_world *world);
void vhu_do_peer(struct vhu_world *world);

#endif
