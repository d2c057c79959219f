/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transport for a program that is guest and VMM in one: front-end double
 * and guest driver over a daemon's socket.
 */
#ifndef VWL_LOOPBACK_TRANSPORT_DAEMON_H
#define VWL_LOOPBACK_TRANSPORT_DAEMON_H

#include <stdint.h>

struct vwl_exports;
struct vwl_transport;

/* A device that runs on this thread: run does what there is to do, and fd can
 * be read when there is something. */
struct vwl_inside {
    int fd;
    void (*run)(void *opaque);
    void *opaque;
};

/* Connects, shakes hands and starts the rings. NULL with errno set. Destroying
 * it ends the connection. */
struct vwl_transport *vwl_transport_daemon(const char *path);

/* The same over a connected vhost-user socket. Takes *fd (on some failures it
 * is still the caller's: not -1). With a device, it is run within this thread's
 * default context and whatever is waited for, which thereby knows without being
 * called what the device has done. It outlives the transport. */
struct vwl_transport *vwl_transport_connected(int *fd,
                                              const struct vwl_inside *device);

/* The device's host answers for these: buffers and fences of this machine can
 * be sent. Borrowed; it outlives the transport. */
void vwl_transport_use_exports(struct vwl_transport *t,
                               struct vwl_exports *exports);

/* The device's host knows the descriptors of pipes that came from its peers: as
 * device_pipe of the plugin. */
void vwl_transport_use_pipes(struct vwl_transport *t,
                             int (*pipe)(void *opaque, uint32_t vfd),
                             void *opaque);

#endif
