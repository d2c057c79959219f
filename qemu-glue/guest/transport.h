/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a guest program needs of virtio-wl, whichever way it is reached: the
 * kernel's /dev/wl0, the loopback driver in this process, or, to try a
 * program without a device, a host's Wayland socket directly.
 *
 * A handle (int, not negative) names a VFD. Calls return 0 or -errno unless
 * they say otherwise; one thread.
 */
#ifndef VWL_GUEST_TRANSPORT_H
#define VWL_GUEST_TRANSPORT_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define VWL_TRANSPORT_MAX_VFDS 28

struct vwl_transport;

/* Shared memory and its mapping in this process. */
struct vwl_transport_mem {
    int vfd;
    void *ptr;
    size_t size; /* rounded up to pages */
};

/* A buffer of pixels that host devices can use, and its mapping. */
struct vwl_transport_dmabuf {
    struct vwl_transport_mem mem;
    uint32_t stride[3], offset[3]; /* bytes, of each plane */
};

/* What the guest's own GPU is to the host. */
struct vwl_transport_gpu {
    bool buffers;    /* some dma-bufs of the guest can be sent */
    bool fences;     /* and some sync_files */
    bool feedback;   /* the host's advice about them is of use here, with */
    uint64_t device; /* this number (of stat) for its devices; 0: its own */
};

/* result: 0 or -errno. Called in a dispatch, never in send_async. */
typedef void (*vwl_transport_done_fn)(void *opaque, int result);

struct vwl_transport_ops {
    const char *name;
    int (*new_ctx)(struct vwl_transport *t, const char *name, int *vfd);
    int (*alloc)(struct vwl_transport *t, size_t size,
                 struct vwl_transport_mem *mem);
    /* Unmaps; the VFD stays. */
    void (*unmap)(struct vwl_transport *t, struct vwl_transport_mem *mem);
    int (*map)(struct vwl_transport *t, int vfd, size_t size, int writable,
               struct vwl_transport_mem *mem);
    int (*pipe)(struct vwl_transport *t, int guest_writes, int *vfd);
    int (*send)(struct vwl_transport *t, int vfd, const void *data, size_t len,
                const int *vfds, unsigned int n_vfds);
    ssize_t (*recv)(struct vwl_transport *t, int vfd, void *data, size_t cap,
                    int *vfds, unsigned int *n_vfds, int timeout_ms);
    int (*poll)(struct vwl_transport *t, int vfd, int timeout_ms);
    int (*close)(struct vwl_transport *t, int vfd);
    /* For event loops; see below. */
    int (*fd)(struct vwl_transport *t);
    int (*watch)(struct vwl_transport *t, int vfd, int on);
    int (*pending)(struct vwl_transport *t);
    int (*dispatch)(struct vwl_transport *t);
    int (*send_async)(struct vwl_transport *t, int vfd, const void *data,
                      size_t len, const int *vfds, unsigned int n_vfds,
                      vwl_transport_done_fn done, void *opaque);
    int (*new_ctx_async)(struct vwl_transport *t, const char *name,
                         vwl_transport_done_fn done, void *opaque);
    /* May be NULL, both. */
    int (*settle)(struct vwl_transport *t);
    void (*notify)(struct vwl_transport *t, void (*fn)(void *opaque),
                   void *opaque);
    int (*alloc_dmabuf)(struct vwl_transport *t, uint32_t width,
                        uint32_t height, uint32_t format,
                        struct vwl_transport_dmabuf *buffer);
    int (*dmabuf_sync)(struct vwl_transport *t, int vfd, uint32_t flags);
    int (*pages)(struct vwl_transport *t, int fd, uint64_t offset, size_t size,
                 struct vwl_transport_mem *mem);
    int (*pages_intact)(struct vwl_transport *t, int vfd);
    int (*gpu)(struct vwl_transport *t, struct vwl_transport_gpu *gpu);
    bool gpu_waits; /* for seconds, maybe; it may be called by a thread */
    int (*import)(struct vwl_transport *t, bool fence, int *fd, int *handle);
    int (*send_checked)(struct vwl_transport *t, int vfd, const void *data,
                        size_t len, const int *vfds, unsigned int n_vfds,
                        vwl_transport_done_fn done, void *opaque);
    int (*export_fence)(struct vwl_transport *t, int *vfd, int *fd);
    int (*host_pipe)(struct vwl_transport *t, int vfd);
    void (*destroy)(struct vwl_transport *t);
};

struct vwl_transport {
    const struct vwl_transport_ops *ops;
};

