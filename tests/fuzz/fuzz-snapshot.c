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
#include "wl_world.h"

#include <stdio.h>
#include <stdlib.h>

#include "wl/snapshot.h"

#define HEADER 24u
#define STATE 40u
#define VFD 40u
#define MESSAGE 16u
#define SUM 32u
#define MAX_PARTS 256

enum { CTX = 1, PIPE, SOCKET, SHM, OPAQUE };
enum { KNOWN = 1, HUNG = 2, UNSENT = 4, FILE_FOLLOWS = 8, MAPPED = 16 };
enum { M_NEW, M_RECV, M_HUP };

/* Where the parts of a stream of ours stand. */
struct layout {
    size_t vfd[MAX_PARTS], message[MAX_PARTS];
    uint32_t n_vfds, n_messages;
    size_t end; /* of the state */
};

static uint64_t get64(const uint8_t *at)
{
    return get32(at) | (uint64_t)get32(at + 4) << 32;
}

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

static void sum_up(GByteArray *stream)
{
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize len = SUM;

    g_checksum_update(sum, stream->data, (gssize)stream->len - SUM);
    g_checksum_get_digest(sum, stream->data + stream->len - SUM, &len);
    g_checksum_free(sum);
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

/* ---- reading a stream of ours ----------------------------------------- */

static void read_layout(const GByteArray *stream, struct layout *layout)
{
    const uint8_t *bytes = stream->data;
    size_t at = HEADER + STATE + get32(bytes + HEADER + 36);

    fuzz_check(memcmp(bytes, "VWLstate\1\0\0\0\0\0\0\0", 16) == 0);
    layout->n_vfds = get32(bytes + HEADER + 28);
    layout->n_messages = get32(bytes + HEADER + 32);
    layout->end = HEADER + get64(bytes + 16);
    fuzz_check(layout->end + SUM <= stream->len);
    fuzz_check(layout->n_vfds <= world_limits.max_vfds);
    for (uint32_t i = 0; i < layout->n_vfds; i++) {
        layout->vfd[i] = at;
        at += VFD + get32(bytes + at + 20);
        fuzz_check(at <= layout->end);
    }
    for (uint32_t i = 0; i < layout->n_messages; i++) {
        if (i < MAX_PARTS) {
            layout->message[i] = at;
        }
        if (get32(bytes + at) == M_RECV) {
            at += 4 * (size_t)get32(bytes + at + 8);
        }
        at += MESSAGE +
              get32(bytes + layout->message[MIN(i, MAX_PARTS - 1)] + 12);
        fuzz_check(i < MAX_PARTS - 1 && at <= layout->end);
    }
    fuzz_check(at == layout->end);
}

/* ---- what a load makes of a state ------------------------------------- */

static void put_message(GByteArray *to, uint32_t kind, uint32_t owner,
                        const uint8_t *data, uint32_t len)
{
    uint8_t head[MESSAGE] = { 0 };

    put32(head, kind);
    put32(head + 4, owner);
    put32(head + 12, len);
    g_byte_array_append(to, head, sizeof head);
    g_byte_array_append(to, data, len);
}

/* Connections are over: what they had for the guest, then their end. */
static uint32_t hang_up(const uint8_t *vfd, GByteArray *messages)
{
    uint32_t len = get32(vfd + 20), n = 0;

    for (uint32_t done = 0; done < len; n++) {
        uint32_t part = MIN(len - done, 3968u);

        put_message(messages, M_RECV, get32(vfd), vfd + VFD + done, part);
        done += part;
    }
    if (!(get32(vfd + 8) & HUNG)) {
        put_message(messages, M_HUP, get32(vfd), NULL, 0);
        n++;
    }
    return n;
}

static GByteArray *expected(const GByteArray *stream)
{
    GByteArray *state = g_byte_array_new(), *ends = g_byte_array_new();
    const uint8_t *bytes = stream->data;
    struct layout layout;
    uint32_t more = 0;
    size_t messages;

    read_layout(stream, &layout);
    messages = layout.n_messages ? layout.message[0] : layout.end;
    g_byte_array_append(state, bytes, layout.n_vfds ? layout.vfd[0] : messages);
    for (uint32_t i = 0; i < layout.n_vfds; i++) {
        const uint8_t *vfd = bytes + layout.vfd[i];
        uint32_t bits = get32(vfd + 8), len = get32(vfd + 20);
        guint at = state->len;

        g_byte_array_append(state, vfd, VFD);
        if (bits & UNSENT || get32(vfd + 4) >= SHM) {
            g_byte_array_append(state, vfd + VFD, len);
            continue;
        }
        more += hang_up(vfd, ends);
        put32(state->data + at + 8, bits | HUNG);
        put32(state->data + at + 20, 0);
    }
    g_byte_array_append(state, bytes + messages, layout.end - messages);
    g_byte_array_append(state, ends->data, ends->len);
    put32(state->data + HEADER + 32, layout.n_messages + more);
    put64(state->data + 16, state->len - HEADER);
    g_byte_array_append(state, bytes + layout.end, stream->len - layout.end);
    sum_up(state);
    g_byte_array_unref(ends);
    return state;
}

/* ---- somebody who knows the format ------------------------------------ */

static uint32_t take_edge(struct world *world, const GByteArray *stream,
                          const struct layout *layout, uint32_t old)
{
    unsigned int how = take8(&world->in);
    static const uint32_t edges[] = {
        0, 1, 2, 0x40000000, 0xc0000000, UINT32_MAX, 4096, 0x10000,
    };

    if (how < 64) {
        return edges[how & 7];
    }
    if (how < 128 && layout->n_vfds) {
        return get32(stream->data + layout->vfd[how % layout->n_vfds]);
    }
    if (how < 192) {
        return old ^ 1u << (how & 31);
    }
    if (how >= 240 && how < 250 && layout->n_vfds) { /* where another is */
        return get32(stream->data + layout->vfd[how % layout->n_vfds] + 32);
    }
    return how < 224   ? old + (how & 15) - 8
           : how < 254 ? how & 31
                       : take32(&world->in);
}

static void edit32(struct world *world, GByteArray *stream,
                   const struct layout *layout, size_t at)
{
    if (at + 4 <= stream->len) {
        put32(stream->data + at,
              take_edge(world, stream, layout, get32(stream->data + at)));
    }
}

/* A VFD or a message more or less; everything else says so. */
static void edit_count(struct world *world, GByteArray *stream,
                       const struct layout *layout)
{
    unsigned int how = take8(&world->in);
    bool is_vfd = how & 1;
    uint32_t n = is_vfd ? layout->n_vfds : layout->n_messages;
    const size_t *parts = is_vfd ? layout->vfd : layout->message;
    size_t count = HEADER + (is_vfd ? 28 : 32), at, len;
    uint32_t i;

    if (n == 0) {
        return;
    }
    i = (how >> 2) % n;
    at = parts[i];
    len = (i + 1 < n                      ? parts[i + 1]
           : is_vfd && layout->n_messages ? layout->message[0]
                                          : layout->end) -
          at;
    if (how & 2) {
        g_autofree uint8_t *copy = g_memdup2(stream->data + at, len);
        guint tail = stream->len - (guint)at;

        g_byte_array_set_size(stream, stream->len + (guint)len);
        memmove(stream->data + at + len, stream->data + at, tail);
        memcpy(stream->data + at, copy, len);
        put32(stream->data + count, n + 1);
        put64(stream->data + 16, get64(stream->data + 16) + len);
    } else {
        g_byte_array_remove_range(stream, (guint)at, (guint)len);
        put32(stream->data + count, n - 1);
        put64(stream->data + 16, get64(stream->data + 16) - len);
    }
}

/* Those that keep every part in its place. */
static void edit_field(struct world *world, GByteArray *stream,
                       const struct layout *layout)
{
    unsigned int how = take8(&world->in), which = take8(&world->in);
    size_t at = HEADER;

    switch (how & 7) {
    case 0:
    case 1:
    case 2:
        if (layout->n_vfds) {
            at = layout->vfd[which % layout->n_vfds] + (how >> 3) % 10 * 4;
        }
        edit32(world, stream, layout, at);
        break;
    case 3:
    case 4:
        if (layout->n_messages) {
            at = layout->message[which % layout->n_messages] +
                 (how >> 3) % 6 * 4; /* two of its ids, too */
        }
        edit32(world, stream, layout, at);
        break;
    case 5:
        edit32(world, stream, layout, HEADER + which % 10 * 4);
        break;
    case 6:
        edit32(world, stream, layout, which % 6 * 4);
        break;
    default:
        at = (which | (size_t)(how >> 3) << 8) * (how & 64 ? 7 : 1);
        stream->data[at % stream->len] ^= take8(&world->in);
        break;
    }
}

static void change(struct world *world, GByteArray *stream, unsigned int n)
{
    struct layout layout;
    unsigned int how;

    read_layout(stream, &layout);
    for (unsigned int i = 0; i < n; i++) {
        edit_field(world, stream, &layout);
    }
    how = take8(&world->in);
    if ((how & 3) == 3) {
        edit_count(world, stream, &layout);
    }
    if ((how & 0x1c) != 0x1c) {
        sum_up(stream);
    }
    if (how >> 5 == 7) {
        g_byte_array_set_size(stream, take16(&world->in) % stream->len + 1);
    } else if (how >> 5 == 6) {
        g_byte_array_append(stream, (const uint8_t[16]){ 0 }, 1 + (how & 15));
    }
}

/* ---- one snapshot ----------------------------------------------------- */

/* The guest of a restored device knows what the stream says. */
static void learn(struct world *world, const GByteArray *stream)
{
    struct layout layout;

    read_layout(stream, &layout);
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
        front_answer_oldest(&world->front, world->core);
    }
}

