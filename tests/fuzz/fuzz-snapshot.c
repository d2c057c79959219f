/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Snapshots of sessions that wl_world plays: saved at any moment, changed as
 * the input says by somebody who knows the format (the checksum is made to
 * fit), and taken in by the same core, by a fresh one or by one with lower
 * limits. What is refused changes nothing; what is accepted makes sense to a
 * reader of its own and can be carried out; what was not changed is accepted,
 * now or later, and gives the state that the format's description says; a
 * state once taken in saves and loads as itself; and the session goes on.
 */
#include <stdio.h>
#include <stdlib.h>

#include "wl/snapshot/snapshot.h"

#include "snapshot_stream.h"

/* ---- save and load ---------------------------------------------------- */

static GByteArray *save(struct vwl_core *core)
{
    GByteArray *stream = g_byte_array_new();
    struct vwl_saver *saver;
    const void *piece;
    ssize_t n;

    fuzz_check(vwl_saver_create(core, 0x1234, "extra", 5, &saver) == 0);
    while ((n = vwl_saver_next(saver, &piece)) > 0) {
        g_byte_array_append(stream, piece, (guint)n);
    }
    fuzz_check(n == 0);
    vwl_saver_destroy(saver);
    return stream;
}

static bool equal(const GByteArray *a, const GByteArray *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Feeds it in pieces of step bytes; NULL when it is refused. */
static struct vwl_loader *feed(struct vwl_core *core, const GByteArray *stream,
                               size_t step)
{
    struct vwl_loader *loader = vwl_loader_create(core);
    const char *why = NULL;
    int err = 0;

    for (size_t at = 0; at < stream->len && err == 0; at += step) {
        err = vwl_loader_feed(loader, stream->data + at,
                              MIN(step, stream->len - at), &why);
    }
    if (err == 0) {
        err = vwl_loader_end(loader, &why);
    }
    fuzz_check(err <= 0 && (err < 0) == (why != NULL));
    if (err < 0) {
        if (getenv("VWL_FUZZ_WHY")) {
            fprintf(stderr, "refused: %s\n", why);
        }
        vwl_loader_destroy(loader);
        return NULL;
    }
    return loader;
}

static int apply(struct world *world, struct vwl_loader *loader)
{
    int err = vwl_loader_apply(loader, world->features, world->has_shm,
                               world->front.in_process);

    fuzz_check(err <= 0);
    vwl_loader_destroy(loader);
    return err;
}

/* ---- one snapshot ----------------------------------------------------- */

/* The guest of a restored device knows what the stream says. */
static void learn(struct world *world, const GByteArray *stream)
{
    struct layout layout;

    stream_read(stream, &layout);
    for (uint32_t i = 0; i < layout.n_vfds; i++) {
        const uint8_t *vfd = stream->data + layout.vfd[i];

        if (get32(vfd + 8) & KNOWN) {
            g_hash_table_add(world->known, GUINT_TO_POINTER(get32(vfd)));
        }
    }
    /* it may have closed some of these already */
    for (uint32_t i = 0; i < layout.n_messages; i++) {
        const uint8_t *message = stream->data + layout.message[i];
        uint32_t n = get32(message) == M_RECV ? get32(message + 8) : 0;

        for (uint32_t j = 0; j < n; j++) {
            world_announce(world, get32(message + MESSAGE + 4 * j));
        }
    }
}

static void remake(struct world *world)
{
    vwl_core_remake(world->core);
    while (vwl_core_is_restoring(world->core)) {
        fuzz_check(world->front.answers->len > 0);
        wl_front_answer_oldest(&world->front, world->core);
    }
}

/* It was accepted: what it says is what there is. */
static void restored(struct world *world, const GByteArray *stream,
                     bool is_ours)
{
    GByteArray *now = save(world->core), *again;
    struct vwl_loader *loader;

    stream_check(stream);
    if (is_ours) {
        GByteArray *want = stream_expected(stream);

        fuzz_check(equal(now, want));
        g_byte_array_unref(want);
    }
    stream_check(now);
    loader = feed(world->core, now, 4096);
    fuzz_check(loader != NULL);
    fuzz_check(apply(world, loader) == 0);
    again = save(world->core);
    fuzz_check(equal(now, again));
    learn(world, now);
    world->restored = true;
    g_byte_array_unref(again);
    g_byte_array_unref(now);
    remake(world);
}

static void load_here(struct world *world, const GByteArray *stream,
                      size_t step, bool is_ours, bool late)
{
    GByteArray *before = save(world->core), *after;
    struct vwl_stats stats[2] = { { 0 }, { 0 } };
    struct vwl_loader *loader;

    vwl_core_stats(world->core, &stats[0]);
    loader = feed(world->core, stream, step);
    after = save(world->core);
    vwl_core_stats(world->core, &stats[1]);
    fuzz_check(equal(before, after));
    fuzz_check(memcmp(&stats[0], &stats[1], sizeof stats[0]) == 0);
    g_byte_array_unref(before);
    g_byte_array_unref(after);
    fuzz_check(loader || !is_ours);
    if (loader) {
        int err = apply(world, loader);

        world_was_reset(world, late);
        fuzz_check(err == 0); /* or it should have been refused */
        restored(world, stream, is_ours);
    }
}

/* Another process, with a front-end of its own. */
static void load_fresh(struct world *world, const GByteArray *stream,
                       size_t step, bool is_ours)
{
    struct vwl_core *core;
    struct vwl_loader *loader;

    fuzz_check(world_make_core(world, &world_limits, &core) == 0);
    loader = feed(core, stream, step);
    fuzz_check(loader || !is_ours);
    if (!loader) {
        vwl_core_destroy(core);
        return;
    }
    vwl_core_destroy(world->core);
    world->core = core;
    vwl_core_set_in_flight_limit(core, 16, 16, 32);
    g_array_set_size(world->front.ranges, 0);
    world_was_reset(world, false);
    world->front.forgot = false;
    fuzz_check(apply(world, loader) == 0);
    restored(world, stream, is_ours);
}

/* Whatever it accepts, it stays below its limits. */
static void load_small(struct world *world, const GByteArray *stream,
                       size_t step)
{
    struct vwl_core_config limits = world_limits;
    unsigned int how = take8(&world->in);
    struct vwl_stats stats = { 0 };
    struct vwl_loader *loader;
    struct vwl_core *core;

    limits.max_vfds = 1 + (how & 7);
    limits.max_contexts = 1 + (how >> 3 & 1);
    limits.max_shm_bytes = 4096u << (how >> 4 & 3);
    limits.max_queued_bytes = how >> 6 & 1 ? 4096 : 30000;
    fuzz_check(world_make_core(world, &limits, &core) == 0);
    loader = feed(core, stream, step);
    if (loader) {
        stream_check_limits(stream, &limits);
        fuzz_check(apply(world, loader) == 0);
        vwl_core_stats(core, &stats);
        fuzz_check(stats.vfds <= limits.max_vfds);
        fuzz_check(stats.contexts <= limits.max_contexts);
        /* memory that it received may come on top */
        fuzz_check(stats.shm_bytes <=
                   2 * limits.max_shm_bytes + limits.shm_window);
    }
    vwl_core_destroy(core);
}

static void do_snapshot(struct world *world)
{
    static const size_t steps[] = { 65536, 1000, 7, 4096 };
    unsigned int how = take8(&world->in);
    unsigned int changes = how & 3;
    GByteArray *stream = save(world->core);

    if (changes) {
        stream_change(world, stream, changes);
    }
    switch (how >> 4 & 3) {
    case 0:
    case 1:
        load_here(world, stream, steps[how >> 2 & 3], !changes, how >> 6 & 1);
        break;
    case 2:
        load_fresh(world, stream, steps[how >> 2 & 3], !changes);
        break;
    default:
        load_small(world, stream, steps[how >> 2 & 3]);
        break;
    }
    g_byte_array_unref(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world world;

    fuzz_begin();
    world_init(&world, data, size);
    for (unsigned int i = 0; i < WORLD_MAX_OPS && world.in.left > 0; i++) {
        if (take8(&world.in) < 0xe0) {
            world_step(&world);
        } else {
            do_snapshot(&world);
            world_census(&world);
        }
    }
    world_finish(&world);
    fuzz_end();
    return 0;
}
