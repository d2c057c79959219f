/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest's own pages: from its addresses to the files that the front-end
 * handed over.
 */
#include <errno.h>

#include "base/bits.h"
#include "loop/pump_priv.h"
#include "vhost-user-wl/vhost_user.h"

/* What a run is of files, behind the *n extents that are there; max: room. */
static int add_run(const struct vwl_mem *mem, struct vwl_run run,
                   struct vwl_extent *extents, unsigned int *n,
                   unsigned int max)
{
    while (run.bytes > 0) {
        struct vwl_extent one, *last = *n ? &extents[*n - 1] : NULL;

        if (!vwl_mem_file_at(mem, run.gpa, run.bytes, &one)) {
            return -EFAULT;
        }
        if (last && last->fd == one.fd &&
            last->offset + last->bytes == one.offset) {
            last->bytes += one.bytes;
        } else if (*n < max) {
            extents[(*n)++] = one;
        } else {
            return -ENOSPC;
        }
        run.gpa += one.bytes;
        run.bytes -= one.bytes;
    }
    return 0;
}

int vwl_pump_pages(void *opaque, const struct vwl_run *runs, unsigned int n,
                   int *fd)
{
    const struct vwl_pump *pump = opaque;
    struct vwl_extent *extents;
    unsigned int n_extents = 0;
    int err = 0;

    /* behind an IOMMU the guest's addresses are none of its memory */
    if (!pump->pages || !pump->session ||
        pump->acked.bits & BIT(VIRTIO_F_ACCESS_PLATFORM)) {
        return -EOPNOTSUPP;
    }
    extents = g_try_new(struct vwl_extent, VIRTIO_WL_PAGES_MAX_RUNS);
    if (!extents) {
        return -ENOMEM;
    }
    for (unsigned int i = 0; i < n && err == 0; i++) {
        err = add_run(vwl_session_mem(pump->session), runs[i], extents,
                      &n_extents, VIRTIO_WL_PAGES_MAX_RUNS);
    }
    err = err ? err : vwl_pages_make(pump->pages, extents, n_extents, fd);
    g_free(extents);
    return err;
}

void vwl_pump_offer_pages(struct vwl_pump_config *config, struct vwl_log *log)
{
    int err = config->core.locks ? vwl_pages_open(&config->pages) : -ENOSYS;

    if (err < 0) {
        log_info(log,
                 "guests' pages are copied: the host cannot take them as they "
                 "are: %s",
                 config->core.locks ? g_strerror(-err)
                                    : "/proc/locks cannot be read");
        return;
    }
    config->session.keep_files = true;
    config->session.features |= BIT(VIRTIO_WL_F_GUEST_PAGES);
}