/* A connection to a host's socket; name NULL: the default one. */
static inline int vwl_transport_new_ctx(struct vwl_transport *t,
                                        const char *name, int *vfd)
{
    return t->ops->new_ctx(t, name, vfd);
}

/* Fresh zeroed memory that host peers can be sent, mapped for writing. */
static inline int vwl_transport_alloc(struct vwl_transport *t, size_t size,
                                      struct vwl_transport_mem *mem)
{
    return t->ops->alloc(t, size, mem);
}

/* format: a DRM fourcc. -ENOTTY: there are no dmabufs. */
static inline int vwl_transport_alloc_dmabuf(
    struct vwl_transport *t, uint32_t width, uint32_t height, uint32_t format,
    struct vwl_transport_dmabuf *buffer)
{
    return t->ops->alloc_dmabuf != NULL
               ? t->ops->alloc_dmabuf(t, width, height, format, buffer)
               : -ENOTTY;
}

/* Around each access by this processor; flags as VIRTIO_WL_DMABUF_SYNC_*. */
static inline int vwl_transport_dmabuf_sync(struct vwl_transport *t, int vfd,
                                            uint32_t flags)
{
    return t->ops->dmabuf_sync != NULL ? t->ops->dmabuf_sync(t, vfd, flags)
                                       : -ENOTTY;
}

/* Whole pages of a file of shared memory, as they are, for host peers: not
 * mapped here. The file may be closed. -ENOTTY: there is no such thing; other
 * -errno: not these. */
static inline int vwl_transport_pages(struct vwl_transport *t, int fd,
                                      uint64_t offset, size_t size,
                                      struct vwl_transport_mem *mem)
{
    return t->ops->pages != NULL ? t->ops->pages(t, fd, offset, size, mem)
                                 : -ENOTTY;
}

/* 0: the file still has all of them where they were. */
static inline int vwl_transport_pages_intact(struct vwl_transport *t, int vfd)
{
    return t->ops->pages_intact != NULL ? t->ops->pages_intact(t, vfd)
                                        : -ENOTTY;
}

/* Maps a VFD that was received. */
static inline int vwl_transport_map(struct vwl_transport *t, int vfd,
                                    size_t size, int writable,
                                    struct vwl_transport_mem *mem)
{
    return t->ops->map(t, vfd, size, writable, mem);
}

static inline void vwl_transport_unmap(struct vwl_transport *t,
                                       struct vwl_transport_mem *mem)
{
    t->ops->unmap(t, mem);
}

/* A pipe of which the guest holds one end; the other is what is sent. */
static inline int vwl_transport_pipe(struct vwl_transport *t, int guest_writes,
                                     int *vfd)
{
    return t->ops->pipe(t, guest_writes, vfd);
}

/* All of it, or an error. */
static inline int vwl_transport_send(struct vwl_transport *t, int vfd,
                                     const void *data, size_t len,
                                     const int *vfds, unsigned int n_vfds)
{
    return t->ops->send(t, vfd, data, len, vfds, n_vfds);
}

/* Bytes, 0 when hung up, -ETIMEDOUT. *n_vfds: room (at least
 * VWL_TRANSPORT_MAX_VFDS), then count; they are the caller's to close. */
static inline ssize_t vwl_transport_recv(struct vwl_transport *t, int vfd,
                                         void *data, size_t cap, int *vfds,
                                         unsigned int *n_vfds, int timeout_ms)
{
    return t->ops->recv(t, vfd, data, cap, vfds, n_vfds, timeout_ms);
}

/* 1: a recv would not wait; 0: nothing within the time. */
static inline int vwl_transport_poll(struct vwl_transport *t, int vfd,
                                     int timeout_ms)
{
    return t->ops->poll(t, vfd, timeout_ms);
}

static inline int vwl_transport_close(struct vwl_transport *t, int vfd)
{
    return t->ops->close(t, vfd);
}

/*
 * For an event loop: poll `fd` for reading; before polling and when it is
 * readable, while `pending` says 1, call `dispatch`, then recv what poll says
 * is there of the VFDs that are watched. A VFD is watched from the caller's
 * wish until it is closed. The plain socket has none of these.
 */
static inline int vwl_transport_fd(struct vwl_transport *t)
{
    return t->ops->fd(t);
}

/* fn is called, out of no call of this transport, where a dispatch has
 * something to do that the descriptor does not tell. */
static inline void vwl_transport_notify(struct vwl_transport *t,
                                        void (*fn)(void *opaque), void *opaque)
{
    if (t->ops->notify != NULL) {
        t->ops->notify(t, fn, opaque);
    }
}

static inline int vwl_transport_watch(struct vwl_transport *t, int vfd, int on)
{
    return t->ops->watch(t, vfd, on);
}

