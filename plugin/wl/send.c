/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/send.h"

#include <errno.h>

#include "base/closer.h"
#include "wl/answer.h"
#include "wl/outbox/foreign.h"
#include "wl/request.h"
#include "wl/state.h"
#include "wl/vfd.h"

/* The forms of what a SEND names. */
enum entry_form {
    ENTRY_LOCAL,      /* __le32 */
    ENTRY_FOREIGN,    /* struct virtio_wl_foreign_entry */
    ENTRY_FOREIGN_V2, /* struct virtio_wl_foreign_entry_v2 */
};

static const size_t entry_bytes[] = {
    [ENTRY_LOCAL] = sizeof(__le32),
    [ENTRY_FOREIGN] = sizeof(struct virtio_wl_foreign_entry),
    [ENTRY_FOREIGN_V2] = sizeof(struct virtio_wl_foreign_entry_v2),
};

struct entry {
    uint32_t kind;  /* VIRTIO_WL_FOREIGN_* */
    uint64_t value; /* an id, or the number of a fence */
};

/* What a SEND carries. */
struct cargo {
    enum entry_form form;
    unsigned int n; /* entries */
    size_t skip;    /* bytes before the data */
    struct vwl_vfd *target;
    struct vwl_vfd *vfds[VIRTWL_SEND_MAX_ALLOCS]; /* NULL: foreign */
    int fds[VIRTWL_SEND_MAX_ALLOCS];              /* foreign ones are ours */
    uint32_t asked;  /* bit i: fds[i] is where the answer comes */
    const char *why; /* it is refused */
};

static int cargo_refuse(struct cargo *cargo, int err, const char *why)
{
    cargo->why = why;
    return err;
}

static void cargo_entry(const struct cargo *cargo,
                        const struct vwl_request *request, unsigned int i,
                        struct entry *entry)
{
    const uint8_t *at = request->head +
                        sizeof(struct virtio_wl_ctrl_vfd_sendrecv) +
                        i * entry_bytes[cargo->form];

    switch (cargo->form) {
    case ENTRY_LOCAL:
        *entry = (struct entry){ VIRTIO_WL_FOREIGN_LOCAL, vwl_le_get32(at) };
        break;
    case ENTRY_FOREIGN:
        entry->kind = VWL_FIELD32(at, virtio_wl_foreign_entry, kind);
        entry->value = VWL_FIELD32(at, virtio_wl_foreign_entry, id);
        break;
    default:
        entry->kind = VWL_FIELD32(at, virtio_wl_foreign_entry_v2, kind);
        entry->value = vwl_le_get64(
            at + offsetof(struct virtio_wl_foreign_entry_v2, value));
    }
    /* of a kind that has less than that, the rest is rubbish */
    if (entry->kind == VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE) {
        entry->value = 0;
    } else if (entry->kind != VIRTIO_WL_FOREIGN_VIRTGPU_FENCE) {
        entry->value = (uint32_t)entry->value;
    }
}

static int cargo_find_vfds(struct vwl_core *core,
                           const struct vwl_request *request,
                           struct cargo *cargo)
{
    for (unsigned int i = 0; i < cargo->n; i++) {
        struct entry entry;

        cargo_entry(cargo, request, i, &entry);
        cargo->vfds[i] = NULL;
        cargo->fds[i] = -1;
        if (entry.kind > VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE) {
            return cargo_refuse(cargo, -VWL_EBADID,
                                "a foreign id is of an unknown kind");
        }
        if (entry.kind == VIRTIO_WL_FOREIGN_LOCAL) {
            cargo->vfds[i] = vwl_vfd_find(core, (uint32_t)entry.value);
            if (!cargo->vfds[i]) {
                return cargo_refuse(cargo, -VWL_EBADID,
                                    "it carries an unknown VFD");
            }
        }
    }
    return 0;
}

static int cargo_check_target(struct cargo *cargo)
{
    const struct vwl_vfd *vfd = cargo->target;

    if (vfd->ops->send_refusal < 0) {
        return cargo_refuse(cargo, vfd->ops->send_refusal,
                            "a VFD of that kind takes no data");
    }
    if (cargo->n && !vfd->ops->is_context) {
        return cargo_refuse(cargo, -VWL_EBADTYPE,
                            "VFDs can be sent to contexts only");
    }
    return vfd->flags & VIRTIO_WL_VFD_WRITE
               ? 0
               : cargo_refuse(cargo, -EPERM, "it can be read only");
}

/* Finds all that a SEND names, in the order that drivers know. */
static int cargo_check(struct vwl_core *core, const struct vwl_request *request,
                       struct cargo *cargo)
{
    int err;

