/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers of wl_shm: the client's pixels are in its pool's file; the host's
 * are in memory of its own that a buffer gets when it is first shown, and into
 * which the pixels that changed are read. Memory that nobody needs rests for a
 * while.
 *
 * The first row begins with a page at the host, and the memory's length is
 * sealed. Where the host is new enough, rows begin at multiples of
 * VWL_HOST_ALIGN bytes: what compositors ask for that let the GPU read such
 * memory, and need no copy of their own. Elsewhere there are no gaps.
 *
 * A buffer that was copied whole often may be given to the host in place, as
 * the client's own pages. For the host it is another buffer then. The pages
 * stay pinned until the host has deleted the id of their pool, which is never
 * resized; a client that takes them out of its file has its pixels copied
 * again.
 *
 * A buffer is alive while the client has it, the host shows it or a surface
 * has it attached.
 */
#ifndef VWL_BRIDGE_SHMBUF_H
#define VWL_BRIDGE_SHMBUF_H

#include "damage.h"
#include "pool.h"

/* Host memory with a pool of one page-rounded piece on it. */
struct vwl_memory {
    struct vwl_transport_mem mem;
    struct vwl_object *pool;
    bool in_place; /* it is the client's own: nothing is copied */
};

#define VWL_HOST_ALIGN 256

struct vwl_shmbuf {
    struct vwl_object *object;
    struct vwl_pool *pool;
    int32_t offset, width, height, stride;
    uint32_t format;
    int32_t host_stride;
    size_t extent;                /* bytes that belong to it at the host */
    unsigned int bytes_per_pixel; /* 0: not known, and laid out as the file */
    struct vwl_memory *memory;    /* NULL: never shown */
    const void *surface;          /* that showed it last; may be NULL */
    struct vwl_damage stale;      /* where the memory is behind the file */
    uint64_t copied;              /* bytes, so far */
    bool settled;                 /* it stays as it is: copied, or in place */
    bool destroyed;               /* by the client */
    bool busy;                    /* the host has it */
    unsigned int pending;         /* attached, not committed */
};

extern const struct vwl_handler vwl_handle_buffer;

/* A buffer as described, of a pool and with what the argument asks for as its
 * id. NULL: the client failed. */
struct vwl_shmbuf *vwl_shmbuf_new(struct vwl_client *client,
                                  const struct vwl_shmbuf *like,
                                  const struct vwl_wire_arg *arg);
/* Of an object, or NULL: no wl_buffer, or none of wl_shm. */
struct vwl_shmbuf *vwl_shmbuf_of(const struct vwl_object *object);
/* All that are alive: of struct vwl_shmbuf. */
GPtrArray *vwl_shmbuf_all(struct vwl_client *client);
/* Before it is attached: one that was copied often is given to the host as it
 * is, if the host takes it so; one that is not in place any more is copied. */
void vwl_shmbuf_place(struct vwl_client *client, struct vwl_shmbuf *buffer);
/* The host has let go of a pool; of ours, or any. */
void vwl_shmbuf_pool_gone(struct vwl_client *client,
                          const struct vwl_object *pool);
/* Frees it if neither client nor host nor a surface needs it. */
void vwl_shmbuf_settle(struct vwl_client *client, struct vwl_shmbuf *buffer);

/* copy.c: reads what is stale. -errno: the file is too short, or worse. */
int vwl_copy_stale(struct vwl_client *client, struct vwl_shmbuf *buffer);

#endif
