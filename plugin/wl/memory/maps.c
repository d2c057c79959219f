/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fd.h"
#include "wl/memory/map_priv.h"
#include "wl/state.h"

void vwl_maps_init(struct vwl_core *core)
{
    struct vwl_maps *maps = &core->maps;

    vwl_window_init(&maps->window, core->config.shm_window);
    vwl_list_init(&maps->live);
    vwl_list_init(&maps->no_room);
    maps->by_file = vwl_files_create();
    maps->by_cookie = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                            g_free);
    vwl_stale_init(&maps->stale);
    maps->next_cookie = 1;
}

void vwl_maps_finish(struct vwl_core *core)
{
    vwl_window_finish(&core->maps.window);
    g_hash_table_unref(core->maps.by_file);
    g_hash_table_unref(core->maps.by_cookie);
    vwl_stale_finish(&core->maps.stale);
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

        if (!map->clearing && map->state != VWL_MAP_RESTORED) {
            if (!unmap) {
                vwl_stale_add(&maps->stale, map->offset, map->len);
            } else if (map->state != VWL_MAP_UNMAPS) {
                core->ops->shm_unmap(core->opaque, maps->next_cookie++,
                                     map->offset, map->len);
            }
        }
        vwl_map_free(map);
    }
    while (!vwl_list_is_empty(&maps->no_room)) {
        vwl_map_free(vwl_list_entry(maps->no_room.next, struct vwl_map, link));
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

void vwl_maps_remake(struct vwl_core *core)
{
    struct vwl_list *link = core->maps.live.next;

    while (link != &core->maps.live) {
        struct vwl_map *map = vwl_list_entry(link, struct vwl_map, link);

        link = link->next;
        if (map->state == VWL_MAP_RESTORED) {
            vwl_map_remake(map);
        }
    }
}

bool vwl_maps_own_file(const struct vwl_maps *maps, uint64_t st_dev,
                       uint64_t st_ino, uint64_t *shm_offset)
{
    const struct vwl_map *map = vwl_files_find(maps->by_file, st_dev, st_ino);

    if (!map) {
        return false;
    }
    *shm_offset = vwl_list_is_empty(&map->twins) ? map->offset : UINT64_MAX;
    return true;
}
