/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/memory/map.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "wl/peer/classify.h"
#include "wl/state.h"

enum map_state {
    MAP_NO_ROOM, /* it waits for others to leave the window */
    MAP_WAITS,   /* for the front-end's answer */
    MAP_CLEARS,  /* for stale mappings in its way to go */
    MAP_MAPPED,
    MAP_UNMAPS,
    MAP_RESTORED, /* nobody was asked for it yet */
};

struct vwl_map {
    struct vwl_list link; /* of vwl_maps.live, or of no_room */
    struct vwl_core *core;
    enum map_state state;
    bool abandoned;
    bool leaves;           /* counted in n_leaving */
    bool restored;         /* counted in n_restored */
    bool cleared;          /* stale mappings were cleared away once */
    unsigned int clearing; /* answers that are still to come */
    uint64_t offset;
    uint64_t len;
    int fd; /* borrowed while it waits or clears */
    void (*done)(void *owner, int err);
    void *owner;
    uint64_t file[2];      /* device, inode */
    struct vwl_list twins; /* of others that map the same file */
};

enum op_kind { OP_MAP, OP_UNMAP, OP_CLEAR };

struct vwl_map_op {
    uint64_t cookie;
    enum op_kind kind;
    struct vwl_map *map;
};

struct vwl_map_range {
    uint64_t offset;
    uint64_t len;
};

static guint file_hash(gconstpointer key)
{
    const uint64_t *file = key;

    return (guint)(file[0] * 31 + file[1] * UINT64_C(0x9e3779b1));
}

static gboolean file_equal(gconstpointer a, gconstpointer b)
{
    const uint64_t *x = a, *y = b;

    return x[0] == y[0] && x[1] == y[1];
}

static gint offset_compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static gint range_compare(gconstpointer a, gconstpointer b)
{
    return offset_compare(a, b, NULL);
}

static GTree *stale_create(void)
{
    return g_tree_new_full(offset_compare, NULL, NULL, g_free);
}

void vwl_maps_init(struct vwl_core *core)
{
    struct vwl_maps *maps = &core->maps;

    vwl_window_init(&maps->window, core->config.shm_window);
    vwl_list_init(&maps->live);
    vwl_list_init(&maps->no_room);
    maps->by_file = g_hash_table_new(file_hash, file_equal);
    maps->by_cookie = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                            g_free);
    maps->stale = stale_create();
    maps->next_cookie = 1;
}

static void file_insert(struct vwl_map *map)
{
    struct vwl_maps *maps = &map->core->maps;
    struct vwl_map *first = g_hash_table_lookup(maps->by_file, map->file);

    if (first) {
        vwl_list_insert(&first->twins, &map->twins);
    } else {
        g_hash_table_insert(maps->by_file, map->file, map);
    }
}

static void file_remove(struct vwl_map *map)
{
    struct vwl_maps *maps = &map->core->maps;

    if (g_hash_table_lookup(maps->by_file, map->file) == map) {
        struct vwl_list *twin = map->twins.next;

        g_hash_table_remove(maps->by_file, map->file);
        if (twin != &map->twins) {
            struct vwl_map *next = vwl_list_entry(twin, struct vwl_map, twins);

            g_hash_table_insert(maps->by_file, next->file, next);
        }
    }
    vwl_list_remove(&map->twins);
}

static void map_free(struct vwl_map *map)
{
    map->core->maps.n_leaving -= map->leaves;
    file_remove(map);
    vwl_list_remove(&map->link);
    g_free(map);
}

static void leave(struct vwl_map *map)
{
    map->core->maps.n_leaving += !map->leaves;
    map->leaves = true;
}

static void op_add(struct vwl_core *core, uint64_t cookie, enum op_kind kind,
                   struct vwl_map *map)
{
    struct vwl_map_op *op = g_new(struct vwl_map_op, 1);

    *op = (struct vwl_map_op){ cookie, kind, map };
    g_hash_table_insert(core->maps.by_cookie, &op->cookie, op);
}

struct overlap {
    uint64_t offset;
    uint64_t end;
    GArray *found; /* of struct vwl_map_range */
};

static gint overlap_search(gconstpointer key, gconstpointer user)
{
    const struct vwl_map_range *range = key;
    const struct overlap *overlap = user;

    if (range->offset + range->len <= overlap->offset) {
        return 1;
    }
    return range->offset >= overlap->end ? -1 : 0;
}

/* Takes the stale ranges that overlap the map off the tree. */
static GArray *stale_take(struct vwl_map *map)
{
    GTree *stale = map->core->maps.stale;
    struct overlap overlap = { map->offset, map->offset + map->len, NULL };
    GArray *found = g_array_new(FALSE, FALSE, sizeof(struct vwl_map_range));
    struct vwl_map_range *range;

    while ((range = g_tree_search(stale, overlap_search, &overlap))) {
        g_array_append_val(found, *range);
        g_tree_remove(stale, range);
    }
    g_array_sort(found, range_compare);
    return found;
}

