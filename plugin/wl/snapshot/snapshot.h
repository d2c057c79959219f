/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All that a guest has, as a stream of bytes, and back: its VFDs and their
 * ids, the memory behind them with its place in region 0, the messages that
 * wait for it, and what lies in its pipes. Connections to host peers cannot
 * be carried over: after a load each of them hangs up behind what was queued.
 * Only a pipe whose other end was never sent goes on as it was.
 *
 * Little-endian:
 *
 *     header   "VWLstate", u32 version 1, u32 0, u64 length of the state
 *     state    what SNAPSHOT_* in snapshot_priv.h says, without memory
 *     memory   of each file, in pieces of 64 KiB: u32 0 for zeroes, or
 *              u32 1 and the bytes
 *     end      SHA-256 of all before it
 *
 * The saver hands out pieces and the loader takes them as they come, so that
 * nothing waits for anybody, and a loader holds no more than the limits of
 * its core allow. Nothing changes before a whole stream was checked. Device
 * thread.
 */
#ifndef VWL_WL_SNAPSHOT_SNAPSHOT_H
#define VWL_WL_SNAPSHOT_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "wl/core.h"

/* The most bytes that a caller may have carried along. */
#define VWL_SNAPSHOT_EXTRA_BYTES (8u * 1024 * 1024)

struct vwl_saver;
struct vwl_loader;

/* The guest must not run until the saver is destroyed: its memory is read
 * piece by piece. negotiated and extra are the caller's. -EFBIG: more than a
 * loader would take. */
int vwl_saver_create(struct vwl_core *core, uint64_t negotiated,
                     const void *extra, size_t extra_bytes,
                     struct vwl_saver **out);
void vwl_saver_destroy(struct vwl_saver *saver); /* NULL is fine */
/* The next piece, valid until the next call. 0: that was all. -ECANCELED: a
 * VFD of it is gone. */
ssize_t vwl_saver_next(struct vwl_saver *saver, const void **piece);

struct vwl_loader *vwl_loader_create(struct vwl_core *core);
void vwl_loader_destroy(struct vwl_loader *loader); /* NULL is fine */
/* 0, or why the stream is refused; *why is static text. */
int vwl_loader_feed(struct vwl_loader *loader, const void *bytes, size_t len,
                    const char **why);
/* There is no more: 0 when it was whole. */
int vwl_loader_end(const struct vwl_loader *loader, const char **why);
uint64_t vwl_loader_negotiated(const struct vwl_loader *loader);
const void *vwl_loader_extra(const struct vwl_loader *loader, size_t *len);
/* Instead of all that the core has; features and has_shm as in
 * vwl_core_set_features, unmap as in vwl_core_reset. Once. After an error
 * nothing is open. */
int vwl_loader_apply(struct vwl_loader *loader, uint64_t features, bool has_shm,
                     bool unmap);

#endif
