/* SPDX-License-Identifier: BSD-3-Clause */
#include "window.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int vwl_window_init(struct vwl_window *win, uint64_t size, uint64_t gpa)
{
    *win = (struct vwl_window){ .size = size, .gpa = gpa };
    if (size != 0) {
        void *base = mmap(NULL, size, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (base == MAP_FAILED) {
            return -errno;
        }
        win->base = base;
    }
    g_mutex_init(&win->lock);
    win->pieces = g_array_new(FALSE, FALSE, sizeof(struct vwl_window_piece));
    return 0;
}

/* Harmless memory: a guest may touch what it had mapped. */
static void blank(struct vwl_window *win, uint64_t offset, uint64_t len)
{
    mmap(win->base + offset, len, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

void vwl_window_finish(struct vwl_window *win)
{
    if (win->pieces == NULL) {
        return;
    }
    vwl_window_drop_all(win);
    g_array_unref(win->pieces);
    win->pieces = NULL;
    g_mutex_clear(&win->lock);
    if (win->base != NULL) {
        munmap(win->base, win->size);
        win->base = NULL;
    }
}

static struct vwl_window_piece *piece(struct vwl_window *win, guint i)
{
    return &g_array_index(win->pieces, struct vwl_window_piece, i);
}

/* First piece that ends after offset. */
static guint lower_bound(struct vwl_window *win, uint64_t offset)
{
    guint low = 0, high = win->pieces->len;

    while (low < high) {
        guint mid = low + (high - low) / 2;

        if (piece(win, mid)->shm_offset + piece(win, mid)->len <= offset) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static int check_file(int fd, uint64_t fd_offset, uint64_t len)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (S_ISREG(st.st_mode) && (len > (uint64_t)st.st_size ||
                                fd_offset > (uint64_t)st.st_size - len)) {
        return -EOVERFLOW;
    }
    return 0;
}

static int map_locked(struct vwl_window *win, int fd, uint64_t fd_offset,
                      uint64_t shm_offset, uint64_t len, bool writable)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct vwl_window_piece new = { shm_offset, len, fd_offset, -1 };
    int prot = PROT_READ;
    guint at;
    int r;

    if (len == 0 || len > win->size || shm_offset > win->size - len ||
        (len | shm_offset | fd_offset) % page != 0) {
        return -EINVAL;
    }
    at = lower_bound(win, shm_offset);
    if (at < win->pieces->len &&
        piece(win, at)->shm_offset < shm_offset + len) {
        return -EEXIST;
    }
    r = check_file(fd, fd_offset, len);
    if (r < 0) {
        return r;
    }
    if (writable || !win->read_only_maps) {
        prot |= PROT_WRITE;
    }
    new.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (new.fd < 0) {
        return -errno;
    }
    if (mmap(win->base + shm_offset, len, prot, MAP_SHARED | MAP_FIXED, fd,
             (off_t)fd_offset) == MAP_FAILED) {
        r = -errno;
        close(new.fd);
        return r;
    }
    g_array_insert_val(win->pieces, at, new);
    return 0;
}

int vwl_window_map(struct vwl_window *win, int fd, uint64_t fd_offset,
                   uint64_t shm_offset, uint64_t len, bool writable)
{
    int r;

    g_mutex_lock(&win->lock);
    r = map_locked(win, fd, fd_offset, shm_offset, len, writable);
    if (r == 0) {
        win->maps++;
    } else {
        win->refused++;
    }
    g_mutex_unlock(&win->lock);
    return r;
}

int vwl_window_unmap(struct vwl_window *win, uint64_t shm_offset, uint64_t len)
{
    int r = -ENOENT;
    guint at;

    g_mutex_lock(&win->lock);
    at = lower_bound(win, shm_offset);
    if (at < win->pieces->len && piece(win, at)->shm_offset == shm_offset &&
        piece(win, at)->len == len) {
        blank(win, shm_offset, len);
        close(piece(win, at)->fd);
        g_array_remove_index(win->pieces, at);
        win->unmaps++;
        r = 0;
    } else {
        win->refused++;
    }
    g_mutex_unlock(&win->lock);
    return r;
}

void vwl_window_drop_all(struct vwl_window *win)
{
    g_mutex_lock(&win->lock);
    for (guint i = 0; i < win->pieces->len; i++) {
        blank(win, piece(win, i)->shm_offset, piece(win, i)->len);
        close(piece(win, i)->fd);
    }
    g_array_set_size(win->pieces, 0);
    g_mutex_unlock(&win->lock);
}

void *vwl_window_at(struct vwl_window *win, uint64_t shm_offset, uint64_t len)
{
    void *at = NULL;
    guint i;

    g_mutex_lock(&win->lock);
    i = lower_bound(win, shm_offset);
    if (len != 0 && i < win->pieces->len &&
        piece(win, i)->shm_offset <= shm_offset && len <= piece(win, i)->len &&
        shm_offset - piece(win, i)->shm_offset <= piece(win, i)->len - len) {
        at = win->base + shm_offset;
    }
    g_mutex_unlock(&win->lock);
    return at;
}

unsigned int vwl_window_count(struct vwl_window *win)
{
    unsigned int n;

    g_mutex_lock(&win->lock);
    n = win->pieces->len;
    g_mutex_unlock(&win->lock);
    return n;
}
