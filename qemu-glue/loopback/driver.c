/* SPDX-License-Identifier: BSD-3-Clause */
#include "driver.h"
#include "inqueue.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define MAX_PIECES 65536u

static uint64_t page_up(uint64_t n)
{
    return (n + 4095) & ~UINT64_C(4095);
}

static int init_ring(struct vwl_drv *drv, struct vwl_ring *ring,
                     unsigned int index)
{
    struct vwl_fe *fe = drv->fe;
    struct vwl_fe_ring *fr = &fe->ring[index];
    bool packed = vwl_fe_has(fe, VIRTIO_F_RING_PACKED);
    size_t desc, driver, device;

    vwl_ring_area_sizes(packed, drv->options.queue_size, &desc, &driver,
                        &device);
    if (fr->num == 0) {
        fr->desc = vwl_fe_alloc(fe, desc);
        fr->driver = vwl_fe_alloc(fe, driver);
        fr->device = vwl_fe_alloc(fe, device);
    }
    if (fr->desc == UINT64_MAX || fr->driver == UINT64_MAX ||
        fr->device == UINT64_MAX) {
        return -ENOMEM;
    }
    memset(vwl_fe_at(fe, fr->desc), 0, desc);
    memset(vwl_fe_at(fe, fr->driver), 0, driver);
    memset(vwl_fe_at(fe, fr->device), 0, device);
    fr->num = drv->options.queue_size;
    fr->base = vwl_ring_fresh_base(packed);
    vwl_ring_init(ring, packed, vwl_fe_has(fe, VIRTIO_RING_F_EVENT_IDX),
                  drv->options.queue_size, vwl_fe_at(fe, fr->desc),
                  vwl_fe_at(fe, fr->driver), vwl_fe_at(fe, fr->device));
    return 0;
}

static int start(struct vwl_drv *drv)
{
    int r = init_ring(drv, &drv->in, VIRTIO_WL_QUEUE_IN);

    if (r == 0) {
        r = init_ring(drv, &drv->out, VIRTIO_WL_QUEUE_OUT);
    }
    drv->stopped = false;
    if (r == 0) {
        r = vwl_fe_start(drv->fe);
    }
    if (r == 0 && !drv->options.no_in_buffers) {
        vwl_drv_post(drv, drv->options.queue_size);
    }
    return r;
}

int vwl_drv_create(struct vwl_fe *fe, const struct vwl_drv_options *options,
                   struct vwl_drv **out)
{
    struct vwl_drv *drv = g_new0(struct vwl_drv, 1);
    int r;

    drv->fe = fe;
    if (options != NULL) {
        drv->options = *options;
    }
    if (drv->options.queue_size == 0) {
        drv->options.queue_size = VIRTIO_WL_QUEUE_SIZE;
    }
    vwl_drv_init_tables(drv);
    r = start(drv);
    if (r < 0) {
        vwl_drv_destroy(drv);
        return r;
    }
    *out = drv;
    return 0;
}

static void free_request_memory(struct vwl_drv *drv,
                                struct vwl_drv_request *req)
{
    if (req->len != 0) {
        vwl_fe_free(drv->fe, req->gpa, req->len);
    }
    if (req->table_len != 0) {
        vwl_fe_free(drv->fe, req->table_gpa, req->table_len);
    }
    req->len = req->table_len = 0;
}

static void forget_rings(struct vwl_drv *drv)
{
    struct vwl_drv_request *req;

    if (drv->stopped) {
        return;
    }
    drv->stopped = true;
    while (drv->out.chains != NULL &&
           (req = vwl_ring_forget(&drv->out)) != NULL) {
        free_request_memory(drv, req);
        req->done = true;
        if (req->abandoned) {
            g_free(req);
        }
    }
    drv->in_flight = 0;
    vwl_drv_drop_buffers(drv);
    vwl_ring_finish(&drv->in);
    vwl_ring_finish(&drv->out);
}

void vwl_drv_destroy(struct vwl_drv *drv)
{
    if (drv == NULL) {
        return;
    }
    forget_rings(drv);
    vwl_drv_finish_tables(drv);
    g_free(drv);
}

int vwl_drv_reset(struct vwl_drv *drv)
{
    int r = vwl_fe_stop(drv->fe);

    if (r < 0) {
        return r;
    }
    forget_rings(drv);
    vwl_fe_reset(drv->fe);
    vwl_drv_finish_tables(drv);
    vwl_drv_init_tables(drv);
    return start(drv);
}

