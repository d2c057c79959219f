/*
 * Vhost-user virtio-wl device: shared-memory region 0
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/lockable.h"
#include "qemu/madvise.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "hw/virtio/vhost-user-wl.h"
#include <sys/mman.h>

/*
 * A process may have 65530 mappings by default (vm.max_map_count); holes take
 * one for each length of the scratch file.
 */
#define SCRATCH_MIN (2 * MiB)
#define SCRATCH_PIECES_MAX 16384
/* Each may take a mapping of its own and split one of the scratch file. */
#define MAPS_MAX 16384

typedef struct WLMap {
    uint64_t offset;
    uint64_t len;
    uint64_t fd_offset;
    int fd;
} WLMap;

/* Places that overlap are equal, so that a look-up finds any overlap. */
static gint map_compare(gconstpointer a, gconstpointer b, gpointer opaque)
{
    const WLMap *ma = a, *mb = b;

    if (ma->offset + ma->len <= mb->offset) {
        return -1;
    }
    if (mb->offset + mb->len <= ma->offset) {
        return 1;
    }
    return 0;
}

static void map_free(gpointer data)
{
    WLMap *m = data;

    if (m->fd >= 0) {
        close(m->fd);
    }
    g_free(m);
}

/*
 * Neighbouring pieces of one file are one mapping for the kernel if their
 * flags are the same: give every piece the flags that the whole has, or the
 * number of mappings would only ever grow.  One call for a whole range, of
 * however many mappings: a window is thousands of them.
 */
static void window_advise(void *addr, uint64_t len)
{
    qemu_madvise(addr, len, QEMU_MADV_HUGEPAGE);
    qemu_madvise(addr, len, QEMU_MADV_DONTFORK);
    qemu_madvise(addr, len, QEMU_MADV_DONTDUMP);
}

static int window_place(VHostUserWLWindow *w, int fd, uint64_t fd_offset,
                        uint64_t offset, uint64_t len, int flags)
{
    if (mmap(w->base + offset, len, PROT_READ | PROT_WRITE, flags | MAP_FIXED,
             fd, fd_offset) == MAP_FAILED) {
        return -errno;
    }
    return 0;
}

static int window_scratch(VHostUserWLWindow *w, uint64_t offset, uint64_t len)
{
    while (len) {
        uint64_t from = offset % w->scratch_size;
        uint64_t n = MIN(len, w->scratch_size - from);
        int ret = window_place(w, w->scratch_fd, from, offset, n,
                               MAP_SHARED | MAP_NORESERVE);

        if (ret < 0) {
            return ret;
        }
        offset += n;
        len -= n;
    }
    return 0;
}

