/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What several stories do: requests made of plain bytes, their answers whole,
 * and small proofs of life. Nothing here knows a layout by its name.
 */
#ifndef STORY_H
#define STORY_H

#include "bytes.h"
#include "rig.h"
#include "wl_names.h"

struct reply {
    uint32_t used, type; /* type 0: not even that was written */
    uint8_t bytes[64];   /* the memory of the response, as far as it fits */
};

/* The 64-byte form of a NEW* request. */
void story_new(uint8_t request[64], uint32_t type, uint32_t id, uint32_t flags,
               uint32_t size);

/* Asks and waits. shape NULL: the driver's own. The driver's table of VFDs
 * learns nothing of it. */
struct reply story_ask(struct rig *r, const void *request, size_t len,
                       uint32_t room, const struct vwl_drv_shape *shape);

/* A file with len bytes of fill, and seals. */
int story_memfd(size_t len, unsigned int seals, uint8_t fill);
/* The same file once more, with flags of its own. */
int story_reopen(int fd, int flags);

/* A byte there and back through a context. */
void story_alive(struct rig *r, uint32_t id, int peer);

/* One message with a descriptor to the guest: the VFD's id. */
uint32_t story_give(struct rig *r, uint32_t ctx, int peer, int fd);
/* A VFD sent to the peer of a context: the descriptor. */
int story_take(struct rig *r, uint32_t ctx, int peer, uint32_t id);

/* How many lines were logged that hold the text. */
unsigned int story_lines(struct rig *r, const char *text);

#endif
