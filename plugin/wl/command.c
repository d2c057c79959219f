/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/command.h"

#include <errno.h>
#include <string.h>

#include "wl/answer.h"
#include "wl/crowd.h"
#include "wl/kinds/dmabuf.h"
#include "wl/kinds/kinds.h"
#include "wl/request.h"
#include "wl/send.h"
#include "wl/state.h"

static size_t command_bytes(const struct vwl_request *request)
{
    return MIN(request->head_bytes, request->total_bytes);
}

/* ---- making VFDs -------------------------------------------------------- */

static int new_refuse(struct vwl_core *core, uint32_t id, int err,
                      const char *why)
{
    log_guest_bug(core->log, "vfd 0x%" PRIx32 ": cannot be made: %s", id, why);
    return err;
}

/* The checks of every NEW, in the order that drivers know: bit 30, flags (the
 * caller's verdict), id in use, room for the answer. */
static int new_check(struct vwl_core *core, const struct vwl_request *request,
                     int flags_err, size_t answer_bytes)
{
    uint32_t id = vwl_request_id(request);

    if (id & VIRTIO_WL_VFD_HOST_ID_BIT) {
        return new_refuse(core, id, -VWL_EBADID, "ids with bit 30 are ours");
    }
    if (flags_err < 0) {
        return new_refuse(core, id, flags_err, "its flags are not legal");
    }
    if (vwl_vfd_lookup(core, id)) {
        return new_refuse(core, id, -VWL_EBADID, "the id is in use");
    }
    if (request->response_room < answer_bytes) {
        return new_refuse(core, id, -EINVAL, "no room for the answer");
    }
    return 0;
}

static int new_check_plain(struct vwl_core *core,
                           const struct vwl_request *request, int flags_err)
{
    return new_check(core, request, flags_err,
                     sizeof(struct virtio_wl_ctrl_vfd_new));
}

static int do_new(struct vwl_core *core, struct vwl_request *request)
{
    uint32_t flags = VWL_REQUEST32(request, virtio_wl_ctrl_vfd_new, flags);
    uint32_t size = VWL_REQUEST32(request, virtio_wl_ctrl_vfd_new, size);
    bool trans = vwl_core_has(core, VIRTIO_WL_F_TRANS_FLAGS);
    uint32_t legal = trans ? 0
                           : VIRTIO_WL_VFD_LEGACY_WRITE |
                                 VIRTIO_WL_VFD_LEGACY_MAP;
    int err = !(flags & ~legal) ? 0 : trans ? -VWL_EBADFLAGS : -EINVAL;

    err = new_check_plain(core, request, err);
    return err < 0 ? err
                   : vwl_shm_create(core, request, vwl_request_id(request),
                                    flags, size);
}

static int do_new_pipe(struct vwl_core *core, struct vwl_request *request)
{
    uint32_t flags = VWL_REQUEST32(request, virtio_wl_ctrl_vfd_new, flags);
    int err = flags == VIRTIO_WL_VFD_WRITE || flags == VIRTIO_WL_VFD_READ
                  ? 0
                  : -VWL_EBADFLAGS;

    err = new_check_plain(core, request, err);
    return err < 0
               ? err
               : vwl_pipe_create(core, request, vwl_request_id(request), flags);
}

/* Its number in the configuration; -ENOENT. */
static ssize_t find_socket(const struct vwl_core *core, const char *name,
                           size_t len)
{
    for (size_t i = 0; i < core->config.n_sockets; i++) {
        const char *one = core->config.sockets[i].name;

        if (strlen(one) == len && memcmp(one, name, len) == 0) {
            return (ssize_t)i;
        }
    }
    return -ENOENT;
}

