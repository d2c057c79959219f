/* SPDX-License-Identifier: BSD-3-Clause */
#include "inqueue.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

struct buffer {
    uint64_t gpa;
    bool posted, held;
};

static void record_free(struct vwl_drv_record *record)
{
    if (record->buffer == NULL) {
        g_free(record->data);
    }
    if (record->ids != record->few_ids) {
        g_free(record->ids);
    }
    g_free(record);
}

static void vfd_free(void *p)
{
    struct vwl_drv_vfd *vfd = p;
    struct vwl_drv_record *record;

    while ((record = g_queue_pop_head(&vfd->records)) != NULL) {
        struct buffer *held = record->buffer;

        record_free(record);
        if (held != NULL) {
            held->held = false;
        }
    }
    g_free(vfd);
}

void vwl_drv_init_tables(struct vwl_drv *drv)
{
    drv->vfds = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                      vfd_free);
    drv->messages = g_ptr_array_new_with_free_func(
        (GDestroyNotify)g_bytes_unref);
    drv->buffers = g_ptr_array_new_with_free_func(g_free);
}

void vwl_drv_finish_tables(struct vwl_drv *drv)
{
    g_hash_table_unref(drv->vfds);
    g_ptr_array_unref(drv->messages);
    g_ptr_array_unref(drv->buffers);
}

void vwl_drv_drop_buffers(struct vwl_drv *drv)
{
    for (guint i = 0; i < drv->buffers->len; i++) {
        struct buffer *b = drv->buffers->pdata[i];

        vwl_fe_free(drv->fe, b->gpa, VIRTIO_WL_IN_BUFFER_SIZE);
        b->held = b->posted = false;
    }
    g_hash_table_remove_all(drv->vfds);
    g_ptr_array_set_size(drv->buffers, 0);
    drv->posted = 0;
}

static bool post(struct vwl_drv *drv, struct buffer *b)
{
    struct vwl_ring_piece piece = {
        vwl_fe_bus_address(drv->fe, b->gpa),
        VIRTIO_WL_IN_BUFFER_SIZE,
        true,
    };

    if (vwl_ring_add(&drv->in, &piece, 1, NULL, 0, b) < 0) {
        return false;
    }
    b->posted = true;
    drv->posted++;
    return true;
}

static void kick(struct vwl_drv *drv)
{
    if (vwl_ring_kick_due(&drv->in)) {
        vwl_fe_kick(drv->fe, VIRTIO_WL_QUEUE_IN);
    }
}

static struct buffer *unused_buffer(struct vwl_drv *drv)
{
    struct buffer *b;
    uint64_t gpa;

    for (guint i = 0; i < drv->buffers->len; i++) {
        b = drv->buffers->pdata[i];
        if (!b->posted && !b->held) {
            return b;
        }
    }
    if (drv->buffers->len == drv->options.queue_size) {
        return NULL;
    }
    gpa = vwl_fe_alloc(drv->fe, VIRTIO_WL_IN_BUFFER_SIZE);
    if (gpa == UINT64_MAX) {
        return NULL;
    }
    b = g_new0(struct buffer, 1);
    b->gpa = gpa;
    g_ptr_array_add(drv->buffers, b);
    return b;
}

unsigned int vwl_drv_post(struct vwl_drv *drv, unsigned int n)
{
    unsigned int i;

    for (i = 0; i < n && !drv->stopped; i++) {
        struct buffer *b = unused_buffer(drv);

        if (b == NULL || !post(drv, b)) {
            break;
        }
    }
    kick(drv);
    return i;
}

struct vwl_drv_vfd *vwl_drv_place(struct vwl_drv *drv, uint32_t id,
                                  bool from_host)
{
    struct vwl_drv_vfd *vfd = g_new0(struct vwl_drv_vfd, 1);

    vfd->id = id;
    vfd->from_host = from_host;
    g_queue_init(&vfd->records);
    g_hash_table_replace(drv->vfds, GUINT_TO_POINTER(id), vfd);
    return vfd;
}

