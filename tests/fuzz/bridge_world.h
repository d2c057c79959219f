/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is behind the bridge, for its fuzz target: a transport double and, at
 * the far end of each of its contexts, a compositor that believes nothing. It
 * keeps the objects of its connection by wayland-scanner's tables, with a
 * walker of its own, and every message of the bridge must make sense to it,
 * whatever the client said. A host that was made to talk nonsense itself
 * (hostile) is held to nothing more.
 */
#ifndef VWL_FUZZ_BRIDGE_WORLD_H
#define VWL_FUZZ_BRIDGE_WORLD_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <wayland-util.h>

#include "fuzz.h"

struct vwl_transport;

enum {
    REFUSE_CTX = 1,
    REFUSE_MEMORY = 2,
    REFUSE_PIPE = 4,
    BUSY = 8,
    REFUSE_IMPORT = 16,
    REFUSE_FOREIGN = 32,
    NO_GPU = 64,
    TAKE_PAGES = 128,
};

struct fuzz_vfd {
    enum { VFD_CTX, VFD_MEMORY, VFD_PIPE, VFD_FOREIGN } kind;
    bool closed, mapped, hup;
    bool inwards; /* a pipe that the guest reads */
    void *ptr;
    size_t size;
    GQueue in; /* of struct record */
    struct fuzz_host *host;
};

struct fuzz_object {
    const struct wl_interface *iface;
    uint32_t id;
    int64_t size; /* of a wl_shm_pool */
    bool own;     /* the bridge made it for itself */
    bool dead;    /* destroyed by the client */
};

struct fuzz_host {
    struct fuzz_world *world;
    unsigned int vfd;
    GByteArray *bytes;
    GArray *vfds;       /* of int: came with the bytes */
    GPtrArray *objects; /* by id; of struct fuzz_object */
    GPtrArray *server;  /* those that the host made */
    bool hostile;
    uint64_t n_messages;
};

struct fuzz_world {
    struct vwl_transport *transport;
    GPtrArray *vfds; /* of struct fuzz_vfd; handles begin with 1 */
    GArray *sends;
    unsigned int refuse;
    unsigned int settled; /* how often that was asked for */
    bool share_pools;     /* what the bridge was told */
    int event;
    bool news, async;
    int result; /* of sends */
};

void fuzz_world_init(struct fuzz_world *world);
/* Everything must have been closed and unmapped. */
void fuzz_world_finish(struct fuzz_world *world);

/* A VFD that is used must be one. */
struct fuzz_vfd *fuzz_world_find(struct fuzz_world *world, int vfd);

/* The i-th context that is still open, counted round; NULL: none. */
struct fuzz_host *fuzz_world_host(struct fuzz_world *world, unsigned int i);
/* The i-th open pipe. 0: none. */
unsigned int fuzz_world_pipe(struct fuzz_world *world, unsigned int i);

/* Data for a VFD; vfds[n] become the guest's. */
void fuzz_world_give(struct fuzz_world *world, unsigned int vfd,
                     const void *data, size_t len, const int *vfds,
                     unsigned int n);
void fuzz_world_hang_up(struct fuzz_world *world, unsigned int vfd);
int fuzz_world_new_memory(struct fuzz_world *world, size_t size);
int fuzz_world_new_pipe(struct fuzz_world *world);

/* bridge_host.c */
struct fuzz_host *fuzz_host_new(struct fuzz_world *world, int vfd);
void fuzz_host_free(struct fuzz_host *host);
/* What the bridge sent: it must make sense. */
void fuzz_host_receive(struct fuzz_host *host, const void *data, size_t len,
                       const int *vfds, unsigned int n);

/* A message by an interface's table: arguments as the input says, objects of
 * `objects` by id, ids from *next on. The number of its descriptors is
 * *n_fds; they are the caller's to add. */
GByteArray *fuzz_message(struct fuzz_input *in, const struct wl_message *proto,
                         uint32_t object, unsigned int opcode,
                         GPtrArray *objects, GPtrArray *more, uint32_t *next,
                         unsigned int *n_fds);

/* One event of one of the host's objects; want: with such an argument, unless
 * it is 0. */
void fuzz_host_event(struct fuzz_host *host, struct fuzz_input *in, char want);
/* An advertisement of a row of the table. */
void fuzz_host_offer(struct fuzz_host *host, uint32_t name,
                     const struct wl_interface *row, uint32_t version);

#endif