/* Bytes of memory that `len` bytes take when cut into pieces with gaps. */
static size_t laid_out(const struct vwl_drv_shape *shape, size_t len)
{
    size_t pieces;

    if (shape->piece == 0 || len == 0) {
        return len;
    }
    pieces = (len + shape->piece - 1) / shape->piece;
    return len + (pieces - 1) * shape->gap;
}

static size_t position(const struct vwl_drv_shape *shape, size_t at)
{
    return shape->piece == 0 ? at : at + at / shape->piece * shape->gap;
}

static size_t run(const struct vwl_drv_shape *shape, size_t at, size_t len)
{
    return shape->piece == 0 ? len - at
                             : MIN(shape->piece - at % shape->piece, len - at);
}

/* Behind the first `start` bytes. */
static void copy_in(struct vwl_drv *drv, struct vwl_drv_request *req,
                    size_t start, const struct iovec *part)
{
    uint8_t *to = vwl_fe_at(drv->fe, req->gpa);
    const uint8_t *from = part->iov_base;
    size_t end = start + part->iov_len;

    for (size_t at = start, n; at < end; at += n) {
        n = run(&req->shape, at, end);
        memcpy(to + position(&req->shape, at), from + (at - start), n);
    }
}

static void copy_out(struct vwl_drv *drv, struct vwl_drv_request *req)
{
    const uint8_t *from = (uint8_t *)vwl_fe_at(drv->fe, req->gpa) +
                          req->response_at;
    size_t len = MIN(req->response_cap, sizeof req->response);

    for (size_t at = 0, n; at < len; at += n) {
        n = run(&req->shape, at, len);
        memcpy(req->response + at, from + position(&req->shape, at), n);
    }
}

static void add_pieces(struct vwl_drv *drv, GArray *pieces,
                       const struct vwl_drv_request *req, size_t offset,
                       size_t len, bool write)
{
    for (size_t at = 0, n; at < len; at += n) {
        struct vwl_ring_piece piece = { .write = write };

        n = run(&req->shape, at, len);
        piece.addr = vwl_fe_bus_address(drv->fe, req->gpa + offset +
                                                     position(&req->shape, at));
        piece.len = (uint32_t)n;
        g_array_append_val(pieces, piece);
    }
}

static int enqueue(struct vwl_drv *drv, struct vwl_drv_request *req, size_t len)
{
    bool indirect = !req->shape.direct &&
                    vwl_fe_has(drv->fe, VIRTIO_RING_F_INDIRECT_DESC);
    GArray *pieces = g_array_new(FALSE, FALSE, sizeof(struct vwl_ring_piece));
    void *table = NULL;
    uint64_t table_addr = 0;
    int r = -ENOMEM;

    add_pieces(drv, pieces, req, 0, len, false);
    add_pieces(drv, pieces, req, req->response_at, req->response_cap, true);
    if (indirect && pieces->len <= MAX_PIECES) {
        req->table_gpa = vwl_fe_alloc(drv->fe, pieces->len * 16);
        if (req->table_gpa != UINT64_MAX) {
            req->table_len = pieces->len * 16;
            table = vwl_fe_at(drv->fe, req->table_gpa);
            table_addr = vwl_fe_bus_address(drv->fe, req->table_gpa);
        }
    }
    if (!indirect || table != NULL) {
        r = vwl_ring_add(&drv->out,
                         (struct vwl_ring_piece *)(void *)pieces->data,
                         pieces->len, table, table_addr, req);
    }
    g_array_unref(pieces);
    return r;
}

struct vwl_drv_request *vwl_drv_submit_parts(struct vwl_drv *drv,
                                             const struct iovec *parts,
                                             unsigned int n,
                                             uint32_t response_cap,
                                             const struct vwl_drv_shape *shape)
{
    struct vwl_drv_request *req = g_new0(struct vwl_drv_request, 1);
    size_t len = 0, at = 0, in, out;

    for (unsigned int i = 0; i < n; i++) {
        len += parts[i].iov_len;
    }
    req->shape = shape != NULL ? *shape : drv->options.shape;
    req->response_cap = response_cap;
    in = laid_out(&req->shape, len);
    out = laid_out(&req->shape, response_cap);
    req->len = MAX(in, out);
    if (req->shape.separate) {
        req->response_at = page_up(in);
        req->len = page_up(in) + out;
    }
    req->gpa = vwl_fe_alloc(drv->fe, req->len);
    if (req->gpa == UINT64_MAX) {
        g_free(req);
        return NULL;
    }
    for (unsigned int i = 0; i < n; i++) {
        copy_in(drv, req, at, &parts[i]);
        at += parts[i].iov_len;
    }
    if (drv->stopped || enqueue(drv, req, len) < 0) {
        free_request_memory(drv, req);
        g_free(req);
        return NULL;
    }
    drv->in_flight++;
    if (vwl_ring_kick_due(&drv->out)) {
        vwl_fe_kick(drv->fe, VIRTIO_WL_QUEUE_OUT);
    }
    return req;
}

