/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/snapshot/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "wl/peer/classify.h"
#include "wl/snapshot/priv.h"

/* ---- reading the state ------------------------------------------------ */

static const char *check_entry(const struct snapshot_entry *entry)
{
    uint32_t shm_only = SNAPSHOT_FILE | SNAPSHOT_MAPPED;

    if (entry->kind < SNAPSHOT_CTX || entry->kind > SNAPSHOT_FENCE ||
        (entry->bits & ~(uint32_t)SNAPSHOT_ALL_BITS) ||
        (entry->flags & ~(entry->kind == SNAPSHOT_FENCE
                              ? VIRTIO_WL_VFD_FENCE
                              : VIRTIO_WL_VFD_WRITE | VIRTIO_WL_VFD_READ))) {
        return "a VFD of an unknown kind";
    }
    if ((entry->bits & shm_only && entry->kind != SNAPSHOT_SHM) ||
        (entry->bits & SNAPSHOT_MAPPED && !(entry->bits & SNAPSHOT_FILE)) ||
        (entry->bits & SNAPSHOT_UNSENT &&
         (entry->kind != SNAPSHOT_PIPE || entry->bits & SNAPSHOT_HUNG ||
          (entry->flags != VIRTIO_WL_VFD_READ &&
           entry->flags != VIRTIO_WL_VFD_WRITE)))) {
        return "a VFD that cannot be";
    }
    if (entry->len > 0 &&
        (entry->bits & SNAPSHOT_HUNG ||
         (entry->kind != SNAPSHOT_PIPE && entry->kind != SNAPSHOT_SOCKET))) {
        return "data of a VFD that has none";
    }
    if (entry->size > UINT32_MAX ||
        (entry->bits & SNAPSHOT_MAPPED && entry->size == 0) ||
        (!(entry->bits & SNAPSHOT_KNOWN) &&
         !(entry->id & VIRTIO_WL_VFD_HOST_ID_BIT))) {
        return "a VFD that cannot be";
    }
    return NULL;
}

static const char *read_entry(struct vwl_loader *loader,
                              struct snapshot_cursor *cursor,
                              struct snapshot_entry *entry)
{
    const uint8_t *at = snapshot_take(cursor, SNAPSHOT_VFD_BYTES);
    const char *why;

    if (!at) {
        return "a VFD is cut off";
    }
    *entry = (struct snapshot_entry){
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
    entry->data = snapshot_take(cursor, entry->len);
    if (!entry->data) {
        return "a VFD's data is cut off";
    }
    why = check_entry(entry);
    if (!why &&
        g_hash_table_contains(loader->by_id, GUINT_TO_POINTER(entry->id))) {
        why = "two VFDs of one id";
    }
    g_hash_table_insert(loader->by_id, GUINT_TO_POINTER(entry->id), entry);
    return why;
}

static const char *read_entries(struct vwl_loader *loader,
                                struct snapshot_cursor *cursor)
{
    const struct vwl_core_config *config = &loader->core->config;
    uint64_t memory = 0, received = 0, data = 0;
    uint32_t contexts = 0;