/* Returns how many answers are awaited. */
static unsigned int clear_stale(struct vwl_map *map)
{
    struct vwl_core *core = map->core;
    GArray *found = stale_take(map);
    unsigned int waits = 0;

    for (guint i = 0; i < found->len; i++) {
        struct vwl_map_range *range = &g_array_index(found,
                                                     struct vwl_map_range, i);
        uint64_t cookie = core->maps.next_cookie++;

        if (core->ops->shm_unmap(core->opaque, cookie, range->offset,
                                 range->len) == -EINPROGRESS) {
            op_add(core, cookie, OP_CLEAR, map);
            waits++;
        }
    }
    map->cleared = found->len > 0;
    g_array_unref(found);
    return waits;
}

static void mapped(struct vwl_map *map)
{
    map->state = MAP_MAPPED;
    map->fd = -1;
    map->core->maps.n_mapped++;
    if (g_tree_nnodes(map->core->maps.stale) > 0) {
        g_array_unref(stale_take(map)); /* it was accepted: they are gone */
    }
}

static int try_map(struct vwl_map *map);

static int refused(struct vwl_map *map, int err)
{
    if (!map->cleared && g_tree_nnodes(map->core->maps.stale) > 0) {
        map->clearing = clear_stale(map);
        if (map->clearing > 0) {
            map->state = MAP_CLEARS;
            return -EINPROGRESS;
        }
        if (map->cleared) {
            return try_map(map);
        }
    }
    log_host_bug(map->core->log,
                 "shm: mapping %" PRIu64 " bytes at 0x%" PRIx64
                 " was refused: %s",
                 map->len, map->offset, g_strerror(-err));
    return err;
}

static int try_map(struct vwl_map *map)
{
    struct vwl_core *core = map->core;
    uint64_t cookie = core->maps.next_cookie++;
    int err;

    map->state = MAP_WAITS;
    err = core->ops->shm_map(core->opaque, cookie, map->fd, 0, map->offset,
                             map->len, true);
    if (err == -EINPROGRESS) {
        op_add(core, cookie, OP_MAP, map);
        return err;
    }
    if (err < 0) {
        return refused(map, err);
    }
    mapped(map);
    return 0;
}

static struct vwl_map *map_new(struct vwl_core *core, int fd,
                               const struct stat *st, uint64_t len_bytes,
                               void (*done)(void *owner, int err), void *owner)
{
    struct vwl_map *map = g_new0(struct vwl_map, 1);

    map->core = core;
    map->state = MAP_NO_ROOM;
    map->len = len_bytes;
    map->fd = fd;
    map->done = done;
    map->owner = owner;
    map->file[0] = st->st_dev;
    map->file[1] = st->st_ino;
    vwl_list_init(&map->twins);
    vwl_list_insert(&core->maps.no_room, &map->link);
    return map;
}

static void place(struct vwl_map *map, uint64_t offset)
{
    map->offset = offset;
    vwl_list_remove(&map->link);
    vwl_list_insert(&map->core->maps.live, &map->link);
    file_insert(map);
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
    place(*out, offset);
    (*out)->state = MAP_RESTORED;
    (*out)->restored = true;
    core->maps.n_restored++;
    return 0;
}

/* Maps it where there is room, or waits for those that are about to leave: 0,
 * -EINPROGRESS, or refused and gone. */
static int find_room(struct vwl_map *map)
{
    struct vwl_maps *maps = &map->core->maps;
    uint64_t offset;
    int err = vwl_window_alloc(&maps->window, map->len, &offset);

    if (err == -ENOSPC && maps->n_leaving > 0) {
        return -EINPROGRESS;
    }
    if (err < 0) {
        log_guest_bug(map->core->log,
                      "no room for %" PRIu64 " bytes in the "
                      "shared-memory window",
                      map->len);
        map_free(map);
        return err;
    }
    place(map, offset);
    err = try_map(map);
    if (err < 0 && err != -EINPROGRESS) {
        vwl_window_free(&maps->window, offset, map->len);
        map_free(map);
    }
    return err;
}

/* Somebody left, or went without leaving its place: whoever waits for room
 * gets it, goes on waiting, or is refused when nobody is left to wait for. The
 * list may change with every one that is told. */
static void room_changed(struct vwl_core *core)
{
    struct vwl_list *list = &core->maps.no_room, *link = list->next;

    while (link != list) {
        struct vwl_map *map = vwl_list_entry(link, struct vwl_map, link);
        void (*done)(void *, int) = map->done;
        void *owner = map->owner;
        int err;

        link = link->next;
        err = find_room(map);
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
    err = find_room(map);
    if (err < 0 && err != -EINPROGRESS) {
        return err;
    }
    *out = map;
    return err;
}

static void unmapped(struct vwl_map *map, int err)
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
    map_free(map);
    room_changed(core);
}

