/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A transport for a program that is guest and VMM in one: front-end double
 * and guest driver over a daemon's socket.
 */
#ifndef VWL_LOOPBACK_TRANSPORT_DAEMON_H
#define VWL_LOOPBACK_TRANSPORT_DAEMON_H

struct _GMainContext;
struct vwl_exports;
struct vwl_transport;

/* Connects, shakes hands and starts the rings. NULL with errno set. Destroying
 * it ends the connection. */
struct vwl_transport *vwl_transport_daemon(const char *path);

/* The same over a connected vhost-user socket. Takes *fd (on some failures it
 * is still the caller's: not -1). With a context, the device runs on that and
 * nobody else iterates it: this thread does, within its default context, and
 * knows without being called when the device has done something. */
struct vwl_transport *vwl_transport_connected(int *fd,
                                              struct _GMainContext *device);

/* The device's host answers for these: buffers and fences of this machine can
 * be sent. Borrowed; it outlives the transport. */
void vwl_transport_use_exports(struct vwl_transport *t,
                               struct vwl_exports *exports);

#endif
