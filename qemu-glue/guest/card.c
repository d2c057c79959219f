/* SPDX-License-Identifier: BSD-3-Clause */
#include "card.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct dumb {
    uint32_t height, width, bpp, flags, handle, pitch;
    uint64_t size;
};

struct map_dumb {
    uint32_t handle, pad;
    uint64_t offset;
};

struct prime {
    uint32_t handle, flags;
    int32_t fd;
};

#define IOC_PRIME_TO_FD _IOWR('d', 0x2d, struct prime)
#define IOC_CREATE_DUMB _IOWR('d', 0xb2, struct dumb)
#define IOC_MAP_DUMB _IOWR('d', 0xb3, struct map_dumb)

int vwl_card_alloc(int card, uint32_t width, uint32_t height,
                   struct vwl_transport_dmabuf *buffer)
{
    struct dumb dumb = { .width = width, .height = height, .bpp = 32 };
    struct map_dumb map = { 0 };
    struct prime prime = { .flags = O_CLOEXEC | O_RDWR };
    void *ptr;

    if (ioctl(card, IOC_CREATE_DUMB, &dumb) < 0) {
        return -errno;
    }
    map.handle = prime.handle = dumb.handle;
    if (ioctl(card, IOC_MAP_DUMB, &map) < 0 ||
        ioctl(card, IOC_PRIME_TO_FD, &prime) < 0) {
        return -errno;
    }
    ptr = mmap(NULL, (size_t)dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED,
               card, (off_t)map.offset);
    if (ptr == MAP_FAILED) {
        int r = -errno;

        close(prime.fd);
        return r;
    }
    *buffer = (struct vwl_transport_dmabuf){
        .mem = { prime.fd, ptr, (size_t)dumb.size },
        .stride = { dumb.pitch },
    };
    return 0;
}

int vwl_card_sync(int buffer, uint32_t flags)
{
    struct dma_buf_sync sync = { .flags = flags };

    return ioctl(buffer, DMA_BUF_IOCTL_SYNC, &sync) < 0 ? -errno : 0;
}
