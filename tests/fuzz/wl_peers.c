/* SPDX-License-Identifier: BSD-3-Clause */
/* Host programs behind contexts and pipes, with whatever they were sent. */
#include "wl_world.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

void world_do_accept(struct world *world)
{
    int *peer = &world->peers[pick(&world->in, WORLD_PEERS)];

    world->last[peer - world->peers] = 0;
    fuzz_close(peer);
    *peer = fuzz_accept(0);
    if (*peer < 0) {
        *peer = fuzz_accept(1);
    }
}

/* Anything that a peer may send along, or what it was sent itself. */
static int peer_fd(struct world *world, int peer)
{
    unsigned int how = take8(&world->in);

    if (how < 40 && world->held[how & 7] >= 0) {
        return fcntl(world->held[how & 7], F_DUPFD_CLOEXEC, 0);
    }
    if (how == 40) {
        world->rubbish = true; /* its own data come back to it */
        return fcntl(peer, F_DUPFD_CLOEXEC, 0);
    }
    if (how > 128) {
        int *held = &world->held[how & 7];

        fuzz_close(held);
        return fuzz_make_fd(&world->in, held);
    }
    return fuzz_make_fd(&world->in, NULL);
}

static void peer_send(struct world *world, int peer)
{
    static const size_t sizes[] = { 1, 8, 300, 3968, 3969, 9000 };
    unsigned int how = take8(&world->in);
    unsigned int n_fds = how >> 3 & 1 ? how >> 4 : how >> 7;
    int fds[FUZZ_MAX_FDS] = { -1 };

    if (how == 255) {
        n_fds = FUZZ_MAX_FDS;
    }
    for (unsigned int i = 0; i < n_fds; i++) {
        fds[i] = peer_fd(world, peer);
    }
    fuzz_send(peer, world_big, sizes[(how & 7) % 6], fds, n_fds);
    for (unsigned int i = 0; i < n_fds; i++) {
        fuzz_close(&fds[i]);
    }
}

static void peer_receive(struct world *world, unsigned int index)
{
    static uint8_t data[WORLD_BIG];
    int fds[FUZZ_MAX_FDS];
    unsigned int n_fds;
    ssize_t n = fuzz_receive(world->peers[index], data,
                             take8(&world->in) * 256u, fds, &n_fds);

    fuzz_check(n <= 0 ||
               world_is_stream(&world->last[index], data, (size_t)n) ||
               world->rubbish);
    for (unsigned int i = 0; i < n_fds; i++) {
        int *held = &world->held[i % WORLD_HELD];
        struct stat st;

        /* a context's other end: two write to it now */
        world->rubbish |= fstat(fds[i], &st) == 0 && S_ISSOCK(st.st_mode);
        fuzz_close(held);
        *held = fds[i];
    }
}

void world_do_peer(struct world *world)
{
    unsigned int how = take8(&world->in);
    int *peer = &world->peers[how & 7];

    if (*peer < 0) {
        world_do_accept(world);
        return;
    }
    switch (how >> 3 & 7) {
    case 0:
        fuzz_close(peer);
        break;
    case 1:
        shutdown(*peer, (int)pick(&world->in, 3));
        break;
    case 2:
    case 3:
        peer_receive(world, how & 7);
        break;
    default:
        peer_send(world, *peer);
        break;
    }
}

void world_do_held(struct world *world)
{
    unsigned int how = take8(&world->in);
    int *held = &world->held[how & 7];
    static uint8_t data[WORLD_BIG];

    if (*held < 0) {
        return;
    }
    if ((how >> 3 & 3) == 0) {
        fuzz_close(held);
    } else if ((how >> 3 & 3) == 1) {
        if (fcntl(*held, F_GETFL) & O_NONBLOCK || fuzz_readable(*held)) {
            (void)!read(*held, data, sizeof data);
        }
    } else if ((how >> 3 & 3) == 2) {
        if (fcntl(*held, F_GETFL) & O_NONBLOCK) {
            fuzz_write(*held, world_big, 1u << (how >> 4));
        } else {
            fuzz_send(*held, world_big, 1u << (how >> 4), NULL, 0);
        }
    } else {
        (void)!ftruncate(*held, (off_t)take8(&world->in) * 512);
    }
}