/* ---- what a state must be to be accepted ------------------------------- */

static bool overlap(const uint8_t *a, const uint8_t *b)
{
    uint64_t a_end = get64(a + 32) + ((get64(a + 24) + 4095) & ~UINT64_C(4095));
    uint64_t b_end = get64(b + 32) + ((get64(b + 24) + 4095) & ~UINT64_C(4095));

    return get64(a + 32) < b_end && get64(b + 32) < a_end;
}

static const uint8_t *find_vfd(const GByteArray *stream,
                               const struct layout *layout, uint32_t id)
{
    for (uint32_t i = 0; i < layout->n_vfds; i++) {
        if (get32(stream->data + layout->vfd[i]) == id) {
            return stream->data + layout->vfd[i];
        }
    }
    return NULL;
}

static void check_vfds(const GByteArray *stream, const struct layout *layout)
{
    uint64_t anchor = get64(stream->data + HEADER + 16);
    uint8_t page[VFD] = { 0 };

    put64(page + 24, 4096);
    put64(page + 32, anchor);
    for (uint32_t i = 0; i < layout->n_vfds; i++) {
        const uint8_t *vfd = stream->data + layout->vfd[i];
        bool is_mapped = get32(vfd + 8) & MAPPED;

        fuzz_check(get32(vfd + 8) & KNOWN || get32(vfd) >> 30 & 1);
        fuzz_check(!is_mapped || get64(vfd + 32) < FRONT_WINDOW);
        fuzz_check(!is_mapped || anchor == UINT64_MAX || !overlap(vfd, page));
        for (uint32_t j = 0; j < i; j++) {
            const uint8_t *other = stream->data + layout->vfd[j];

            fuzz_check(get32(vfd) != get32(other));
            fuzz_check(!is_mapped || !(get32(other + 8) & MAPPED) ||
                       !overlap(vfd, other));
        }
    }
}

