/* SPDX-License-Identifier: BSD-3-Clause */
#include "compositor/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/page.h"

int vwl_alloc_open(const char *path, int *fd)
{
    vwl_autofd int opened = open(path,
                                 O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (opened < 0 || fstat(opened, &st) < 0) {
        return -errno;
    }
    if (!S_ISCHR(st.st_mode)) {
        return -ENOTTY;
    }
    *fd = vwl_fd_steal(&opened);
    return 0;
}

static int clear_pages(int fd, uint64_t len)
{
    void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED) {
        return -errno;
    }
    memset(map, 0, len);
    munmap(map, len);
    return 0;
}

int vwl_alloc_settle(struct vwl_buffer *out, uint64_t max_bytes, bool clear)
{
    struct stat st;
    uint64_t len;

    if (fstat(out->fd, &st) < 0) {
        return -errno;
    }
    len = vwl_page_down((uint64_t)st.st_size);
    if (st.st_size < 0 || len < out->size_bytes || len > UINT32_MAX) {
        return -EIO;
    }
    if (len > max_bytes) {
        return -ENOSPC;
    }
    if (vwl_fd_admit(out->fd) < 0) {
        return -EMFILE;
    }
    out->size_bytes = len;
    return clear ? clear_pages(out->fd, len) : 0;
}
