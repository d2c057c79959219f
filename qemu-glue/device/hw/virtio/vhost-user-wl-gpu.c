/*
 * Vhost-user virtio-wl device: buffers of the machine's virtio-gpu
 *
 * A guest's program sends a buffer of its GPU by the number of the resource;
 * the compositor gets a dmabuf.  A blob resource has one already where QEMU
 * could make it.  The pages of any other resource are the guest's memory, and
 * Linux makes a dmabuf of those (udmabuf), if they are a sealed memfd.
 *
 * The plugin asks from its own thread, and resources are looked at in the main
 * thread: so the answer comes later, on a socket of which the plugin has the
 * other end.  Nothing waits, and either may go away meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "block/aio.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "hw/virtio/vhost-user-wl.h"
#include "hw/virtio/virtio-gpu.h"
#include "standard-headers/linux/udmabuf.h"
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

/* As udmabuf wants it. */
#define PAGE 4096u
#define MAX_PIECES 1024

typedef struct Question {
    VirtIOGPU *gpu;
    uint32_t id;
    int fd; /* where the answer goes */
} Question;

Object *vhost_user_wl_gpu_find(DeviceState *dev, Error **errp)
{
    Object *obj = OBJECT(dev);
    Object *gpu = object_dynamic_cast(obj, TYPE_VIRTIO_GPU);

    if (!gpu) {
        Object *inner = object_resolve_path_component(obj, "virtio-backend");

        gpu = inner ? object_dynamic_cast(inner, TYPE_VIRTIO_GPU) : NULL;
    }
    if (!gpu) {
        error_setg(errp, "vhost-user-wl: gpu: a %s is no virtio-gpu device",
                   object_get_typename(obj));
        return NULL;
    }
    return gpu;
}

static void answer(int to, int32_t status, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {};
    struct iovec iov = { &status, sizeof(status) };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
    }
    /* Who asked may be gone. */
    do {
        n = sendmsg(to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
}

/* The dmabuf, or -errno. */
static int make_udmabuf(unsigned long request, void *arg)
{
    int dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
    int fd;

    if (dev < 0) {
        return -errno;
    }
    fd = ioctl(dev, request, arg);
    fd = fd < 0 ? -errno : fd;
    close(dev);
    return fd;
}

/* Adds a piece, or makes the last one longer. */
static bool add_piece(struct udmabuf_create_list *list, int memfd,
                      uint64_t offset, uint64_t size)
{
    struct udmabuf_create_item *last = list->list + list->count - 1;

    if (memfd < 0 || ((offset | size) & (PAGE - 1)) || !size) {
        return false;
    }
    if (list->count && last->memfd == memfd &&
        last->offset + last->size == offset) {
        last->size += size;
        return true;
    }
    if (list->count == MAX_PIECES) {
        return false;
    }
    list->list[list->count++] = (struct udmabuf_create_item){
        .memfd = memfd,
        .offset = offset,
        .size = size,
    };
    return true;
}

/* Guest memory as a dmabuf, or -errno. */
static int export_pages(const struct iovec *iov, unsigned int n)
{
    g_autofree struct udmabuf_create_list *list = g_malloc0(
        sizeof(*list) + MAX_PIECES * sizeof(list->list[0]));

    list->flags = UDMABUF_FLAGS_CLOEXEC;
    for (unsigned int i = 0; i < n; i++) {
        ram_addr_t offset = 0;
        MemoryRegion *mr;
        int memfd = -1;

        WITH_RCU_READ_LOCK_GUARD()
        {
            mr = memory_region_from_host(iov[i].iov_base, &offset);
            if (mr && offset + iov[i].iov_len <= memory_region_size(mr)) {
                memfd = memory_region_get_fd(mr);
            }
        }
        if (!add_piece(list, memfd, offset, iov[i].iov_len)) {
            return -EOPNOTSUPP;
        }
    }
    return list->count ? make_udmabuf(UDMABUF_CREATE_LIST, list) : -ENODATA;
}

/* A descriptor of its own, or -errno. */
static int export_resource(VirtIOGPU *gpu, uint32_t id)
{
    struct virtio_gpu_simple_resource *res;

    if (!DEVICE(gpu)->realized) {
        return -ENODEV;
    }
    QTAILQ_FOREACH(res, &gpu->reslist, next)
    {
        if (res->resource_id != id) {
            continue;
        }
        /* Of others than blobs it is not even initialised. */
        if (res->blob_size && res->dmabuf_fd > 0) {
            int fd = fcntl(res->dmabuf_fd, F_DUPFD_CLOEXEC, 0);

            return fd < 0 ? -errno : fd;
        }
        return res->iov ? export_pages(res->iov, res->iov_cnt) : -ENODATA;
    }
    return -ENOENT;
}

static void gpu_bh(void *opaque)
{
    Question *q = opaque;
    int fd = export_resource(q->gpu, q->id);

    answer(q->fd, MIN(fd, 0), fd);
    if (fd >= 0) {
        close(fd);
    }
    close(q->fd);
    object_unref(OBJECT(q->gpu));
    g_free(q);
}

int vhost_user_wl_gpu_resource(Object *gpu, uint32_t id, int *fd)
{
    Question *q;
    int sv[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   sv) < 0) {
        return -errno;
    }
    q = g_new(Question, 1);
    *q = (Question){ VIRTIO_GPU(object_ref(gpu)), id, sv[1] };
    aio_bh_schedule_oneshot(qemu_get_aio_context(), gpu_bh, q);
    *fd = sv[0];
    return 0;
}

/*
 * virtio-gpu's 2D commands are done when their fence is reported; there is no
 * fence of Linux that stands for one.  One that is signalled can be had from
 * any dmabuf that is not in use.
 */
int vhost_user_wl_gpu_fence(uint64_t seqno, int *fd)
{
    struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW };
    struct udmabuf_create create = {
        .flags = UDMABUF_FLAGS_CLOEXEC,
        .size = PAGE,
    };
    int memfd, buffer, ret = 0;

    if (seqno) {
        return -EOPNOTSUPP;
    }
    memfd = memfd_create("wl-fence", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (memfd < 0) {
        return -errno;
    }
    if (ftruncate(memfd, PAGE) < 0 ||
        fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
        ret = -errno;
        close(memfd);
        return ret;
    }
    create.memfd = memfd;
    buffer = make_udmabuf(UDMABUF_CREATE, &create);
    close(memfd);
    if (buffer < 0) {
        return buffer;
    }
    if (ioctl(buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export) < 0) {
        ret = -errno;
    } else {
        *fd = export.fd;
    }
    close(buffer);
    return ret;
}
