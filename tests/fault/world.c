/* SPDX-License-Identifier: BSD-3-Clause */
#include "world.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inject.h"

#define PATIENCE_US (INT64_C(60) * 1000000)

void world_fail(struct world *world, int line, const char *what)
{
    inject_disarm();
    printf("Bail out! %s: %s (line %d)\n", world->plan, what, line);
    fflush(stdout);
    abort();
}

static void on_log(void *opaque, enum vwl_log_level level, const char *line)
{
    struct world *world = opaque;

    if (g_getenv("VWL_RIG_LOG")) {
        printf("# %s\n", line);
    }
    must(world, level != VWL_LOG_ERROR, line);
}

static int on_map(void *opaque, int fd, uint64_t fd_offset, uint64_t shm_offset,
                  uint64_t len, int writable)
{
    struct world *world = opaque;

    return vwl_fe_host_map(world->fe, fd, fd_offset, shm_offset, len, writable);
}

static int on_unmap(void *opaque, uint64_t shm_offset, uint64_t len)
{
    struct world *world = opaque;

    return world->fe ? vwl_fe_host_unmap(world->fe, shm_offset, len) : 0;
}

static int on_base(void *opaque, uint64_t *gpa)
{
    struct world *world = opaque;

    return vwl_fe_host_base(world->fe, gpa);
}

static void on_disconnected(void *opaque)
{
    g_atomic_int_inc(&((struct world *)opaque)->disconnected);
}

static void on_broken(void *opaque, int err, const char *why)
{
    g_atomic_int_inc(&((struct world *)opaque)->broken);
}

static void on_state_done(void *opaque, int err)
{
    struct world *world = opaque;

    world->state_err = err;
    g_atomic_int_inc(&world->states);
}

void world_init(struct world *world)
{
    world->dir = g_dir_make_tmp("vwl-fault-XXXXXX", NULL);
    for (unsigned int i = 0; i < WORLD_PEERS; i++) {
        g_autofree char *path = g_strdup_printf("%s/peer%u", world->dir, i);

        peer_init(&world->peers[i], path, i == 0 ? 64 : 1);
    }
    world->host = (struct vwl_host){
        .size = sizeof world->host,
        .opaque = world,
        .log = on_log,
        .disconnected = on_disconnected,
        .broken = on_broken,
        .state_done = on_state_done,
    };
    if (world->host_map) {
        world->host.shm_map = on_map;
        world->host.shm_unmap = on_unmap;
        world->host.shm_base = on_base;
    }
}

void world_finish(struct world *world)
{
    world_stop(world);
    world->plugin->device_free(world->device);
    world->device = NULL;
    for (unsigned int i = 0; i < WORLD_PEERS; i++) {
        peer_finish(&world->peers[i]);
    }
    g_rmdir(world->dir);
    g_free(world->dir);
}

static bool create_device(struct world *world)
{
    struct vwl_socket sockets[] = {
        { "", world->peers[0].path },
        { "peer0", world->peers[0].path },
        { "peer1", world->peers[1].path },
    };
    const struct vwl_socket_policy none = { .size = sizeof none,
                                            .kind = VWL_POLICY_NONE };
    const struct vwl_socket_policy *policies[] = { &none, &none, &none };
    struct vwl_config config = {
        .size = sizeof config,
        .sockets = sockets,
        .n_sockets = 3,
        .socket_policies = policies,
    };

    return world->device || world->plugin->device_new(&config, &world->host,
                                                      &world->device) == 0;
}

static bool start_device(struct world *world)
{
    struct vwl_fe_options options = {
        .packed = world->host_map,
        .dialect = world->host_map ? VWL_FE_NONE : VWL_FE_STANDARD,
        .plain_table = true, /* maps of before a restore are in it */
        .timeout_ms = (int)(PATIENCE_US / 1000),
    };
    int pair[2];

    must(world, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0,
         "no sockets");
    g_atomic_int_set(&world->disconnected, 0);
    g_atomic_int_set(&world->broken, 0);
    world->refused = false;
    if (world->plugin->device_start(world->device, NULL, &pair[1]) < 0) {
        must(world, pair[1] >= 0, "a refused start kept the descriptor");
        close(pair[0]);
        close(pair[1]);
        return false;
    }
    must(world, pair[1] == -1, "a start left the descriptor");
    world->started = true;
    must(world, vwl_fe_create(&options, &pair[0], &world->fe) == 0,
         "no front-end");
    return true;
}

bool world_start(struct world *world)
{
    const struct vwl_drv_options options = { 0 };
    int err = -ENODEV;

    if (create_device(world) && start_device(world)) {
        err = vwl_fe_handshake(world->fe);
    }
    if (err == 0) {
        err = vwl_drv_create(world->fe, &options, &world->drv);
    }
    must(world, err != -ETIMEDOUT, "a front-end's request is not answered");
    must(world, (err == 0 && world_is_alive(world)) || !world->strict,
         "no start");
    return err == 0 && world_is_alive(world);
}

void world_stop(struct world *world)
{
    int64_t end = g_get_monotonic_time() + PATIENCE_US;

    if (!world->started) {
        return;
    }
    vwl_drv_destroy(world->drv);
    world->drv = NULL;
    shutdown(world->fe->fd, SHUT_RDWR);
    while (!g_atomic_int_get(&world->disconnected) &&
           !g_atomic_int_get(&world->broken)) {
        must(world, g_get_monotonic_time() < end,
             "the end of the front-end is not seen");
        g_usleep(200);
    }
    world->plugin->device_stop(world->device);
    world->started = false;
    vwl_fe_destroy(world->fe);
    world->fe = NULL;
}

bool world_is_alive(const struct world *world)
{
    return world->drv && !world->refused && !world->fe->gone &&
           !g_atomic_int_get(&world->disconnected) &&
           !g_atomic_int_get(&world->broken) && !world->fe->ring[0].broken &&
           !world->fe->ring[1].broken;
}

void world_turn(struct world *world, int timeout_ms)
{
    if (world->fe && !world->fe->gone) {
        vwl_fe_turn(world->fe, timeout_ms);
    } else {
        g_usleep(1000);
    }
    if (world->drv) {
        vwl_drv_collect(world->drv);
    }
}

bool world_readable(struct world *world, int fd)
{
    int64_t end = g_get_monotonic_time() + PATIENCE_US;
    struct pollfd p = { fd, POLLIN, 0 };

    while (poll(&p, 1, 0) == 0) {
        if (g_get_monotonic_time() > end) {
            return false;
        }
        world_turn(world, 2);
    }
    return true;
}
