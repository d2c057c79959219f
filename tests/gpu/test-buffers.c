/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Buffers of real allocators, in a virtual machine whose kernel has them: the
 * daemon (sandbox and all) allocates, this program's guest paints by CPU, its
 * host peer imports and reads back. VWL_GPU_ALLOCATORS names those to try,
 * with spaces; VWL_GPU_DISPLAY is a primary node that imports what it shows.
 *
 *     test-buffers [GLib's test options]
 *     test-buffers --show=ALLOCATOR   shows the pattern by that display until
 *                                     standard input ends; prints "shown WxH"
 */
#include <drm_fourcc.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/dma-heap.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xf86drm.h>
#include <xf86drmMode.h>

#include "painter.h"
#include "rig.h"

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

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

static const char *display_path(void)
{
    const char *path = g_getenv("VWL_GPU_DISPLAY");

    return path ? path : "/dev/dri/card0";
}

/* The primary node of a driver. */
static int open_driver(const char *name)
{
    int fd = drmOpenWithType(name, NULL, DRM_NODE_PRIMARY);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

static struct rig *daemon_with(const char *words, const char **arg)
{
    const char *args[] = { NULL, NULL };
    struct rig_options options = { .device = RIG_DAEMON,
                                   .n_peers = 1,
                                   .daemon_args = args };

    *arg = args[0] = g_strdup_printf("--dmabuf=%s", words);
    return rig_new(&options);
}

static uint8_t pattern(size_t i)
{
    return (uint8_t)(i * 7 + i / 251 + i / 65537);
}

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bytes[i] = pattern(i);
    }
}

static void sync_fd(int fd, uint64_t flags)
{
    struct dma_buf_sync sync = { .flags = flags };

    g_assert_cmpint(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), ==, 0);
}

/* A dmabuf of that size which holds the pattern; then the host writes. */
static void check_import(int fd, size_t size)
{
    struct statfs fs;
    struct stat st;
    uint8_t *bytes;
    size_t wrong = 0;

    g_assert_cmpint(fstatfs(fd, &fs), ==, 0);
    g_assert_cmphex((unsigned long)fs.f_type, ==, DMA_BUF_MAGIC);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpuint((size_t)st.st_size, ==, size);
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(bytes != MAP_FAILED);
    sync_fd(fd, DMA_BUF_SYNC_RW);
    for (size_t i = 0; i < size; i++) {
        wrong += bytes[i] != pattern(i);
    }
    g_assert_cmpuint(wrong, ==, 0);
    bytes[0] = 0x5a;
    bytes[size - 1] = 0xa5;
    sync_fd(fd, DMA_BUF_SYNC_RW | DMA_BUF_SYNC_END);
    munmap(bytes, size);
}

/* The kernel's own opinion of stride, offset and size. */
static void check_frame_buffer(int fd, uint32_t width, uint32_t height,
                               uint32_t format,
                               const struct virtio_wl_ctrl_vfd_new_dmabuf *a)
{
    int card = open(display_path(), O_RDWR | O_CLOEXEC);
    uint32_t handles[4] = { 0 }, frame = 0;
    uint32_t pitches[4] = { a->stride0 }, offsets[4] = { a->offset0 };

    g_assert_cmpint(card, >=, 0);
    g_assert_cmpint(drmPrimeFDToHandle(card, fd, &handles[0]), ==, 0);
    g_assert_cmpint(drmModeAddFB2(card, width, height, format, handles, pitches,
                                  offsets, &frame, 0),
                    ==, 0);
    g_assert_cmpint(drmModeRmFB(card, frame), ==, 0);
    drmCloseBufferHandle(card, handles[0]);
    close(card);
}

struct shape {
    uint32_t format, width, height;
    unsigned int n_planes;
};

static const struct shape shapes[] = {
    { DRM_FORMAT_XRGB8888, 321, 97, 1 }, { DRM_FORMAT_XRGB8888, 1, 1, 1 },
    { DRM_FORMAT_RGB565, 333, 77, 1 },   { DRM_FORMAT_NV12, 322, 99, 2 },
    { DRM_FORMAT_YUV420, 321, 98, 3 },
};

