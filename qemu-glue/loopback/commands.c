/* SPDX-License-Identifier: BSD-3-Clause */
/* The driver's commands, one message each. */
#include "driver.h"
#include "inqueue.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define NEW_SIZE 64u /* what drivers send and leave room for */
#define SHORT_RESPONSE 8u
#define LAST_LINUX_ID 0x7ffu

/* Its answer, and frees it; NULL: there was no room. */
static int await(struct vwl_drv *drv, struct vwl_drv_request *req,
                 void *response, size_t response_len)
{
    int r;

    if (req == NULL) {
        return -EBUSY;
    }
    r = vwl_drv_wait(drv, req, drv->fe->options.timeout_ms);
    if (r == 0) {
        r = (int)vwl_drv_request_type(req);
        r = r == 0 ? -EPROTO : r;
        if (response != NULL) {
            memcpy(response, req->response,
                   MIN(response_len, sizeof req->response));
        }
    }
    vwl_drv_request_free(drv, req);
    return r;
}

int vwl_drv_command(struct vwl_drv *drv, const void *request, size_t len,
                    uint32_t response_cap, void *response, size_t response_len)
{
    return await(drv, vwl_drv_submit(drv, request, len, response_cap, NULL),
                 response, response_len);
}

uint32_t vwl_drv_free_id(struct vwl_drv *drv)
{
    uint32_t id = 1;

    while (id < LAST_LINUX_ID && vwl_drv_find(drv, id) != NULL) {
        id++;
    }
    return id;
}

static int make(struct vwl_drv *drv, uint32_t type, uint32_t id, uint32_t flags,
                uint32_t size, const char *name)
{
    struct virtio_wl_ctrl_vfd_new_ctx_named request = {
        .hdr.type = htole32(type),
        .vfd_id = htole32(id),
        .flags = htole32(flags),
        .size = htole32(size),
    };
    struct virtio_wl_ctrl_vfd_new response;
    bool fresh = vwl_drv_find(drv, id) == NULL;
    struct vwl_drv_vfd *vfd;
    int r;

    if (name != NULL) {
        memcpy(request.name, name, MIN(strlen(name), sizeof request.name));
    }
    if (fresh) {
        /* what a quick peer says may come before the answer */
        vwl_drv_place(drv, id, false);
    }
    r = vwl_drv_command(drv, &request, NEW_SIZE, NEW_SIZE, &response,
                        sizeof response);
    if (r != (int)VIRTIO_WL_RESP_VFD_NEW) {
        if (fresh) {
            g_hash_table_remove(drv->vfds, GUINT_TO_POINTER(id));
        }
        return r;
    }
    if (le32toh(response.vfd_id) != id) {
        vwl_fe_complain(drv->fe, "vfd %u was answered as %u", id,
                        le32toh(response.vfd_id));
    }
    vfd = fresh ? vwl_drv_find(drv, id) : NULL;
    if (vfd == NULL) {
        vfd = vwl_drv_place(drv, id, false);
    }
    vfd->flags = le32toh(response.flags);
    vfd->pfn = le64toh(response.pfn);
    vfd->size = le32toh(response.size);
    return r;
}

int vwl_drv_new(struct vwl_drv *drv, uint32_t id, uint32_t size)
{
    uint32_t flags = vwl_fe_has(drv->fe, VIRTIO_WL_F_TRANS_FLAGS)
                         ? 0
                         : VIRTIO_WL_VFD_LEGACY_WRITE |
                               VIRTIO_WL_VFD_LEGACY_MAP;

    return make(drv, VIRTIO_WL_CMD_VFD_NEW, id, flags, size, NULL);
}

int vwl_drv_new_ctx(struct vwl_drv *drv, uint32_t id, const char *name)
{
    uint32_t flags = vwl_fe_has(drv->fe, VIRTIO_WL_F_TRANS_FLAGS)
                         ? VIRTIO_WL_VFD_WRITE | VIRTIO_WL_VFD_READ
                         : VIRTIO_WL_VFD_LEGACY_CONTROL;

    return make(drv,
                name != NULL ? VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED
                             : VIRTIO_WL_CMD_VFD_NEW_CTX,
                id, flags, 0, name);
}

int vwl_drv_new_pipe(struct vwl_drv *drv, uint32_t id, uint32_t flags)
{
    return make(drv, VIRTIO_WL_CMD_VFD_NEW_PIPE, id, flags, 0, NULL);
}

int vwl_drv_new_dmabuf(struct vwl_drv *drv, uint32_t id, uint32_t width,
                       uint32_t height, uint32_t format,
                       struct virtio_wl_ctrl_vfd_new_dmabuf *answer)
{
    struct virtio_wl_ctrl_vfd_new_dmabuf request = {
        .hdr.type = htole32(VIRTIO_WL_CMD_VFD_NEW_DMABUF),
        .vfd_id = htole32(id), .width = htole32(width),
        .height = htole32(height), .format = htole32(format),
    }, response;
    struct vwl_drv_vfd *vfd;
    int r = vwl_drv_command(drv, &request, sizeof request, NEW_SIZE, &response,
                            sizeof response);

    if (r != (int)VIRTIO_WL_RESP_VFD_NEW_DMABUF) {
        return r;
    }
    if (le32toh(response.vfd_id) != id || response.flags != 0 ||
        response.width != 0 || response.height != 0 || response.format != 0) {
        vwl_fe_complain(drv->fe, "dmabuf %u was answered wrongly", id);
    }
    vfd = vwl_drv_place(drv, id, false);
    vfd->pfn = le64toh(response.pfn);
    vfd->size = le32toh(response.size);
    *answer = response;
    return r;
}

