/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/memory/map.h"

#include <errno.h>
#include <sys/stat.h>

#include "wl/memory/map_priv.h"
#include "wl/state.h"

enum op_kind { OP_MAP, OP_UNMAP, OP_CLEAR };

/* What the front-end was asked, while it has not answered. */
struct vwl_map_op {
    uint64_t cookie;
    enum op_kind kind;
    struct vwl_map *map;
};

static bool map_state_leaves(enum vwl_map_state state)
{
    return state == VWL_MAP_DOOMED || state == VWL_MAP_UNMAPS;
}

static void map_set(struct vwl_map *map, enum vwl_map_state state)
{
    unsigned int *n_leaving = &map->core->maps.n_leaving;

    *n_leaving -= map_state_leaves(map->state);
    *n_leaving += map_state_leaves(state);
    map->state = state;
}

void vwl_map_free(struct vwl_map *map)
{
    map->core->maps.n_leaving -= map_state_leaves(map->state);
    vwl_files_remove(map->core->maps.by_file, map);
    vwl_list_remove(&map->link);
    g_free(map);
}

static void op_add(struct vwl_core *core, uint64_t cookie, enum op_kind kind,
                   struct vwl_map *map)
{
    struct vwl_map_op *op = g_new(struct vwl_map_op, 1);

    *op = (struct vwl_map_op){ cookie, kind, map };
    g_hash_table_insert(core->maps.by_cookie, &op->cookie, op);
}

/* Asks for what is stale in its way to be unmapped. How many answers are
 * awaited; -ENOENT: nothing is in its way. */
static int map_clear_way(struct vwl_map *map)
{
    struct vwl_core *core = map->core;
    GArray *found = vwl_stale_take(&core->maps.stale, map->offset, map->len);
    int waits = found->len ? 0 : -ENOENT;

    for (guint i = 0; i < found->len; i++) {
        struct vwl_stale_range *range = &g_array_index(found,
                                                       struct vwl_stale_range,
                                                       i);
        uint64_t cookie = core->maps.next_cookie++;

        if (core->ops->shm_unmap(core->opaque, cookie, range->offset,
                                 range->len) == -EINPROGRESS) {
            op_add(core, cookie, OP_CLEAR, map);
            waits++;
        }
    }
    g_array_unref(found);
    return waits;
}

static void map_accepted(struct vwl_map *map)
{
    struct vwl_maps *maps = &map->core->maps;

    map_set(map, VWL_MAP_MAPPED);
    map->fd = -1;
    maps->n_mapped++;
    if (!vwl_stale_is_empty(&maps->stale)) {
        /* what overlapped is gone */
        g_array_unref(vwl_stale_take(&maps->stale, map->offset, map->len));
    }
}

static int map_ask(struct vwl_map *map, enum vwl_map_state state);

static int map_refused(struct vwl_map *map, int err)
{
    struct vwl_maps *maps = &map->core->maps;

    if (map->state == VWL_MAP_WAITS && !vwl_stale_is_empty(&maps->stale)) {
        int waits = map_clear_way(map);

        if (waits > 0) {
            map->clearing = (unsigned int)waits;
            map_set(map, VWL_MAP_CLEARS);
            return -EINPROGRESS;
        }
        if (waits == 0) {
            return map_ask(map, VWL_MAP_RETRIES);
        }
    }
    if (map->beyond_end) {
        return err; /* its right, and the owner knows what to do */
    }
    log_host_bug(map->core->log,
                 "shm: the front-end refused to map %" PRIu64
                 " bytes at 0x%" PRIx64 ": %s",
                 map->len, map->offset, g_strerror(-err));
    return err;
}

/* state: WAITS or RETRIES. 0, -EINPROGRESS, or refused. */
static int map_ask(struct vwl_map *map, enum vwl_map_state state)
{
    struct vwl_core *core = map->core;
    uint64_t cookie = core->maps.next_cookie++;
    int err;

    map_set(map, state);
    err = core->ops->shm_map(core->opaque, cookie, map->fd, 0, map->offset,
                             map->len, true);
    if (err == -EINPROGRESS) {
        op_add(core, cookie, OP_MAP, map);
        return err;
    }
    if (err < 0) {
        return map_refused(map, err);
    }
    map_accepted(map);
    return 0;
}