static void check_layout(const struct shape *shape,
                         const struct virtio_wl_ctrl_vfd_new_dmabuf *a)
{
    uint32_t bytes = shape->format == DRM_FORMAT_XRGB8888 ? 4
                     : shape->format == DRM_FORMAT_RGB565 ? 2
                                                          : 1;
    uint32_t half = (shape->height + 1) / 2;
    uint64_t end = (uint64_t)a->stride0 * shape->height;

    g_assert_cmpuint(a->offset0, ==, 0);
    g_assert_cmpuint(a->stride0, >=, shape->width * bytes);
    if (shape->n_planes > 1) {
        g_assert_cmpuint(a->offset1, ==, end);
        g_assert_cmpuint(a->stride1, ==,
                         shape->n_planes == 2 ? a->stride0 : a->stride0 / 2);
        end += (uint64_t)a->stride1 * half;
    }
    if (shape->n_planes > 2) {
        g_assert_cmpuint(a->offset2, ==, end);
        g_assert_cmpuint(a->stride2, ==, a->stride1);
        end += (uint64_t)a->stride2 * half;
    }
    g_assert_cmpuint(a->size, >=, end);
}

static bool all_zero(const uint8_t *bytes, size_t len)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, len - 1) == 0;
}

static void paint_one(struct rig *r, int peer, const struct shape *shape,
                      bool imports)
{
    struct virtio_wl_ctrl_vfd_new_dmabuf a;
    uint8_t *bytes;
    uint32_t id = 2;
    unsigned int n = 1;
    char byte;
    int fd;

    g_assert_cmphex(vwl_drv_new_dmabuf(r->drv, id, shape->width, shape->height,
                                       shape->format, &a),
                    ==, VIRTIO_WL_RESP_VFD_NEW_DMABUF);
    check_layout(shape, &a);
    bytes = vwl_drv_map(r->drv, id);
    g_assert_nonnull(bytes);
    g_assert_true(all_zero(bytes, a.size));
    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, id, 2), ==, VIRTIO_WL_RESP_OK);
    fill(bytes, a.size);
    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, id, 2 | 4), ==,
                    VIRTIO_WL_RESP_OK);
    g_assert_cmphex(vwl_drv_send(r->drv, 1, &id, 1, "x", 1), ==,
                    VIRTIO_WL_RESP_OK);
    rig_read(r, peer, &byte, 1, &fd, &n);
    g_assert_cmpuint(n, ==, 1);
    check_import(fd, a.size);
    if (imports && shape->format == DRM_FORMAT_XRGB8888) {
        check_frame_buffer(fd, shape->width, shape->height, shape->format, &a);
    }
    close(fd);
    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, id, 1), ==, VIRTIO_WL_RESP_OK);
    g_assert_cmphex(bytes[0], ==, 0x5a);
    g_assert_cmphex(bytes[a.size - 1], ==, 0xa5);
    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, id, 1 | 4), ==,
                    VIRTIO_WL_RESP_OK);
    g_assert_cmphex(vwl_drv_close(r->drv, id), ==, VIRTIO_WL_RESP_OK);
}

static void test_paint(gconstpointer words)
{
    const char *arg;
    struct rig *r = daemon_with(words, &arg);
    int peer = rig_open_ctx(r, 1, 0);
    unsigned int n_fds;

    /* what a display can import depends on it: of memory, all can */
    paint_one(r, peer, &shapes[0], true);
    rig_settle(r);
    n_fds = rig_count_fds(r->pid);
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        paint_one(r, peer, &shapes[i], true);
    }
    rig_settle(r);
    g_assert_cmpuint(rig_count_fds(r->pid), ==, n_fds);
    close(peer);
    rig_free(r);
    g_free((char *)arg);
}

static int ask(struct rig *r, uint32_t width, uint32_t height, uint32_t format)
{
    struct virtio_wl_ctrl_vfd_new_dmabuf a;

    return vwl_drv_new_dmabuf(r->drv, 9, width, height, format, &a);
}

