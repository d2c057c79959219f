/* SPDX-License-Identifier: BSD-3-Clause */
#include "loop/pump_priv.h"

#include <errno.h>

#include "base/fd.h"
#include "wl/snapshot/snapshot.h"

/* ---- what the core asks for ------------------------------------------- */

static void on_complete(void *opaque, struct vwl_request *request)
{
    struct vwl_pump *pump = opaque;
    struct vwl_record *record = request->user;

    if (pump->discarding || !pump->session) {
        vwl_pump_drop(pump, record);
    } else if (vwl_vq_is_started(
                   vwl_session_vq(pump->session, VIRTIO_WL_QUEUE_OUT)) &&
               vwl_pump_runs(pump, VIRTIO_WL_QUEUE_OUT)) {
        vwl_pump_answer(pump, record);
    } else {
        record->state = VWL_RECORD_DONE;
        pump->has_done = true;
    }
}

static void on_map_reply(void *opaque, uint64_t cookie, int err)
{
    struct vwl_pump *pump = opaque;

    if (err == -ECONNRESET && pump->restored == VWL_RESTORED_REMAKING) {
        /* the core has those that were lost ready to be asked for again */
        vwl_pump_restored_start(pump);
    }
    vwl_core_map_done(pump->core, cookie, err);
}

static void on_unmap_reply(void *opaque, uint64_t cookie, int err)
{
    vwl_core_unmap_done(((struct vwl_pump *)opaque)->core, cookie, err);
}

static int on_shm_map(void *opaque, uint64_t cookie, int fd, uint64_t fd_offset,
                      uint64_t shm_offset, uint64_t len, bool writable)
{
    struct vwl_pump *pump = opaque;

    if (pump->host->shm_map) {
        return pump->host->shm_map(pump->host->opaque, fd, fd_offset,
                                   shm_offset, len, writable);
    }
    if (!pump->session) {
        return -ENOTCONN;
    }
    return vwl_backchan_shmem_map(vwl_session_backchan(pump->session),
                                  VIRTIO_WL_SHM_REGION_ID, fd, fd_offset,
                                  shm_offset, len, writable, on_map_reply, pump,
                                  cookie);
}

static int on_shm_unmap(void *opaque, uint64_t cookie, uint64_t shm_offset,
                        uint64_t len)
{
    struct vwl_pump *pump = opaque;

    if (pump->host->shm_map) {
        return pump->host->shm_unmap
                   ? pump->host->shm_unmap(pump->host->opaque, shm_offset, len)
                   : -EOPNOTSUPP;
    }
    if (!pump->session) {
        return -ENOTCONN;
    }
    return vwl_backchan_shmem_unmap(vwl_session_backchan(pump->session),
                                    VIRTIO_WL_SHM_REGION_ID, shm_offset, len,
                                    on_unmap_reply, pump, cookie);
}

static int on_shm_base(void *opaque, uint64_t *gpa)
{
    struct vwl_pump *pump = opaque;

    if (pump->host->shm_base) {
        return pump->host->shm_base(pump->host->opaque, gpa);
    }
    if (!pump->base.known) {
        return -EAGAIN;
    }
    *gpa = pump->base.gpa;
    return 0;
}

static void on_message_ready(void *opaque)
{
    struct vwl_pump *pump = opaque;

    if (pump->in == VWL_IN_OPEN) {
        pump->ring[VIRTIO_WL_QUEUE_IN].is_due = true;
    }
}

static int on_socket_open(void *opaque, size_t index, int *fd)
{
    struct vwl_pump *pump = opaque;
    const struct vwl_host *host = pump->host;

    return host->socket_open ? host->socket_open(host->opaque, index, fd)
                             : -EOPNOTSUPP;
}

static int on_socket_connect(void *opaque, size_t index, int *fd)
{
    const struct vwl_pump *pump = opaque;
    const struct vwl_host *host = pump->host;

    return host->socket_connect
               ? host->socket_connect(host->opaque, index, fd)
               : vwl_contexts_connect(pump->contexts, index, fd);
}

static int on_socket_connect_again(void *opaque, size_t index, int fd)
{
    const struct vwl_pump *pump = opaque;
    const struct vwl_host *host = pump->host;

    return host->socket_connect_again(host->opaque, index, fd);
}