static int new_ctx(struct vwl_core *core, struct vwl_request *request,
                   const char *name, size_t len)
{
    uint32_t id = vwl_request_id(request);
    int err = new_check_plain(core, request, 0);
    ssize_t socket;

    if (err < 0) {
        return err;
    }
    socket = g_utf8_validate(name, (gssize)len, NULL)
                 ? find_socket(core, name, len)
                 : -ENOENT;
    if (socket < 0) {
        char text[32 * 4 + 1];

        log_guest_bug(core->log, "ctx 0x%" PRIx32 ": no socket is named '%s'",
                      id, vwl_log_escape(name, len, text, sizeof text));
        return -ENOENT;
    }
    return vwl_ctx_create(core, request, id, (size_t)socket);
}

static int do_new_ctx(struct vwl_core *core, struct vwl_request *request)
{
    return new_ctx(core, request, "", 0);
}

static int do_new_ctx_named(struct vwl_core *core, struct vwl_request *request)
{
    const char *name = (const char *)request->head +
                       offsetof(struct virtio_wl_ctrl_vfd_new_ctx_named, name);

    return new_ctx(core, request, name, strnlen(name, 32));
}

static int do_new_dmabuf(struct vwl_core *core, struct vwl_request *request)
{
    const size_t bytes = sizeof(struct virtio_wl_ctrl_vfd_new_dmabuf);
    struct vwl_buffer_wish wish;
    int err;

    if (!vwl_dmabuf_offered(core)) { /* every client's probe */
        log_debug(core->log,
                  "NEW_DMABUF is refused: the host offers no dmabufs");
        return -VWL_EBADCMD;
    }
    if (request->head_bytes < bytes) {
        log_guest_bug(core->log, "a NEW_DMABUF of %zu bytes is too short",
                      request->head_bytes);
        return -EINVAL;
    }
    err = new_check(core, request, 0, bytes);
    if (err < 0) {
        return err;
    }
    wish = (struct vwl_buffer_wish){
        .width = VWL_REQUEST32(request, virtio_wl_ctrl_vfd_new_dmabuf, width),
        .height = VWL_REQUEST32(request, virtio_wl_ctrl_vfd_new_dmabuf, height),
        .format = VWL_REQUEST32(request, virtio_wl_ctrl_vfd_new_dmabuf, format),
    };
    return vwl_dmabuf_create(core, request, vwl_request_id(request), &wish);
}

static int do_new_pages(struct vwl_core *core, struct vwl_request *request)
{
    uint32_t flags;
    int err;

    if (!vwl_core_has(core, VIRTIO_WL_F_GUEST_PAGES) || !core->ops->pages) {
        log_guest_bug(core->log,
                      "NEW_PAGES is refused: the host does not offer it");
        return -VWL_EBADCMD;
    }
    if (command_bytes(request) < sizeof(struct virtio_wl_ctrl_vfd_new_pages)) {
        log_guest_bug(core->log, "a NEW_PAGES of %zu bytes is too short",
                      command_bytes(request));
        return -EINVAL;
    }
    flags = VWL_REQUEST32(request, virtio_wl_ctrl_vfd_new_pages, flags);
    err = new_check_plain(core, request, flags ? -VWL_EBADFLAGS : 0);
    return err < 0 ? err
                   : vwl_pages_create(core, request, vwl_request_id(request));
}

/* ---- using them --------------------------------------------------------- */

static int do_close(struct vwl_core *core, struct vwl_request *request)
{
    uint32_t id = vwl_request_id(request);
    struct vwl_vfd *vfd = vwl_vfd_lookup(core, id);

    if (!vfd || (vfd->life != VWL_VFD_KNOWN && !vfd->creating)) {
        log_guest_bug(core->log, "vfd 0x%" PRIx32 ": CLOSE of an unknown VFD",
                      id);
        return -VWL_EBADID;
    }
    vwl_vfd_close(vfd, false);
    return 0;
}

/* Where there are no dmabufs there is no such command, but those of a peer can
 * be synchronised all the same. */