    if (loader->n_entries > config->max_vfds ||
        loader->n_entries > cursor->left / SNAPSHOT_VFD_BYTES) {
        return "more VFDs than this device may have";
    }
    loader->entries = g_try_new0(struct snapshot_entry,
                                 MAX(loader->n_entries, 1));
    if (!loader->entries) {
        return "no memory";
    }
    for (uint32_t i = 0; i < loader->n_entries; i++) {
        struct snapshot_entry *entry = &loader->entries[i];
        const char *why = read_entry(loader, cursor, entry);

        if (why) {
            return why;
        }
        loader->n_read++;
        if (entry->id & VIRTIO_WL_VFD_HOST_ID_BIT) {
            received += snapshot_file_bytes(entry);
        } else {
            memory += snapshot_file_bytes(entry);
        }
        data += entry->len;
        contexts += entry->kind == SNAPSHOT_CTX;
    }
    /* what was received and mapped as it is was a peer's, and not counted */
    if (contexts > config->max_contexts || memory > config->max_shm_bytes ||
        received / 2 > MAX(config->max_shm_bytes, config->shm_window) ||
        data > SNAPSHOT_DATA_BYTES) {
        return "more than the limits of this device allow";
    }
    return NULL;
}

static const struct snapshot_entry *entry_of(const struct vwl_loader *loader,
                                             uint32_t id)
{
    return g_hash_table_lookup(loader->by_id, GUINT_TO_POINTER(id));
}

/* What the guest knows, or this context has told it: closing the context
 * closes what its messages list. */
static bool may_list(const struct vwl_loader *loader, uint32_t owner,
                     uint32_t id, GHashTable *fresh)
{
    const struct snapshot_entry *entry = entry_of(loader, id);
    gpointer teller;

    if (!entry) { /* told, and closed since */
        return id & VIRTIO_WL_VFD_HOST_ID_BIT && id < loader->next_id;
    }
    return entry->bits & SNAPSHOT_KNOWN ||
           (g_hash_table_lookup_extended(fresh, GUINT_TO_POINTER(id), NULL,
                                         &teller) &&
            GPOINTER_TO_UINT(teller) == owner);
}

/* One message; the cursor moves on. fresh: id, and that of who told it. */
static const char *check_message(struct vwl_loader *loader,
                                 struct snapshot_cursor *cursor,
                                 GHashTable *fresh)
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
    if (kind > VWL_MESSAGE_HUP || !entry_of(loader, owner) ||
        (kind == VWL_MESSAGE_RECV) != (len > 0)) {
        return "a message that cannot be";
    }
    if (kind == VWL_MESSAGE_NEW) {
        const struct snapshot_entry *entry = entry_of(loader, n);

        return entry && !(entry->bits & SNAPSHOT_KNOWN) &&
                       g_hash_table_insert(fresh, GUINT_TO_POINTER(n),
                                           GUINT_TO_POINTER(owner))
                   ? NULL
                   : "a VFD that is told twice";
    }
    if (kind == VWL_MESSAGE_HUP) {
        return n ? "a message that cannot be" : NULL;
    }
    ids = n <= VWL_PEER_MAX_FDS ? snapshot_take(cursor, n * UINT64_C(4)) : NULL;
    if (!ids || !snapshot_take(cursor, len) || len > VWL_RECV_DATA_BYTES) {
        return "a message is cut off";
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!may_list(loader, owner, vwl_le_get32(ids + 4 * i), fresh)) {
            return "an id of nothing";
        }
    }
    return NULL;
}

static const char *check_messages(struct vwl_loader *loader,
                                  struct snapshot_cursor cursor)
{
    GHashTable *fresh = g_hash_table_new(NULL, NULL);
    const char *why = NULL;

    for (uint32_t i = 0; i < loader->n_messages && !why; i++) {
        why = check_message(loader, &cursor, fresh);
    }
    for (uint32_t i = 0; i < loader->n_entries && !why; i++) {
        const struct snapshot_entry *entry = &loader->entries[i];

        if (!(entry->bits & SNAPSHOT_KNOWN) &&
            !g_hash_table_contains(fresh, GUINT_TO_POINTER(entry->id))) {
            why = "a VFD that is never told";
        }
    }
    g_hash_table_unref(fresh);
    return why ? why : cursor.left ? "more than it says" : NULL;
}

static const char *check_window(const struct vwl_loader *loader)
{
    struct vwl_window window;
    int err = 0;

    vwl_window_init(&window, loader->core->config.shm_window);
    if (loader->anchor != SNAPSHOT_NO_ANCHOR) {
        err = vwl_window_take(&window, loader->anchor, VWL_PAGE_BYTES);
    }
    for (uint32_t i = 0; i < loader->n_entries && err == 0; i++) {
        const struct snapshot_entry *entry = &loader->entries[i];

        if (entry->bits & SNAPSHOT_MAPPED) {
            err = vwl_window_take(&window, entry->offset,
                                  snapshot_file_bytes(entry));
        }
    }
    vwl_window_finish(&window);
    return err < 0 ? "memory that overlaps, or is outside of the region" : NULL;
}

