/* SPDX-License-Identifier: BSD-3-Clause */
#include "vgem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/sync_file.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xf86drm.h>

/* Of vgem, which libdrm has no header for. */
struct vgem_fence_attach {
    uint32_t handle, flags, out_fence, pad;
};
struct vgem_fence_signal {
    uint32_t fence, flags;
};
#define VGEM_FENCE_WRITE 1u
#define IOCTL_VGEM_FENCE_ATTACH \
    DRM_IOWR(DRM_COMMAND_BASE + 1, struct vgem_fence_attach)
#define IOCTL_VGEM_FENCE_SIGNAL \
    DRM_IOW(DRM_COMMAND_BASE + 2, struct vgem_fence_signal)

void vgem_init(struct vgem *vgem)
{
    struct drm_mode_create_dumb dumb = { .width = 64, .height = 16, .bpp = 32 };

    vgem->card = drmOpenWithType("vgem", NULL, DRM_NODE_PRIMARY);
    g_assert_cmpint(vgem->card, >=, 0);
    g_assert_cmpint(drmIoctl(vgem->card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb), ==,
                    0);
    vgem->handle = dumb.handle;
    g_assert_cmpint(drmPrimeHandleToFD(vgem->card, dumb.handle,
                                       DRM_CLOEXEC | DRM_RDWR, &vgem->fd),
                    ==, 0);
}

void vgem_finish(struct vgem *vgem)
{
    close(vgem->fd);
    close(vgem->card);
}

int vgem_attach(struct vgem *vgem)
{
    struct vgem_fence_attach attach = { .handle = vgem->handle,
                                        .flags = VGEM_FENCE_WRITE };
    struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW,
                                               .fd = -1 };

    g_assert_cmpint(drmIoctl(vgem->card, IOCTL_VGEM_FENCE_ATTACH, &attach), ==,
                    0);
    vgem->fence = attach.out_fence;
    g_assert_cmpint(ioctl(vgem->fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export),
                    ==, 0);
    return export.fd;
}

bool vgem_signal(struct vgem *vgem)
{
    struct vgem_fence_signal signal = { .fence = vgem->fence };
    int r = drmIoctl(vgem->card, IOCTL_VGEM_FENCE_SIGNAL, &signal);

    g_assert_true(r == 0 || errno == ETIMEDOUT);
    return r == 0;
}

int fence_status(int fd)
{
    struct sync_file_info info = { .flags = 0 };

    return ioctl(fd, SYNC_IOC_FILE_INFO, &info) < 0 ? G_MININT : info.status;
}
