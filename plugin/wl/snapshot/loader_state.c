/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of a snapshot: whether it may be, and what it takes. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "wl/command.h"
#include "wl/snapshot/priv.h"

static const char *image_check(const struct vwl_image *image)
{
    const uint32_t always = VWL_IMAGE_KNOWN | VWL_IMAGE_HUNG;
    const struct vwl_vfd_ops *ops = vwl_command_kind(image->kind);

    if (!ops || (image->bits & ~(uint32_t)VWL_IMAGE_ALL_BITS) ||
        (image->flags & ~ops->saved.flags)) {
        return "a VFD of an unknown kind";
    }
    if ((image->bits & ~(ops->saved.bits | always)) ||
        (image->bits & VWL_IMAGE_MAPPED && !(image->bits & VWL_IMAGE_FILE)) ||
        (image->bits & VWL_IMAGE_UNSENT &&
         (image->bits & VWL_IMAGE_HUNG ||
          (image->flags != VIRTIO_WL_VFD_READ &&
           image->flags != VIRTIO_WL_VFD_WRITE)))) {
        return "a VFD whose bits contradict each other";
    }
    if (image->len > 0 &&
        (image->bits & VWL_IMAGE_HUNG || !ops->saved.has_data)) {
        return "data of a VFD that has none";
    }
    if (image->size > UINT32_MAX ||
        (image->bits & VWL_IMAGE_MAPPED && image->size == 0) ||
        (!(image->bits & VWL_IMAGE_KNOWN) &&
         !(image->id & VIRTIO_WL_VFD_HOST_ID_BIT))) {
        return "a VFD of an impossible size or id";
    }
    return NULL;
}

static const char *image_read(struct vwl_loader *loader,
                              struct snapshot_cursor *cursor,
                              struct vwl_image *image)
{
    const uint8_t *at = snapshot_take(cursor, SNAPSHOT_VFD_BYTES);
    const char *why;

    if (!at) {
        return "a VFD is cut off";
    }
    *image = (struct vwl_image){
        .id = vwl_le_get32(at),
        .kind = vwl_le_get32(at + 4),
        .bits = vwl_le_get32(at + 8),
        .flags = vwl_le_get32(at + 12),
        .answered_flags = vwl_le_get32(at + 16),
        .len = vwl_le_get32(at + 20),
        .size = vwl_le_get64(at + 24),
        .offset = vwl_le_get64(at + 32),
        .fd = { -1, -1 },
    };
    image->data = snapshot_take(cursor, image->len);
    if (!image->data) {
        return "a VFD's data is cut off";
    }
    why = image_check(image);
    if (!why &&
        g_hash_table_contains(loader->by_id, GUINT_TO_POINTER(image->id))) {
        why = "two VFDs have the same id";
    }
    g_hash_table_insert(loader->by_id, GUINT_TO_POINTER(image->id), image);
    return why;
}

static const char *images_read(struct vwl_loader *loader,
                               struct snapshot_cursor *cursor)
{
    const struct vwl_core_config *config = &loader->core->config;
    uint64_t memory = 0, received = 0, data = 0;
    uint32_t contexts = 0;

    if (loader->n_images > config->max_vfds ||
        loader->n_images > cursor->left / SNAPSHOT_VFD_BYTES) {
        return "more VFDs than this device may have";
    }
    loader->images = g_try_new0(struct vwl_image, MAX(loader->n_images, 1));
    if (!loader->images) {
        return "no memory for it here";
    }
    for (uint32_t i = 0; i < loader->n_images; i++) {
        struct vwl_image *image = &loader->images[i];
        const char *why = image_read(loader, cursor, image);

        if (why) {
            return why;
        }
        loader->n_read++;
        if (image->id & VIRTIO_WL_VFD_HOST_ID_BIT) {
            received += snapshot_file_bytes(image);
        } else {
            memory += snapshot_file_bytes(image);
        }
        data += image->len;
        contexts += image->kind == VWL_IMAGE_CTX;
    }
    /* what was received and mapped as it is was a peer's, and not counted */
    if (contexts > config->max_contexts || memory > config->max_shm_bytes ||
        received / 2 > MAX(config->max_shm_bytes, config->shm_window) ||
        data > SNAPSHOT_DATA_BYTES) {
        return "more than the limits of this device allow";
    }
    return NULL;
}

static const struct vwl_image *image_of(const struct vwl_loader *loader,
                                        uint32_t id)
{
    return g_hash_table_lookup(loader->by_id, GUINT_TO_POINTER(id));
}

/* What the messages so far have said. */
struct told {
    GHashTable *fresh;  /* id, and that of who told it */
    GHashTable *listed; /* ids */
};

/* What the guest knows, or this context has told it, and once: closing the
 * context closes what its messages list. */
static bool message_may_list(const struct vwl_loader *loader, uint32_t owner,
                             uint32_t id, struct told *told)
{
    const struct vwl_image *image = image_of(loader, id);
    gpointer teller;

    if (!image) { /* told, and closed since */
        return id & VIRTIO_WL_VFD_HOST_ID_BIT && id < loader->next_id;
    }
    if (!(image->bits & VWL_IMAGE_KNOWN) &&
        !(g_hash_table_lookup_extended(told->fresh, GUINT_TO_POINTER(id), NULL,
                                       &teller) &&
          GPOINTER_TO_UINT(teller) == owner)) {
        return false;
    }
    return g_hash_table_add(told->listed, GUINT_TO_POINTER(id));
}

