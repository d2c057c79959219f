/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A device in a thread of this process, a front-end, a driver and host peers,
 * who go through everything once while calls fail under the device. Strict:
 * nothing may be noticed. Else a request may be refused, a VFD hung up, a ring
 * broken or the front-end disconnected, but every request is answered once
 * while the ring works, and what was answered for arrives, in order and once.
 */
#ifndef VWL_TEST_FAULT_WORLD_H
#define VWL_TEST_FAULT_WORLD_H

#include "driver.h"
#include "frontend.h"
#include "peer.h"

#define WORLD_PEERS 2

struct world {
    const struct vwl_plugin *plugin;
    bool host_map; /* in-process callbacks and a packed ring */
    bool strict;
    bool late;  /* what the device waits for comes after it has tried again */
    char *plan; /* in words */
    char *dir;
    struct peer peers[WORLD_PEERS];
    struct vwl_host host;
    struct vwl_device *device;
    struct vwl_fe *fe;
    struct vwl_drv *drv;
    bool started;
    bool refused;                      /* a message of the front-end was */
    gint disconnected, broken, states; /* by the device's thread */
    int state_err;
};

void world_fail(struct world *world, int line, const char *what)
    __attribute__((noreturn));
#define must(world, cond, what) \
    ((cond) ? (void)0 : world_fail((world), __LINE__, (what)))

void world_init(struct world *world);
void world_finish(struct world *world);
/* A device and its guest; false: refused (never when strict). */
bool world_start(struct world *world);
/* The front-end goes. */
void world_stop(struct world *world);
/* Whether the device still serves the guest. */
bool world_is_alive(const struct world *world);
/* Serves everybody until fd is readable; false after the patience. */
bool world_readable(struct world *world, int fd);
void world_turn(struct world *world, int timeout_ms);

/* play.c: all of it, as far as it gets. */
void world_play(struct world *world);

#endif