static void start_unmap(struct vwl_map *map)
{
    struct vwl_core *core = map->core;
    uint64_t cookie = core->maps.next_cookie++;
    int err;

    core->maps.n_mapped--;
    map->state = MAP_UNMAPS;
    leave(map);
    err = core->ops->shm_unmap(core->opaque, cookie, map->offset, map->len);
    if (err == -EINPROGRESS) {
        op_add(core, cookie, OP_UNMAP, map);
    } else {
        unmapped(map, err);
    }
}

static void uncount(struct vwl_map *map)
{
    map->core->maps.n_restored -= map->restored;
    map->restored = false;
}

void vwl_map_destroy(struct vwl_map *map)
{
    if (!map || map->core->maps.held) {
        return;
    }
    if (map->state == MAP_MAPPED) {
        start_unmap(map);
    } else if (map->state == MAP_RESTORED) {
        uncount(map);
        unmapped(map, 0);
    } else if (map->state == MAP_NO_ROOM) {
        map_free(map);
    } else {
        map->abandoned = true;
        leave(map);
    }
}

static void settle(struct vwl_map *map, int err)
{
    struct vwl_core *core = map->core;
    bool abandoned = map->abandoned;
    void (*done)(void *, int) = map->done;
    void *owner = map->owner;

    uncount(map);
    if (err < 0) {
        vwl_window_free(&core->maps.window, map->offset, map->len);
        map_free(map);
    } else if (abandoned) {
        start_unmap(map);
    }
    if (!abandoned) {
        done(owner, err);
    }
    if (err < 0) {
        room_changed(core);
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

    if (!map) {
        return;
    }
    if (err == 0) {
        mapped(map);
    } else if (!map->abandoned) {
        err = refused(map, err);
    }
    if (err != -EINPROGRESS) {
        settle(map, err);
    }
}

void vwl_map_unmap_done(struct vwl_core *core, uint64_t cookie, int err)
{
    enum op_kind kind;
    struct vwl_map *map = op_take(core, cookie, false, &kind);

    if (!map) {
        return;
    }
    if (kind == OP_UNMAP) {
        unmapped(map, err);
    } else if (--map->clearing == 0) {
        err = map->abandoned ? -ECANCELED : try_map(map);
        if (err != -EINPROGRESS) {
            settle(map, err);
        }
    }
}

void vwl_maps_remake(struct vwl_core *core)
{
    struct vwl_list *link = core->maps.live.next;

    while (link != &core->maps.live) {
        struct vwl_map *map = vwl_list_entry(link, struct vwl_map, link);
        int err;

        link = link->next;
        if (map->state != MAP_RESTORED) {
            continue;
        }
        err = core->has_shm && core->ops->shm_map ? try_map(map) : -ENODEV;
        if (err != -EINPROGRESS) {
            settle(map, err);
        }
    }
}

uint64_t vwl_map_offset(const struct vwl_map *map)
{
    return map->offset;
}

static void remember(struct vwl_map *map)
{
    struct vwl_map_range *range = g_new(struct vwl_map_range, 1);

    *range = (struct vwl_map_range){ map->offset, map->len };
    g_tree_replace(map->core->maps.stale, range, range);
}

void vwl_maps_hold(struct vwl_core *core)
{
    core->maps.held = true;
}

void vwl_maps_reset(struct vwl_core *core, bool unmap)
{
    struct vwl_maps *maps = &core->maps;

    while (!vwl_list_is_empty(&maps->live)) {
        struct vwl_map *map = vwl_list_entry(maps->live.next, struct vwl_map,
                                             link);

        if (map->state != MAP_CLEARS && map->state != MAP_RESTORED) {
            if (!unmap) {
                remember(map);
            } else if (map->state != MAP_UNMAPS) {
                core->ops->shm_unmap(core->opaque, maps->next_cookie++,
                                     map->offset, map->len);
            }
        }
        map_free(map);
    }
    while (!vwl_list_is_empty(&maps->no_room)) {
        map_free(vwl_list_entry(maps->no_room.next, struct vwl_map, link));
    }
    g_hash_table_remove_all(maps->by_cookie);
    maps->held = false;
    maps->anchor = NULL;
    maps->anchor_tried = false;
    maps->n_mapped = 0;
    maps->n_restored = 0;
    vwl_fd_clear(&core->anchor_fd);
    vwl_window_finish(&maps->window);
    vwl_window_init(&maps->window, core->config.shm_window);
}

void vwl_maps_finish(struct vwl_core *core)
{
    vwl_window_finish(&core->maps.window);
    g_hash_table_unref(core->maps.by_file);
    g_hash_table_unref(core->maps.by_cookie);
    g_tree_unref(core->maps.stale);
}

bool vwl_maps_own_file(const struct vwl_maps *maps, uint64_t st_dev,
                       uint64_t st_ino, uint64_t *shm_offset)
{
    uint64_t file[2] = { st_dev, st_ino };
    const struct vwl_map *map = g_hash_table_lookup(maps->by_file, file);

    if (!map) {
        return false;
    }
    *shm_offset = vwl_list_is_empty(&map->twins) ? map->offset : UINT64_MAX;
    return true;
}
