/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A VFD as a snapshot has it: what its kind fills in when it is saved, and
 * finds again when it is restored. snapshot/priv.h says how it lies in the
 * stream.
 */
#ifndef VWL_WL_IMAGE_H
#define VWL_WL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

enum vwl_image_bits {
    VWL_IMAGE_KNOWN = 1 << 0,  /* the guest was told of it */
    VWL_IMAGE_HUNG = 1 << 1,   /* its VFD_HUP is queued, or was delivered */
    VWL_IMAGE_UNSENT = 1 << 2, /* a pipe whose other end is still ours */
    VWL_IMAGE_FILE = 1 << 3,   /* its memory follows */
    VWL_IMAGE_MAPPED = 1 << 4, /* and has a place in region 0 */
    VWL_IMAGE_ALL_BITS = (1 << 5) - 1,
};

struct vwl_image {
    uint32_t id;
    uint32_t kind; /* enum vwl_image_kind */
    uint32_t bits; /* enum vwl_image_bits */
    uint32_t flags, answered_flags;
    uint64_t size, offset;
    const uint8_t *data; /* what lies in it on its way to a reader */
    uint32_t len;
    int fd[2]; /* when it is restored: its file, or the ends of its pipe, ours
                  and the other; they may be taken */
};

/* The numbers of kinds in a snapshot; they never change. */
enum vwl_image_kind {
    VWL_IMAGE_CTX = 1,
    VWL_IMAGE_PIPE = 2,
    VWL_IMAGE_SOCKET = 3,
    VWL_IMAGE_SHM = 4, /* memory of whatever kind */
    VWL_IMAGE_OPAQUE = 5,
    VWL_IMAGE_FENCE = 6,
};

/* Where a kind puts such data when it is saved. */
struct vwl_image_sink {
    void (*put)(void *opaque, const void *data, size_t len);
    void *opaque;
    uint8_t *scratch; /* to use for it */
    size_t scratch_bytes;
};

#endif
