/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/command.h"

#include <errno.h>
#include <string.h>

#include "base/le.h"
#include "wl/answer.h"
#include "wl/kinds/dmabuf.h"
#include "wl/send.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* The checks of every NEW, in the order that drivers know: bit 30, flags (the
 * caller's verdict), id in use. */
static int check_new_room(struct vwl_core *core,
                          const struct vwl_request *request, int flags_verdict,
                          size_t room)
{
    uint32_t id = vwl_le_get32(request->head + 8);

    if (id & VIRTIO_WL_VFD_HOST_ID_BIT) {
        log_guest_bug(core->log, "vfd 0x%" PRIx32 ": not an id of the guest",
                      id);
        return -VWL_EBADID;
    }
    if (flags_verdict) {
        log_guest_bug(core->log,
                      "vfd 0x%" PRIx32 ": flags 0x%" PRIx32 " are wrong", id,
                      vwl_le_get32(request->head + 12));
        return flags_verdict;
    }
    if (vwl_vfd_check_id(core, id) < 0) {
        log_guest_bug(core->log, "vfd 0x%" PRIx32 ": the id is in use", id);
        return -VWL_EBADID;
    }
    if (request->response_room < room) {
        log_guest_bug(core->log,
                      "vfd 0x%" PRIx32 ": %zu bytes have no room"
                      " for the answer",
                      id, request->response_room);
        return -EINVAL;
    }
    return 0;
}

static int check_new(struct vwl_core *core, const struct vwl_request *request,
                     int flags_verdict)
{
    return check_new_room(core, request, flags_verdict, 32);
}

static int do_new(struct vwl_core *core, struct vwl_request *request)
{
    bool trans = vwl_core_has(core, VIRTIO_WL_F_TRANS_FLAGS);
    uint32_t flags = vwl_le_get32(request->head + 12);
    uint32_t legal = trans ? 0
                           : VIRTIO_WL_VFD_LEGACY_WRITE |
                                 VIRTIO_WL_VFD_LEGACY_MAP;
    int err = !(flags & ~legal) ? 0 : trans ? -VWL_EBADFLAGS : -EINVAL;

    err = check_new(core, request, err);
    if (err < 0) {
        return err;
    }
    return vwl_shm_create(core, request, vwl_le_get32(request->head + 8), flags,
                          vwl_le_get32(request->head + 24));
}

static int do_new_pipe(struct vwl_core *core, struct vwl_request *request)
{
    uint32_t flags = vwl_le_get32(request->head + 12);
    int err = check_new(core, request,
                        flags == VIRTIO_WL_VFD_WRITE ||
                                flags == VIRTIO_WL_VFD_READ
                            ? 0
                            : -VWL_EBADFLAGS);

    if (err < 0) {
        return err;
    }
    return vwl_pipe_create(core, request, vwl_le_get32(request->head + 8),
                           flags);
}

static const char *find_socket(const struct vwl_core *core, const char *name,
                               size_t len)
{
    for (size_t i = 0; i < core->config.n_sockets; i++) {
        const struct vwl_socket *one = &core->config.sockets[i];

        if (strlen(one->name) == len && memcmp(one->name, name, len) == 0) {
            return one->path;
        }
    }
    return NULL;
}

static int new_ctx(struct vwl_core *core, struct vwl_request *request,
                   const char *name, size_t len)
{
    uint32_t id = vwl_le_get32(request->head + 8);
    int err = check_new(core, request, 0);
    const char *path;

    if (err < 0) {
        return err;
    }
    path = g_utf8_validate(name, (gssize)len, NULL)
               ? find_socket(core, name, len)
               : NULL;
    if (!path) {
        char text[32 * 4 + 1];

        log_guest_bug(core->log,
                      "ctx 0x%" PRIx32 ": no socket is named"
                      " '%s'",
                      id, vwl_log_escape(name, len, text, sizeof text));
        return -EINVAL;
    }
    return vwl_ctx_create(core, request, id, path);
}

static int do_new_ctx(struct vwl_core *core, struct vwl_request *request)
{
    return new_ctx(core, request, "", 0);
}

static int do_new_ctx_named(struct vwl_core *core, struct vwl_request *request)
{
    const char *name = (const char *)request->head + 28;

    return new_ctx(core, request, name, strnlen(name, 32));
}

static int do_close(struct vwl_core *core, struct vwl_request *request)
{
    struct vwl_vfd *vfd = vwl_vfd_find_to_close(core, vwl_le_get32(
                                                          request->head + 8));

    if (!vfd) {
        log_guest_bug(core->log, "vfd 0x%" PRIx32 ": closes no VFD",
                      vwl_le_get32(request->head + 8));
        return -VWL_EBADID;
    }
    vwl_vfd_close(vfd, false);
    return 0;
}

