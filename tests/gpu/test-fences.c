/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Real fences and buffers, in a virtual machine whose kernel has vgem: it
 * attaches fences to its buffers and signals them when it is told to. The
 * device is the daemon with its sandbox, or the plugin in this process, and
 * this program is its guest and its host peer.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rig.h"
#include "vgem.h"
#include "wl_names.h"

static struct rig *device(enum rig_device how, const struct vwl_host *host)
{
    struct rig_options options = {
        .device = how, .n_peers = 1, .host = host, .drv.record = true
    };

    return rig_new(&options);
}

/* A message with a descriptor to the guest: the VFD's id. */
static uint32_t give(struct rig *r, int peer, int fd)
{
    unsigned int n = 1;
    uint32_t id = 0;
    char byte = 0;

    rig_write(r, peer, "g", 1, &fd, 1);
    g_assert_cmpint(vwl_drv_recv(r->drv, 1, &byte, 1, &id, &n, RIG_TIMEOUT_MS),
                    ==, 1);
    g_assert_cmpint(byte, ==, 'g');
    g_assert_cmpuint(n, ==, 1);
    return id;
}

/* What comes at the peer with that byte. */
static int take(struct rig *r, int peer, char want)
{
    unsigned int n = 1;
    char byte = 0;
    int fd = -1;

    rig_read(r, peer, &byte, 1, &fd, &n);
    g_assert_cmpint(byte, ==, want);
    g_assert_cmpuint(n, ==, 1);
    return fd;
}

static void alive(struct rig *r, int peer)
{
    char byte = 0;

    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 1, NULL, 0, "a", 1), ==,
                    RESP_OK);
    rig_read(r, peer, &byte, 1, NULL, NULL);
    g_assert_cmpint(byte, ==, 'a');
}

static bool is_hung(void *opaque)
{
    return ((struct vwl_drv_vfd *)opaque)->hup;
}

/* To the guest, back, signalled; one that was signalled before. */
static void test_fence(void)
{
    struct rig *r = device(RIG_DAEMON, NULL);
    int peer = rig_open_ctx(r, 1, 0), fence, back;
    struct vwl_drv_vfd *vfd;
    struct vgem buffer;
    uint32_t id;

    vgem_init(&buffer);
    fence = vgem_attach(&buffer);
    g_assert_cmpint(fence_status(fence), ==, 0);
    id = give(r, peer, fence);
    vfd = vwl_drv_find(r->drv, id);
    g_assert_cmphex(vfd->flags, ==, VIRTIO_WL_VFD_FENCE);
    g_assert_cmpuint(vfd->size, ==, 0);
    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, id, NULL, 0, "x", 1), ==,
                    RESP_INVALID_TYPE);
    /* it is on its way back while it waits, and holds up nobody */
    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 1, &id, 1, "b", 1), ==,
                    RESP_OK);
    back = take(r, peer, 'b');
    for (int i = 0; i < 20; i++) {
        alive(r, peer);
    }
    g_assert_false(vfd->hup);
    g_assert_cmpint(fence_status(back), ==, 0);
    g_assert_true(vgem_signal(&buffer));
    rig_wait(r, is_hung, vfd);
    g_assert_cmpint(fence_status(back), ==, 1);
    close(back);
    /* it can be sent when it is signalled, too */
    g_assert_cmphex((unsigned)vwl_drv_send(r->drv, 1, &id, 1, "c", 1), ==,
                    RESP_OK);
    back = take(r, peer, 'c');
    g_assert_cmpint(fence_status(back), ==, 1);
    close(back);
    g_assert_cmphex((unsigned)vwl_drv_close(r->drv, id), ==, RESP_OK);
    id = give(r, peer, fence);
    rig_wait(r, is_hung, vwl_drv_find(r->drv, id));
    close(fence);
    vgem_finish(&buffer);
    close(peer);
    rig_free(r);
}

/* One that nobody signals: nothing waits with it, until vgem does it itself,
 * after ten seconds. Closing one that waits leaves nothing. */