static struct vwl_map *map_new(struct vwl_core *core, int fd,
                               const struct stat *st, uint64_t len_bytes,
                               void (*done)(void *owner, int err), void *owner)
{
    struct vwl_map *map = g_new0(struct vwl_map, 1);

    map->core = core;
    map->state = VWL_MAP_NO_ROOM;
    map->len = len_bytes;
    map->fd = fd;
    map->done = done;
    map->owner = owner;
    map->file[0] = st->st_dev;
    map->file[1] = st->st_ino;
    map->beyond_end = S_ISREG(st->st_mode) && (uint64_t)st->st_size < len_bytes;
    vwl_list_init(&map->twins);
    vwl_list_insert(&core->maps.no_room, &map->link);
    return map;
}

static void map_place(struct vwl_map *map, uint64_t offset)
{
    map->offset = offset;
    vwl_list_remove(&map->link);
    vwl_list_insert(&map->core->maps.live, &map->link);
    vwl_files_insert(map->core->maps.by_file, map);
}

int vwl_map_restore(struct vwl_core *core, int fd, uint64_t offset,
                    uint64_t len_bytes, void (*done)(void *owner, int err),
                    void *owner, struct vwl_map **out)
{
    struct stat st;
    int err;

    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    err = vwl_window_take(&core->maps.window, offset, len_bytes);
    if (err < 0) {
        return err;
    }
    *out = map_new(core, fd, &st, len_bytes, done, owner);
    map_place(*out, offset);
    (*out)->state = VWL_MAP_RESTORED;
    (*out)->unsettled_restore = true;
    core->maps.n_restored++;
    return 0;
}

/* Maps it where there is room, or waits for those that are about to leave: 0,
 * -EINPROGRESS, or refused and gone. */
static int map_find_room(struct vwl_map *map)
{
    struct vwl_maps *maps = &map->core->maps;
    uint64_t offset;
    int err = vwl_window_alloc(&maps->window, map->len, &offset);

    if (err == -ENOSPC && maps->n_leaving > 0) {
        return -EINPROGRESS;
    }
    if (err < 0) {
        log_guest_bug(map->core->log,
                      "shm: region 0 has no room for %" PRIu64 " bytes",
                      map->len);
        vwl_map_free(map);
        return err;
    }
    map_place(map, offset);
    err = map_ask(map, VWL_MAP_WAITS);
    if (err < 0 && err != -EINPROGRESS) {
        vwl_window_free(&maps->window, offset, map->len);
        vwl_map_free(map);
    }
    return err;
}

/* Somebody left, or went without leaving its place: whoever waits for room
 * gets it, goes on waiting, or is refused when nobody is left to wait for. The
 * list may change with every one that is told. */
static void maps_room_changed(struct vwl_core *core)
{
    struct vwl_list *list = &core->maps.no_room, *link = list->next;

    while (link != list) {
        struct vwl_map *map = vwl_list_entry(link, struct vwl_map, link);
        void (*done)(void *, int) = map->done;
        void *owner = map->owner;
        int err;

        link = link->next;
        err = map_find_room(map);
        if (err != -EINPROGRESS) {
            done(owner, err);
            link = list->next;
        }
    }
}

int vwl_map_create(struct vwl_core *core, int fd, uint64_t len_bytes,
                   void (*done)(void *owner, int err), void *owner,
                   struct vwl_map **out)
{
    struct vwl_map *map;
    struct stat st;
    int err;

    if (!core->has_shm || !core->ops->shm_map) {
        return -ENODEV;
    }
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    map = map_new(core, fd, &st, len_bytes, done, owner);
    err = map_find_room(map);
    if (err < 0 && err != -EINPROGRESS) {
        return err;
    }
    *out = map;
    return err;
}

static void map_unmapped(struct vwl_map *map, int err)
{
    struct vwl_core *core = map->core;

    if (err == 0) {
        vwl_window_free(&core->maps.window, map->offset, map->len);
    } else {
        log_host_bug(core->log,
                     "shm: unmapping 0x%" PRIx64 " was refused: %s; the range"
                     " is not used again",
                     map->offset, g_strerror(-err));
    }
    vwl_map_free(map);
    maps_room_changed(core);
}