/* Aligned, so that the kernel can use large pages. */
static bool window_reserve(VHostUserWLWindow *w, Error **errp)
{
    uint8_t *range = mmap(NULL, w->size + SCRATCH_MIN, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint8_t *base;

    if (range == MAP_FAILED) {
        error_setg_errno(errp, errno,
                         "cannot reserve %" PRIu64
                         " MiB of addresses for shm-size",
                         w->size / MiB);
        return false;
    }
    base = QEMU_ALIGN_PTR_UP(range, SCRATCH_MIN);
    if (base > range) {
        munmap(range, base - range);
    }
    munmap(base + w->size, SCRATCH_MIN - (base - range));
    w->base = base;
    return true;
}

/* Addresses, and scratch memory at all of them. */
static bool window_make(VHostUserWLWindow *w, Error **errp)
{
    int ret;

    w->scratch_size = MIN(w->size,
                          MAX(SCRATCH_MIN, w->size / SCRATCH_PIECES_MAX));
    w->scratch_fd = qemu_memfd_create("vhost-user-wl-scratch", w->scratch_size,
                                      false, 0, 0, errp);
    if (w->scratch_fd < 0) {
        return false;
    }
    if (!window_reserve(w, errp)) {
        close(w->scratch_fd);
        return false;
    }
    ret = window_scratch(w, 0, w->size);
    if (ret < 0) {
        error_setg_errno(errp, -ret,
                         "cannot map the scratch memory that "
                         "backs shm-size");
        munmap(w->base, w->size);
        close(w->scratch_fd);
        return false;
    }
    return true;
}

VHostUserWLWindow *vhost_user_wl_window_new(Object *owner, uint64_t size,
                                            Error **errp)
{
    VHostUserWLWindow *w;

    if (!is_power_of_2(size) || size < qemu_real_host_page_size() ||
        size > 1ULL << 43) {
        error_setg(errp,
                   "shm-size must be a power of two between %zu "
                   "bytes and 8 TiB",
                   (size_t)qemu_real_host_page_size());
        return NULL;
    }

    w = g_new0(VHostUserWLWindow, 1);
    w->size = size;
    w->announced = UINT64_MAX;
    if (!window_make(w, errp)) {
        g_free(w);
        return NULL;
    }
    qemu_mutex_init(&w->lock);
    w->maps = g_tree_new_full(map_compare, NULL, NULL, map_free);
    /*
     * A RAM device: without a descriptor, so never in the memory tables of
     * other vhost-user devices, and in no dump or migration stream.
     */
    memory_region_init_ram_device_ptr(&w->mr, owner, "vhost-user-wl-shm", size,
                                      w->base);
    window_advise(w->base, size);
    return w;
}

void vhost_user_wl_window_free(VHostUserWLWindow *w)
{
    if (!w) {
        return;
    }
    g_tree_destroy(w->maps);
    qemu_mutex_destroy(&w->lock);
    munmap(w->base, w->size);
    close(w->scratch_fd);
    g_free(w);
}

static bool window_args_ok(VHostUserWLWindow *w, uint64_t fd_offset,
                           uint64_t offset, uint64_t len)
{
    uint64_t mask = qemu_real_host_page_size() - 1;

    return len && !((fd_offset | offset | len) & mask) && offset <= w->size &&
           len <= w->size - offset && fd_offset <= INT64_MAX - len;
}

int vhost_user_wl_window_map(VHostUserWLWindow *w, int fd, uint64_t fd_offset,
                             uint64_t offset, uint64_t len, bool writable,
                             bool keep)
{
    WLMap *m;
    struct stat st;
    int ret;

    if (fd < 0 || !window_args_ok(w, fd_offset, offset, len)) {
        return -EINVAL;
    }
    /* Pages beyond the end of a file would be fatal to touch. */
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (S_ISREG(st.st_mode) && st.st_size < fd_offset + len) {
        return -EINVAL;
    }

    m = g_new(WLMap, 1);
    *m = (WLMap){
        .offset = offset, .len = len, .fd_offset = fd_offset, .fd = -1
    };

    QEMU_LOCK_GUARD(&w->lock);

    if (g_tree_lookup(w->maps, m)) {
        g_free(m);
        return -EEXIST;
    }
    if (g_tree_nnodes(w->maps) >= MAPS_MAX) {
        g_free(m);
        return -ENOSPC;
    }
    if (keep) {
        m->fd = qemu_dup(fd);
        if (m->fd < 0) {
            ret = -errno;
            g_free(m);
            return ret;
        }
    }
    /*
     * What the guest must not write to is still writable memory, or its
     * write would be fatal: pages it writes become private copies.
     */
    ret = window_place(w, fd, fd_offset, offset, len,
                       writable ? MAP_SHARED : MAP_PRIVATE | MAP_NORESERVE);
    if (ret < 0) {
        /* A failed MAP_FIXED may have left a hole behind. */
        window_scratch(w, offset, len);
    }
    window_advise(w->base + offset, len);
    if (ret < 0) {
        map_free(m);
        return ret;
    }
    g_tree_insert(w->maps, m, m);
    w->mapped += len;
    return 0;
}

int vhost_user_wl_window_unmap(VHostUserWLWindow *w, uint64_t offset,
                               uint64_t len)
{
    WLMap key = { .offset = offset, .len = len };
    WLMap *m;
    int ret;

    if (!window_args_ok(w, 0, offset, len)) {
        return -EINVAL;
    }

    QEMU_LOCK_GUARD(&w->lock);

    m = g_tree_lookup(w->maps, &key);
    if (!m || m->offset != offset || m->len != len) {
        return -ENOENT;
    }
    ret = window_scratch(w, offset, len);
    window_advise(w->base + offset, len);
    if (ret < 0) {
        return ret;
    }
    if (w->announced == offset) {
        w->announced = UINT64_MAX;
    }
    w->mapped -= len;
    g_tree_remove(w->maps, m);
    return 0;
}

static gboolean window_first(gpointer key, gpointer value, gpointer opaque)
{
    WLMap **out = opaque;

    *out = value;
    return true;
}

void vhost_user_wl_window_reset(VHostUserWLWindow *w)
{
    WLMap *m;

    QEMU_LOCK_GUARD(&w->lock);

    for (;;) {
        m = NULL;
        g_tree_foreach(w->maps, window_first, &m);
        if (!m) {
            break;
        }
        if (window_scratch(w, m->offset, m->len) < 0) {
            error_report("vhost-user-wl: cannot unmap shared memory: %s",
                         strerror(errno));
        }
        g_tree_remove(w->maps, m);
    }
    w->mapped = 0;
    w->announced = UINT64_MAX;
    window_advise(w->base, w->size);
    /*
     * Each page of a hole that the guest touched counts as resident memory of
     * this process, the same few pages over and over: start from nothing.
     */
    qemu_madvise(w->base, w->size, QEMU_MADV_DONTNEED);
}

bool vhost_user_wl_window_piece(VHostUserWLWindow *w, uint64_t *offset,
                                uint64_t *len, uint64_t *fd_offset, int *fd)
{
    WLMap *m = NULL;

    QEMU_LOCK_GUARD(&w->lock);

    if (w->announced != UINT64_MAX) {
        WLMap key = { .offset = w->announced, .len = 1 };

        m = g_tree_lookup(w->maps, &key);
    }
    if (!m) {
        g_tree_foreach(w->maps, window_first, &m);
    }
    if (!m || m->fd < 0) {
        return false;
    }
    w->announced = m->offset;
    *offset = m->offset;
    *len = m->len;
    *fd_offset = m->fd_offset;
    *fd = m->fd;
    return true;
}

bool vhost_user_wl_window_is_unannounced(VHostUserWLWindow *w)
{
    QEMU_LOCK_GUARD(&w->lock);

    return w->announced == UINT64_MAX && g_tree_nnodes(w->maps);
}

void vhost_user_wl_window_usage(VHostUserWLWindow *w, uint64_t *pieces,
                                uint64_t *bytes)
{
    QEMU_LOCK_GUARD(&w->lock);

    *pieces = g_tree_nnodes(w->maps);
    *bytes = w->mapped;
}
