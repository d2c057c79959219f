/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "wl/snapshot/priv.h"
#include "wl/snapshot/snapshot.h"

static const struct vwl_vfd_ops *ops_of(uint32_t kind)
{
    switch (kind) {
    case SNAPSHOT_CTX:
        return &vwl_ctx_ops;
    case SNAPSHOT_PIPE:
        return &vwl_vfd_pipe_ops;
    case SNAPSHOT_SOCKET:
        return &vwl_vfd_socket_ops;
    case SNAPSHOT_SHM:
        return &vwl_vfd_shm_ops;
    case SNAPSHOT_FENCE:
        return &vwl_vfd_fence_ops;
    default:
        return &vwl_vfd_opaque_ops;
    }
}

static void on_remade(void *owner, int err)
{
    struct vwl_vfd *vfd = owner;

    if (err < 0) {
        log_host_bug(vfd->core->log,
                     "shm 0x%" PRIx32 ": its memory of before"
                     " the restore is not there: %s",
                     vfd->id, g_strerror(-err));
        vfd->map = NULL;
    }
}

static int apply_memory(struct vwl_vfd *vfd, struct snapshot_entry *entry)
{
    struct vwl_core *core = vfd->core;

    if (!(entry->bits & SNAPSHOT_FILE)) {
        return 0;
    }
    vfd->send_fd = vwl_fd_steal(&entry->fd[0]);
    vfd->charged_bytes = snapshot_file_bytes(entry);
    core->shm_bytes += vfd->charged_bytes;
    if (!(entry->bits & SNAPSHOT_MAPPED)) {
        return 0;
    }
    return vwl_map_restore(core, vfd->send_fd, entry->offset,
                           vfd->charged_bytes, on_remade, vfd, &vfd->map);
}

/* The other end was never sent: all of it is ours, and goes on. */
static int apply_pipe(struct vwl_vfd *vfd, struct snapshot_entry *entry)
{
    vfd->fd = vwl_fd_steal(&entry->fd[0]);
    vfd->send_fd = vwl_fd_steal(&entry->fd[1]);
    fcntl(vfd->fd, F_SETFL, O_NONBLOCK);
    vfd->how = VWL_PEER_OWN_PIPE;
    vfd->enrolled = true;
    if (entry->flags == VIRTIO_WL_VFD_WRITE) {
        int err = vwl_outbox_restore(vfd, entry->data, entry->len);

        if (err < 0) {
            return err;
        }
    }
    vwl_vfd_watch(vfd);
    return vfd->in_watched || vfd->out_watched ? 0 : -ENOMEM;
}

static int apply_entry(struct vwl_core *core, struct snapshot_entry *entry)
{
    struct vwl_vfd *vfd;
    int err = vwl_vfd_create(core, ops_of(entry->kind), entry->id, &vfd);

    if (err < 0) {
        return err;
    }
    vfd->flags = entry->flags;
    vfd->answered_flags = entry->answered_flags;
    vfd->size_bytes = entry->size;
    vfd->is_known = entry->bits & SNAPSHOT_KNOWN;
    vfd->hup_queued = entry->bits & SNAPSHOT_HUNG;
    vfd->is_context = entry->kind == SNAPSHOT_CTX;
    core->n_contexts += vfd->is_context;
    if (entry->bits & SNAPSHOT_UNSENT) {
        return apply_pipe(vfd, entry);
    }
    vfd->in_ended = true;
    vfd->send_broken = true;
    return apply_memory(vfd, entry);
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
        struct vwl_vfd *owner = g_hash_table_lookup(core->vfds,
                                                    GUINT_TO_POINTER(
                                                        vwl_le_get32(at + 4)));

        if (kind == VWL_MESSAGE_NEW) {
            vwl_messages_push_new(owner,
                                  g_hash_table_lookup(core->vfds,
                                                      GUINT_TO_POINTER(n)));
        } else if (kind == VWL_MESSAGE_HUP) {
            vwl_messages_push_hup(owner);
        } else {
            apply_recv(core, owner, &cursor, n, vwl_le_get32(at + 12));
        }
    }
}

static bool ends(const struct snapshot_entry *entry)
{
    switch (entry->kind) {
    case SNAPSHOT_CTX:
    case SNAPSHOT_SOCKET:
    case SNAPSHOT_FENCE: /* better signalled than waited for for ever */
        return true;
    case SNAPSHOT_PIPE:
        return !(entry->bits & SNAPSHOT_UNSENT);
    default:
        return false;
    }
}

/* What lay in a pipe towards the guest, then its end. */
static void hang_up(struct vwl_core *core, const struct snapshot_entry *entry)
{
    struct vwl_vfd *vfd = g_hash_table_lookup(core->vfds,
                                              GUINT_TO_POINTER(entry->id));
    uint32_t done = 0;

    if (!ends(entry)) {
        return;
    }
    while (done < entry->len) {
        uint32_t n = MIN(entry->len - done, VWL_RECV_DATA_BYTES);

        vwl_messages_push_recv(vfd, NULL, 0, entry->data + done, n);
        done += n;
    }
    if (!vfd->hup_queued) {
        vfd->hup_queued = true;
        vwl_messages_push_hup(vfd);
    }
}

static int apply_all(struct vwl_loader *loader)
{
    struct vwl_core *core = loader->core;
    int err = 0;

    if (loader->anchor != SNAPSHOT_NO_ANCHOR) {
        err = vwl_maps_restore_anchor(core, loader->anchor);
    }
    for (uint32_t i = 0; i < loader->n_entries && err == 0; i++) {
        err = apply_entry(core, &loader->entries[i]);
    }
    if (err < 0) {
        return err;
    }
    core->next_host_id = loader->next_id;
    apply_messages(loader);
    for (uint32_t i = 0; i < loader->n_entries; i++) {
        hang_up(core, &loader->entries[i]);
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