/* Errors that say what is wrong, and leave nothing behind. */
static void test_refused(gconstpointer words)
{
    const char *arg;
    struct rig *r = daemon_with(words, &arg);
    unsigned int n_fds;

    rig_settle(r);
    n_fds = rig_count_fds(r->pid);
    g_assert_cmphex(ask(r, 0, 0, 0), ==, VIRTIO_WL_RESP_ERR);
    g_assert_cmphex(ask(r, 64, 64, 0x30303030), ==, VIRTIO_WL_RESP_ERR);
    g_assert_cmphex(ask(r, 0, 64, DRM_FORMAT_XRGB8888), ==, VIRTIO_WL_RESP_ERR);
    g_assert_cmphex(ask(r, 0x8000, 0x8000, DRM_FORMAT_XRGB8888), ==,
                    VIRTIO_WL_RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask(r, 0xffffffff, 0xffffffff, DRM_FORMAT_XRGB8888), ==,
                    VIRTIO_WL_RESP_OUT_OF_MEMORY);
    g_assert_cmphex(ask(r, 0x40000001, 1, DRM_FORMAT_XRGB8888), ==,
                    VIRTIO_WL_RESP_OUT_OF_MEMORY);
    rig_settle(r);
    g_assert_cmpuint(rig_count_fds(r->pid), ==, n_fds);
    rig_free(r);
    g_free((char *)arg);
}

/* "No such command" only when there is no allocator, or, with "auto", when the
 * compositor takes nothing: that of the rig does not. */
static void test_none(gconstpointer words)
{
    const char *arg;
    struct rig *r = daemon_with(words, &arg);

    g_assert_cmphex(ask(r, 0, 0, 0), ==, VIRTIO_WL_RESP_INVALID_CMD);
    g_assert_cmphex(ask(r, 64, 64, DRM_FORMAT_XRGB8888), ==,
                    VIRTIO_WL_RESP_INVALID_CMD);
    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, 1, 1), ==,
                    VIRTIO_WL_RESP_INVALID_CMD);
    rig_free(r);
    g_free((char *)arg);
}

static int heap_buffer(size_t size)
{
    struct dma_heap_allocation_data data = {
        .len = size,
        .fd_flags = O_RDWR | O_CLOEXEC,
    };
    int heap = open("/dev/dma_heap/system", O_RDWR | O_CLOEXEC);

    g_assert_cmpint(heap, >=, 0);
    g_assert_cmpint(ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &data), ==, 0);
    close(heap);
    return (int)data.fd;
}

/* A host peer's buffer: the guest sees its pixels, and what it writes is seen
 * by the peer, without an allocator of ours. */
static void test_received(void)
{
    const char *arg;
    struct rig *r = daemon_with("off", &arg);
    int peer = rig_open_ctx(r, 1, 0), fd = heap_buffer(3 * 4096);
    uint8_t *host = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                         0),
            *guest;
    uint32_t ids[4];
    unsigned int n = 4;
    char data[4];

    fill(host, 3 * 4096);
    rig_write(r, peer, "buf", 3, &fd, 1);
    g_assert_cmpint(vwl_drv_recv(r->drv, 1, data, 4, ids, &n, RIG_TIMEOUT_MS),
                    ==, 3);
    g_assert_cmpuint(n, ==, 1);
    g_assert_cmpuint(vwl_drv_find(r->drv, ids[0])->size, ==, 3 * 4096);
    guest = vwl_drv_map(r->drv, ids[0]);
    g_assert_nonnull(guest);
    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, ids[0], 3), ==,
                    VIRTIO_WL_RESP_OK);
    g_assert_cmpmem(guest, 3 * 4096, host, 3 * 4096);
    guest[5000] ^= 0xff;
    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, ids[0], 3 | 4), ==,
                    VIRTIO_WL_RESP_OK);
    g_assert_cmphex(host[5000], ==, (uint8_t)~pattern(5000));
    g_assert_cmphex(vwl_drv_close(r->drv, ids[0]), ==, VIRTIO_WL_RESP_OK);
    munmap(host, 3 * 4096);
    close(fd);
    close(peer);
    rig_free(r);
    g_free((char *)arg);
}

