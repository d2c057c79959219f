/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/peer/classify.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/sync_file.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/page.h"
#include "vhost-user-wl/virtio_wl.h"

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

static uint32_t access_flags(int status)
{
    if (status & O_PATH) {
        return 0;
    }
    switch (status & O_ACCMODE) {
    case O_RDONLY:
        return VIRTIO_WL_VFD_READ;
    case O_WRONLY:
        return VIRTIO_WL_VFD_WRITE;
    case O_RDWR:
        return VIRTIO_WL_VFD_READ | VIRTIO_WL_VFD_WRITE;
    default:
        return 0;
    }
}

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t len = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static enum vwl_fd_class classify_socket(int fd)
{
    int domain = socket_option(fd, SO_DOMAIN);

    if (socket_option(fd, SO_TYPE) != SOCK_STREAM ||
        socket_option(fd, SO_ACCEPTCONN) != 0 ||
        (domain != AF_UNIX && domain != AF_INET && domain != AF_INET6)) {
        return VWL_FD_OPAQUE;
    }
    return VWL_FD_SOCKET;
}

/* Shared memory (memfd, tmpfs, hugetlbfs): its calls never wait. */
static void classify_shmem(int fd, int status, int seals,
                           struct vwl_fd_info *info)
{
    bool is_writable = (status & O_ACCMODE) == O_RDWR &&
                       !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
    struct stat st;
    struct statfs fs;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0) {
        return;
    }
    info->size_bytes = (uint64_t)st.st_size;
    if (st.st_size == 0) {
        info->class = VWL_FD_EMPTY;
    } else if (is_writable && vwl_fd_seal_length(fd) && fstatfs(fd, &fs) == 0 &&
               fs.f_type != HUGETLBFS_MAGIC) {
        info->class = VWL_FD_MEMORY;
    } else {
        info->class = VWL_FD_MEMORY_COPY;
        info->parts = is_writable;
    }
}

/* Asked of nothing but the kernel's own nameless files: a device of a CUSE
 * server would be the server's to answer. */
static bool classify_is_fence(int fd)
{
    struct sync_file_info file = { 0 };
    int ret;

    do {
        ret = ioctl(fd, SYNC_IOC_FILE_INFO, &file);
    } while (ret < 0 && errno == EINTR);
    return ret == 0;
}

/* They have no type, and a file system of their own. */
static void classify_untyped(int fd, int status, uint64_t size_bytes,
                             struct vwl_fd_info *info)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) == 0 && fs.f_type == DMA_BUF_MAGIC &&
        (status & O_ACCMODE) == O_RDWR && size_bytes > 0 &&
        vwl_page_is_aligned(size_bytes)) {
        info->class = VWL_FD_DMABUF;
        info->size_bytes = size_bytes;
    } else if (classify_is_fence(fd)) {
        info->class = VWL_FD_FENCE;
        info->flags = VIRTIO_WL_VFD_FENCE;
    }
}

void vwl_classify(int fd, struct vwl_fd_info *info)
{
    int status = fcntl(fd, F_GETFL), seals;
    struct statx sx;

    *info = (struct vwl_fd_info){ .class = VWL_FD_OPAQUE };
    if (status < 0 || (status & O_PATH)) {
        return;
    }
    info->flags = access_flags(status);
    seals = fcntl(fd, F_GET_SEALS);
    if (seals >= 0) {
        classify_shmem(fd, status, seals, info);
        return;
    }
    /* fstat would ask a network or FUSE server */
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC,
              STATX_TYPE | STATX_SIZE, &sx) < 0) {
        return;
    }
    if (S_ISFIFO(sx.stx_mode)) {
        info->class = VWL_FD_PIPE;
    } else if (S_ISSOCK(sx.stx_mode)) {
        info->class = classify_socket(fd);
    } else if (S_ISREG(sx.stx_mode)) {
        info->size_bytes = sx.stx_size;
        info->class = sx.stx_size ? VWL_FD_FILE_COPY : VWL_FD_EMPTY;
    } else if ((sx.stx_mode & S_IFMT) == 0) {
        classify_untyped(fd, status, sx.stx_size, info);
    }
}
