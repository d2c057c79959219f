/* SPDX-License-Identifier: BSD-3-Clause */
/* What the host knows of this guest's virtio-gpu: found out by sending it a
 * buffer and a fence, over a connection on which nothing is said. */
#include "wl0.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The little of DRM that is needed: the guest need not have its headers. */
struct drm_version {
    int32_t major, minor, patch;
    size_t name_len;
    char *name;
    size_t date_len;
    char *date;
    size_t text_len;
    char *text;
};

struct drm_prime {
    uint32_t handle, flags;
    int32_t fd;
};

struct virtgpu_create {
    uint32_t target, format, bind, width, height, depth, array_size;
    uint32_t last_level, samples, flags, handle, resource, size, stride;
};

#define IOC_VERSION _IOWR('d', 0x00, struct drm_version)
#define IOC_PRIME_TO_FD _IOWR('d', 0x2d, struct drm_prime)
#define IOC_VIRTGPU_CREATE _IOWR('d', 0x44, struct virtgpu_create)

#define FIRST_RENDER_NODE 128
#define RENDER_NODES 16
#define TARGET_2D 2u   /* as in Gallium */
#define FORMAT_BGRX 2u /* virtio-gpu's number */
#define BIND_SAMPLER 8u

static bool is_virtio_gpu(int fd)
{
    char name[32] = "";
    struct drm_version version = { .name = name, .name_len = sizeof name - 1 };

    return ioctl(fd, IOC_VERSION, &version) == 0 &&
           strcmp(name, "virtio_gpu") == 0;
}

/* -1: there is none. */
static int open_node(void)
{
    for (int i = 0; i < RENDER_NODES; i++) {
        char path[32];
        int fd;

        snprintf(path, sizeof path, "/dev/dri/renderD%d",
                 FIRST_RENDER_NODE + i);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && is_virtio_gpu(fd)) {
            return fd;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    return -1;
}

/* A small buffer as a dma-buf; -1: the GPU makes none. */
static int make_buffer(int node)
{
    struct virtgpu_create create = {
        .target = TARGET_2D,
        .format = FORMAT_BGRX,
        .bind = BIND_SAMPLER,
        .width = 16,
        .height = 16,
        .depth = 1,
        .array_size = 1,
        .size = 4096,
        .stride = 64,
    };
    struct drm_prime prime = { .flags = O_CLOEXEC | O_RDWR };

    if (ioctl(node, IOC_VIRTGPU_CREATE, &create) < 0) {
        return -1;
    }
    prime.handle = create.handle;
    return ioctl(node, IOC_PRIME_TO_FD, &prime) < 0 ? -1 : prime.fd;
}

/* Of a buffer that nobody uses: signalled. */
static int make_fence(int buffer)
{
#ifdef DMA_BUF_IOCTL_EXPORT_SYNC_FILE
    struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW };

    if (ioctl(buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export) == 0) {
        return export.fd;
    }
#endif
    return -1;
}

/* Without data: it leaves the device never. */
static bool is_taken(int ctx, int fd)
{
    struct wl0_txn txn;

    memset(txn.fds, 0xff, sizeof txn.fds);
    txn.fds[0] = fd;
    txn.len = 0;
    return ioctl(ctx, WL0_IOC_SEND, &txn) == 0;
}

static int connect_once(const char *path, int *fd)
{
    struct wl0_new new;

    wl0_fill_ctx(&new, NULL);
    return wl0_make(path, fd, &new);
}

static void ask(int ctx, int node, struct vwl_transport_gpu *gpu)
{
    int buffer = make_buffer(node), fence;
    struct stat st;

    if (buffer < 0) {
        return;
    }
    if (is_taken(ctx, buffer) && fstat(node, &st) == 0) {
        gpu->buffers = gpu->feedback = true;
        gpu->device = st.st_rdev;
        fence = make_fence(buffer);
        if (fence >= 0) {
            gpu->fences = is_taken(ctx, fence);
            close(fence);
        }
    }
    close(buffer);
}

/* Whether the device makes buffers itself. */
static bool has_dmabufs(const char *path, int *fd)
{
    struct wl0_new new = { .type = WL0_NEW_DMABUF };
    int r = wl0_make(path, fd, &new);

    if (r >= 0) {
        close(r);
    }
    return r != -ENOTTY;
}

/* In a thread: with a descriptor of its own, as the transport may exchange its
 * one meanwhile. */
int wl0_gpu(struct vwl_transport *t, struct vwl_transport_gpu *gpu)
{
    const char *path = ((struct wl0 *)(void *)t)->path;
    int fd = open(path, O_RDWR | O_CLOEXEC), node, ctx, r = 0;

    if (fd < 0) {
        return -errno;
    }
    node = open_node();
    if (node >= 0) {
        ctx = connect_once(path, &fd);
        if (ctx >= 0) {
            ask(ctx, node, gpu);
            close(ctx);
        } else {
            r = ctx;
        }
        close(node);
    }
    if (r == 0 && !gpu->buffers) {
        gpu->buffers = has_dmabufs(path, &fd);
    }
    close(fd);
    return r;
}

/* The driver takes descriptors as they are. */
int wl0_import(struct vwl_transport *t, bool fence, int *fd, int *handle)
{
    *handle = *fd;
    *fd = -1;
    return 0;
}

int wl0_export_fence(struct vwl_transport *t, int *vfd, int *fd)
{
    char path[64], target[64];
    ssize_t n;

    snprintf(path, sizeof path, "/proc/self/fd/%d", *vfd);
    n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    if (strcmp(target, "anon_inode:sync_file") != 0) {
        return -ENOTTY;
    }
    *fd = *vfd;
    *vfd = -1;
    return 0;
}
