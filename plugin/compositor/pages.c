/* SPDX-License-Identifier: BSD-3-Clause */
#include "compositor/pages.h"

#include <errno.h>
#include <glib.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>

#include "base/fd.h"
#include "base/page.h"
#include "compositor/alloc.h"

struct vwl_pages {
    int fd; /* of /dev/udmabuf */
};

static int try_one(const struct vwl_pages *pages)
{
    struct vwl_extent page = { .bytes = VWL_PAGE_BYTES };
    vwl_autofd int memory = -1;
    vwl_autofd int made = -1;
    int err = vwl_sealed_memfd("vwl-try", page.bytes, &memory);

    page.fd = memory;
    return err < 0 ? err : vwl_pages_make(pages, &page, 1, &made);
}

int vwl_pages_open(struct vwl_pages **out)
{
    struct vwl_pages *pages = g_new(struct vwl_pages, 1);
    int err;

    pages->fd = -1;
    err = vwl_alloc_open("/dev/udmabuf", &pages->fd);
    err = err < 0 ? err : try_one(pages);
    if (err < 0) {
        vwl_pages_close(pages);
        return err;
    }
    *out = pages;
    return 0;
}

void vwl_pages_close(struct vwl_pages *pages)
{
    if (pages) {
        vwl_fd_clear(&pages->fd);
        g_free(pages);
    }
}

int vwl_pages_make(const struct vwl_pages *pages,
                   const struct vwl_extent *extents, unsigned int n, int *fd)
{
    struct udmabuf_create_list *list = g_try_malloc0(sizeof *list +
                                                     n * sizeof list->list[0]);
    vwl_autofd int made = -1;
    int err;

    if (!list) {
        return -ENOMEM;
    }
    list->flags = UDMABUF_FLAGS_CLOEXEC;
    list->count = n;
    for (unsigned int i = 0; i < n; i++) {
        list->list[i].memfd = (uint32_t)extents[i].fd;
        list->list[i].offset = extents[i].offset;
        list->list[i].size = extents[i].bytes;
    }
    made = ioctl(pages->fd, UDMABUF_CREATE_LIST, list);
    err = made < 0 ? -errno : vwl_fd_admit(made);
    g_free(list);
    if (err == 0) {
        *fd = vwl_fd_steal(&made);
    }
    return err;
}
