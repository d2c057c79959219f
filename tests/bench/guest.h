/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest of the loopback library before a device: in a daemon, or in a
 * thread of this process that maps without asking anybody. It sleeps on the
 * device's calls or polls the rings and asks for none. Around it the least
 * that the same work takes without a device.
 */
#ifndef VWL_BENCH_GUEST_H
#define VWL_BENCH_GUEST_H

#include "driver.h"
#include "frontend.h"

#define GUEST_BYTES 64
#define GUEST_CPU 0  /* of a guest that polls */
#define DEVICE_CPU 1 /* of everything else */
#define BULK_BYTES (16u << 20)

/* What stands around the guests. */
struct world {
    char *folder, *echo, *own;
    int own_listener; /* this program answers there: name "own" */
    pid_t echo_pid, relay_pid, bell_pid;
    int relay_kick, relay_call; /* of a minimal relay to the echo */
    int bell_kick, bell_call;   /* of an eventfd that answers an eventfd */
    int direct;                 /* a connection to the echo */
};

struct guest {
    const char *name;
    struct world *world;
    struct vwl_fe *fe;
    struct vwl_drv *drv;
    bool polls;
    bool maps_by_message; /* and this thread answers them */
    pid_t pid;            /* of the daemon; 0 */
    const struct vwl_plugin *plugin;
    struct vwl_device *device;
    int own; /* the host's end of context 2 */
};

void world_start(struct world *world);
void world_stop(struct world *world);

void guest_start_daemon(struct guest *guest, struct world *world);
void guest_start_here(struct guest *guest, struct world *world);
void guest_stop(struct guest *guest);
/* Also pins it, and the device. */
void guest_set_polls(struct guest *guest, bool polls);

/* Finishes a request and frees it; its response must be of that type. */
void guest_finish(struct guest *guest, struct vwl_drv_request *request,
                  uint32_t want);
void guest_command(struct guest *guest, const void *bytes, size_t len,
                   uint32_t want);
void guest_send(struct guest *guest, uint32_t id, const uint32_t *ids,
                unsigned int n_ids, const void *data, size_t len);
/* At least one byte; *n_ids as in vwl_drv_recv. */
size_t guest_recv(struct guest *guest, uint32_t id, void *data, size_t cap,
                  uint32_t *ids, unsigned int *n_ids);
void guest_new(struct guest *guest, uint32_t type, uint32_t id, uint32_t flags,
               uint32_t size);
void guest_close(struct guest *guest, uint32_t id);
/* System calls of the daemon for each of n runs of work; negative: nobody can
 * count them. */
double guest_count_calls(struct guest *guest, void (*work)(struct guest *guest),
                         unsigned int n);

/* Without a device: there and back. */
void world_relay_ping(struct world *world, bool polls);
void world_bell(struct world *world, bool polls);
void world_echo(struct world *world);

#endif