/* What apply would need and might not get. */
static int stage(struct vwl_loader *loader)
{
    for (uint32_t i = 0; i < loader->n_entries; i++) {
        struct snapshot_entry *entry = &loader->entries[i];
        int err = 0;

        if (entry->bits & SNAPSHOT_FILE) {
            err = vwl_sealed_memfd("vwl-shm", snapshot_file_bytes(entry),
                                   &entry->fd[0]);
        } else if (entry->bits & SNAPSHOT_UNSENT) {
            int fds[2] = { -1, -1 };
            bool writes = entry->flags == VIRTIO_WL_VFD_WRITE;

            err = pipe2(fds, O_CLOEXEC) < 0 ? -errno
                                            : vwl_fd_admit(MAX(fds[0], fds[1]));
            entry->fd[0] = fds[writes];
            entry->fd[1] = fds[!writes];
        }
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

static int read_state(struct vwl_loader *loader, const char **why)
{
    struct snapshot_cursor cursor = { loader->state, loader->state_len };
    const uint8_t *at = snapshot_take(&cursor, SNAPSHOT_STATE_BYTES);
    int err;

    loader->negotiated = vwl_le_get64(at);
    loader->anchor = vwl_le_get64(at + 16);
    loader->next_id = vwl_le_get32(at + 24);
    loader->n_entries = vwl_le_get32(at + 28);
    loader->n_messages = vwl_le_get32(at + 32);
    loader->extra_bytes = vwl_le_get32(at + 36);
    *why = NULL;
    if (vwl_le_get64(at + 8) != loader->core->config.shm_window) {
        *why = "another length of the shared-memory region";
    } else if ((loader->next_id >> 30) != 1) {
        *why = "an id that is not ours";
    } else if (loader->extra_bytes > VWL_SNAPSHOT_EXTRA_BYTES ||
               !snapshot_take(&cursor, loader->extra_bytes)) {
        *why = "it is cut off";
    }
    *why = *why ? *why : read_entries(loader, &cursor);
    if (!*why) {
        loader->messages_at = (size_t)(cursor.at - loader->state);
        *why = check_messages(loader, cursor);
    }
    *why = *why ? *why : check_window(loader);
    if (*why) {
        return -EINVAL;
    }
    err = stage(loader);
    *why = err < 0 ? g_strerror(-err) : NULL;
    return err;
}

/* ---- taking it in ----------------------------------------------------- */

struct vwl_loader *vwl_loader_create(struct vwl_core *core)
{
    struct vwl_loader *loader = g_new0(struct vwl_loader, 1);

    loader->core = core;
    loader->sum = g_checksum_new(G_CHECKSUM_SHA256);
    loader->by_id = g_hash_table_new(NULL, NULL);
    loader->need = SNAPSHOT_HEADER_BYTES;
    return loader;
}

void vwl_loader_destroy(struct vwl_loader *loader)
{
    if (!loader) {
        return;
    }
    for (uint32_t i = 0; i < loader->n_read; i++) {
        vwl_fds_clear(loader->entries[i].fd, 2);
    }
    g_free(loader->entries);
    g_hash_table_unref(loader->by_id);
    g_checksum_free(loader->sum);
    g_free(loader->bytes);
    g_free(loader->state);
    g_free(loader);
}

static int read_header(struct vwl_loader *loader, const char **why)
{
    uint64_t len = vwl_le_get64(loader->bytes + 16);

    if (memcmp(loader->bytes, SNAPSHOT_MAGIC, 8) != 0) {
        *why = "not a snapshot of this device";
        return -EINVAL;
    }
    if (vwl_le_get32(loader->bytes + 8) != SNAPSHOT_VERSION ||
        vwl_le_get32(loader->bytes + 12) != 0) {
        *why = "its version is not 1";
        return -EPROTONOSUPPORT;
    }
    if (len < SNAPSHOT_STATE_BYTES || len > snapshot_limit(loader->core)) {
        *why = "its length cannot be";
        return -EFBIG;
    }
    loader->step = LOAD_STATE;
    loader->need = (size_t)len;
    return 0;
}

/* The next piece of memory, or the end of them. */
static void next_piece(struct vwl_loader *loader)
{
    while (loader->file < loader->n_entries) {
        const struct snapshot_entry *entry = &loader->entries[loader->file];

        if (loader->file_at < snapshot_file_bytes(entry)) {
            loader->step = LOAD_MARK;
            loader->need = 4;
            return;
        }
        loader->file++;
        loader->file_at = 0;
    }
    loader->step = LOAD_SUM;
    loader->need = SNAPSHOT_SUM_BYTES;
}

static size_t piece_bytes(const struct vwl_loader *loader)
{
    uint64_t left = snapshot_file_bytes(&loader->entries[loader->file]) -
                    loader->file_at;

    return (size_t)MIN(left, SNAPSHOT_PIECE_BYTES);
}

static int read_mark(struct vwl_loader *loader, const char **why)
{
    uint32_t mark = vwl_le_get32(loader->bytes);

    if (mark > 1) {
        *why = "memory in an unknown form";
        return -EINVAL;
    }
    if (mark == 1) {
        loader->step = LOAD_DATA;
        loader->need = piece_bytes(loader);
        return 0;
    }
    loader->file_at += piece_bytes(loader);
    next_piece(loader);
    return 0;
}

static int read_data(struct vwl_loader *loader, const char **why)
{
    int fd = loader->entries[loader->file].fd[0];
    size_t done = 0;

    while (done < loader->len) {
        ssize_t n = pwrite(fd, loader->bytes + done, loader->len - done,
                           (off_t)(loader->file_at + done));

        if (n < 0 && errno != EINTR) {
            *why = g_strerror(errno);
            return -errno;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    loader->file_at += loader->len;
    next_piece(loader);
    return 0;
}

static int read_sum(struct vwl_loader *loader, const char **why)
{
    uint8_t digest[SNAPSHOT_SUM_BYTES];
    gsize len = sizeof digest;

    g_checksum_get_digest(loader->sum, digest, &len);
    if (memcmp(digest, loader->bytes, sizeof digest) != 0) {
        *why = "its checksum is wrong";
        return -EBADMSG;
    }
    loader->step = LOAD_DONE;
    loader->need = 0;
    return 0;
}

/* A part is complete. */
static int read_part(struct vwl_loader *loader, const char **why)
{
    enum load_step step = loader->step;
    int err;

    if (step != LOAD_SUM) {
        g_checksum_update(loader->sum, loader->bytes, (gssize)loader->len);
    }
    switch (step) {
    case LOAD_HEADER:
        err = read_header(loader, why);
        break;
    case LOAD_STATE:
        loader->state = g_steal_pointer(&loader->bytes);
        loader->state_len = loader->len;
        loader->cap = 0;
        err = read_state(loader, why);
        if (err == 0) {
            next_piece(loader);
        }
        break;
    case LOAD_MARK:
        err = read_mark(loader, why);
        break;
    case LOAD_DATA:
        err = read_data(loader, why);
        break;
    default:
        err = read_sum(loader, why);
        break;
    }
    loader->len = 0;
    return err;
}

/* Memory is taken as bytes come in, not as they are announced. */
static bool make_room(struct vwl_loader *loader, size_t len)
{
    size_t cap = MIN(MAX(2 * loader->cap, 4096), loader->need);
    uint8_t *bytes;

    if (loader->len + len <= loader->cap) {
        return true;
    }
    cap = MAX(cap, loader->len + len);
    bytes = g_try_realloc(loader->bytes, cap);
    if (!bytes) {
        return false;
    }
    loader->bytes = bytes;
    loader->cap = cap;
    return true;
}

int vwl_loader_feed(struct vwl_loader *loader, const void *bytes, size_t len,
                    const char **why)
{
    const uint8_t *at = bytes;

    while (len > 0) {
        size_t n = MIN(len, loader->need - loader->len);
        int err = 0;

        if (loader->step == LOAD_DONE) {
            *why = "bytes after its end";
            return -EINVAL;
        }
        if (!make_room(loader, n)) {
            *why = "no memory";
            return -ENOMEM;
        }
        memcpy(loader->bytes + loader->len, at, n);
        loader->len += n;
        at += n;
        len -= n;
        if (loader->len == loader->need) {
            err = read_part(loader, why);
        }
        if (err < 0) {
            return err;
        }
    }
    return 0;
}

int vwl_loader_end(const struct vwl_loader *loader, const char **why)
{
    if (loader->step != LOAD_DONE) {
        *why = "it is cut off";
        return -ENODATA;
    }
    return 0;
}

uint64_t vwl_loader_negotiated(const struct vwl_loader *loader)
{
    return loader->negotiated;
}

const void *vwl_loader_extra(const struct vwl_loader *loader, size_t *len)
{
    *len = loader->extra_bytes;
    return loader->state + SNAPSHOT_STATE_BYTES;
}
