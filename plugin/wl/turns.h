/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes into the guest's next buffer. Complete messages go first; only
 * when there is none a peer is read, one VFD_RECV for each in turn. So nothing
 * piles up while the guest posts no buffers, and nothing comes between the
 * messages of one group. Whoever had its share is not read for a while.
 *
 * A guest that stands still is another matter: a compositor drops a client that
 * does not read. So what contexts' peers say then is queued, as much as may be.
 * What comes with descriptors stays where it is, since they would be mapped,
 * and so does all behind it; pipes have their own patience.
 */
#ifndef VWL_WL_TURNS_H
#define VWL_WL_TURNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct vwl_core;

/* As the functions of core.h with these names. */
ssize_t vwl_turns_next_message(struct vwl_core *core,
                               const struct iovec *buffer,
                               unsigned int n_buffer, uint64_t token);
bool vwl_turns_has_more(const struct vwl_core *core);
void vwl_turns_hoard(struct vwl_core *core);
void vwl_turns_hoard_end(struct vwl_core *core);
void vwl_turns_buffer_returned(struct vwl_core *core, uint64_t token);
void vwl_turns_buffers_free(struct vwl_core *core, unsigned int n_free,
                            unsigned int ring_size);

#endif
