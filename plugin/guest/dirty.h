/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty-page log that a front-end keeps while it migrates: one bit for
 * each 4 KiB page of guest-physical memory. vhost-user specification,
 * "Migration". Device thread.
 */
#ifndef VWL_GUEST_DIRTY_H
#define VWL_GUEST_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

struct vwl_dirty; /* a log, perhaps without memory yet */

struct vwl_dirty *vwl_dirty_create(void);
void vwl_dirty_destroy(struct vwl_dirty *dirty); /* NULL is fine */

/* Maps size bytes from offset of fd (borrowed) as the log; replaces the one
 * before. -EINVAL: size 0, wrap, or longer than its file. */
int vwl_dirty_set_base(struct vwl_dirty *dirty, int fd, uint64_t offset,
                       uint64_t size);

/* Takes *fd (or -1): an eventfd to signal after marking. */
void vwl_dirty_set_fd(struct vwl_dirty *dirty, int *fd);

/* While off (the default) marking does nothing. VHOST_F_LOG_ALL. */
void vwl_dirty_enable(struct vwl_dirty *dirty, bool on);

/* Marks the pages of [gpa, gpa + len); pages beyond the log are skipped.
 * Atomic or; NULL is fine. */
void vwl_dirty_mark(struct vwl_dirty *dirty, uint64_t gpa, uint64_t len);

/* Signals the eventfd if anything was marked since the last call; does not
 * block. */
void vwl_dirty_flush(struct vwl_dirty *dirty);

#endif
