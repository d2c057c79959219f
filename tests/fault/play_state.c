/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of it all: saved, loaded into the same device, and on it goes. */
#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define LATE_US 50000

static void wait_state(struct scene *scene)
{
    int64_t end = g_get_monotonic_time() + PATIENCE_US;

    while (!g_atomic_int_get(&scene->world->states) && scene_alive(scene)) {
        must(scene->world, g_get_monotonic_time() < end,
             "a snapshot does not end");
        world_turn(scene->world, 2);
    }
}

static GByteArray *save(struct scene *scene)
{
    struct world *world = scene->world;
    GByteArray *stream = g_byte_array_new();
    uint8_t bytes[65536];
    int ends[2];
    ssize_t n = 0;

    must(world, pipe2(ends, O_CLOEXEC) == 0, "no pipe");
    g_atomic_int_set(&world->states, 0);
    if (world->plugin->device_save(world->device, &ends[1]) < 0) {
        must(world, !world->strict, "a snapshot was refused");
        close(ends[1]);
    } else {
        do {
            must(world, world_readable(world, ends[0]),
                 "a snapshot goes nowhere");
            n = read(ends[0], bytes, sizeof bytes);
            g_byte_array_append(stream, bytes, (guint)MAX(n, 0));
        } while (n > 0);
        wait_state(scene);
        must(world, world->state_err == 0 || !world->strict,
             "a snapshot failed");
    }
    close(ends[0]);
    return stream;
}

static void load(struct scene *scene, const GByteArray *stream)
{
    struct world *world = scene->world;
    guint at = 0;
    int ends[2];

    must(world, pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0, "no pipe");
    g_atomic_int_set(&world->states, 0);
    if (world->plugin->device_load(world->device, &ends[0]) < 0) {
        must(world, !world->strict, "a restore was refused");
        close(ends[0]);
    } else {
        for (int64_t end = g_get_monotonic_time() + LATE_US;
             world->late && g_get_monotonic_time() < end;) {
            world_turn(world, 1);
        }
        while (at < stream->len && !g_atomic_int_get(&world->states) &&
               scene_alive(scene)) {
            ssize_t n = write(ends[1], stream->data + at, stream->len - at);

            at += (guint)MAX(n, 0);
            world_turn(world, 1);
        }
        close(ends[1]);
        ends[1] = -1;
        wait_state(scene);
        must(world, world->state_err == 0 || !world->strict,
             "a restore failed");
    }
    if (ends[1] >= 0) {
        close(ends[1]);
    }
}

void scene_go_on(struct scene *scene, int err)
{
    must(scene->world, err != -ETIMEDOUT, "a message is not answered");
    must(scene->world, err == 0 || !scene->world->strict,
         "a message was refused");
    scene->world->refused |= err < 0;
}

void scene_play_state(struct scene *scene)
{
    struct world *world = scene->world;
    GByteArray *stream;

    if (scene_alive(scene)) {
        scene_is(scene, vwl_drv_new(world->drv, MEMORY, 4096),
                 VIRTIO_WL_RESP_VFD_NEW);
    }
    if (scene_alive(scene)) {
        scene_go_on(scene, vwl_fe_stop(world->fe));
    }
    if (!scene_alive(scene)) {
        return;
    }
    stream = save(scene);
    if (stream->len > 0) {
        load(scene, stream);
    }
    g_byte_array_unref(stream);
    if (scene_alive(scene)) {
        scene_go_on(scene, vwl_fe_start(world->fe));
    }
    if (scene_alive(scene)) {
        scene_is(scene, vwl_drv_close(world->drv, MEMORY), VIRTIO_WL_RESP_OK);
    }
}
