/* SPDX-License-Identifier: BSD-3-Clause */
#include "exports.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>

#define MAX_EXPORTS 65536u

struct vwl_exports {
    GMutex lock;
    GHashTable *fds; /* id to descriptor */
    uint32_t last;
};

static void close_value(gpointer value)
{
    close(GPOINTER_TO_INT(value));
}

struct vwl_exports *vwl_exports_new(void)
{
    struct vwl_exports *exports = g_new0(struct vwl_exports, 1);

    g_mutex_init(&exports->lock);
    exports->fds = g_hash_table_new_full(NULL, NULL, NULL, close_value);
    return exports;
}

void vwl_exports_free(struct vwl_exports *exports)
{
    if (exports != NULL) {
        g_hash_table_unref(exports->fds);
        g_mutex_clear(&exports->lock);
        g_free(exports);
    }
}

int vwl_exports_add(struct vwl_exports *exports, int *fd)
{
    int id = -ENOSPC;

    g_mutex_lock(&exports->lock);
    if (g_hash_table_size(exports->fds) < MAX_EXPORTS) {
        do {
            exports->last = exports->last % VWL_EXPORTS_MAX_ID + 1;
        } while (g_hash_table_contains(exports->fds,
                                       GUINT_TO_POINTER(exports->last)));
        id = (int)exports->last;
        g_hash_table_insert(exports->fds, GUINT_TO_POINTER(exports->last),
                            GINT_TO_POINTER(*fd));
        *fd = -1;
    }
    g_mutex_unlock(&exports->lock);
    return id;
}

void vwl_exports_remove(struct vwl_exports *exports, uint32_t id)
{
    g_mutex_lock(&exports->lock);
    g_hash_table_remove(exports->fds, GUINT_TO_POINTER(id));
    g_mutex_unlock(&exports->lock);
}

int vwl_exports_get(struct vwl_exports *exports, uint64_t id)
{
    gpointer value;
    int fd = -ENOENT;

    g_mutex_lock(&exports->lock);
    if (id <= VWL_EXPORTS_MAX_ID &&
        g_hash_table_lookup_extended(exports->fds, GUINT_TO_POINTER(id), NULL,
                                     &value)) {
        fd = fcntl(GPOINTER_TO_INT(value), F_DUPFD_CLOEXEC, 0);
        fd = fd < 0 ? -errno : fd;
    }
    g_mutex_unlock(&exports->lock);
    return fd;
}