static int sync_check(struct vwl_core *core, const struct vwl_request *request,
                      const struct vwl_vfd *vfd, const char **why)
{
    bool is_dmabuf = vfd && vwl_dmabuf_is(vfd);

    if (!is_dmabuf && !vwl_dmabuf_offered(core)) {
        *why = "the host offers no dmabufs";
        return -VWL_EBADCMD;
    }
    if (command_bytes(request) <
        sizeof(struct virtio_wl_ctrl_vfd_dmabuf_sync)) {
        *why = "it is too short";
        return -EINVAL;
    }
    if (VWL_REQUEST32(request, virtio_wl_ctrl_vfd_dmabuf_sync, flags) &
        ~VIRTIO_WL_DMABUF_SYNC_ALL) {
        *why = "its flags are not legal";
        return -VWL_EBADFLAGS;
    }
    if (!vfd) {
        *why = "the VFD is unknown";
        return -VWL_EBADID;
    }
    *why = "the VFD is no dmabuf";
    return is_dmabuf ? 0 : -EINVAL;
}

static int do_dmabuf_sync(struct vwl_core *core, struct vwl_request *request)
{
    struct vwl_vfd *vfd = NULL;
    const char *why;
    int err;

    if (command_bytes(request) >= sizeof(struct virtio_wl_ctrl_vfd)) {
        vfd = vwl_vfd_find(core, vwl_request_id(request));
    }
    err = sync_check(core, request, vfd, &why);
    if (err < 0) {
        log_guest_bug(core->log, "a DMABUF_SYNC is refused: %s", why);
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

/* ---- the tables --------------------------------------------------------- */

/* Each returns 0 (answered already, or OK is the answer), -EINPROGRESS, or
 * -errno, which becomes the answer. uses: it names VFDs that are there. */
static const struct {
    uint32_t type;
    size_t min_bytes;
    int (*carry_out)(struct vwl_core *core, struct vwl_request *request);
    bool uses;
} commands[] = {
    { VIRTIO_WL_CMD_VFD_NEW, sizeof(struct virtio_wl_ctrl_vfd_new), do_new },
    { VIRTIO_WL_CMD_VFD_CLOSE, sizeof(struct virtio_wl_ctrl_vfd), do_close,
      true },
    { VIRTIO_WL_CMD_VFD_SEND, sizeof(struct virtio_wl_ctrl_vfd_sendrecv),
      do_send, true },
    { VIRTIO_WL_CMD_VFD_NEW_CTX, sizeof(struct virtio_wl_ctrl_vfd),
      do_new_ctx },
    { VIRTIO_WL_CMD_VFD_NEW_PIPE, sizeof(struct virtio_wl_ctrl_vfd_new),
      do_new_pipe },
    /* whether these are known comes first, so they check their lengths */
    { VIRTIO_WL_CMD_VFD_NEW_DMABUF, 4, do_new_dmabuf },
    { VIRTIO_WL_CMD_VFD_DMABUF_SYNC, 4, do_dmabuf_sync, true },
    { VIRTIO_WL_CMD_VFD_NEW_PAGES, 4, do_new_pages },
    { VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID,
      sizeof(struct virtio_wl_ctrl_vfd_sendrecv), do_send_foreign, true },
    { VIRTIO_WL_CMD_VFD_NEW_CTX_NAMED,
      sizeof(struct virtio_wl_ctrl_vfd_new_ctx_named), do_new_ctx_named },
};

/* What a snapshot may have; dmabufs are plain memory in it, pages opaque. */
static const struct vwl_vfd_ops *const kinds[] = {
    &vwl_ctx_ops, &vwl_pipe_ops,  &vwl_socket_ops,
    &vwl_shm_ops, &vwl_fence_ops, &vwl_opaque_ops,
};

const struct vwl_vfd_ops *vwl_command_kind(uint32_t image_kind)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (kinds[i]->saved.kind == image_kind) {
            return kinds[i];
        }
    }
    return NULL;
}

/* ---- VFDs that are still being made ------------------------------------- */

