/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "wl/command.h"
#include "wl/memory/anchor.h"
#include "wl/snapshot/priv.h"
#include "wl/snapshot/snapshot.h"

/* The loader has counted them. What the last state had may wait to be closed,
 * which is no reason to refuse this one. */
static int apply_image(struct vwl_core *core, struct vwl_image *image)
{
    const struct vwl_vfd_ops *ops = vwl_command_kind(image->kind);
    struct vwl_vfd *vfd;
    int err = vwl_vfd_make(core, ops, image->id, &vfd);

    if (err < 0) {
        return err;
    }
    vfd->flags = image->flags;
    vfd->size_bytes = image->size;
    vfd->life = image->bits & VWL_IMAGE_KNOWN ? VWL_VFD_KNOWN : VWL_VFD_UNTOLD;
    if (!(image->bits & VWL_IMAGE_UNSENT)) {
        vfd->in = image->bits & VWL_IMAGE_HUNG ? VWL_IN_HUNG : VWL_IN_ENDED;
        vfd->send_broken = true;
    }
    return ops->saved.restore ? ops->saved.restore(vfd, image) : 0;
}

static void apply_recv(struct vwl_core *core, struct vwl_vfd *owner,
                       struct snapshot_cursor *cursor, uint32_t n, uint32_t len)
{
    const uint8_t *at = snapshot_take(cursor, n * UINT64_C(4));
    uint32_t ids[VWL_PEER_MAX_FDS];

    for (uint32_t i = 0; i < n; i++) {
        ids[i] = vwl_le_get32(at + 4 * i);
    }
    vwl_messages_push_recv(owner, ids, n, snapshot_take(cursor, len), len);
}

/* They were checked when they came in. */
static void apply_messages(struct vwl_loader *loader)
{
    struct vwl_core *core = loader->core;
    struct snapshot_cursor cursor = {
        loader->state + loader->messages_at,
        loader->state_len - loader->messages_at,
    };

    for (uint32_t i = 0; i < loader->n_messages; i++) {
        const uint8_t *at = snapshot_take(&cursor, SNAPSHOT_MESSAGE_BYTES);
        uint32_t kind = vwl_le_get32(at), n = vwl_le_get32(at + 8);
        struct vwl_vfd *owner = vwl_vfd_lookup(core, vwl_le_get32(at + 4));

        if (kind == VWL_MESSAGE_NEW) {
            vwl_messages_push_new(owner, vwl_vfd_lookup(core, n));
        } else if (kind == VWL_MESSAGE_HUP) {
            vwl_messages_push_hup(owner);
        } else {
            apply_recv(core, owner, &cursor, n, vwl_le_get32(at + 12));
        }
    }
}

/* What lay in a pipe towards the guest, then its end. */
static void apply_end(struct vwl_core *core, const struct vwl_image *image)
{
    struct vwl_vfd *vfd = vwl_vfd_lookup(core, image->id);
    uint32_t done = 0;

    if (!vfd->ops->saved.hangs_up || image->bits & VWL_IMAGE_UNSENT) {
        return;
    }
    while (done < image->len) {
        uint32_t n = MIN(image->len - done, VWL_RECV_DATA_BYTES);

        vwl_messages_push_recv(vfd, NULL, 0, image->data + done, n);
        done += n;
    }
    vwl_vfd_in_end(vfd);
}

static int apply_all(struct vwl_loader *loader)
{
    struct vwl_core *core = loader->core;
    int err = 0;

    if (loader->anchor != SNAPSHOT_NO_ANCHOR) {
        err = vwl_anchor_restore(core, loader->anchor);
    }
    for (uint32_t i = 0; i < loader->n_images && err == 0; i++) {
        err = apply_image(core, &loader->images[i]);
    }
    if (err < 0) {
        return err;
    }
    core->next_host_id = loader->next_id;
    apply_messages(loader);
    for (uint32_t i = 0; i < loader->n_images; i++) {
        apply_end(core, &loader->images[i]);
    }
    return 0;
}

int vwl_loader_apply(struct vwl_loader *loader, uint64_t features, bool has_shm,
                     bool unmap)
{
    struct vwl_core *core = loader->core;
    int err;

    vwl_core_reset(core, unmap);
    vwl_core_set_features(core, features, has_shm);
    err = apply_all(loader);
    if (err < 0) {
        vwl_core_reset(core, unmap);
    }
    return err;
}