static void map_unmap(struct vwl_map *map)
{
    struct vwl_core *core = map->core;
    uint64_t cookie = core->maps.next_cookie++;
    int err;

    core->maps.n_mapped--;
    map_set(map, VWL_MAP_UNMAPS);
    err = core->ops->shm_unmap(core->opaque, cookie, map->offset, map->len);
    if (err == -EINPROGRESS) {
        op_add(core, cookie, OP_UNMAP, map);
    } else {
        map_unmapped(map, err);
    }
}

static void map_uncount_restore(struct vwl_map *map)
{
    map->core->maps.n_restored -= map->unsettled_restore;
    map->unsettled_restore = false;
}

void vwl_map_destroy(struct vwl_map *map)
{
    if (!map || map->core->maps.held) {
        return;
    }
    switch (map->state) {
    case VWL_MAP_NO_ROOM:
        vwl_map_free(map);
        break;
    case VWL_MAP_RESTORED:
        map_uncount_restore(map);
        map_unmapped(map, 0);
        break;
    case VWL_MAP_MAPPED:
        map_unmap(map);
        break;
    default:
        map_set(map, VWL_MAP_DOOMED);
        break;
    }
}

/* Whether it is mapped is known, and its owner is told, unless it has none any
 * more. */
static void map_settle(struct vwl_map *map, bool doomed, int err)
{
    struct vwl_core *core = map->core;
    void (*done)(void *, int) = map->done;
    void *owner = map->owner;

    map_uncount_restore(map);
    if (err < 0) {
        vwl_window_free(&core->maps.window, map->offset, map->len);
        vwl_map_free(map);
    } else if (doomed) {
        map_unmap(map);
    }
    if (!doomed) {
        done(owner, err);
    }
    if (err < 0) {
        maps_room_changed(core);
    }
}

void vwl_map_remake(struct vwl_map *map)
{
    struct vwl_core *core = map->core;
    int err = core->has_shm && core->ops->shm_map ? map_ask(map, VWL_MAP_WAITS)
                                                  : -ENODEV;

    if (err != -EINPROGRESS) {
        map_settle(map, false, err);
    }
}

/* Takes the operation off the table; NULL: it is from before a reset. */
static struct vwl_map *op_take(struct vwl_core *core, uint64_t cookie,
                               bool map_wanted, enum op_kind *kind)
{
    struct vwl_map_op *op = g_hash_table_lookup(core->maps.by_cookie, &cookie);
    struct vwl_map *map;

    if (!op || (op->kind == OP_MAP) != map_wanted) {
        return NULL;
    }
    *kind = op->kind;
    map = op->map;
    g_hash_table_remove(core->maps.by_cookie, &cookie);
    return map;
}

void vwl_map_done(struct vwl_core *core, uint64_t cookie, int err)
{
    enum op_kind kind;
    struct vwl_map *map = op_take(core, cookie, true, &kind);
    bool doomed = map && map->state == VWL_MAP_DOOMED;

    if (!map) {
        return;
    }
    if (err == -ECONNRESET && map->unsettled_restore && !doomed) {
        map_set(map, VWL_MAP_RESTORED);
        return;
    }
    if (err == 0) {
        map_accepted(map);
    } else if (!doomed) {
        err = map_refused(map, err);
    }
    if (err != -EINPROGRESS) {
        map_settle(map, doomed, err);
    }
}

void vwl_map_unmap_done(struct vwl_core *core, uint64_t cookie, int err)
{
    enum op_kind kind;
    struct vwl_map *map = op_take(core, cookie, false, &kind);
    bool doomed = map && map->state == VWL_MAP_DOOMED;

    if (!map) {
        return;
    }
    if (kind == OP_UNMAP) {
        map_unmapped(map, err);
    } else if (--map->clearing == 0) {
        err = doomed ? -ECANCELED : map_ask(map, VWL_MAP_RETRIES);
        if (err != -EINPROGRESS) {
            map_settle(map, doomed, err);
        }
    }
}

uint64_t vwl_map_offset(const struct vwl_map *map)
{
    return map->offset;
}
