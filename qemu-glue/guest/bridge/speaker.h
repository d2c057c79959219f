/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is spoken on a client's connections, as client.c sees it: it moves
 * bytes and descriptors, a speaker deals with them. Any function may end the
 * client (vwl_client_fail); none frees it. The first two and those about the
 * host may be NULL.
 */
#ifndef VWL_BRIDGE_SPEAKER_H
#define VWL_BRIDGE_SPEAKER_H

#include <stdbool.h>

struct vwl_client;
struct vwl_lone;

struct vwl_speaker {
    void (*begin)(struct vwl_client *client);
    /* After all else that could call it. */
    void (*end)(struct vwl_client *client);
    /* There is more in the client's queue from_client, or from_host. */
    void (*from_client)(struct vwl_client *client);
    void (*from_host)(struct vwl_client *client);
    /* The host will say no more, and all that it said was dealt with. */
    void (*host_left)(struct vwl_client *client);
    /* The host cannot use what was sent alone. The spare may be taken. */
    void (*refused)(struct vwl_client *client, struct vwl_lone *lone);
    /* After a flush: whether nothing more can happen. */
    bool (*is_over)(struct vwl_client *client);
};

extern const struct vwl_speaker vwl_relay_speaker;  /* Wayland */
extern const struct vwl_speaker vwl_socket_speaker; /* anything, unread */

#endif
