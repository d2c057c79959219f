/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest driver of a virtio-wl device, in user space, over a front-end
 * double. By default it behaves as the Linux drivers do: request and response
 * share their memory, NEW* are 64 bytes both ways, each in-buffer is one
 * writable segment of 4096 bytes, requests are indirect when that was
 * negotiated. It is stricter with the device than they are: what no driver
 * would accept becomes a complaint (vwl_fe's list).
 *
 * Owned by the front-end's thread. Helpers that wait do so for the
 * front-end's time-out at most. Those that send a command return the
 * response's type (VIRTIO_WL_RESP_*), or -errno when there was none.
 */
#ifndef VWL_LOOPBACK_DRIVER_H
#define VWL_LOOPBACK_DRIVER_H

#include <sys/uio.h>

#include "frontend.h"
#include "ring.h"

/* How a request lies in memory. All zero: as Linux lays it. */
struct vwl_drv_shape {
    bool separate;  /* the response has memory of its own */
    bool direct;    /* a chain in the ring itself */
    uint32_t piece; /* cut into segments of so many bytes; 0: one segment */
    uint32_t gap;   /* bytes between two segments in memory */
};

struct vwl_drv_options {
    uint16_t queue_size; /* 0 = 256; a power of two unless packed */
    bool no_in_buffers;  /* post none at the start */
    bool hold_buffers;   /* keep a RECV's buffer until it was read, as Linux
                            does; else post it again at once */
    bool record;         /* keep every message in `messages` */
    struct vwl_drv_shape shape; /* of requests that do not say */
};

struct vwl_drv_request {
    uint8_t response[64]; /* what the device wrote, as far as it fits */
    uint32_t used_len;    /* as the device reported it */
    bool done;
    /* the driver's own */
    uint64_t gpa, table_gpa;
    size_t len, table_len, response_at;
    struct vwl_drv_shape shape;
    uint32_t response_cap;
    bool abandoned;
};

/* One VFD_RECV, or what is left of it. */
struct vwl_drv_record {
    uint32_t *ids;
    unsigned int n_ids, ids_at;
    uint32_t few_ids[4];
    uint8_t *data; /* in the buffer, if that is held */
    size_t len, at;
    void *buffer; /* held in-buffer, or NULL */
};

struct vwl_drv_vfd {
    uint32_t id, flags, size;
    uint64_t pfn;
    bool from_host;
    bool hup;
    GQueue records; /* of struct vwl_drv_record */
    size_t bytes;   /* of data in them */
};

struct vwl_drv {
    struct vwl_fe *fe;
    struct vwl_drv_options options;
    struct vwl_ring in, out;
    GHashTable *vfds;    /* id to struct vwl_drv_vfd */
    GPtrArray *messages; /* of GBytes, with options.record */
    GPtrArray *buffers;  /* in-buffers, the driver's own */
    unsigned int posted; /* in-buffers that the device has */
    unsigned int in_flight;
    uint64_t received_bytes, received_messages;
    bool stopped; /* rings are forgotten */
};

/* Allocates rings in the front-end's guest memory and starts it (features
 * are negotiated: call after the handshake). Fills the in queue. */
int vwl_drv_create(struct vwl_fe *fe, const struct vwl_drv_options *options,
                   struct vwl_drv **out);
/* Sends nothing. Requests in flight are forgotten. NULL is fine. */
void vwl_drv_destroy(struct vwl_drv *drv);

/* Reset: stops the front-end, forgets everything, starts afresh. */
int vwl_drv_reset(struct vwl_drv *drv);

/* Posts up to n more in-buffers and kicks. Returns how many. */
unsigned int vwl_drv_post(struct vwl_drv *drv, unsigned int n);

/* Takes what the device has finished; no waiting. */
void vwl_drv_collect(struct vwl_drv *drv);

/* Whether a collect would find something. */
bool vwl_drv_has_used(const struct vwl_drv *drv);

/* Whether the device is to call: off, the owner polls by vwl_drv_collect, and
 * nothing here that waits may be used unless the device runs on the
 * front-end's context. */
void vwl_drv_set_calls(struct vwl_drv *drv, bool on);

/* Asynchronous requests. shape NULL: the driver's own. NULL return: no room
 * in the ring or in guest memory. The kick is included. */
struct vwl_drv_request *vwl_drv_submit(struct vwl_drv *drv, const void *request,
                                       size_t len, uint32_t response_cap,
                                       const struct vwl_drv_shape *shape);
/* The same, of what lies in n places. */
struct vwl_drv_request *vwl_drv_submit_parts(struct vwl_drv *drv,
                                             const struct iovec *parts,
                                             unsigned int n,
                                             uint32_t response_cap,
                                             const struct vwl_drv_shape *shape);
/* -ETIMEDOUT, -EPIPE, or -EIO: the ring is broken, nobody answers. */
int vwl_drv_wait(struct vwl_drv *drv, struct vwl_drv_request *req,
                 int timeout_ms);
/* Frees it; one in flight is abandoned. NULL is fine. */
void vwl_drv_request_free(struct vwl_drv *drv, struct vwl_drv_request *req);
/* The response's type, 0 when fewer than 4 bytes were written. */
uint32_t vwl_drv_request_type(const struct vwl_drv_request *req);

/* Submit, wait, free. response may be NULL; it gets response_len bytes. */
int vwl_drv_command(struct vwl_drv *drv, const void *request, size_t len,
                    uint32_t response_cap, void *response, size_t response_len);

/* Lowest guest id that is not in use (1..0x7ff first, as Linux). */
uint32_t vwl_drv_free_id(struct vwl_drv *drv);

/* Commands. On success the VFD stands in the table. */
int vwl_drv_new(struct vwl_drv *drv, uint32_t id, uint32_t size);
int vwl_drv_new_ctx(struct vwl_drv *drv, uint32_t id, const char *name);
int vwl_drv_new_pipe(struct vwl_drv *drv, uint32_t id, uint32_t flags);
/* *answer is filled in on success: strides and offsets. */
int vwl_drv_new_dmabuf(struct vwl_drv *drv, uint32_t id, uint32_t width,
                       uint32_t height, uint32_t format,
                       struct virtio_wl_ctrl_vfd_new_dmabuf *answer);
/* flags: VIRTIO_WL_DMABUF_SYNC_* */
int vwl_drv_dmabuf_sync(struct vwl_drv *drv, uint32_t id, uint32_t flags);
int vwl_drv_close(struct vwl_drv *drv, uint32_t id);
int vwl_drv_send(struct vwl_drv *drv, uint32_t id, const uint32_t *ids,
                 unsigned int n_ids, const void *data, size_t len);
/* The same, not waited for. */
struct vwl_drv_request *vwl_drv_send_async(struct vwl_drv *drv, uint32_t id,
                                           const uint32_t *ids,
                                           unsigned int n_ids, const void *data,
                                           size_t len);

/* What a SEND_FOREIGN_ID lists. */
struct vwl_drv_foreign {
    uint32_t kind; /* VIRTIO_WL_FOREIGN_* */
    uint64_t value;
};

struct vwl_drv_request *vwl_drv_send_foreign_async(
    struct vwl_drv *drv, uint32_t id, const struct vwl_drv_foreign *entries,
    unsigned int n, const void *data, size_t len);

struct vwl_drv_vfd *vwl_drv_find(struct vwl_drv *drv, uint32_t id);

/* Data and ids of one VFD, in order: as much as there is of the first
 * record. Waits up to timeout_ms for some. Returns bytes (0 with *n_ids 0:
 * hung up), or -ETIMEDOUT, -EPIPE, -ENOENT, -EIO (the ring is broken). *n_ids:
 * room, then count. */
int64_t vwl_drv_recv(struct vwl_drv *drv, uint32_t id, void *data, size_t cap,
                     uint32_t *ids, unsigned int *n_ids, int timeout_ms);
/* Whether a recv would not wait. */
bool vwl_drv_readable(struct vwl_drv *drv, uint32_t id);
int vwl_drv_wait_readable(struct vwl_drv *drv, uint32_t id, int timeout_ms);

/* The bytes of a VFD's memory in the window; NULL if it has none. */
void *vwl_drv_map(struct vwl_drv *drv, uint32_t id);

#endif
