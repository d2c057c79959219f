/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/memory/anchor.h"

#include <errno.h>

#include "base/fd.h"
#include "base/page.h"
#include "wl/memory/map.h"
#include "wl/state.h"

static void anchor_on_mapped(void *owner, int err)
{
    struct vwl_core *core = owner;

    if (err < 0) {
        core->maps.anchor = NULL;
    }
}

void vwl_anchor_map(struct vwl_core *core)
{
    struct vwl_maps *maps = &core->maps;
    vwl_autofd int fd = -1;
    int copy, err;

    if (maps->anchor_tried || !core->has_shm) {
        return;
    }
    maps->anchor_tried = true;
    err = vwl_sealed_memfd("vwl-anchor", VWL_PAGE_BYTES, &fd);
    if (err == 0) {
        err = vwl_map_create(core, fd, VWL_PAGE_BYTES, anchor_on_mapped, core,
                             &maps->anchor);
    }
    copy = err == -EINPROGRESS || err == 0 ? vwl_fd_steal(&fd) : -1;
    vwl_fd_clear(&core->anchor_fd);
    core->anchor_fd = copy;
    if (err < 0 && err != -EINPROGRESS) {
        log_host_bug(core->log,
                     "shm: cannot map the page that anchors region 0: %s",
                     g_strerror(-err));
    }
}

int vwl_anchor_restore(struct vwl_core *core, uint64_t offset)
{
    struct vwl_maps *maps = &core->maps;
    vwl_autofd int fd = -1;
    int err = vwl_sealed_memfd("vwl-anchor", VWL_PAGE_BYTES, &fd);

    if (err == 0) {
        err = vwl_map_restore(core, fd, offset, VWL_PAGE_BYTES,
                              anchor_on_mapped, core, &maps->anchor);
    }
    if (err == 0) {
        maps->anchor_tried = true;
        vwl_fd_clear(&core->anchor_fd);
        core->anchor_fd = vwl_fd_steal(&fd);
    }
    return err;
}