struct vwl_drv_request *vwl_drv_submit(struct vwl_drv *drv, const void *request,
                                       size_t len, uint32_t response_cap,
                                       const struct vwl_drv_shape *shape)
{
    const struct iovec part = { (void *)(uintptr_t)request, len };

    return vwl_drv_submit_parts(drv, &part, 1, response_cap, shape);
}

static void collect_out(struct vwl_drv *drv)
{
    struct vwl_drv_request *req;
    uint32_t len;
    bool bad;

    while ((req = vwl_ring_take(&drv->out, &len, &bad)) != NULL || bad) {
        if (bad) {
            vwl_fe_complain(drv->fe, "the out queue's used entry names no "
                                     "request");
            continue;
        }
        drv->in_flight--;
        req->used_len = len;
        req->done = true;
        if (len > req->response_cap) {
            vwl_fe_complain(drv->fe, "%u bytes written into %u", len,
                            req->response_cap);
        }
        copy_out(drv, req);
        free_request_memory(drv, req);
        if (req->abandoned) {
            g_free(req);
        }
    }
}

void vwl_drv_collect(struct vwl_drv *drv)
{
    if (!drv->stopped) {
        /* what came before an answer is seen with it: the id of a CLOSE may
         * be another's next */
        collect_out(drv);
        vwl_drv_collect_in(drv);
    }
}

bool vwl_drv_has_used(const struct vwl_drv *drv)
{
    return !drv->stopped &&
           (vwl_ring_has_used(&drv->in) || vwl_ring_has_used(&drv->out));
}

void vwl_drv_set_calls(struct vwl_drv *drv, bool on)
{
    vwl_ring_set_calls(&drv->in, on);
    vwl_ring_set_calls(&drv->out, on);
}

int vwl_drv_wait(struct vwl_drv *drv, struct vwl_drv_request *req,
                 int timeout_ms)
{
    int64_t end = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
    int r;

    for (;;) {
        int64_t left = (end - g_get_monotonic_time() + 999) / 1000;

        vwl_drv_collect(drv);
        if (req->done) {
            return 0;
        }
        if (drv->fe->ring[VIRTIO_WL_QUEUE_OUT].broken) {
            return -EIO;
        }
        if (left <= 0) {
            return -ETIMEDOUT;
        }
        r = vwl_fe_turn(drv->fe, (int)left);
        if (r < 0) {
            return r;
        }
    }
}

int vwl_drv_wait_readable(struct vwl_drv *drv, uint32_t id, int timeout_ms)
{
    int64_t end = g_get_monotonic_time() + (int64_t)timeout_ms * 1000;
    int64_t left;
    int r;

    for (;;) {
        vwl_drv_collect(drv);
        if (vwl_drv_readable(drv, id)) {
            return 0;
        }
        if (drv->fe->ring[VIRTIO_WL_QUEUE_IN].broken) {
            return -EIO;
        }
        left = (end - g_get_monotonic_time() + 999) / 1000;
        if (left <= 0) {
            return -ETIMEDOUT;
        }
        r = vwl_fe_turn(drv->fe, (int)left);
        if (r < 0) {
            return r;
        }
    }
}

int64_t vwl_drv_recv(struct vwl_drv *drv, uint32_t id, void *data, size_t cap,
                     uint32_t *ids, unsigned int *n_ids, int timeout_ms)
{
    int r = vwl_drv_wait_readable(drv, id, timeout_ms);

    return r < 0 ? r : vwl_drv_take(drv, id, data, cap, ids, n_ids);
}

void vwl_drv_request_free(struct vwl_drv *drv, struct vwl_drv_request *req)
{
    if (req == NULL) {
        return;
    }
    if (req->done) {
        g_free(req);
    } else {
        req->abandoned = true;
    }
}

uint32_t vwl_drv_request_type(const struct vwl_drv_request *req)
{
    uint32_t type;

    if (!req->done || req->used_len < sizeof type) {
        return 0;
    }
    memcpy(&type, req->response, sizeof type);
    return le32toh(type);
}