static void on_new(struct vwl_drv *drv, const uint8_t *bytes, uint32_t len)
{
    struct virtio_wl_ctrl_vfd_new new;
    struct vwl_drv_vfd *vfd;
    uint32_t id;

    if (len < sizeof new) {
        vwl_fe_complain(drv->fe, "VFD_NEW of %u bytes", len);
        return;
    }
    memcpy(&new, bytes, sizeof new);
    id = le32toh(new.vfd_id);
    if ((id & 0xc0000000u) != VIRTIO_WL_VFD_HOST_ID_BIT ||
        vwl_drv_find(drv, id) != NULL) {
        vwl_fe_complain(drv->fe, "VFD_NEW with id 0x%x", id);
        return;
    }
    vfd = vwl_drv_place(drv, id, true);
    vfd->flags = le32toh(new.flags);
    vfd->pfn = le64toh(new.pfn);
    vfd->size = le32toh(new.size);
}

static void on_hup(struct vwl_drv *drv, const uint8_t *bytes, uint32_t len)
{
    struct virtio_wl_ctrl_vfd hup;
    struct vwl_drv_vfd *vfd;

    if (len != sizeof hup) {
        vwl_fe_complain(drv->fe, "VFD_HUP of %u bytes", len);
        return;
    }
    memcpy(&hup, bytes, sizeof hup);
    vfd = vwl_drv_find(drv, le32toh(hup.vfd_id));
    if (vfd == NULL || vfd->hup) {
        vwl_fe_complain(drv->fe, "VFD_HUP for vfd 0x%x, which %s",
                        le32toh(hup.vfd_id),
                        vfd == NULL ? "is unknown" : "had one");
        return;
    }
    vfd->hup = true;
}

/* What every driver family can take: see the notes on VFD_RECV. */
static bool recv_is_sound(struct vwl_drv *drv,
                          const struct virtio_wl_ctrl_vfd_sendrecv *recv,
                          uint32_t len)
{
    uint32_t count = le32toh(recv->vfd_count);
    uint64_t head = sizeof *recv + (uint64_t)count * 4;

    if (head > len || count > VIRTWL_SEND_MAX_ALLOCS) {
        vwl_fe_complain(drv->fe, "VFD_RECV of %u bytes with %u ids", len,
                        count);
        return false;
    }
    if (head == len) {
        vwl_fe_complain(drv->fe, "VFD_RECV without data, %u ids", count);
        return false;
    }
    return true;
}

static bool on_recv(struct vwl_drv *drv, const uint8_t *bytes, uint32_t len,
                    struct buffer *buffer)
{
    struct virtio_wl_ctrl_vfd_sendrecv recv;
    struct vwl_drv_record *record;
    struct vwl_drv_vfd *vfd;
    size_t head;

    if (len < sizeof recv) {
        vwl_fe_complain(drv->fe, "VFD_RECV of %u bytes", len);
        return false;
    }
    memcpy(&recv, bytes, sizeof recv);
    if (!recv_is_sound(drv, &recv, len)) {
        return false;
    }
    vfd = vwl_drv_find(drv, le32toh(recv.vfd_id));
    if (vfd == NULL || vfd->hup) {
        vwl_fe_complain(drv->fe, "VFD_RECV for vfd 0x%x, which %s",
                        le32toh(recv.vfd_id),
                        vfd == NULL ? "is unknown" : "has hung up");
        return false;
    }
    record = g_new0(struct vwl_drv_record, 1);
    record->n_ids = le32toh(recv.vfd_count);
    head = sizeof recv + record->n_ids * sizeof(uint32_t);
    record->ids = record->n_ids <= G_N_ELEMENTS(record->few_ids)
                      ? record->few_ids
                      : g_new(uint32_t, record->n_ids);
    for (unsigned int i = 0; i < record->n_ids; i++) {
        memcpy(&record->ids[i], bytes + sizeof recv + 4 * i, 4);
        record->ids[i] = le32toh(record->ids[i]);
        if (vwl_drv_find(drv, record->ids[i]) == NULL) {
            vwl_fe_complain(drv->fe,
                            "VFD_RECV lists vfd 0x%x, which was "
                            "never announced",
                            record->ids[i]);
        }
    }
    record->len = len - head;
    if (drv->options.hold_buffers) {
        record->data = (uint8_t *)(uintptr_t)bytes + head;
        record->buffer = buffer;
        buffer->held = true;
    } else {
        record->data = g_memdup2(bytes + head, record->len);
    }
    vfd->bytes += record->len;
    drv->received_bytes += record->len;
    g_queue_push_tail(&vfd->records, record);
    return buffer->held;
}