/* Planes may share a descriptor. */
static bool is_shared(const struct vwl_resource *resource, size_t plane)
{
    for (size_t i = 0; i < plane; i++) {
        if (resource->plane[i].fd == resource->plane[plane].fd) {
            return true;
        }
    }
    return false;
}

static int export_resource(const struct vwl_host *host, uint64_t id, int *fd)
{
    struct vwl_resource resource = { .size = sizeof resource };
    size_t n = G_N_ELEMENTS(resource.plane);
    int err;

    for (size_t i = 0; i < n; i++) {
        resource.plane[i].fd = -1;
    }
    err = host->resource_export(host->opaque, (uint32_t)id, &resource);
    if (err < 0) {
        return err;
    }
    *fd = resource.plane[0].fd;
    for (size_t i = MIN(n, resource.n_planes); i-- > 1;) {
        if (!is_shared(&resource, i)) {
            vwl_fd_clear(&resource.plane[i].fd);
        }
    }
    return 0;
}

static int on_foreign(void *opaque, uint32_t kind, uint64_t value, int *fd)
{
    const struct vwl_host *host = ((struct vwl_pump *)opaque)->host;
    int err = -EOPNOTSUPP;

    if (host->foreign_request) {
        err = host->foreign_request(host->opaque, kind, value, fd);
        err = err == 0 ? -EINPROGRESS : err;
    }
    if (err != -EOPNOTSUPP) {
        return err;
    }
    if (kind == VIRTIO_WL_FOREIGN_VIRTGPU) {
        return host->resource_export ? export_resource(host, value, fd) : err;
    }
    return host->fence_export ? host->fence_export(host->opaque, value, fd)
                              : err;
}

static int on_transfer(void *opaque, size_t index, uint32_t kind, uint32_t way,
                       int *fd)
{
    const struct vwl_host *host = ((struct vwl_pump *)opaque)->host;

    return host->transfer_request
               ? host->transfer_request(host->opaque, index, kind, way, fd)
               : -EOPNOTSUPP;
}

const struct vwl_core_ops vwl_pump_core_ops = {
    .complete = on_complete,
    .shm_map = on_shm_map,
    .shm_unmap = on_shm_unmap,
    .shm_base = on_shm_base,
    .message_ready = on_message_ready,
    .more_buffers = vwl_pump_more_buffers,
    .more_filled = vwl_pump_more_filled,
    .socket_open = on_socket_open,
    .socket_connect = on_socket_connect,
    .socket_connect_again = on_socket_connect_again,
    .buffer_offer = vwl_pump_buffer_offer,
    .buffer_alloc = vwl_pump_buffer_alloc,
    .foreign = on_foreign,
    .pages = vwl_pump_pages,
    .transfer = on_transfer,
};

/* ---- what the session tells ------------------------------------------- */

static void on_reset(void *opaque, enum vwl_reset_reason reason)
{
    static const char *const names[] = {
        [VWL_RESET_STATUS] = "status 0",
        [VWL_RESET_DEVICE] = "RESET_DEVICE",
        [VWL_RESET_OWNER] = "a new handshake",
        [VWL_RESET_BASE] = "rings that start afresh",
        [VWL_RESET_CHANNEL] = "the back-end channel closed",
    };
    struct vwl_pump *pump = opaque;

    if (reason == VWL_RESET_CHANNEL && pump->restored == VWL_RESTORED_LOADED) {
        return; /* what was not mapped by it loses nothing */
    }
    log_debug(pump->log, "device reset: %s", names[reason]);
    vwl_pump_state_cancel(pump, true);
    vwl_core_reset(pump->core, pump->host->shm_map != NULL);
    vwl_pump_drop_all(pump);
    for (unsigned int i = 0; i < VIRTIO_WL_QUEUE_COUNT; i++) {
        pump->ring[i].is_pushed = false;
    }
    pump->base.known = false;
    pump->told.known = false;
    pump->restored = VWL_RESTORED_NONE;
}

static void apply_features(struct vwl_pump *pump)
{
    if (pump->told.known && vwl_pump_is_noted(pump)) {
        return;
    }
    if (pump->told.known) {
        if (pump->restored != VWL_RESTORED_NONE) {
            log_host_bug(pump->log, "the driver's features are not those of "
                                    "the snapshot: all of it is closed");
        }
        vwl_core_reset(pump->core, pump->host->shm_map != NULL);
        vwl_pump_drop_all(pump);
        pump->restored = VWL_RESTORED_NONE;
    }
    vwl_pump_note_features(pump, pump->acked.bits);
    vwl_core_set_features(pump->core, pump->told.bits, pump->told.shm);
}

