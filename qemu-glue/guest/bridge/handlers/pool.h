/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's wl_shm_pool: its file, mapped where that is worth while. Its
 * owner may shrink it at any time: the map is read under guard.h, and one that
 * failed is read as a file from then on, which tells a hole from an end. Alive
 * while the object or one of its buffers is.
 */
#ifndef VWL_BRIDGE_POOL_H
#define VWL_BRIDGE_POOL_H

#include "handler.h"

struct vwl_pool {
    unsigned int refs; /* the object and its buffers */
    int fd;
    int64_t size;
    bool shared;     /* the host has the file, and the objects */
    const char *map; /* the whole of it; NULL: it is read */
    size_t map_bytes;
    bool torn;         /* a map of it failed: no more of them */
    uint32_t host_shm; /* host id of the wl_shm it was made of */
    uint32_t shm;      /* and its client id, for errors */
};

/* Whether a client may have one more. */
bool vwl_pool_has_room(struct vwl_client *client);
/* Takes fd. One reference is the caller's. */
struct vwl_pool *vwl_pool_new(struct vwl_client *client, int fd, int64_t size);
void vwl_pool_unref(struct vwl_client *client, struct vwl_pool *pool);

/* Maps the file if that is worth while; again after it has grown. */
void vwl_pool_map(struct vwl_client *client, struct vwl_pool *pool);
/* The map could not be read: there is none any more. */
void vwl_pool_tear(struct vwl_client *client, struct vwl_pool *pool);

/* Whether a file has so many bytes and keeps them: of tmpfs, sealed. */
bool vwl_pool_file_stays(int fd, int64_t bytes);

#endif
