/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel driver's device: a handle is a file descriptor here. Its ioctls
 * are those that every virtio-wl driver for Linux has. */
#include "transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define NEW_CTX 0u
#define NEW_ALLOC 1u
#define NEW_PIPE_READ 2u
#define NEW_PIPE_WRITE 3u
#define NEW_CTX_NAMED 5u

struct wl0_new {
    uint32_t type;
    int32_t fd; /* out */
    uint32_t flags;
    union {
        uint32_t size;
        char name[32];
        uint32_t room[9];
    };
};

struct wl0_txn {
    int32_t fds[VWL_TRANSPORT_MAX_VFDS]; /* a negative one ends the list */
    uint32_t len;
    uint8_t data[];
};

_Static_assert(sizeof(struct wl0_new) == 48, "the ioctl's number says so");
_Static_assert(sizeof(struct wl0_txn) == 116, "the ioctl's number says so");

#define IOC_NEW _IOWR('w', 0x00, struct wl0_new)
#define IOC_SEND _IOR('w', 0x01, struct wl0_txn)
#define IOC_RECV _IOW('w', 0x02, struct wl0_txn)

#define MAX_SEND 3980u

struct later {
    struct later *next;
    vwl_transport_done_fn done;
    void *opaque;
    int result;
};

struct wl0 {
    struct vwl_transport base;
    int fd, epoll;
    struct later *first, **last; /* sends whose end was not told */
};

static int make(struct vwl_transport *t, struct wl0_new *new, int *vfd)
{
    struct wl0 *wl0 = (struct wl0 *)(void *)t;

    new->fd = -1;
    if (ioctl(wl0->fd, IOC_NEW, new) < 0) {
        return -errno;
    }
    *vfd = new->fd;
    return 0;
}

static int new_ctx(struct vwl_transport *t, const char *name, int *vfd)
{
    struct wl0_new new = { .type = name != NULL ? NEW_CTX_NAMED : NEW_CTX };

    if (name != NULL) {
        size_t len = strlen(name);

        if (len > sizeof new.name) {
            return -ENAMETOOLONG;
        }
        memcpy(new.name, name, len);
    }
    return make(t, &new, vfd);
}

static int map(struct vwl_transport *t, int vfd, size_t size, int writable,
               struct vwl_transport_mem *mem)
{
    void *ptr = mmap(NULL, size, PROT_READ | (writable ? PROT_WRITE : 0),
                     MAP_SHARED, vfd, 0);

    if (ptr == MAP_FAILED) {
        return -errno;
    }
    *mem = (struct vwl_transport_mem){ vfd, ptr, size };
    return 0;
}

static int alloc(struct vwl_transport *t, size_t size,
                 struct vwl_transport_mem *mem)
{
    struct wl0_new new = { .type = NEW_ALLOC };
    int vfd = -1, r;

