/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/memory/held.h"

#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/locks.h"
#include "wl/memory/map.h"

#define LOOK_AT_LEAST 1024u
#define LOOK_PART 10

struct held_file {
    uint64_t ino;
    dev_t dev;
    uint64_t bytes;
    unsigned int round; /* of looks in which it was last seen */
    bool counted;
};

static guint file_hash(gconstpointer key)
{
    uint64_t ino = ((const struct held_file *)key)->ino;

    return g_int64_hash(&ino);
}

static gboolean file_equal(gconstpointer a, gconstpointer b)
{
    const struct held_file *one = a, *other = b;

    return one->ino == other->ino && one->dev == other->dev;
}

void vwl_held_init(struct vwl_held *held, struct vwl_locks *locks)
{
    *held = (struct vwl_held){ .locks = locks, .look_at = LOOK_AT_LEAST };
    held->files = g_hash_table_new_full(file_hash, file_equal, g_free, NULL);
}

void vwl_held_finish(struct vwl_held *held)
{
    g_clear_pointer(&held->files, g_hash_table_unref);
}

unsigned int vwl_held_count(const struct vwl_held *held)
{
    return g_hash_table_size(held->files);
}

void vwl_held_note(struct vwl_held *held, const struct vwl_maps *maps, int fd,
                   uint64_t bytes)
{
    struct held_file *file;
    struct stat st;

    if (!held->locks || fstat(fd, &st) < 0 || flock(fd, LOCK_EX | LOCK_NB)) {
        return;
    }
    file = g_new0(struct held_file, 1);
    file->ino = st.st_ino;
    file->dev = st.st_dev;
    file->bytes = bytes;
    if (g_hash_table_add(held->files, file)) {
        held->unknown_bytes += bytes;
        held->has_new = true;
    }
    if (vwl_held_count(held) >= held->look_at) {
        vwl_held_look(held, maps);
        held->look_at = MAX(2 * vwl_held_count(held), LOOK_AT_LEAST);
    }
}

static void on_locked(void *opaque, dev_t dev, uint64_t ino)
{
    const struct vwl_held *held = opaque;
    const struct held_file key = { .ino = ino, .dev = dev };
    struct held_file *file = g_hash_table_lookup(held->files, &key);

    if (file) {
        file->round = held->round;
    }
}

static void held_count(struct vwl_held *held, struct held_file *file)
{
    if (!file->counted) {
        file->counted = true;
        held->unknown_bytes -= file->bytes;
        held->bytes += file->bytes;
    }
}

static void held_uncount(struct vwl_held *held, const struct held_file *file)
{
    if (file->counted) {
        held->bytes -= file->bytes;
    } else {
        held->unknown_bytes -= file->bytes;
    }
}

/* By what was seen. */
static void held_sort(struct vwl_held *held, const struct vwl_maps *maps)
{
    GHashTableIter iter;
    gpointer key;
    uint64_t offset;

    g_hash_table_iter_init(&iter, held->files);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        struct held_file *file = key;

        if (file->round != held->round) {
            held_uncount(held, file);
            g_hash_table_iter_remove(&iter);
        } else if (!vwl_maps_own_file(maps, file->dev, file->ino, &offset)) {
            held_count(held, file);
        }
    }
}

bool vwl_held_look(struct vwl_held *held, const struct vwl_maps *maps)
{
    uint64_t now_us = vwl_clock_us();
    int err;

    if (vwl_held_count(held) == 0) {
        return true;
    }
    if (now_us - held->looked_us < LOOK_PART * held->look_us) {
        return !held->has_new;
    }
    held->looked_us = now_us;
    held->round++;
    err = vwl_locks_visit(held->locks, on_locked, held);
    if (err == 0) {
        err = vwl_locks_visit(held->locks, on_locked, held);
    }
    held->look_us = vwl_clock_us() - now_us;
    if (err < 0) {
        return !held->has_new;
    }
    held_sort(held, maps);
    held->has_new = false;
    return true;
}
