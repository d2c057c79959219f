/* SPDX-License-Identifier: BSD-3-Clause */
/* Pages of a file as a VFD, without a copy. */
#include "wl0.h"

#include <errno.h>
#include <sys/mman.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGE_BYTES ((uint64_t)2 << 20)
#define COLLAPSE_TRIES 3

/* All of the file's huge pages that the range touches. */
struct view {
    char *area; /* of address space, with a beginning to spare */
    size_t area_bytes;
    char *at; /* of the first huge page */
    size_t bytes;
};

static int view_open(struct view *view, int fd, uint64_t begin, size_t bytes)
{
    view->bytes = bytes;
    view->area_bytes = bytes + HUGE_BYTES;
    view->area = mmap(NULL, view->area_bytes, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (view->area == MAP_FAILED) {
        return -errno;
    }
    view->at = view->area + (-(uintptr_t)view->area & (HUGE_BYTES - 1));
    /* it may reach past the file's end, whose last pages join only so */
    if (mmap(view->at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
             fd, (off_t)begin) == MAP_FAILED) {
        int err = errno;

        munmap(view->area, view->area_bytes);
        return -err;
    }
    return 0;
}

/* Has the kernel put the pages together. What it says is not to be relied on,
 * and pages that somebody uses this moment are joined at the next try. */
static void view_collapse(const struct view *view)
{
    for (int i = 0; i < COLLAPSE_TRIES; i++) {
        int busy = 0;

        for (size_t at = 0; at < view->bytes; at += HUGE_BYTES) {
            busy |= madvise(view->at + at, HUGE_BYTES, MADV_COLLAPSE) < 0 &&
                    errno == EAGAIN;
        }
        if (!busy) {
            return;
        }
    }
}

int wl0_pages(struct vwl_transport *t, int fd, uint64_t offset, size_t size,
              struct vwl_transport_mem *mem)
{
    struct wl0 *wl0 = (struct wl0 *)(void *)t;
    uint64_t begin = offset & ~(HUGE_BYTES - 1);
    uint64_t end = (offset + size + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
    struct wl0_new_pages new = { .length = size };
    struct view view = { 0 };
    int r = view_open(&view, fd, begin, (size_t)(end - begin));

    if (r < 0) {
        return r;
    }
    new.address = (uint64_t)(uintptr_t)view.at + (offset - begin);
    r = ioctl(wl0->fd, WL0_IOC_NEW_PAGES, &new) < 0 ? -errno : 0;
    if (r == -E2BIG) {
        view_collapse(&view);
        r = ioctl(wl0->fd, WL0_IOC_NEW_PAGES, &new) < 0 ? -errno : 0;
    }
    munmap(view.area, view.area_bytes);
    if (r == 0) {
        *mem = (struct vwl_transport_mem){ .vfd = new.fd, .size = size };
    }
    return r;
}

int wl0_pages_intact(struct vwl_transport *t, int vfd)
{
    return ioctl(vfd, WL0_IOC_PAGES_INTACT) < 0 ? -errno : 0;
}