static inline int vwl_transport_pending(struct vwl_transport *t)
{
    return t->ops->pending(t);
}

/* Where the device runs on this thread, it does now what it was asked. 1: it
 * did, and a dispatch has something to do. Out of no call of this transport. */
static inline int vwl_transport_settle(struct vwl_transport *t)
{
    return t->ops->settle != NULL ? t->ops->settle(t) : 0;
}

/* Waits for nothing. -errno: the device is gone. */
static inline int vwl_transport_dispatch(struct vwl_transport *t)
{
    return t->ops->dispatch(t);
}

/* Takes all of it at once and says later how it went. -EBUSY: no room now,
 * try again after a dispatch. */
static inline int vwl_transport_send_async(struct vwl_transport *t, int vfd,
                                           const void *data, size_t len,
                                           const int *vfds, unsigned int n_vfds,
                                           vwl_transport_done_fn done,
                                           void *opaque)
{
    return t->ops->send_async(t, vfd, data, len, vfds, n_vfds, done, opaque);
}

/* Connects without waiting: done is told the VFD, or -errno. -ENOSYS: this
 * transport cannot, and its new_ctx hardly waits. */
static inline int vwl_transport_new_ctx_async(struct vwl_transport *t,
                                              const char *name,
                                              vwl_transport_done_fn done,
                                              void *opaque)
{
    return t->ops->new_ctx_async != NULL
               ? t->ops->new_ctx_async(t, name, done, opaque)
               : -ENOSYS;
}

/* What can be sent of the guest's own GPU; asked of the host, who may need a
 * moment. -errno: the host cannot say now. */
static inline int vwl_transport_gpu(struct vwl_transport *t,
                                    struct vwl_transport_gpu *gpu)
{
    *gpu = (struct vwl_transport_gpu){ 0 };
    return t->ops->gpu != NULL ? t->ops->gpu(t, gpu) : 0;
}

/* A dma-buf or fence of this guest as a handle that send_checked may name,
 * until it is closed. Takes *fd. Whether the host can use it, only that send
 * tells. */
static inline int vwl_transport_import(struct vwl_transport *t, bool fence,
                                       int *fd, int *handle)
{
    return t->ops->import != NULL ? t->ops->import(t, fence, fd, handle)
                                  : -ENOTTY;
}

/* As send_async, of a few bytes, with handles of import; done is told whether
 * the host knows all of them: if not, nothing was sent. The handles are not
 * to be closed before. */
static inline int vwl_transport_send_checked(struct vwl_transport *t, int vfd,
                                             const void *data, size_t len,
                                             const int *vfds,
                                             unsigned int n_vfds,
                                             vwl_transport_done_fn done,
                                             void *opaque)
{
    return t->ops->send_checked != NULL
               ? t->ops->send_checked(t, vfd, data, len, vfds, n_vfds, done,
                                      opaque)
               : -ENOTTY;
}

/* A received fence as a sync_file for programs; takes *vfd. -ENOTTY: it is
 * none here, but it hangs up when it is signalled. */
static inline int vwl_transport_export_fence(struct vwl_transport *t, int *vfd,
                                             int *fd)
{
    return t->ops->export_fence != NULL ? t->ops->export_fence(t, vfd, fd)
                                        : -ENOTTY;
}

/* The descriptor itself, the caller's own, of a pipe that came from the host
 * and is written here; the VFD stays open. -ENOTTY: the host is another
 * machine; other -errno: not of this one. */
static inline int vwl_transport_host_pipe(struct vwl_transport *t, int vfd)
{
    return t->ops->host_pipe != NULL ? t->ops->host_pipe(t, vfd) : -ENOTTY;
}

/* NULL is fine. */
static inline void vwl_transport_destroy(struct vwl_transport *t)
{
    if (t != NULL) {
        t->ops->destroy(t);
    }
}

/* Over a guest driver of this process, which stays the caller's. */
struct vwl_drv;
struct vwl_transport *vwl_transport_loopback(struct vwl_drv *drv);

/* Straight to the Wayland socket at path: no device, names are ignored. For
 * telling a program's faults from the device's. */
struct vwl_transport *vwl_transport_socket(const char *path);
/* Its dmabufs are a DRM card's, from now on; 0 or -errno. */
int vwl_transport_socket_use_card(struct vwl_transport *t, const char *path);

/* Over /dev/wl0, or path if it is not NULL. NULL with errno set. */
struct vwl_transport *vwl_transport_wl0(const char *path);
/* Takes the driver for one whose sends wait; of ours it finds out itself. */
void vwl_transport_wl0_use_threads(struct vwl_transport *t);

#endif
