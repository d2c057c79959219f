/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/snapshot/snapshot.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "wl/snapshot/priv.h"

enum save_step { SAVE_STATE, SAVE_MEMORY, SAVE_DONE };

struct vwl_saver {
    struct vwl_core *core;
    GChecksum *sum;
    enum save_step step;
    GArray *files; /* of uint32_t: ids of VFDs whose memory follows */
    guint next_file;
    uint64_t file_at;

    uint8_t *bytes; /* header and state */
    size_t len, cap;
    uint64_t limit;
    int err; /* the first one */

    uint8_t piece[4 + SNAPSHOT_PIECE_BYTES];
};

/* ---- writing the state ------------------------------------------------ */

static uint8_t *saver_room(struct vwl_saver *saver, size_t len)
{
    uint8_t *at;

    if (saver->err == 0 && len > saver->limit - saver->len) {
        saver->err = -EFBIG;
    }
    if (saver->err == 0 && saver->len + len > saver->cap) {
        size_t cap = MAX(saver->len + len, 2 * saver->cap);
        uint8_t *bytes = g_try_realloc(saver->bytes, cap);

        if (bytes) {
            saver->bytes = bytes;
            saver->cap = cap;
        } else {
            saver->err = -ENOMEM;
        }
    }
    if (saver->err < 0) {
        return NULL;
    }
    at = saver->bytes + saver->len;
    saver->len += len;
    return at;
}

static void saver_put(struct vwl_saver *saver, const void *data, size_t len)
{
    uint8_t *at = saver_room(saver, len);

    if (at && len) {
        memcpy(at, data, len);
    }
}

static void saver_put32(struct vwl_saver *saver, uint32_t value)
{
    uint8_t bytes[4];

    vwl_le_put32(bytes, value);
    saver_put(saver, bytes, sizeof bytes);
}

static void saver_put64(struct vwl_saver *saver, uint64_t value)
{
    uint8_t bytes[8];

    vwl_le_put64(bytes, value);
    saver_put(saver, bytes, sizeof bytes);
}

/* ---- VFDs and messages ------------------------------------------------ */

static void saver_put_data(void *opaque, const void *data, size_t len)
{
    saver_put(opaque, data, len);
}

static void saver_put_vfd(struct vwl_saver *saver, const struct vwl_vfd *vfd)
{
    const struct vwl_vfd_saved *saved = &vfd->ops->saved;
    struct vwl_image image = {
        .bits = (vfd->life == VWL_VFD_KNOWN ? VWL_IMAGE_KNOWN : 0) |
                (vfd->in == VWL_IN_HUNG ? VWL_IMAGE_HUNG : 0),
    };
    struct vwl_image_sink sink = { saver_put_data, saver, saver->piece,
                                   sizeof saver->piece };
    int err = 0;
    size_t at;

    if (saved->describe) {
        saved->describe(vfd, &image);
    }
    saver_put32(saver, vfd->id);
    saver_put32(saver, saved->kind);
    saver_put32(saver, image.bits);
    saver_put32(saver, vfd->flags);
    saver_put32(saver, image.answered_flags);
    at = saver->len;
    saver_put32(saver, 0);
    saver_put64(saver, vfd->size_bytes);
    saver_put64(saver, image.offset);
    if (saved->data) {
        err = saved->data(vfd, &sink);
    }
    if (saver->err < 0 || err < 0) {
        saver->err = saver->err < 0 ? saver->err : err;
        return;
    }
    vwl_le_put32(saver->bytes + at, (uint32_t)(saver->len - at - 20));
    if (image.bits & VWL_IMAGE_FILE) {
        g_array_append_val(saver->files, vfd->id);
    }
}

struct census {
    struct vwl_saver *saver;
    GHashTable *fresh;
    uint32_t n_messages;
};

static void census_count(void *opaque, const struct vwl_message_view *view)
{
    struct census *census = opaque;

    census->n_messages++;
    if (view->kind == VWL_MESSAGE_NEW) {
        g_hash_table_add(census->fresh, view->fresh);
    }
}

static void saver_put_message(void *opaque, const struct vwl_message_view *view)
{
    struct vwl_saver *saver = opaque;
    bool is_new = view->kind == VWL_MESSAGE_NEW;

    saver_put32(saver, view->kind);
    saver_put32(saver, view->owner->id);
    saver_put32(saver, is_new ? view->fresh->id : view->n_ids);
    saver_put32(saver, (uint32_t)view->len);
    for (unsigned int i = 0; i < view->n_ids; i++) {
        saver_put32(saver, view->ids[i]);
    }
    saver_put(saver, view->data, view->len);
}

static gint vfd_compare_ids(gconstpointer a, gconstpointer b)
{
    const struct vwl_vfd *x = *(struct vwl_vfd *const *)a;
    const struct vwl_vfd *y = *(struct vwl_vfd *const *)b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* What the guest knows or is about to be told, in the order of ids. */
static GPtrArray *saver_choose(struct vwl_core *core, GHashTable *fresh)
{
    GPtrArray *chosen = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, core->vfds);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct vwl_vfd *vfd = value;

        if (vfd->life == VWL_VFD_KNOWN || g_hash_table_contains(fresh, vfd)) {
            g_ptr_array_add(chosen, vfd);
        }
    }
    g_ptr_array_sort(chosen, vfd_compare_ids);
    return chosen;
}