    if (size == 0 || size > UINT32_MAX - 4095) {
        return -EINVAL;
    }
    size = (size + 4095) & ~(size_t)4095;
    new.size = (uint32_t)size;
    r = make(t, &new, &vfd);
    if (r < 0) {
        return r;
    }
    r = map(t, vfd, size, 1, mem);
    if (r < 0) {
        close(vfd);
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
    struct wl0_new new = {
        .type = guest_writes ? NEW_PIPE_WRITE : NEW_PIPE_READ,
    };

    return make(t, &new, vfd);
}

static int send_one(int vfd, const uint8_t *data, size_t len,
                    const int *vfds, unsigned int n_vfds)
{
    struct wl0_txn *txn = malloc(sizeof *txn + len);
    int r;

    if (txn == NULL) {
        return -ENOMEM;
    }
    for (unsigned int i = 0; i < VWL_TRANSPORT_MAX_VFDS; i++) {
        txn->fds[i] = i < n_vfds ? vfds[i] : -1;
    }
    txn->len = (uint32_t)len;
    memcpy(txn->data, data, len);
    r = ioctl(vfd, IOC_SEND, txn) < 0 ? -errno : 0;
    free(txn);
    return r;
}

static int send_all(struct vwl_transport *t, int vfd, const void *data,
                    size_t len, const int *vfds, unsigned int n_vfds)
{
    const uint8_t *at = data;

    if (n_vfds > VWL_TRANSPORT_MAX_VFDS) {
        return -EINVAL;
    }
    while (len != 0) {
        size_t n = len < MAX_SEND ? len : MAX_SEND;
        int r = send_one(vfd, at, n, vfds, n_vfds);

        if (r < 0) {
            return r;
        }
        n_vfds = 0;
        at += n;
        len -= n;
    }
    return 0;
}

static int poll_one(struct vwl_transport *t, int vfd, int timeout_ms)
{
    struct pollfd p = { vfd, POLLIN, 0 };
    int r = poll(&p, 1, timeout_ms);

    return r < 0 ? (errno == EINTR ? 0 : -errno) : r;
}

static ssize_t receive(struct vwl_transport *t, int vfd, void *data,
                       size_t cap, int *vfds, unsigned int *n_vfds,
                       int timeout_ms)
{
    size_t room = cap < MAX_SEND ? cap : MAX_SEND;
    struct wl0_txn *txn;
    ssize_t r = poll_one(t, vfd, timeout_ms);

    if (r <= 0) {
        return r == 0 ? -ETIMEDOUT : r;
    }
    txn = calloc(1, sizeof *txn + room);
    if (txn == NULL) {
        return -ENOMEM;
    }
    txn->len = (uint32_t)room;
    if (ioctl(vfd, IOC_RECV, txn) < 0) {
        r = -errno;
    } else {
        r = (ssize_t)(txn->len < room ? txn->len : room);
        memcpy(data, txn->data, (size_t)r);
        for (*n_vfds = 0; *n_vfds < VWL_TRANSPORT_MAX_VFDS &&
             txn->fds[*n_vfds] >= 0; (*n_vfds)++) {
            vfds[*n_vfds] = txn->fds[*n_vfds];
        }
    }
    free(txn);
    return r;
}

static int close_one(struct vwl_transport *t, int vfd)
{
    return close(vfd) < 0 ? -errno : 0;
}

static int loop_fd(struct vwl_transport *t)
{
    return ((struct wl0 *)(void *)t)->epoll;
}

static int watch(struct vwl_transport *t, int vfd, int on)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = vfd };

    return epoll_ctl(loop_fd(t), on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, vfd,
                     &event) < 0 ? -errno : 0;
}

static int pending(struct vwl_transport *t)
{
    return ((struct wl0 *)(void *)t)->first != NULL;
}

static int dispatch(struct vwl_transport *t)
{
    struct wl0 *wl0 = (struct wl0 *)(void *)t;
    struct later *later;

    while ((later = wl0->first) != NULL) {
        wl0->first = later->next;
        if (wl0->first == NULL) {
            wl0->last = &wl0->first;
        }
        later->done(later->opaque, later->result);
        free(later);
    }
    return 0;
}

/* The driver's SEND waits for the device. */
static int send_async(struct vwl_transport *t, int vfd, const void *data,
                      size_t len, const int *vfds, unsigned int n_vfds,
                      vwl_transport_done_fn done, void *opaque)
{
    struct wl0 *wl0 = (struct wl0 *)(void *)t;
    struct later *later = malloc(sizeof *later);

    if (later == NULL) {
        return -ENOMEM;
    }
    *later = (struct later){
        NULL, done, opaque, send_all(t, vfd, data, len, vfds, n_vfds),
    };
    *wl0->last = later;
    wl0->last = &later->next;
    return 0;
}

static void destroy(struct vwl_transport *t)
{
    struct wl0 *wl0 = (struct wl0 *)(void *)t;
    struct later *later;

    while ((later = wl0->first) != NULL) {
        wl0->first = later->next;
        free(later);
    }
    close(wl0->epoll);
    close(wl0->fd);
    free(wl0);
}

static const struct vwl_transport_ops ops = {
    .name = "wl0", .new_ctx = new_ctx, .alloc = alloc, .unmap = unmap,
    .map = map, .pipe = make_pipe, .send = send_all, .recv = receive,
    .poll = poll_one, .close = close_one, .fd = loop_fd, .watch = watch,
    .pending = pending, .dispatch = dispatch, .send_async = send_async,
    .destroy = destroy,
};

struct vwl_transport *vwl_transport_wl0(const char *path)
{
    struct wl0 *wl0 = calloc(1, sizeof *wl0);

    if (wl0 == NULL) {
        return NULL;
    }
    wl0->base.ops = &ops;
    wl0->last = &wl0->first;
    wl0->fd = open(path != NULL ? path : "/dev/wl0", O_RDWR | O_CLOEXEC);
    wl0->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (wl0->fd < 0 || wl0->epoll < 0) {
        int err = errno;

        if (wl0->fd >= 0) {
            close(wl0->fd);
        }
        if (wl0->epoll >= 0) {
            close(wl0->epoll);
        }
        free(wl0);
        errno = err;
        return NULL;
    }
    return &wl0->base;
}
