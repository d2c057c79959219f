/* SPDX-License-Identifier: BSD-3-Clause */
/* What the guest is told, and that every message makes sense. */
#include "wl_world.h"

#include <errno.h>

static bool is_known(struct world *world, uint32_t id)
{
    return world->lost_track ||
           g_hash_table_contains(world->known, GUINT_TO_POINTER(id));
}

void world_announce(struct world *world, uint32_t id)
{
    gpointer key = GUINT_TO_POINTER(id);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(world->announced, key));

    g_hash_table_insert(world->announced, key, GUINT_TO_POINTER(n + 1));
}

/* Once for each time that it was told; the guest may have closed it since. */
static void check_listed(struct world *world, uint32_t id)
{
    gpointer key = GUINT_TO_POINTER(id);
    guint n = GPOINTER_TO_UINT(g_hash_table_lookup(world->announced, key));

    fuzz_check(n > 0);
    g_hash_table_insert(world->announced, key, GUINT_TO_POINTER(n - 1));
    if (is_known(world, id)) {
        g_hash_table_add(world->listed, key);
    }
}

/* Nothing follows a hang-up. */
static void check_order(struct world *world, uint32_t id, bool is_hup)
{
    gpointer key = GUINT_TO_POINTER(id);

    if (world->lost_track || world->restored) {
        return;
    }
    fuzz_check(!g_hash_table_contains(world->hung, key));
    if (is_hup) {
        g_hash_table_add(world->hung, key);
    }
}

/* Of contexts: others may read from pipes, too. */
static void check_bytes(struct world *world, uint32_t id, const uint8_t *bytes,
                        size_t len)
{
    gpointer key = GUINT_TO_POINTER(id), value;
    uint8_t last;

    if (!g_hash_table_lookup_extended(world->streams, key, NULL, &value)) {
        return;
    }
    last = (uint8_t)GPOINTER_TO_UINT(value);
    fuzz_check(world_is_stream(&last, bytes, len) || world->rubbish ||
               world->restored || world->lost_track);
    g_hash_table_insert(world->streams, key, GUINT_TO_POINTER(last));
}

static void check_message(struct world *world, const uint8_t *bytes, size_t n)
{
    uint32_t id = get32(bytes + 8);
    uint32_t n_ids;

    fuzz_check(n >= 12 && get32(bytes + 4) == 0);
    switch (get32(bytes)) {
    case VIRTIO_WL_CMD_VFD_NEW:
        fuzz_check(n == 32 && id >> 30 == 1);
        fuzz_check(world->lost_track || !is_known(world, id));
        g_hash_table_add(world->known, GUINT_TO_POINTER(id));
        world_announce(world, id);
        world->host_ids[world->n_host_ids++ & 7] = id;
        break;
    case VIRTIO_WL_CMD_VFD_RECV:
        fuzz_check(n > 16);
        n_ids = get32(bytes + 12);
        fuzz_check(n > 16 + (size_t)n_ids * 4);
        fuzz_check(is_known(world, id));
        check_order(world, id, false);
        for (uint32_t i = 0; i < n_ids; i++) {
            check_listed(world, get32(bytes + 16 + i * 4));
        }
        check_bytes(world, id, bytes + 16 + n_ids * 4, n - 16 - n_ids * 4);
        break;
    case VIRTIO_WL_CMD_VFD_HUP:
        fuzz_check(n == 12 && is_known(world, id));
        check_order(world, id, true);
        break;
    default:
        fuzz_check(!"an unknown message");
    }
}

static ssize_t next_message(struct world *world, size_t room, size_t cut)
{
    uint8_t bytes[4096];
    struct iovec iov[2] = {
        { bytes, MIN(cut, room) },
        { bytes + MIN(cut, room), room - MIN(cut, room) },
    };
    ssize_t n = vwl_core_next_message(world->core, iov, 2, world->token++);

    fuzz_check(n >= 0 || n == -ENOBUFS);
    fuzz_check(n <= (ssize_t)room);
    if (n > 0) {
        check_message(world, bytes, (size_t)n);
    }
    return n;
}

void world_do_next(struct world *world)
{
    unsigned int how = take8(&world->in);

    vwl_core_buffers_free(world->core, how & 15, 16);
    next_message(world, how >> 4 & 3 ? 4096 : take8(&world->in),
                 how >> 6 ? 4096 : take8(&world->in));
    if (how >> 6 & 1) {
        vwl_core_buffer_returned(world->core,
                                 world->token - 1 - pick(&world->in, 20));
    }
}

void world_do_settle(struct world *world)
{
    unsigned int rounds = 0;
    bool busy = true;

    while (busy) {
        fuzz_check(rounds++ < 2000);
        busy = false;
        vwl_core_buffers_free(world->core, 16, 16);
        if (next_message(world, 4096, 4096) > 0) {
            busy = true;
            vwl_core_buffer_returned(world->core, world->token - 1);
        } else if (fuzz_readable(vwl_core_in_fd(world->core))) {
            busy = true;
        }
        if (fuzz_readable(vwl_core_out_fd(world->core))) {
            busy = true;
            vwl_core_dispatch_out(world->core);
        }
    }
}
