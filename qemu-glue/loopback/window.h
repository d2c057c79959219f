/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Shared-memory region 0 as a VMM keeps it: a reserved piece of address space
 * into which the device's files are mapped, with the refusals that QEMU has
 * (overlap, unmap of something else than one earlier map, files too short,
 * files that cannot be mapped writable). Any thread may call.
 */
#ifndef VWL_LOOPBACK_WINDOW_H
#define VWL_LOOPBACK_WINDOW_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct vwl_window_piece {
    uint64_t shm_offset, len, fd_offset;
    int fd; /* our own copy */
};

struct vwl_window {
    GMutex lock;
    uint8_t *base;       /* NULL: no window */
    uint64_t size;       /* bytes */
    uint64_t gpa;        /* where the guest sees it */
    bool read_only_maps; /* honour a read-only map, as crosvm does; else every
                            file must be writable, as for QEMU */
    GArray *pieces;      /* of struct vwl_window_piece, by offset */
    uint64_t maps, unmaps, refused; /* counted since the start */
};

/* size 0: a window that refuses everything. 0 or -errno. */
int vwl_window_init(struct vwl_window *win, uint64_t size, uint64_t gpa);
void vwl_window_finish(struct vwl_window *win);

/* 0, or -errno for a refusal. fd is borrowed. */
int vwl_window_map(struct vwl_window *win, int fd, uint64_t fd_offset,
                   uint64_t shm_offset, uint64_t len, bool writable);
int vwl_window_unmap(struct vwl_window *win, uint64_t shm_offset, uint64_t len);

/* What a VMM does at a device reset. */
void vwl_window_drop_all(struct vwl_window *win);

/* The bytes at an offset, or NULL when not all of them are mapped. */
void *vwl_window_at(struct vwl_window *win, uint64_t shm_offset, uint64_t len);
unsigned int vwl_window_count(struct vwl_window *win);

#endif