/* A fence that vgem attaches to the buffer stands for a GPU that still writes
 * into it. */
static uint32_t attach_fence(int vgem, int fd)
{
    struct vgem_fence_attach attach = { .flags = VGEM_FENCE_WRITE };

    g_assert_cmpint(drmPrimeFDToHandle(vgem, fd, &attach.handle), ==, 0);
    g_assert_cmpint(drmIoctl(vgem, IOCTL_VGEM_FENCE_ATTACH, &attach), ==, 0);
    return attach.out_fence;
}

static void test_busy(gconstpointer words)
{
    struct virtio_wl_ctrl_vfd_dmabuf_sync request = {
        .hdr.type = VIRTIO_WL_CMD_VFD_DMABUF_SYNC,
        .vfd_id = 2,
        .flags = 1,
    };
    struct virtio_wl_ctrl_vfd_new_dmabuf a;
    struct vgem_fence_signal signal = { 0 };
    struct vwl_drv_request *sync;
    const char *arg;
    struct rig *r = daemon_with(words, &arg);
    int peer = rig_open_ctx(r, 1, 0), vgem = open_driver("vgem"), fd;
    unsigned int n = 1;
    uint32_t id = 2;
    char byte;

    for (uint32_t i = 2; i < 4; i++) {
        g_assert_cmphex(vwl_drv_new_dmabuf(r->drv, i, 64, 64,
                                           DRM_FORMAT_XRGB8888, &a),
                        ==, VIRTIO_WL_RESP_VFD_NEW_DMABUF);
    }
    g_assert_cmphex(vwl_drv_send(r->drv, 1, &id, 1, "x", 1), ==,
                    VIRTIO_WL_RESP_OK);
    rig_read(r, peer, &byte, 1, &fd, &n);
    signal.fence = attach_fence(vgem, fd);
    sync = vwl_drv_submit(r->drv, &request, sizeof request, 8, NULL);
    g_assert_nonnull(sync);
    /* everybody else goes on */
    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, 3, 3), ==, VIRTIO_WL_RESP_OK);
    g_assert_cmphex(vwl_drv_send(r->drv, 1, NULL, 0, "y", 1), ==,
                    VIRTIO_WL_RESP_OK);
    rig_settle(r);
    g_assert_false(sync->done);
    g_assert_cmpint(drmIoctl(vgem, IOCTL_VGEM_FENCE_SIGNAL, &signal), ==, 0);
    g_assert_cmpint(vwl_drv_wait(r->drv, sync, RIG_TIMEOUT_MS), ==, 0);
    g_assert_cmphex(vwl_drv_request_type(sync), ==, VIRTIO_WL_RESP_OK);
    vwl_drv_request_free(r->drv, sync);
    close(fd);
    close(vgem);
    close(peer);
    rig_free(r);
    g_free((char *)arg);
}

/* ---- a picture ---------------------------------------------------------- */

static uint32_t find_crtc(int card, const drmModeRes *res,
                          const drmModeConnector *connector)
{
    drmModeEncoder *encoder = drmModeGetEncoder(card, connector->encoders[0]);
    uint32_t crtc = 0;

    g_assert_nonnull(encoder);
    for (int i = 0; i < res->count_crtcs && crtc == 0; i++) {
        if (encoder->possible_crtcs & 1u << i) {
            crtc = res->crtcs[i];
        }
    }
    drmModeFreeEncoder(encoder);
    return crtc;
}

static void set_mode(int card, uint32_t frame, uint32_t width, uint32_t height)
{
    drmModeRes *res = drmModeGetResources(card);
    drmModeConnector *connector;
    drmModeModeInfo *mode = NULL;

    g_assert_nonnull(res);
    connector = drmModeGetConnector(card, res->connectors[0]);
    g_assert_nonnull(connector);
    for (int i = 0; i < connector->count_modes && !mode; i++) {
        if (connector->modes[i].hdisplay == width &&
            connector->modes[i].vdisplay == height) {
            mode = &connector->modes[i];
        }
    }
    g_assert_nonnull(mode);
    g_assert_cmpint(drmModeSetCrtc(card, find_crtc(card, res, connector), frame,
                                   0, 0, &connector->connector_id, 1, mode),
                    ==, 0);
    drmModeFreeConnector(connector);
    drmModeFreeResources(res);
}

