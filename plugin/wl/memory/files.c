/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/memory/map_priv.h"

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

GHashTable *vwl_files_create(void)
{
    return g_hash_table_new(file_hash, file_equal);
}

void vwl_files_insert(GHashTable *files, struct vwl_map *map)
{
    struct vwl_map *first = g_hash_table_lookup(files, map->file);

    if (first) {
        vwl_list_insert(&first->twins, &map->twins);
    } else {
        g_hash_table_insert(files, map->file, map);
    }
}

void vwl_files_remove(GHashTable *files, struct vwl_map *map)
{
    if (g_hash_table_lookup(files, map->file) == map) {
        struct vwl_list *twin = map->twins.next;

        g_hash_table_remove(files, map->file);
        if (twin != &map->twins) {
            struct vwl_map *next = vwl_list_entry(twin, struct vwl_map, twins);

            g_hash_table_insert(files, next->file, next);
        }
    }
    vwl_list_remove(&map->twins);
}

const struct vwl_map *vwl_files_find(GHashTable *files, uint64_t st_dev,
                                     uint64_t st_ino)
{
    uint64_t file[2] = { st_dev, st_ino };

    return g_hash_table_lookup(files, file);
}