static bool request_names(const struct vwl_core *core,
                          const struct vwl_request *request, uint32_t id)
{
    uint32_t type = VWL_REQUEST32(request, virtio_wl_ctrl_hdr, type);

    if (command_bytes(request) < sizeof(struct virtio_wl_ctrl_vfd)) {
        return false;
    }
    if (vwl_request_id(request) == id) {
        return true;
    }
    return type == VIRTIO_WL_CMD_VFD_SEND
               ? vwl_send_carries(core, request, false, id)
               : type == VIRTIO_WL_CMD_VFD_SEND_FOREIGN_ID &&
                     vwl_send_carries(core, request, true, id);
}

/* A CLOSE of memory that is not there yet takes the wish for it back, since its
 * room may be long in coming. */
static bool command_gives_up(const struct vwl_request *request,
                             const struct vwl_vfd *vfd)
{
    return VWL_REQUEST32(request, virtio_wl_ctrl_hdr, type) ==
               VIRTIO_WL_CMD_VFD_CLOSE &&
           vwl_request_id(request) == vfd->id && !vfd->ops->is_context;
}

/* A driver need not wait for the answer to a NEW: what names its VFD waits for
 * that, and so does what must not overtake what waits. NULL: nothing. */
static struct vwl_vfd *command_awaits(const struct vwl_core *core,
                                      const struct vwl_request *request)
{
    for (struct vwl_list *link = core->waiting.next;
         core->n_creating > 0 && link != &core->waiting; link = link->next) {
        struct vwl_vfd *vfd = vwl_list_entry(link, struct vwl_vfd, waiting);

        if (!vfd->creating || command_gives_up(request, vfd)) {
            continue;
        }
        if (request_names(core, request, vfd->id)) {
            return vfd;
        }
        for (const struct vwl_request *other = vfd->first_wait; other;
             other = other->next) {
            if (request_names(core, other, vwl_request_id(request)) ||
                request_names(core, request, vwl_request_id(other))) {
                return vfd;
            }
        }
    }
    return NULL;
}

static int command_carry_out(struct vwl_core *core, struct vwl_request *request)
{
    size_t len = command_bytes(request);
    struct vwl_vfd *vfd;
    uint32_t type;

    if (len < 4) {
        log_guest_bug(core->log, "a request of %zu bytes has no type", len);
        return -EINVAL;
    }
    type = VWL_REQUEST32(request, virtio_wl_ctrl_hdr, type);
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (commands[i].type == type) {
            if (len < commands[i].min_bytes) {
                log_guest_bug(core->log,
                              "request 0x%" PRIx32 ": %zu bytes are"
                              " too few",
                              type, len);
                return -EINVAL;
            }
            vfd = commands[i].uses ? command_awaits(core, request) : NULL;
            return vfd ? vwl_vfd_park(vfd, request)
                       : commands[i].carry_out(core, request);
        }
    }
    log_guest_bug(core->log, "request 0x%" PRIx32 " is not known", type);
    return -VWL_EBADCMD;
}

static int command_run(struct vwl_core *core, struct vwl_request *request)
{
    int err = command_carry_out(core, request);

    if (err == -EINPROGRESS) {
        return err;
    }
    if (err < 0 || request->response_bytes == 0) {
        vwl_answer(core, request, err);
    }
    return 0;
}

void vwl_command_resume(struct vwl_core *core)
{
    struct vwl_request *request;

    while ((request = core->released)) {
        core->released = request->next;
        request->next = NULL;
        if (command_run(core, request) == 0) {
            core->ops->complete(core->opaque, request);
        }
    }
}

int vwl_command_execute(struct vwl_core *core, struct vwl_request *request)
{
    vwl_crowd_look(core); /* before: it may end what waits */
    core->counters.requests++;
    request->response_bytes = 0;
    request->waits_on = NULL;
    request->progress = 0;
    request->next = NULL;
    return command_run(core, request);
}
