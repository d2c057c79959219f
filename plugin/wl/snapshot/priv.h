/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The layout of a snapshot's state, between its two halves. u64 negotiated,
 * u64 length of the window, u64 offset of the anchor page or all ones, u32
 * next id of ours, u32 number of VFDs, u32 number of messages, u32 length of
 * what the caller added; then that, the VFDs and the messages.
 *
 * VFD: u32 id, u32 kind, u32 bits, u32 flags, u32 answered flags, u32 length
 * of its data, u64 size, u64 offset in region 0; then the data.
 * Message: u32 kind, u32 owner, u32 number of ids (NEW: the fresh id), u32
 * length of its data; then ids and data.
 */
#ifndef VWL_WL_SNAPSHOT_PRIV_H
#define VWL_WL_SNAPSHOT_PRIV_H

#include "base/le.h"
#include "base/page.h"
#include "wl/inbox/messages.h"
#include "wl/snapshot/snapshot.h"
#include "wl/state.h"
#include "wl/vfd.h"

#define SNAPSHOT_MAGIC "VWLstate"
#define SNAPSHOT_VERSION 1u
#define SNAPSHOT_HEADER_BYTES 24u
#define SNAPSHOT_STATE_BYTES 40u
#define SNAPSHOT_VFD_BYTES 40u
#define SNAPSHOT_MESSAGE_BYTES 16u
#define SNAPSHOT_SUM_BYTES 32u
#define SNAPSHOT_PIECE_BYTES 65536u
#define SNAPSHOT_NO_ANCHOR UINT64_MAX
/* In pipes and outboxes, of all VFDs together. */
#define SNAPSHOT_DATA_BYTES (64u * 1024 * 1024)

enum load_step {
    LOAD_HEADER,
    LOAD_STATE,
    LOAD_MARK,
    LOAD_DATA,
    LOAD_SUM,
    LOAD_DONE
};

struct vwl_loader {
    struct vwl_core *core;
    GChecksum *sum;
    enum load_step step;
    size_t need;
    uint8_t *bytes; /* of the part that is coming in */
    size_t len, cap;

    uint8_t *state;
    size_t state_len;
    uint64_t negotiated, anchor;
    uint32_t next_id, n_images, n_messages, extra_bytes;
    struct vwl_image *images;
    uint32_t n_read; /* of images */
    size_t messages_at;
    GHashTable *by_id; /* struct vwl_image */

    uint32_t file; /* index of the image whose memory comes */
    uint64_t file_at;
};

static inline uint64_t snapshot_file_bytes(const struct vwl_image *image)
{
    return image->bits & VWL_IMAGE_FILE ? vwl_page_up(image->size) : 0;
}

/* What is left to read. */
struct snapshot_cursor {
    const uint8_t *at;
    size_t left;
};

static inline const uint8_t *snapshot_take(struct snapshot_cursor *cursor,
                                           uint64_t len)
{
    const uint8_t *at = cursor->at;

    if (len > cursor->left) {
        return NULL;
    }
    cursor->at += len;
    cursor->left -= (size_t)len;
    return at;
}

/* The whole state is there: checks it, and gets what apply will need. */
int vwl_loader_read_state(struct vwl_loader *loader, const char **why);

/* The longest state that a core takes. */
static inline uint64_t snapshot_limit(const struct vwl_core *core)
{
    return SNAPSHOT_STATE_BYTES + VWL_SNAPSHOT_EXTRA_BYTES +
           SNAPSHOT_DATA_BYTES +
           (uint64_t)core->config.max_vfds * 4 * SNAPSHOT_VFD_BYTES +
           4 * core->config.max_queued_bytes;
}

#endif