    if (cargo->n > VIRTWL_SEND_MAX_ALLOCS) {
        return cargo_refuse(cargo, -VWL_EBADCMD, "too many VFDs");
    }
    if (request->total_bytes < cargo->skip ||
        request->head_bytes < cargo->skip) {
        return cargo_refuse(cargo, -EINVAL, "too short for its VFDs");
    }
    cargo->target = vwl_vfd_find(core, vwl_request_id(request));
    if (!cargo->target) {
        return cargo_refuse(cargo, -VWL_EBADID, "the VFD is unknown");
    }
    err = cargo_find_vfds(core, request, cargo);
    if (err == 0) {
        err = cargo_check_target(cargo);
    }
    for (unsigned int i = 0; i < cargo->n && err == 0; i++) {
        const struct vwl_vfd *vfd = cargo->vfds[i];

        if (vfd) {
            cargo->fds[i] = vfd->ops->fd_to_send(vfd);
        }
        if (vfd && cargo->fds[i] < 0) {
            err = cargo_refuse(cargo, -VWL_EBADTYPE,
                               "a VFD that it carries cannot be given "
                               "away");
        }
    }
    return err;
}

static void cargo_drop_foreign(struct vwl_core *core, struct cargo *cargo)
{
    for (unsigned int i = 0; i < cargo->n; i++) {
        if (!cargo->vfds[i]) {
            vwl_closer_close(core->closer, &cargo->fds[i]);
        }
    }
}

/* Last of all: somebody else is asked. */
static int cargo_ask_foreign(struct vwl_core *core,
                             const struct vwl_request *request,
                             struct cargo *cargo)
{
    for (unsigned int i = 0; i < cargo->n; i++) {
        struct entry entry;
        int err;

        if (cargo->vfds[i]) {
            continue;
        }
        cargo_entry(cargo, request, i, &entry);
        err = vwl_foreign_get(core, entry.kind, entry.value, &cargo->fds[i]);
        if (err == -EINPROGRESS) {
            cargo->asked |= UINT32_C(1) << i;
        } else if (err < 0) {
            cargo_drop_foreign(core, cargo);
            return cargo_refuse(cargo, err, "the host gives no such buffer");
        }
    }
    return 0;
}

static void cargo_tell_sent(const struct cargo *cargo)
{
    for (unsigned int i = 0; i < cargo->n; i++) {
        struct vwl_vfd *vfd = cargo->vfds[i];

        if (vfd && vfd->ops->sent) {
            vfd->ops->sent(vfd);
        }
    }
}

static enum entry_form form_of(const struct vwl_core *core, bool foreign)
{
    if (!foreign) {
        return ENTRY_LOCAL;
    }
    return vwl_core_has(core, VIRTIO_WL_F_SEND_FENCES) ? ENTRY_FOREIGN_V2
                                                       : ENTRY_FOREIGN;
}

static void cargo_measure(const struct vwl_core *core,
                          const struct vwl_request *request, bool foreign,
                          struct cargo *cargo)
{
    cargo->form = form_of(core, foreign);
    cargo->n = VWL_REQUEST32(request, virtio_wl_ctrl_vfd_sendrecv, vfd_count);
    cargo->skip = sizeof(struct virtio_wl_ctrl_vfd_sendrecv) +
                  cargo->n * entry_bytes[cargo->form];
}

bool vwl_send_carries(const struct vwl_core *core,
                      const struct vwl_request *request, bool foreign,
                      uint32_t id)
{
    struct cargo cargo;
    struct entry entry;

    cargo_measure(core, request, foreign, &cargo);
    if (cargo.n > VIRTWL_SEND_MAX_ALLOCS || request->head_bytes < cargo.skip) {
        return false;
    }
    for (unsigned int i = 0; i < cargo.n; i++) {
        cargo_entry(&cargo, request, i, &entry);
        if (entry.kind == VIRTIO_WL_FOREIGN_LOCAL && entry.value == id) {
            return true;
        }
    }
    return false;
}

/* From the guest to the host: the data stand in request->payload behind skip
 * bytes, with cargo->fds. */
int vwl_send(struct vwl_core *core, struct vwl_request *request, bool foreign)
{
    struct cargo cargo;
    int err;

    cargo_measure(core, request, foreign, &cargo);
    cargo.asked = 0;
    err = cargo_check(core, request, &cargo);
    if (err == 0 && foreign) {
        err = cargo_ask_foreign(core, request, &cargo);
    }
    if (err < 0) {
        log_guest_bug(core->log,
                      "vfd 0x%" PRIx32 ": a SEND of %zu bytes with"
                      " %u VFDs is refused: %s",
                      vwl_request_id(request), request->total_bytes, cargo.n,
                      cargo.why);
        return err;
    }
    err = vwl_vfd_send(cargo.target, request, cargo.skip, cargo.fds, cargo.n,
                       cargo.asked);
    if (err == 0 || err == -EINPROGRESS) {
        cargo_tell_sent(&cargo);
    } else {
        log_debug(core->log, "%s 0x%" PRIx32 ": a SEND fails: %s",
                  cargo.target->ops->name, cargo.target->id, g_strerror(-err));
    }
    if (foreign) {
        cargo_drop_foreign(core, &cargo);
    }
    return err;
}
