/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/snapshot/snapshot.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "wl/snapshot/priv.h"

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
        vwl_fds_clear(loader->images[i].fd, 2);
    }
    g_free(loader->images);
    g_hash_table_unref(loader->by_id);
    g_checksum_free(loader->sum);
    g_free(loader->bytes);
    g_free(loader->state);
    g_free(loader);
}

static int loader_read_header(struct vwl_loader *loader, const char **why)
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
        *why = "it is longer than this device takes, or shorter than any";
        return -EFBIG;
    }
    loader->step = LOAD_STATE;
    loader->need = (size_t)len;
    return 0;
}

/* The next piece of memory, or the end of them. */
static void loader_next_piece(struct vwl_loader *loader)
{
    while (loader->file < loader->n_images) {
        const struct vwl_image *image = &loader->images[loader->file];

        if (loader->file_at < snapshot_file_bytes(image)) {
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

static size_t loader_piece_bytes(const struct vwl_loader *loader)
{
    uint64_t left = snapshot_file_bytes(&loader->images[loader->file]) -
                    loader->file_at;

    return (size_t)MIN(left, SNAPSHOT_PIECE_BYTES);
}

static int loader_read_mark(struct vwl_loader *loader, const char **why)
{
    uint32_t mark = vwl_le_get32(loader->bytes);

    if (mark > 1) {
        *why = "memory in an unknown form";
        return -EINVAL;
    }
    if (mark == 1) {
        loader->step = LOAD_DATA;
        loader->need = loader_piece_bytes(loader);
        return 0;
    }
    loader->file_at += loader_piece_bytes(loader);
    loader_next_piece(loader);
    return 0;
}

static int loader_read_data(struct vwl_loader *loader, const char **why)
{
    int fd = loader->images[loader->file].fd[0];
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
    loader_next_piece(loader);
    return 0;
}

static int loader_read_sum(struct vwl_loader *loader, const char **why)
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
static int loader_read_part(struct vwl_loader *loader, const char **why)
{
    enum load_step step = loader->step;
    int err;

    if (step != LOAD_SUM) {
        g_checksum_update(loader->sum, loader->bytes, (gssize)loader->len);
    }
    switch (step) {
    case LOAD_HEADER:
        err = loader_read_header(loader, why);
        break;
    case LOAD_STATE:
        loader->state = g_steal_pointer(&loader->bytes);
        loader->state_len = loader->len;
        loader->cap = 0;
        err = vwl_loader_read_state(loader, why);
        if (err == 0) {
            loader_next_piece(loader);
        }
        break;
    case LOAD_MARK:
        err = loader_read_mark(loader, why);
        break;
    case LOAD_DATA:
        err = loader_read_data(loader, why);
        break;
    default:
        err = loader_read_sum(loader, why);
        break;
    }
    loader->len = 0;
    return err;
}

/* Memory is taken as bytes come in, not as they are announced. */
static bool loader_make_room(struct vwl_loader *loader, size_t len)
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
        if (!loader_make_room(loader, n)) {
            *why = "no memory for it here";
            return -ENOMEM;
        }
        memcpy(loader->bytes + loader->len, at, n);
        loader->len += n;
        at += n;
        len -= n;
        if (loader->len == loader->need) {
            err = loader_read_part(loader, why);
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