static void paint_pattern(struct rig *r,
                          const struct virtio_wl_ctrl_vfd_new_dmabuf *a,
                          uint32_t width, uint32_t height)
{
    uint8_t *bytes = vwl_drv_map(r->drv, 2);

    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, 2, 2), ==, VIRTIO_WL_RESP_OK);
    for (uint32_t y = 0; y < height; y++) {
        for (uint32_t x = 0; x < width; x++) {
            uint32_t pixel = vwl_pattern_pixel(x, y, width, height);

            memcpy(bytes + a->offset0 + (size_t)a->stride0 * y + 4 * x, &pixel,
                   sizeof pixel);
        }
    }
    g_assert_cmphex(vwl_drv_dmabuf_sync(r->drv, 2, 2 | 4), ==,
                    VIRTIO_WL_RESP_OK);
}

static int show(const char *words)
{
    const uint32_t width = 640, height = 480;
    struct virtio_wl_ctrl_vfd_new_dmabuf a;
    const char *arg;
    struct rig *r = daemon_with(words, &arg);
    int peer = rig_open_ctx(r, 1, 0), card = open(display_path(), O_RDWR), fd;
    uint32_t id = 2, handles[4] = { 0 }, pitches[4] = { 0 };
    uint32_t offsets[4] = { 0 }, frame;
    unsigned int n = 1;
    char byte;

    g_assert_cmphex(vwl_drv_new_dmabuf(r->drv, id, width, height,
                                       DRM_FORMAT_XRGB8888, &a),
                    ==, VIRTIO_WL_RESP_VFD_NEW_DMABUF);
    paint_pattern(r, &a, width, height);
    g_assert_cmphex(vwl_drv_send(r->drv, 1, &id, 1, "x", 1), ==,
                    VIRTIO_WL_RESP_OK);
    rig_read(r, peer, &byte, 1, &fd, &n);
    g_assert_cmpint(drmPrimeFDToHandle(card, fd, &handles[0]), ==, 0);
    pitches[0] = a.stride0;
    g_assert_cmpint(drmModeAddFB2(card, width, height, DRM_FORMAT_XRGB8888,
                                  handles, pitches, offsets, &frame, 0),
                    ==, 0);
    set_mode(card, frame, width, height);
    printf("shown %ux%u\n", width, height);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {
    }
    close(fd);
    close(card);
    close(peer);
    rig_free(r);
    g_free((char *)arg);
    return 0;
}

int main(int argc, char **argv)
{
    char **allocators;
    int status;

    if (argc == 2 && g_str_has_prefix(argv[1], "--show=")) {
        return show(argv[1] + strlen("--show="));
    }
    g_test_init(&argc, &argv, NULL);
    allocators = g_strsplit(g_getenv("VWL_GPU_ALLOCATORS")
                                ? g_getenv("VWL_GPU_ALLOCATORS")
                                : "udmabuf heap",
                            " ", 0);
    g_test_add_data_func("/buffers/none/off", "off", test_none);
    g_test_add_data_func("/buffers/none/auto", "auto", test_none);
    g_test_add_func("/buffers/received", test_received);
    for (char **one = allocators; *one; one++) {
        char *name = g_strdelimit(g_strdup(*one), "/", '-');
        char *path = g_strconcat("/buffers/paint/", name, NULL);

        g_test_add_data_func(path, *one, test_paint);
        g_free(path);
        path = g_strconcat("/buffers/refused/", name, NULL);
        g_test_add_data_func(path, *one, test_refused);
        g_free(path);
        path = g_strconcat("/buffers/busy/", name, NULL);
        g_test_add_data_func(path, *one, test_busy);
        g_free(path);
        g_free(name);
    }
    status = g_test_run();
    g_strfreev(allocators);
    return status;
}