/* One message; the cursor moves on. */
static const char *message_check(struct vwl_loader *loader,
                                 struct snapshot_cursor *cursor,
                                 struct told *told)
{
    const uint8_t *at = snapshot_take(cursor, SNAPSHOT_MESSAGE_BYTES), *ids;
    uint32_t kind, owner, n, len;

    if (!at) {
        return "a message is cut off";
    }
    kind = vwl_le_get32(at);
    owner = vwl_le_get32(at + 4);
    n = vwl_le_get32(at + 8);
    len = vwl_le_get32(at + 12);
    if (kind > VWL_MESSAGE_HUP || !image_of(loader, owner) ||
        (kind == VWL_MESSAGE_RECV) != (len > 0)) {
        return "a message whose parts contradict each other";
    }
    if (kind == VWL_MESSAGE_NEW) {
        const struct vwl_image *image = image_of(loader, n);

        return image && !(image->bits & VWL_IMAGE_KNOWN) &&
                       g_hash_table_insert(told->fresh, GUINT_TO_POINTER(n),
                                           GUINT_TO_POINTER(owner))
                   ? NULL
                   : "a VFD that is announced twice, or is known already";
    }
    if (kind == VWL_MESSAGE_HUP) {
        return n ? "a message whose parts contradict each other" : NULL;
    }
    ids = n <= VWL_PEER_MAX_FDS ? snapshot_take(cursor, n * UINT64_C(4)) : NULL;
    if (!ids || !snapshot_take(cursor, len) || len > VWL_RECV_DATA_BYTES) {
        return "a message is cut off";
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!message_may_list(loader, owner, vwl_le_get32(ids + 4 * i), told)) {
            return "a message lists an unknown VFD, or one that another lists";
        }
    }
    return NULL;
}

static const char *messages_check(struct vwl_loader *loader,
                                  struct snapshot_cursor cursor)
{
    struct told told = { g_hash_table_new(NULL, NULL),
                         g_hash_table_new(NULL, NULL) };
    const char *why = NULL;

    for (uint32_t i = 0; i < loader->n_messages && !why; i++) {
        why = message_check(loader, &cursor, &told);
    }
    for (uint32_t i = 0; i < loader->n_images && !why; i++) {
        const struct vwl_image *image = &loader->images[i];

        if (!(image->bits & VWL_IMAGE_KNOWN) &&
            !g_hash_table_contains(told.fresh, GUINT_TO_POINTER(image->id))) {
            why = "a VFD that no message announces";
        }
    }
    g_hash_table_unref(told.listed);
    g_hash_table_unref(told.fresh);
    return why ? why : cursor.left ? "bytes after the last message" : NULL;
}

static const char *images_check_window(const struct vwl_loader *loader)
{
    struct vwl_window window;
    int err = 0;

    vwl_window_init(&window, loader->core->config.shm_window);
    if (loader->anchor != SNAPSHOT_NO_ANCHOR) {
        err = vwl_window_take(&window, loader->anchor, VWL_PAGE_BYTES);
    }
    for (uint32_t i = 0; i < loader->n_images && err == 0; i++) {
        const struct vwl_image *image = &loader->images[i];

        if (image->bits & VWL_IMAGE_MAPPED) {
            err = vwl_window_take(&window, image->offset,
                                  snapshot_file_bytes(image));
        }
    }
    vwl_window_finish(&window);
    return err < 0 ? "memory that overlaps, or is outside of the region" : NULL;
}

/* What apply would need and might not get. */
static int loader_stage(struct vwl_loader *loader)
{
    for (uint32_t i = 0; i < loader->n_images; i++) {
        struct vwl_image *image = &loader->images[i];
        int err = 0;

        if (image->bits & VWL_IMAGE_FILE) {
            err = vwl_sealed_memfd("vwl-shm", snapshot_file_bytes(image),
                                   &image->fd[0]);
        } else if (image->bits & VWL_IMAGE_UNSENT) {
            int fds[2] = { -1, -1 };
            bool writes = image->flags == VIRTIO_WL_VFD_WRITE;

            err = pipe2(fds, O_CLOEXEC) < 0 ? -errno
                                            : vwl_fd_admit(MAX(fds[0], fds[1]));
            image->fd[0] = fds[writes];
            image->fd[1] = fds[!writes];
        }
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

int vwl_loader_read_state(struct vwl_loader *loader, const char **why)
{
    struct snapshot_cursor cursor = { loader->state, loader->state_len };
    const uint8_t *at = snapshot_take(&cursor, SNAPSHOT_STATE_BYTES);
    int err;

    loader->negotiated = vwl_le_get64(at);
    loader->anchor = vwl_le_get64(at + 16);
    loader->next_id = vwl_le_get32(at + 24);
    loader->n_images = vwl_le_get32(at + 28);
    loader->n_messages = vwl_le_get32(at + 32);
    loader->extra_bytes = vwl_le_get32(at + 36);
    *why = NULL;
    if (vwl_le_get64(at + 8) != loader->core->config.shm_window) {
        *why = "it was made with another length of region 0";
    } else if ((loader->next_id >> 30) != 1) {
        *why = "the next id is not one of the device's";
    } else if (loader->extra_bytes > VWL_SNAPSHOT_EXTRA_BYTES ||
               !snapshot_take(&cursor, loader->extra_bytes)) {
        *why = "it is cut off";
    }
    *why = *why ? *why : images_read(loader, &cursor);
    if (!*why) {
        loader->messages_at = (size_t)(cursor.at - loader->state);
        *why = messages_check(loader, cursor);
    }
    *why = *why ? *why : images_check_window(loader);
    if (*why) {
        return -EINVAL;
    }
    err = loader_stage(loader);
    *why = err < 0 ? g_strerror(-err) : NULL;
    return err;
}