static void saver_put_state(struct vwl_saver *saver, uint64_t negotiated,
                            const void *extra, size_t extra_bytes)
{
    struct vwl_core *core = saver->core;
    struct census census = { saver, g_hash_table_new(NULL, NULL), 0 };
    GPtrArray *chosen;

    vwl_messages_visit(&core->messages, census_count, &census);
    chosen = saver_choose(core, census.fresh);
    saver_put64(saver, negotiated);
    saver_put64(saver, core->config.shm_window);
    saver_put64(saver, core->maps.anchor ? vwl_map_offset(core->maps.anchor)
                                         : SNAPSHOT_NO_ANCHOR);
    saver_put32(saver, core->next_host_id);
    saver_put32(saver, chosen->len);
    saver_put32(saver, census.n_messages);
    saver_put32(saver, (uint32_t)extra_bytes);
    saver_put(saver, extra, extra_bytes);
    for (guint i = 0; i < chosen->len && saver->err == 0; i++) {
        saver_put_vfd(saver, chosen->pdata[i]);
    }
    vwl_messages_visit(&core->messages, saver_put_message, saver);
    g_ptr_array_unref(chosen);
    g_hash_table_unref(census.fresh);
}

int vwl_saver_create(struct vwl_core *core, uint64_t negotiated,
                     const void *extra, size_t extra_bytes,
                     struct vwl_saver **out)
{
    struct vwl_saver *saver;

    if (extra_bytes > VWL_SNAPSHOT_EXTRA_BYTES) {
        return -EFBIG;
    }
    saver = g_try_new0(struct vwl_saver, 1);
    if (!saver) {
        return -ENOMEM;
    }
    saver->core = core;
    saver->sum = g_checksum_new(G_CHECKSUM_SHA256);
    saver->files = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    saver->limit = snapshot_limit(core) + SNAPSHOT_HEADER_BYTES;
    saver_put(saver, SNAPSHOT_MAGIC, 8);
    saver_put32(saver, SNAPSHOT_VERSION);
    saver_put32(saver, 0);
    saver_put64(saver, 0);
    saver_put_state(saver, negotiated, extra, extra_bytes);
    if (saver->err < 0) {
        int err = saver->err;

        vwl_saver_destroy(saver);
        return err;
    }
    vwl_le_put64(saver->bytes + 16, saver->len - SNAPSHOT_HEADER_BYTES);
    *out = saver;
    return 0;
}

void vwl_saver_destroy(struct vwl_saver *saver)
{
    if (saver) {
        g_checksum_free(saver->sum);
        g_array_unref(saver->files);
        g_free(saver->bytes);
        g_free(saver);
    }
}

/* ---- handing it out --------------------------------------------------- */

/* Buffers of devices can be mapped but not read. */
static int file_read_mapped(int fd, uint8_t *to, size_t len, uint64_t at)
{
    void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)at);

    if (map == MAP_FAILED) {
        return -errno;
    }
    memcpy(to, map, len);
    munmap(map, len);
    return 0;
}

static int file_read(int fd, uint8_t *to, size_t len, uint64_t at)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, to + done, len - done, (off_t)(at + done));

        if (n < 0 && errno != EINTR) {
            return errno == EINVAL ? file_read_mapped(fd, to, len, at) : -errno;
        }
        if (n == 0) { /* the last page of a file of another size */
            memset(to + done, 0, len - done);
            return 0;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static bool piece_is_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

/* Its length, or 0 when the file has ended. */
static ssize_t saver_file_piece(struct vwl_saver *saver)
{
    uint32_t id = g_array_index(saver->files, uint32_t, saver->next_file);
    const struct vwl_vfd *vfd = vwl_vfd_lookup(saver->core, id);
    int file = vfd && vfd->ops->saved.file ? vfd->ops->saved.file(vfd) : -1;
    uint64_t len;
    int err;

    if (file < 0) {
        return -ECANCELED;
    }
    len = vwl_page_up(vfd->size_bytes);
    if (saver->file_at >= len) {
        return 0;
    }
    len = MIN(len - saver->file_at, SNAPSHOT_PIECE_BYTES);
    err = file_read(file, saver->piece + 4, (size_t)len, saver->file_at);
    if (err < 0) {
        return err;
    }
    saver->file_at += len;
    if (piece_is_zero(saver->piece + 4, (size_t)len)) {
        vwl_le_put32(saver->piece, 0);
        return 4;
    }
    vwl_le_put32(saver->piece, 1);
    return 4 + (ssize_t)len;
}

static ssize_t saver_memory_piece(struct vwl_saver *saver)
{
    while (saver->next_file < saver->files->len) {
        ssize_t n = saver_file_piece(saver);

        if (n != 0) {
            return n;
        }
        saver->next_file++;
        saver->file_at = 0;
    }
    return 0;
}

ssize_t vwl_saver_next(struct vwl_saver *saver, const void **piece)
{
    gsize len = SNAPSHOT_SUM_BYTES;
    ssize_t n;

    if (saver->step == SAVE_STATE) {
        saver->step = SAVE_MEMORY;
        g_checksum_update(saver->sum, saver->bytes, (gssize)saver->len);
        *piece = saver->bytes;
        return (ssize_t)saver->len;
    }
    if (saver->step == SAVE_DONE) {
        return 0;
    }
    *piece = saver->piece;
    n = saver_memory_piece(saver);
    if (n > 0) {
        g_checksum_update(saver->sum, saver->piece, n);
    }
    if (n != 0) {
        return n;
    }
    saver->step = SAVE_DONE;
    g_checksum_get_digest(saver->sum, saver->piece, &len);
    return (ssize_t)len;
}
