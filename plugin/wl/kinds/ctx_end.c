/* SPDX-License-Identifier: BSD-3-Clause */
/* How a context ends for what its peer sends. */
#include <errno.h>

#include "wl/kinds/ctx.h"
#include "wl/state.h"

void vwl_ctx_break(struct vwl_vfd *vfd, const char *why, int err)
{
    log_host_bug(vfd->core->log, "ctx 0x%" PRIx32 ": %s: %s; it is closed",
                 vfd->id, why, g_strerror(-err));
    vwl_vfd_hang_up(vfd);
}

void vwl_ctx_read_end(struct vwl_vfd *vfd, int err)
{
    if (err == -EMFILE) {
        vwl_ctx_break(vfd, "no room for the descriptors of its peer", err);
    } else if (err == -EBUSY) {
        vwl_ctx_break(
            vfd,
            "its peer sends descriptors, and too many others still wait "
            "to be closed",
            err);
    } else {
        vwl_vfd_in_end(vfd);
    }
}
