/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One run of the bridge's fuzz target: the bridge, its world behind it, and
 * the clients before it, with what they need to get anywhere.
 */
#ifndef VWL_FUZZ_BRIDGE_RUN_H
#define VWL_FUZZ_BRIDGE_RUN_H

#include <sys/socket.h>
#include <sys/un.h>

#include "../../qemu-glue/guest/bridge/handlers/shmbuf.h"
#include "bridge_world.h"
#include "wayland/table.h"

#define FUZZ_CLIENTS 3
#define FUZZ_POOL_SIZE (256 << 10) /* which is mapped */

struct fuzz_client {
    int fd;
    unsigned int number; /* the bridge's for it */
    bool torn;           /* it said pieces of messages */
    bool heard;          /* it read something */
};

struct fuzz_run {
    struct fuzz_world world;
    struct vwl_bridge *bridge;
    int listener;
    struct sockaddr_un address;
    socklen_t address_len;
    bool raw; /* clients connect to the host's named socket */
    struct fuzz_client clients[FUZZ_CLIENTS];
    int file;     /* that pools are made of */
    int pipes[4]; /* ends that clients gave the others of */
    unsigned int n_pipes;
    uint8_t stamp;
};

/* how: of the options. */
void fuzz_run_init(struct fuzz_run *run, unsigned int how);

/* Up to so many turns of the bridge's loop. */
void fuzz_iterate(struct fuzz_run *run, unsigned int times);
/* Everything that is said to do something gets done. */
void fuzz_settle(struct fuzz_run *run);

void fuzz_connect(struct fuzz_run *run, struct fuzz_client *client);
/* A client's objects; of one whose bytes the bridge does not read: a display
 * alone. */
struct vwl_objects *fuzz_objects(struct vwl_client *client);
/* The bridge's side of it; NULL: it was ended. */
struct vwl_client *fuzz_find_client(struct fuzz_run *run,
                                    const struct fuzz_client *client);
void fuzz_say(struct fuzz_run *run, struct fuzz_client *client,
              const void *data, size_t len, const int *fds, unsigned int n);
/* A request of words alone; fd -1: none. */
void fuzz_words(struct fuzz_run *run, struct fuzz_client *client,
                uint32_t object, uint32_t opcode, unsigned int n,
                const uint32_t *args, int fd);

/* Of what the bridge keeps for a client: copies that messages pick from. */
GPtrArray *fuzz_objects_of(GPtrArray *from, uint32_t first);
uint32_t fuzz_free_id(struct vwl_client *client);
/* 0: none. */
uint32_t fuzz_find_object(struct vwl_client *client, const char *name);

/* The client asks for the registry if it has none, the host offers a row, the
 * client binds it. 0: somebody refused. */
uint32_t fuzz_bind_row(struct fuzz_run *run, struct fuzz_client *client,
                       const struct vwl_table_row *row, uint32_t version);
/* The same, unless it is bound. */
uint32_t fuzz_ensure(struct fuzz_run *run, struct fuzz_client *client,
                     const char *name);

#endif