/* Who is not known is told once, and listed after that, by who told it. */
static void check_messages(const GByteArray *stream,
                           const struct layout *layout)
{
    GHashTable *told = g_hash_table_new(NULL, NULL);

    for (uint32_t i = 0; i < layout->n_messages; i++) {
        const uint8_t *message = stream->data + layout->message[i];
        uint32_t n = get32(message + 8);

        fuzz_check(find_vfd(stream, layout, get32(message + 4)) != NULL);
        if (get32(message) == M_NEW) {
            const uint8_t *vfd = find_vfd(stream, layout, n);

            fuzz_check(vfd && !(get32(vfd + 8) & KNOWN));
            fuzz_check(
                g_hash_table_insert(told, GUINT_TO_POINTER(n),
                                    GUINT_TO_POINTER(get32(message + 4) + 1)));
            continue;
        }
        fuzz_check((get32(message) == M_RECV) == (get32(message + 12) > 0));
        for (uint32_t j = 0; j < n; j++) {
            uint32_t id = get32(message + MESSAGE + 4 * j);
            const uint8_t *vfd = find_vfd(stream, layout, id);

            fuzz_check(!vfd || get32(vfd + 8) & KNOWN ||
                       g_hash_table_lookup(told, GUINT_TO_POINTER(id)) ==
                           GUINT_TO_POINTER(get32(message + 4) + 1));
        }
    }
    for (uint32_t i = 0; i < layout->n_vfds; i++) {
        const uint8_t *vfd = stream->data + layout->vfd[i];

        fuzz_check(get32(vfd + 8) & KNOWN ||
                   g_hash_table_contains(told, GUINT_TO_POINTER(get32(vfd))));
    }
    g_hash_table_unref(told);
}

static void check_state(const GByteArray *stream)
{
    struct layout layout;

    read_layout(stream, &layout);
    check_vfds(stream, &layout);
    check_messages(stream, &layout);
}

/* It was accepted: what it says is what there is. */
static void restored(struct world *world, const GByteArray *stream,
                     bool is_ours)
{
    GByteArray *now = save(world->core), *again;
    struct vwl_loader *loader;

    check_state(stream);
    if (is_ours) {
        GByteArray *want = expected(stream);

        fuzz_check(equal(now, want));
        g_byte_array_unref(want);
    }
    check_state(now);
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
    vwl_core_set_in_flight_limit(core, 16);
    g_array_set_size(world->front.ranges, 0);
    world_was_reset(world, false);
    world->front.forgot = false;
    fuzz_check(apply(world, loader) == 0);
    restored(world, stream, is_ours);
}

static void check_limits(const GByteArray *stream,
                         const struct vwl_core_config *limits)
{
    struct layout layout;
    uint64_t memory = 0;
    uint32_t contexts = 0;

    read_layout(stream, &layout);
    for (uint32_t i = 0; i < layout.n_vfds; i++) {
        const uint8_t *vfd = stream->data + layout.vfd[i];

        contexts += get32(vfd + 4) == CTX;
        /* what it received may come on top */
        if (get32(vfd + 8) & FILE_FOLLOWS && !(get32(vfd) >> 30 & 1)) {
            memory += (get64(vfd + 24) + 4095) & ~UINT64_C(4095);
        }
    }
    fuzz_check(layout.n_vfds <= limits->max_vfds);
    fuzz_check(contexts <= limits->max_contexts);
    fuzz_check(memory <= limits->max_shm_bytes);
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
        check_limits(stream, &limits);
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
        change(world, stream, changes);
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