static bool on_message(struct vwl_drv *drv, struct buffer *buffer, uint32_t len)
{
    const uint8_t *bytes = vwl_fe_at(drv->fe, buffer->gpa);
    uint32_t type = 0;

    if (len > VIRTIO_WL_IN_BUFFER_SIZE || len < 8) {
        vwl_fe_complain(drv->fe, "a message of %u bytes", len);
        return false;
    }
    drv->received_messages++;
    if (drv->options.record) {
        g_ptr_array_add(drv->messages, g_bytes_new(bytes, len));
    }
    memcpy(&type, bytes, sizeof type);
    switch (le32toh(type)) {
    case VIRTIO_WL_CMD_VFD_NEW:
        on_new(drv, bytes, len);
        return false;
    case VIRTIO_WL_CMD_VFD_HUP:
        on_hup(drv, bytes, len);
        return false;
    case VIRTIO_WL_CMD_VFD_RECV:
        return on_recv(drv, bytes, len, buffer);
    default:
        vwl_fe_complain(drv->fe, "a message of type 0x%x", le32toh(type));
        return false;
    }
}

void vwl_drv_collect_in(struct vwl_drv *drv)
{
    struct buffer *buffer;
    uint32_t len;
    bool bad;

    while ((buffer = vwl_ring_take(&drv->in, &len, &bad)) != NULL || bad) {
        if (bad) {
            vwl_fe_complain(drv->fe, "the in queue's used entry names no "
                                     "buffer");
            continue;
        }
        buffer->posted = false;
        drv->posted--;
        if (!on_message(drv, buffer, len) && !drv->options.no_in_buffers) {
            post(drv, buffer);
        }
    }
    kick(drv);
}

struct vwl_drv_vfd *vwl_drv_find(struct vwl_drv *drv, uint32_t id)
{
    return g_hash_table_lookup(drv->vfds, GUINT_TO_POINTER(id));
}

bool vwl_drv_readable(struct vwl_drv *drv, uint32_t id)
{
    struct vwl_drv_vfd *vfd = vwl_drv_find(drv, id);

    return vfd != NULL && (vfd->hup || !g_queue_is_empty(&vfd->records));
}

int64_t vwl_drv_take(struct vwl_drv *drv, uint32_t id, void *data, size_t cap,
                     uint32_t *ids, unsigned int *n_ids)
{
    unsigned int room = n_ids != NULL ? *n_ids : 0, n;
    struct vwl_drv_record *record;
    struct vwl_drv_vfd *vfd = vwl_drv_find(drv, id);
    size_t len;

    if (n_ids != NULL) {
        *n_ids = 0;
    }
    record = g_queue_peek_head(&vfd->records);
    if (record == NULL) {
        return 0;
    }
    n = MIN(room, record->n_ids - record->ids_at);
    if (n != 0) {
        memcpy(ids, record->ids + record->ids_at, n * sizeof *ids);
        record->ids_at += n;
        *n_ids = n;
    }
    len = MIN(cap, record->len - record->at);
    memcpy(data, record->data + record->at, len);
    record->at += len;
    vfd->bytes -= len;
    if (record->at == record->len &&
        (record->ids_at == record->n_ids || room == 0)) {
        struct buffer *held = record->buffer;

        g_queue_pop_head(&vfd->records);
        record_free(record);
        if (held != NULL) {
            held->held = false;
            if (!drv->options.no_in_buffers) {
                post(drv, held);
                kick(drv);
            }
        }
    }
    return (int64_t)len;
}
