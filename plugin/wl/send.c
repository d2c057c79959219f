/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/send.h"

#include <errno.h>

#include "base/fd.h"
#include "base/le.h"
#include "wl/answer.h"
#include "wl/outbox/foreign.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* Where the ids of a SEND stand. */
struct entries {
    unsigned int n;
    size_t bytes; /* of one */
    size_t id_at; /* in one */
    bool has_kind;
};

/* What it carries. */
struct cargo {
    struct vwl_vfd *target;
    struct vwl_vfd *vfds[VIRTWL_SEND_MAX_ALLOCS]; /* NULL: foreign */
    int fds[VIRTWL_SEND_MAX_ALLOCS];              /* foreign ones are ours */
    uint32_t asked; /* bit i: fds[i] is where the answer comes */
};

static const uint8_t *entry_at(const struct vwl_request *request,
                               const struct entries *entries, unsigned int i)
{
    return request->head + 16 + i * entries->bytes;
}

static uint32_t kind_of(const struct entries *entries, const uint8_t *at)
{
    return entries->has_kind ? vwl_le_get32(at) : VIRTIO_WL_FOREIGN_LOCAL;
}

/* Finds the VFDs of a SEND. */
static int find_vfds(struct vwl_core *core, const struct vwl_request *request,
                     const struct entries *entries, struct cargo *cargo)
{
    for (unsigned int i = 0; i < entries->n; i++) {
        const uint8_t *at = entry_at(request, entries, i);
        uint32_t kind = kind_of(entries, at);

        cargo->vfds[i] = NULL;
        cargo->fds[i] = -1;
        if (kind == VIRTIO_WL_FOREIGN_LOCAL) {
            cargo->vfds[i] = vwl_vfd_find(core,
                                          vwl_le_get32(at + entries->id_at));
        }
        if (kind > VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE ||
            (kind == VIRTIO_WL_FOREIGN_LOCAL && !cargo->vfds[i])) {
            return -VWL_EBADID;
        }
    }
    return 0;
}

static int check_target(const struct vwl_vfd *vfd, unsigned int n_vfds)
{
    if (vfd->ops->send_refusal) {
        return vfd->ops->send_refusal;
    }
    if (n_vfds && !vfd->ops->takes_fds) {
        return -VWL_EBADTYPE;
    }
    return vfd->flags & VIRTIO_WL_VFD_WRITE ? 0 : -EPERM;
}

/* Finds all that a SEND names. */
static int check_send(struct vwl_core *core, const struct vwl_request *request,
                      const struct entries *entries, struct cargo *cargo)
{
    size_t skip = 16 + entries->n * entries->bytes;
    int err;

    if (entries->n > VIRTWL_SEND_MAX_ALLOCS) {
        return -VWL_EBADCMD;
    }
    if (request->total_bytes < skip || request->head_bytes < skip) {
        return -EINVAL;
    }
    cargo->target = vwl_vfd_find(core, vwl_le_get32(request->head + 8));
    if (!cargo->target) {
        return -VWL_EBADID;
    }
    err = find_vfds(core, request, entries, cargo);
    if (!err) {
        err = check_target(cargo->target, entries->n);
    }
    for (unsigned int i = 0; i < entries->n && !err; i++) {
        const struct vwl_vfd *vfd = cargo->vfds[i];

        if (vfd) {
            cargo->fds[i] = vfd->ops->fd_to_send(vfd);
            err = cargo->fds[i] < 0 ? -VWL_EBADTYPE : 0;
        }
    }
    return err;
}

/* Of a kind that has a number alone, the rest is rubbish. */
static uint64_t value_of(const struct entries *entries, const uint8_t *at,
                         uint32_t kind)
{
    const uint8_t *value = at + entries->id_at;

    switch (kind) {
    case VIRTIO_WL_FOREIGN_VIRTGPU:
        return vwl_le_get32(value);
    case VIRTIO_WL_FOREIGN_VIRTGPU_FENCE:
        return vwl_le_get32(value) |
               (entries->bytes == sizeof(struct virtio_wl_foreign_entry_v2)
                    ? (uint64_t)vwl_le_get32(value + 4) << 32
                    : 0);
    default:
        return 0;
    }
}

/* Last of all: somebody else is asked. */
static int ask_foreign(struct vwl_core *core, const struct vwl_request *request,
                       const struct entries *entries, struct cargo *cargo)
{
    for (unsigned int i = 0; i < entries->n; i++) {
        const uint8_t *at = entry_at(request, entries, i);
        uint32_t kind = kind_of(entries, at);
        int err;

        if (cargo->vfds[i]) {
            continue;
        }
        err = vwl_foreign_get(core, kind, value_of(entries, at, kind),
                              &cargo->fds[i]);
        if (err == -EINPROGRESS) {
            cargo->asked |= UINT32_C(1) << i;
        } else if (err < 0) {
            return err;
        }
    }
    return 0;
}

static void drop_foreign(struct cargo *cargo, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        if (!cargo->vfds[i]) {
            vwl_fd_clear(&cargo->fds[i]);
        }
    }
}

static void tell_sent(const struct cargo *cargo, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        struct vwl_vfd *vfd = cargo->vfds[i];

        if (vfd && vfd->ops->sent) {
            vfd->ops->sent(vfd);
        }
    }
}

int vwl_send(struct vwl_core *core, struct vwl_request *request, bool foreign)
{
    bool fences = vwl_core_has(core, VIRTIO_WL_F_SEND_FENCES);
    struct entries entries = {
        .n = vwl_le_get32(request->head + 12),
        .bytes = !foreign ? 4
                 : fences ? 16
                          : 8,
        .id_at = !foreign ? 0
                 : fences ? 8
                          : 4,
        .has_kind = foreign,
    };
    struct cargo cargo;
    int err;

    cargo.asked = 0;
    err = check_send(core, request, &entries, &cargo);
    if (!err && foreign) {
        err = ask_foreign(core, request, &entries, &cargo);
        if (err) {
            drop_foreign(&cargo, entries.n);
        }
    }
    if (err < 0) {
        log_guest_bug(core->log,
                      "vfd 0x%" PRIx32 ": a send of %zu bytes with"
                      " %u VFDs is refused: %s",
                      vwl_le_get32(request->head + 8), request->total_bytes,
                      entries.n, g_strerror(-err));
        return err;
    }
    err = vwl_vfd_send(cargo.target, request, 16 + entries.n * entries.bytes,
                       cargo.fds, entries.n, cargo.asked);
    if (err == 0 || err == -EINPROGRESS) {
        tell_sent(&cargo, entries.n);
    }
    if (foreign) {
        drop_foreign(&cargo, entries.n);
    }
    return err;
}