static void test_never(void)
{
    struct rig *r = device(RIG_DAEMON, NULL);
    int peer = rig_open_ctx(r, 1, 0), fence;
    struct vwl_drv_vfd *vfd;
    struct vgem buffer[2];
    uint32_t id;

    vgem_init(&buffer[0]);
    vgem_init(&buffer[1]);
    fence = vgem_attach(&buffer[0]);
    g_assert_cmphex((unsigned)vwl_drv_close(r->drv, give(r, peer, fence)), ==,
                    RESP_OK);
    close(fence);
    fence = vgem_attach(&buffer[1]);
    id = give(r, peer, fence);
    vfd = vwl_drv_find(r->drv, id);
    while (!vfd->hup) {
        alive(r, peer);
        rig_settle(r);
        g_usleep(20000);
    }
    g_assert_cmpint(fence_status(fence), !=, 0);
    close(fence);
    vgem_finish(&buffer[0]);
    vgem_finish(&buffer[1]);
    close(peer);
    rig_free(r);
}

/* ---- by number --------------------------------------------------------- */

static struct vgem gpu; /* what the host's virtio-gpu would have */

static int on_resource(void *opaque, uint32_t id, struct vwl_resource *out)
{
    if (id != 5) {
        return -ENOENT;
    }
    out->n_planes = 1;
    out->plane[0].fd = fcntl(gpu.fd, F_DUPFD_CLOEXEC, 0);
    return out->plane[0].fd < 0 ? -errno : 0;
}

static int on_fence(void *opaque, uint64_t seqno, int *fd)
{
    struct vgem idle;

    if (seqno > 9) {
        return -ENOENT;
    }
    if (seqno == 0) { /* a buffer that is not in use has such a fence */
        struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW };

        vgem_init(&idle);
        g_assert_cmpint(ioctl(idle.fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export),
                        ==, 0);
        vgem_finish(&idle);
        *fd = export.fd;
        return 0;
    }
    *fd = vgem_attach(&gpu);
    return 0;
}

static uint32_t ask_foreign(struct rig *r, uint32_t kind, uint64_t value,
                            char byte)
{
    struct {
        uint32_t type, flags, id, count, kind, pad;
        uint64_t value;
        char byte;
    } __attribute__((packed)) request = {
        CMD_VFD_SEND_FOREIGN_ID, 0, 1, 1, kind, 0xdeadbeef, value, byte,
    };

    return (uint32_t)vwl_drv_command(r->drv, &request, sizeof request, 8, NULL,
                                     0);
}

static void test_foreign(void)
{
    const struct vwl_host host = { .resource_export = on_resource,
                                   .fence_export = on_fence };
    struct rig *r = device(RIG_CONTEXT, &host);
    int peer = rig_open_ctx(r, 1, 0), fd;
    struct stat st[2];

    vgem_init(&gpu);
    g_assert_cmphex(ask_foreign(r, VIRTIO_WL_FOREIGN_VIRTGPU, 5, 'r'), ==,
                    RESP_OK);
    fd = take(r, peer, 'r');
    g_assert_cmpint(fstat(fd, &st[0]), ==, 0);
    g_assert_cmpint(fstat(gpu.fd, &st[1]), ==, 0);
    g_assert_true(st[0].st_dev == st[1].st_dev && st[0].st_ino == st[1].st_ino);
    close(fd);
    g_assert_cmphex(ask_foreign(r, VIRTIO_WL_FOREIGN_VIRTGPU_FENCE, 7, 'f'), ==,
                    RESP_OK);
    fd = take(r, peer, 'f');
    g_assert_cmpint(fence_status(fd), ==, 0);
    g_assert_true(vgem_signal(&gpu));
    g_assert_cmpint(fence_status(fd), ==, 1);
    close(fd);
    for (int i = 0; i < 2; i++) {
        g_assert_cmphex(ask_foreign(r, VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE,
                                    0xabad1dea, 's'),
                        ==, RESP_OK);
        fd = take(r, peer, 's');
        g_assert_cmpint(fence_status(fd), ==, 1);
        close(fd);
    }
    g_assert_cmphex(ask_foreign(r, VIRTIO_WL_FOREIGN_VIRTGPU, 6, 'x'), ==,
                    RESP_INVALID_ID);
    g_assert_cmphex(ask_foreign(r, VIRTIO_WL_FOREIGN_VIRTGPU_FENCE, 10, 'x'),
                    ==, RESP_INVALID_ID);
    alive(r, peer);
    vgem_finish(&gpu);
    close(peer);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fences/fence", test_fence);
    g_test_add_func("/fences/never", test_never);
    g_test_add_func("/fences/foreign", test_foreign);
    return g_test_run();
}
