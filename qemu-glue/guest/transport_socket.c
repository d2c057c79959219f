/* SPDX-License-Identifier: BSD-3-Clause */
#include "transport.h"

#include "card.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct direct {
    struct vwl_transport base;
    struct sockaddr_un addr;
    int card; /* -1: none */
};

static int new_ctx(struct vwl_transport *t, const char *name, int *vfd)
{
    struct direct *direct = (struct direct *)(void *)t;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (struct sockaddr *)&direct->addr, sizeof direct->addr) <
        0) {
        r = -errno;
        close(fd);
        return r;
    }
    *vfd = fd;
    return 0;
}

static int map(struct vwl_transport *t, int vfd, size_t size, int writable,
               struct vwl_transport_mem *mem)
{
    void *ptr = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0),
                     writable ? MAP_SHARED : MAP_PRIVATE, vfd, 0);

    if (ptr == MAP_FAILED) {
        return -errno;
    }
    *mem = (struct vwl_transport_mem){ vfd, ptr, size };
    return 0;
}

static int alloc(struct vwl_transport *t, size_t size,
                 struct vwl_transport_mem *mem)
{
    int fd = memfd_create("vwl-guest", MFD_CLOEXEC), r;

    size = (size + 4095) & ~(size_t)4095;
    if (fd < 0) {
        return -errno;
    }
    r = ftruncate(fd, (off_t)size) < 0 ? -errno : map(t, fd, size, 1, mem);
    if (r < 0) {
        close(fd);
    }
    return r;
}

static void unmap(struct vwl_transport *t, struct vwl_transport_mem *mem)
{
    munmap(mem->ptr, mem->size);
    mem->ptr = NULL;
}

static int make_pipe(struct vwl_transport *t, int guest_writes, int *vfd)
{
    return -ENOTTY; /* one descriptor cannot stand for both ends here */
}

static int send_all(struct vwl_transport *t, int vfd, const void *data,
                    size_t len, const int *vfds, unsigned int n_vfds)
{
    union {
        char space[CMSG_SPACE(sizeof(int) * VWL_TRANSPORT_MAX_VFDS)];
        struct cmsghdr align;
    } control;
    const char *at = data;

    if (n_vfds > VWL_TRANSPORT_MAX_VFDS) {
        return -EINVAL;
    }
    while (len != 0) {
        struct iovec iov = { (void *)(uintptr_t)at, len };
        struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
        ssize_t n;

        if (n_vfds != 0) {
            memset(&control, 0, sizeof control);
            msg.msg_control = &control;
            msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_vfds);
            control.align.cmsg_level = SOL_SOCKET;
            control.align.cmsg_type = SCM_RIGHTS;
            control.align.cmsg_len = CMSG_LEN(sizeof(int) * n_vfds);
            memcpy(CMSG_DATA(&control.align), vfds, sizeof(int) * n_vfds);
        }
        n = sendmsg(vfd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        n_vfds = 0;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int poll_one(struct vwl_transport *t, int vfd, int timeout_ms)
{
    struct pollfd p = { vfd, POLLIN, 0 };
    int r = poll(&p, 1, timeout_ms);

    return r < 0 ? (errno == EINTR ? 0 : -errno) : r;
}

static ssize_t receive(struct vwl_transport *t, int vfd, void *data, size_t cap,
                       int *vfds, unsigned int *n_vfds, int timeout_ms)
{
    union {
        char space[CMSG_SPACE(sizeof(int) * VWL_TRANSPORT_MAX_VFDS)];
        struct cmsghdr align;
    } control;
    struct iovec iov = { data, cap };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof control,
    };
    struct cmsghdr *c;
    ssize_t n;
    int r = poll_one(t, vfd, timeout_ms);

    if (r <= 0) {
        return r == 0 ? -ETIMEDOUT : r;
    }
    n = recvmsg(vfd, &msg, MSG_CMSG_CLOEXEC);
    if (n < 0) {
        return errno == ECONNRESET ? 0 : -errno;
    }
    *n_vfds = 0;
    c = CMSG_FIRSTHDR(&msg);
    if (c != NULL && c->cmsg_level == SOL_SOCKET &&
        c->cmsg_type == SCM_RIGHTS) {
        *n_vfds = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(vfds, CMSG_DATA(c), *n_vfds * sizeof(int));
    }
    return n;
}

static int close_one(struct vwl_transport *t, int vfd)
{
    return close(vfd) < 0 ? -errno : 0;
}

static int alloc_dmabuf(struct vwl_transport *t, uint32_t width,
                        uint32_t height, uint32_t format,
                        struct vwl_transport_dmabuf *buffer)
{
    const struct direct *direct = (const struct direct *)(const void *)t;

    return direct->card < 0
               ? -ENOTTY
               : vwl_card_alloc(direct->card, width, height, buffer);
}

static int dmabuf_sync(struct vwl_transport *t, int vfd, uint32_t flags)
{
    return vwl_card_sync(vfd, flags);
}

static void destroy(struct vwl_transport *t)
{
    const struct direct *direct = (const struct direct *)(const void *)t;

    if (direct->card >= 0) {
        close(direct->card);
    }
    free(t);
}

static const struct vwl_transport_ops ops = {
    .name = "socket",
    .new_ctx = new_ctx,
    .alloc = alloc,
    .unmap = unmap,
    .map = map,
    .pipe = make_pipe,
    .send = send_all,
    .recv = receive,
    .poll = poll_one,
    .close = close_one,
    .alloc_dmabuf = alloc_dmabuf,
    .dmabuf_sync = dmabuf_sync,
    .destroy = destroy,
};

struct vwl_transport *vwl_transport_socket(const char *path)
{
    struct direct *direct;

    if (strlen(path) >= sizeof direct->addr.sun_path) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    direct = calloc(1, sizeof *direct);
    if (direct == NULL) {
        return NULL;
    }
    direct->base.ops = &ops;
    direct->card = -1;
    direct->addr.sun_family = AF_UNIX;
    strcpy(direct->addr.sun_path, path);
    return &direct->base;
}

int vwl_transport_socket_use_card(struct vwl_transport *t, const char *path)
{
    struct direct *direct = (struct direct *)(void *)t;

    if (t->ops != &ops) {
        return -EINVAL;
    }
    direct->card = open(path, O_RDWR | O_CLOEXEC);
    return direct->card < 0 ? -errno : 0;
}