/* Without a limit that somebody chose, all that the ring has is for whoever
 * needs it alone. */
static void set_in_flight_limit(struct vwl_pump *pump, unsigned int size)
{
    unsigned int limit = pump->max_in_flight, most = limit;

    if (!limit) {
        limit = MAX(size / 2, 1);
        most = size;
    }
    vwl_core_set_in_flight_limit(pump->core, limit, most, size);
}

static void on_ring_started(void *opaque, unsigned int index, bool keep)
{
    struct vwl_pump *pump = opaque;

    vwl_pump_state_cancel(pump, true);
    if (index == VIRTIO_WL_QUEUE_OUT) {
        unsigned int size = vwl_session_ring_size(pump->session,
                                                  VIRTIO_WL_QUEUE_OUT);

        apply_features(pump);
        set_in_flight_limit(pump, size);
        if (!keep) {
            pump->discarding = true;
            vwl_core_fail_requests(pump->core, NULL, NULL);
            pump->discarding = false;
            vwl_pump_drop_all(pump);
        }
        if (pump->restored == VWL_RESTORED_LOADED) {
            vwl_pump_restored_start(pump);
        }
        vwl_pump_answer_done(pump);
    }
    vwl_core_hoard_end(pump->core);
    pump->ring[index].is_deaf = false;
    pump->in = VWL_IN_OPEN;
    vwl_pump_set_due(pump);
}

static void on_ring_changed(void *opaque, unsigned int index)
{
    struct vwl_pump *pump = opaque;

    pump->ring[index].is_deaf = false;
    pump->ring[index].is_due = true;
}

static void on_ring_stopping(void *opaque, unsigned int index)
{
    struct vwl_pump *pump = opaque;

    vwl_pump_publish(pump, index);
    pump->ring[index].is_pushed = false;
    vwl_source_watch(pump->ring[index].kick, NULL, 0);
}

static unsigned int on_ring_held(void *opaque, unsigned int index,
                                 struct vwl_chain *const **held)
{
    struct vwl_pump *pump = opaque;

    if (index != VIRTIO_WL_QUEUE_OUT) {
        return 0;
    }
    g_ptr_array_set_size(pump->held, 0);
    for (GList *l = pump->in_flight.head; l; l = l->next) {
        g_ptr_array_add(pump->held, ((struct vwl_record *)l->data)->chain);
    }
    *held = (struct vwl_chain *const *)pump->held->pdata;
    return pump->held->len;
}

static void on_iotlb_invalidate(void *opaque, uint64_t iova, uint64_t size)
{
    vwl_pump_forget_range(opaque, iova, size);
}

static void on_memory_changed(void *opaque)
{
    struct vwl_pump *pump = opaque;

    if (pump->in == VWL_IN_MISSING) {
        pump->in = VWL_IN_OPEN;
    }
    vwl_pump_set_due(pump);
    vwl_core_base_changed(pump->core);
}

static bool on_own_file(void *opaque, uint64_t dev, uint64_t ino,
                        uint64_t *shm_offset)
{
    return vwl_core_owns_file(((struct vwl_pump *)opaque)->core, dev, ino,
                              shm_offset);
}

static void on_base(void *opaque, uint64_t gpa)
{
    struct vwl_pump *pump = opaque;

    pump->base.known = true;
    pump->base.gpa = gpa;
    vwl_core_base_changed(pump->core);
}

static void on_features(void *opaque, uint64_t acked)
{
    struct vwl_pump *pump = opaque;

    pump->acked.bits = acked;
    pump->acked.known = true;
}

static int on_state_start(void *opaque, bool save, int *fd)
{
    return vwl_pump_state_start(opaque, save, false, fd);
}

static int on_state_check(void *opaque)
{
    return vwl_pump_state_check(opaque);
}

const struct vwl_session_ops vwl_pump_session_ops = {
    .state_start = on_state_start,
    .state_check = on_state_check,
    .reset = on_reset,
    .ring_started = on_ring_started,
    .ring_changed = on_ring_changed,
    .ring_stopping = on_ring_stopping,
    .ring_held = on_ring_held,
    .iotlb_invalidate = on_iotlb_invalidate,
    .memory_changed = on_memory_changed,
    .own_file = on_own_file,
    .shm_base = on_base,
    .features = on_features,
};