static int do_new_dmabuf(struct vwl_core *core, struct vwl_request *request)
{
    struct vwl_buffer_wish wish;
    int err;

    if (!vwl_dmabuf_offered(core)) { /* every client's probe */
        log_debug(core->log, "there are no dmabufs");
        return -VWL_EBADCMD;
    }
    err = request->head_bytes < 64 ? -EINVAL
                                   : check_new_room(core, request, 0, 64);
    if (err < 0) {
        return err;
    }
    wish = (struct vwl_buffer_wish){
        .width = vwl_le_get32(request->head + 28),
        .height = vwl_le_get32(request->head + 32),
        .format = vwl_le_get32(request->head + 36),
    };
    return vwl_dmabuf_create(core, request, vwl_le_get32(request->head + 8),
                             &wish);
}

static int do_dmabuf_sync(struct vwl_core *core, struct vwl_request *request)
{
    size_t len = MIN(request->head_bytes, request->total_bytes);
    struct vwl_vfd *vfd = len < 12
                              ? NULL
                              : vwl_vfd_find(core,
                                             vwl_le_get32(request->head + 8));
    int err = 0;

    if ((!vfd || !vfd->dmabuf) && !vwl_dmabuf_offered(core)) {
        err = -VWL_EBADCMD;
    } else if (len < 16) {
        err = -EINVAL;
    } else if (vwl_le_get32(request->head + 12) & ~VIRTIO_WL_DMABUF_SYNC_ALL) {
        err = -VWL_EBADFLAGS;
    } else if (!vfd) {
        err = -VWL_EBADID;
    } else if (!vfd->dmabuf) {
        err = -EINVAL;
    }
    if (err < 0) {
        log_guest_bug(core->log, "a DMABUF_SYNC is refused: %s",
                      g_strerror(-err));
        return err;
    }
    return vwl_dmabuf_sync(vfd, request);
}

static int do_send(struct vwl_core *core, struct vwl_request *request)
{
    return vwl_send(core, request, false);
}

static int do_send_foreign(struct vwl_core *core, struct vwl_request *request)
{
    return vwl_send(core, request, true);
}

static const struct {
    uint32_t type;
    size_t min_bytes;
    int (*carry_out)(struct vwl_core *core, struct vwl_request *request);
} commands[] = {
    { VIRTIO_WL_CMD_VFD_NEW, 32, do_new },
    { VIRTIO_WL_CMD_VFD_CLOSE, 12, do_close },
    { VIRTIO_WL_CMD_VFD_SEND, 16, do_send },
    { VIRTIO_WL_CMD_VFD_NEW_CTX, 12, do_new_ctx },
    { VIRTIO_WL_CMD_VFD_NEW_PIPE, 32, do_new_pipe },
    { VIRTIO_WL_CMD_VFD_NEW_DMABUF, 4, do_new_dmabuf },
    { VIRTIO_WL_CMD_VFD_DMABUF_SYNC, 4, do_dmabuf_sync },
    { VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID, 16, do_send_foreign },
    { VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED, 64, do_new_ctx_named },
};

/* 0, also when it was answered with more than OK; -EINPROGRESS; or why not. */
static int command_carry_out(struct vwl_core *core, struct vwl_request *request)
{
    size_t len = MIN(request->head_bytes, request->total_bytes);
    uint32_t type;

    if (len < 4) {
        log_guest_bug(core->log, "request of %zu bytes", len);
        return -EINVAL;
    }
    type = vwl_le_get32(request->head);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].type == type) {
            if (len < commands[i].min_bytes) {
                log_guest_bug(core->log, "request 0x%" PRIx32 " of %zu bytes",
                              type, len);
                return -EINVAL;
            }
            return commands[i].carry_out(core, request);
        }
    }
    log_guest_bug(core->log, "request 0x%" PRIx32 " is not known", type);
    return -VWL_EBADCMD;
}

int vwl_command_execute(struct vwl_core *core, struct vwl_request *request)
{
    int err;

    core->counters.requests++;
    request->response_bytes = 0;
    request->waits_on = NULL;
    request->progress = 0;
    request->next = NULL;
    err = command_carry_out(core, request);
    if (err == -EINPROGRESS) {
        return err;
    }
    if (err < 0 || request->response_bytes == 0) {
        vwl_answer(core, request, err);
    }
    return 0;
}