int vwl_drv_dmabuf_sync(struct vwl_drv *drv, uint32_t id, uint32_t flags)
{
    struct virtio_wl_ctrl_vfd_dmabuf_sync request = {
        .hdr.type = htole32(VIRTIO_WL_CMD_VFD_DMABUF_SYNC),
        .vfd_id = htole32(id),
        .flags = htole32(flags),
    };

    return vwl_drv_command(drv, &request, sizeof request, SHORT_RESPONSE, NULL,
                           0);
}

int vwl_drv_close(struct vwl_drv *drv, uint32_t id)
{
    struct virtio_wl_ctrl_vfd request = {
        .hdr.type = htole32(VIRTIO_WL_CMD_VFD_CLOSE),
        .vfd_id = htole32(id),
    };
    int r = vwl_drv_command(drv, &request, sizeof request, SHORT_RESPONSE, NULL,
                            0);

    if (r == (int)VIRTIO_WL_RESP_OK) {
        g_hash_table_remove(drv->vfds, GUINT_TO_POINTER(id));
        if (drv->options.hold_buffers && !drv->options.no_in_buffers) {
            vwl_drv_post(drv, drv->options.queue_size);
        }
    }
    return r;
}

struct vwl_drv_request *vwl_drv_send_async(struct vwl_drv *drv, uint32_t id,
                                           const uint32_t *ids,
                                           unsigned int n_ids, const void *data,
                                           size_t len)
{
    struct virtio_wl_ctrl_vfd_sendrecv head = {
        .hdr.type = htole32(VIRTIO_WL_CMD_VFD_SEND),
        .vfd_id = htole32(id),
        .vfd_count = htole32(n_ids),
    };
    uint32_t *le = g_new(uint32_t, n_ids);
    const struct iovec parts[] = {
        { &head, sizeof head },
        { le, n_ids * sizeof *le },
        { (void *)(uintptr_t)data, len },
    };
    struct vwl_drv_request *req;

    for (unsigned int i = 0; i < n_ids; i++) {
        le[i] = htole32(ids[i]);
    }
    req = vwl_drv_submit_parts(drv, parts, G_N_ELEMENTS(parts), SHORT_RESPONSE,
                               NULL);
    g_free(le);
    return req;
}

/* Entries as the negotiated features have them; returns where they end. */
static uint8_t *put_foreign(struct vwl_drv *drv, uint8_t *at,
                            const struct vwl_drv_foreign *entries,
                            unsigned int n)
{
    bool wide = vwl_fe_has(drv->fe, VIRTIO_WL_F_SEND_FENCES);

    for (unsigned int i = 0; i < n; i++) {
        const struct virtio_wl_foreign_entry_v2 v2 = {
            .kind = htole32(entries[i].kind),
            .value = htole64(entries[i].value),
        };
        const struct virtio_wl_foreign_entry v1 = {
            .kind = htole32(entries[i].kind),
            .id = htole32((uint32_t)entries[i].value),
        };
        size_t size = wide ? sizeof v2 : sizeof v1;

        memcpy(at, wide ? (const void *)&v2 : (const void *)&v1, size);
        at += size;
    }
    return at;
}

struct vwl_drv_request *vwl_drv_send_foreign_async(
    struct vwl_drv *drv, uint32_t id, const struct vwl_drv_foreign *entries,
    unsigned int n, const void *data, size_t len)
{
    struct virtio_wl_ctrl_vfd_sendrecv head = {
        .hdr.type = htole32(VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID),
        .vfd_id = htole32(id),
        .vfd_count = htole32(n),
    };
    uint8_t *bytes = g_malloc(sizeof head + len +
                              n * sizeof(struct virtio_wl_foreign_entry_v2));
    uint8_t *end = put_foreign(drv, bytes + sizeof head, entries, n);
    struct vwl_drv_request *req;

    memcpy(bytes, &head, sizeof head);
    memcpy(end, data, len);
    req = vwl_drv_submit(drv, bytes, (size_t)(end - bytes) + len,
                         SHORT_RESPONSE, NULL);
    g_free(bytes);
    return req;
}

int vwl_drv_send(struct vwl_drv *drv, uint32_t id, const uint32_t *ids,
                 unsigned int n_ids, const void *data, size_t len)
{
    return await(drv, vwl_drv_send_async(drv, id, ids, n_ids, data, len), NULL,
                 0);
}

/* Without REPLY_ACK a map may still be under way when its VFD is answered. */
static void *wait_for_map(struct vwl_fe *fe, uint64_t offset, uint64_t len)
{
    int64_t end = g_get_monotonic_time() +
                  (int64_t)fe->options.timeout_ms * 1000;
    bool acknowledged = fe->dialect != VWL_FE_STANDARD ||
                        vwl_fe_has_protocol(fe,
                                            VHOST_USER_PROTOCOL_F_REPLY_ACK);
    void *at = vwl_window_at(&fe->window, offset, len);

    while (at == NULL && !acknowledged && vwl_fe_turn(fe, 100) >= 0 &&
           g_get_monotonic_time() < end) {
        at = vwl_window_at(&fe->window, offset, len);
    }
    return at;
}

void *vwl_drv_map(struct vwl_drv *drv, uint32_t id)
{
    struct vwl_drv_vfd *vfd = vwl_drv_find(drv, id);
    struct vwl_window *win = &drv->fe->window;
    uint64_t at;

    if (vfd == NULL || vfd->size == 0) {
        return NULL;
    }
    at = vfd->pfn << VIRTIO_WL_PFN_SHIFT;
    if (!vwl_fe_has(drv->fe, VIRTIO_WL_F_USE_SHMEM)) {
        if (vfd->pfn == 0 || at < win->gpa) {
            return NULL;
        }
        at -= win->gpa;
    }
    return wait_for_map(drv->fe, at,
                        ((uint64_t)vfd->size + 4095) & ~UINT64_C(4095));
}
