/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What kinds of memory have in common: a file, its place in region 0, and what
 * it costs. It can be used once it is mapped and, for drivers that are told
 * guest addresses, once somebody knows where region 0 is. send_fd is what a
 * peer gets; another file may be what is mapped.
 */
#ifndef VWL_WL_KINDS_MEMORY_H
#define VWL_WL_KINDS_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "wl/vfd.h"

struct vwl_map;

struct vwl_memory {
    struct vwl_vfd vfd;
    struct vwl_map *map;    /* NULL: nothing is mapped */
    int copy_fd;            /* what is mapped, if not send_fd; -1 */
    bool direct;            /* a received file itself is being mapped */
    uint64_t charged_bytes; /* against max_shm_bytes */
    bool sent;              /* a peer may hold send_fd */
    uint32_t answered_flags;
    struct vwl_list waiter; /* of vwl_core.base_waiters or .buffer_waiters */
    uint64_t deadline_us;   /* of the base_waiter */
    /* It can be used, or has become opaque; NULL: nobody waits. */
    void (*settled)(void *owner);
    void *owner;
};

static inline struct vwl_memory *vwl_memory_of(struct vwl_vfd *vfd)
{
    return (struct vwl_memory *)(void *)vfd;
}

static inline const struct vwl_memory *vwl_memory_of_const(
    const struct vwl_vfd *vfd)
{
    return (const struct vwl_memory *)(const void *)vfd;
}

/* Counts against the limit. -ENOSPC. */
int vwl_memory_charge(struct vwl_memory *memory, uint64_t bytes);
/* Maps len bytes of fd, borrowed until then. 0: it can be used; -EINPROGRESS:
 * later; then its creation ends, or settled is called. */
int vwl_memory_map(struct vwl_memory *memory, int fd, uint64_t len);
/* Maps a copy of send_fd. cached_only: as vwl_copy_private. */
int vwl_memory_map_copy(struct vwl_memory *memory, bool cached_only);

/* The address of region 0 became known: those that wait for it go on. */
void vwl_memory_base_changed(struct vwl_core *core);

/* Of vwl_vfd_ops. */
void vwl_memory_init(struct vwl_vfd *vfd);
void vwl_memory_free(struct vwl_vfd *vfd);
void vwl_memory_answer(const struct vwl_vfd *vfd, struct vwl_vfd_words *words);
void vwl_memory_announce(const struct vwl_vfd *vfd,
                         struct vwl_vfd_words *words);
int vwl_memory_fd_to_send(const struct vwl_vfd *vfd);
void vwl_memory_sent(struct vwl_vfd *vfd);
void vwl_memory_describe(const struct vwl_vfd *vfd, struct vwl_image *image);
int vwl_memory_file(const struct vwl_vfd *vfd);

#endif
