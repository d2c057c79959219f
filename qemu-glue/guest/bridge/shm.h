/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wl_shm, answered by the bridge: a pool is the client's file and never crosses
 * (but with share_pools: then the host has it if its file is sealed against
 * shrinking, and all that was checked here); a buffer gets memory of the host's
 * when it is first shown, into which the rows that changed are read. Only a
 * file that is sealed against it is mapped: a client may shrink any other at
 * any time.
 */
#ifndef VWL_BRIDGE_SHM_H
#define VWL_BRIDGE_SHM_H

#include "client.h"

#define VWL_MAX_RECTS 16u

struct vwl_rect {
    int32_t x, y, width, height;
};

/* What changed: some rectangles, or everything. */
struct vwl_damage {
    bool all;
    unsigned int n;
    struct vwl_rect rects[VWL_MAX_RECTS];
};

struct vwl_pool {
    unsigned int refs; /* the object and its buffers */
    int fd;
    int64_t size;
    bool shared;     /* the host has the file, and the objects */
    const char *map; /* the whole of it; NULL: it is read */
    size_t map_bytes;
    uint32_t host_shm; /* host id of the wl_shm it was made of */
    uint32_t shm;      /* and its client id, for errors */
};

/* Host memory with a pool of one page-rounded piece on it. */
struct vwl_memory {
    struct vwl_transport_mem mem;
    struct vwl_object *pool;
};

struct vwl_surface;

struct vwl_buffer {
    struct vwl_object *object; /* with client id 0: destroyed by the client */
    struct vwl_pool *pool;
    int32_t offset, width, height, stride;
    uint32_t format;
    size_t extent;                /* bytes from offset that belong to it */
    unsigned int bytes_per_pixel; /* 0: not known */
    struct vwl_memory *memory;    /* NULL: never shown */
    struct vwl_surface *surface;  /* that showed it last; may be NULL */
    struct vwl_damage stale;      /* where the memory is behind the file */
    bool busy;                    /* the host has it */
    unsigned int pending;         /* attached, not committed */
};

struct vwl_surface {
    struct vwl_buffer *attached; /* not committed; may be NULL */
    bool attach;                 /* something was attached, or nothing */
    bool viewport, transformed;
    bool fenced, released; /* asked for since the last commit */
    uint32_t sync;         /* client id; 0: none */
    int32_t scale;
    struct vwl_damage damage;        /* of the surface's pixels */
    struct vwl_damage buffer_damage; /* of the buffer's */
};

struct vwl_surface *vwl_surface_of(struct vwl_object *object);

void vwl_damage_add(struct vwl_damage *damage, struct vwl_rect rect);
void vwl_damage_merge(struct vwl_damage *damage, const struct vwl_damage *more,
                      int32_t scale);

/* Whether the file has so many bytes and keeps them: of tmpfs, sealed. */
bool vwl_file_stays(int fd, int64_t bytes);

/* Maps the pool's file if that is safe, and worth while; again after it has
 * grown. */
void vwl_pool_map(struct vwl_client *client, struct vwl_pool *pool);
void vwl_pool_unmap(struct vwl_client *client, struct vwl_pool *pool);

/* Reads what is stale. -errno: the file is too short, or worse. */
int vwl_buffer_copy(struct vwl_buffer *buffer);

/* Frees it if neither client nor host nor a surface needs it. */
void vwl_buffer_settle(struct vwl_client *client, struct vwl_buffer *buffer);

#endif
