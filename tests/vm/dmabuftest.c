/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A guest's Wayland program with buffers and fences of its virtio-gpu and of
 * vgem, for test-foreign.py: `dmabuftest SOCKET`. With another word it is one
 * with a buffer that the host made (VIRTWL_IOCTL_NEW_DMABUF), for test-gpu.py,
 * and needs no GPU. It speaks to the bridge; the compositor double of the test
 * is at the far end. Prints a line for each thing that it learns; ends with 1
 * when something is not as it must be.
 */
#define _GNU_SOURCE
#include <drm.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>
#include <virtgpu_drm.h>

#include "virtwl.h"

struct vgem_fence_attach {
    uint32_t handle, flags, out_fence, pad;
};
struct vgem_fence_signal {
    uint32_t fence, flags;
};
#define IOCTL_VGEM_FENCE_ATTACH \
    DRM_IOWR(DRM_COMMAND_BASE + 1, struct vgem_fence_attach)
#define IOCTL_VGEM_FENCE_SIGNAL \
    DRM_IOW(DRM_COMMAND_BASE + 2, struct vgem_fence_signal)

#define XR24 0x34325258u

/* Ids, in the order of their creation. */
enum {
    DISPLAY = 1,
    REGISTRY,
    COMPOSITOR,
    DMABUF,
    SYNCS,
    SURFACE,
    SYNC,
    FEEDBACK,
    NEXT,
};

static int sock;
static uint32_t next_id = NEXT;
static uint8_t in[65536];
static size_t in_len;
static int in_fd = -1;

static void die(const char *what)
{
    printf("FAILED %s: %s\n", what, strerror(errno));
    exit(1);
}

static void fail(const char *what)
{
    printf("FAILED %s\n", what);
    exit(1);
}

static void say(uint32_t object, uint32_t opcode, const uint32_t *args,
                unsigned int n, int fd)
{
    uint32_t words[32] = { object, (n + 2) * 4 << 16 | opcode };
    struct iovec iov = { words, (n + 2) * 4 };
    union {
        char space[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    memcpy(words + 2, args, n * 4);
    if (fd >= 0) {
        msg.msg_control = &control;
        msg.msg_controllen = sizeof control.space;
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
    }
    if (sendmsg(sock, &msg, 0) != (ssize_t)iov.iov_len) {
        die("sendmsg");
    }
}

#define SAY(object, opcode, fd, ...)                       \
    say(object, opcode, (const uint32_t[]){ __VA_ARGS__ }, \
        sizeof(const uint32_t[]){ __VA_ARGS__ } / 4, fd)

/* Whether something comes within the time. */
static bool receive(int timeout_ms)
{
    struct pollfd p = { sock, POLLIN, 0 };
    struct iovec iov = { in + in_len, sizeof in - in_len };
    union {
        char space[CMSG_SPACE(sizeof(int) * 8)];
        struct cmsghdr align;
    } control;
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    ssize_t n;

    if (poll(&p, 1, timeout_ms) != 1) {
        return false;
    }
    n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    if (n <= 0) {
        fail("the bridge hung up");
    }
    if (CMSG_FIRSTHDR(&msg) != NULL) {
        memcpy(&in_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof in_fd);
    }
    in_len += (size_t)n;
    return true;
}

static uint32_t word(size_t at)
{
    uint32_t value;

    memcpy(&value, in + at, sizeof value);
    return value;
}

static bool is_whole(void)
{
    return in_len >= 8 && in_len >= word(4) >> 16;
}

/* The next message is there; what was taken before goes. */
static void drop(void)
{
    size_t size = word(4) >> 16;

    memmove(in, in + size, in_len - size);
    in_len -= size;
}

/* Waits for one; false: another object's error. It stays to be dropped. */
static bool expect(uint32_t object, uint32_t opcode)
{
    for (;;) {
        while (!is_whole()) {
            if (!receive(60000)) {
                fail("the bridge says nothing");
            }
        }
        if (word(0) == object && (word(4) & 0xffff) == opcode) {
            return true;
        }
        if (word(0) == DISPLAY && (word(4) & 0xffff) == 0) {
            return false;
        }
        drop();
    }
}

static void take(uint32_t object, uint32_t opcode, const char *what)
{
    if (!expect(object, opcode)) {
        printf("FAILED %s: error %u of %u: %s\n", what, word(12), word(8),
               (char *)in + 20);
        exit(1);
    }
    drop();
}

static void roundtrip(const char *what)
{
    uint32_t id = next_id++;

    SAY(DISPLAY, 0, -1, id);
    take(id, 0, what);
}

static void bind_global(uint32_t name, const char *iface, uint32_t version,
                        uint32_t id)
{
    uint32_t args[20] = { name, (uint32_t)strlen(iface) + 1 };
    unsigned int n = 2 + (args[1] + 3) / 4;

    memcpy(args + 2, iface, args[1]);
    args[n++] = version;
    args[n++] = id;
    say(REGISTRY, 0, args, n, -1);
}

static int open_card(const char *format, int first, const char *driver)
{
    for (int i = first; i < first + 8; i++) {
        char path[32], name[32] = "";
        struct drm_version version = { .name = name,
                                       .name_len = sizeof name - 1 };
        int fd;

        snprintf(path, sizeof path, format, i);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, DRM_IOCTL_VERSION, &version) == 0 &&
            strcmp(name, driver) == 0) {
            return fd;
        }
        if (fd >= 0) {
            close(fd);
        }
    }
    errno = ENODEV;
    die(driver);
    return -1;
}

static uint32_t make_dumb(int card)
{
    struct drm_mode_create_dumb dumb = { .width = 64, .height = 64, .bpp = 32 };

    if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb) < 0) {
        die("dumb");
    }
    return dumb.handle;
}

static int export(int card, uint32_t handle)
{
    struct drm_prime_handle prime = { .handle = handle,
                                      .flags = DRM_CLOEXEC | DRM_RDWR };

    if (ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) < 0) {
        die("a dma-buf");
    }
    return prime.fd;
}

static int fence_of(int buffer)
{
    struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW };

    if (ioctl(buffer, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export) < 0) {
        die("a sync_file");
    }
    return export.fd;
}

/* Globals come numbered as the double has them: 1, 2, 3. */
static void start(const char *path, uint32_t dmabuf)
{
    struct sockaddr_un addr = { .sun_family = AF_UNIX };

    strcpy(addr.sun_path, path);
    sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(sock, (struct sockaddr *)&addr, sizeof addr) < 0) {
        die(path);
    }
    SAY(DISPLAY, 1, -1, REGISTRY);
    for (int i = 1; i <= 3; i++) {
        if (!expect(REGISTRY, 0) || word(8) != (uint32_t)i) {
            fail("a global is not offered");
        }
        drop();
    }
    bind_global(1, "wl_compositor", 4, COMPOSITOR);
    bind_global(2, "zwp_linux_dmabuf_v1", dmabuf, DMABUF);
    bind_global(3, "zwp_linux_explicit_synchronization_v1", 2, SYNCS);
    SAY(COMPOSITOR, 0, -1, SURFACE);
    SAY(SYNCS, 1, -1, SYNC, SURFACE);
    if (dmabuf >= 4) {
        SAY(DMABUF, 2, -1, FEEDBACK);
    }
}

/* The host's devices are this guest's. */
static void check_feedback(void)
{
    int node = open_card("/dev/dri/renderD%d", 128, "virtio_gpu");
    struct stat st;
    uint64_t device;

    fstat(node, &st);
    for (int opcode = 2; opcode <= 4; opcode += 2) {
        if (!expect(FEEDBACK, (uint32_t)opcode) || word(8) != 8) {
            fail("no device");
        }
        memcpy(&device, in + 12, sizeof device);
        if (device != st.st_rdev) {
            fail("the device is not the guest's");
        }
        drop();
    }
    close(node);
    printf("feedback ok\n");
}

static uint32_t make_params(int fd, uint32_t opcode)
{
    uint32_t params = next_id++;

    SAY(DMABUF, 1, -1, params);
    SAY(params, 1, fd, 0, 0, 256, 0, 0);
    if (opcode == 3) {
        SAY(params, 3, -1, next_id++, 64, 64, XR24, 0);
    } else {
        SAY(params, 2, -1, 64, 64, XR24, 0);
    }
    return params;
}

static void buffers(int gpu, int vgem)
{
    uint32_t handle = make_dumb(gpu), params;
    struct drm_virtgpu_resource_info info = { .bo_handle = handle };

    if (ioctl(gpu, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info) < 0) {
        die("its number");
    }
    params = make_params(export(gpu, handle), 2);
    take(params, 0, "created");
    printf("created %u\n", info.res_handle);
    make_params(export(gpu, handle), 3);
    roundtrip("at once");
    printf("at once ok\n");
    /* what the host cannot know costs that request alone */
    params = make_params(export(vgem, make_dumb(vgem)), 2);
    take(params, 1, "failed");
    params = make_params(memfd_create("x", 0), 2);
    take(params, 1, "failed");
    roundtrip("after it");
    printf("refused ok\n");
}

static void fences(int gpu, int vgem)
{
    struct vgem_fence_attach attach = { .flags = 1 };
    struct vgem_fence_signal signal = { 0 };
    uint32_t done;
    int fence;

    SAY(SYNC, 1, fence_of(export(gpu, make_dumb(gpu))));
    SAY(SURFACE, 6, -1);
    roundtrip("a fence");
    /* one that only this guest knows: nothing goes on before it */
    attach.handle = make_dumb(vgem);
    if (ioctl(vgem, IOCTL_VGEM_FENCE_ATTACH, &attach) < 0) {
        die("vgem");
    }
    fence = fence_of(export(vgem, attach.handle));
    SAY(SYNC, 1, fence);
    SAY(SURFACE, 6, -1);
    done = next_id++;
    SAY(DISPLAY, 0, -1, done);
    while (receive(2000)) {
    }
    while (is_whole()) {
        if (word(0) == done) {
            fail("the fence is not waited for");
        }
        drop();
    }
    signal.fence = attach.out_fence;
    if (ioctl(vgem, IOCTL_VGEM_FENCE_SIGNAL, &signal) < 0) {
        die("vgem");
    }
    take(done, 0, "after the fence");
    printf("fences ok\n");
}

/* The double sends something that only hangs up. */
static void releases(void)
{
    uint32_t release = next_id++;

    SAY(SYNC, 2, -1, release);
    SAY(SURFACE, 6, -1);
    take(release, 1, "a release");
    printf("release ok\n");
}

#define WIDTH 100u
#define HEIGHT 37u

/* What tests/gpu/importer.c looks for. */
static void paint(const struct virtwl_ioctl_new *buffer)
{
    size_t size = buffer->dmabuf.offset0 + buffer->dmabuf.stride0 * HEIGHT;
    struct virtwl_ioctl_dmabuf_sync sync = { DMA_BUF_SYNC_START |
                                             DMA_BUF_SYNC_WRITE };
    uint8_t *at;

    at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, buffer->fd, 0);
    if (at == MAP_FAILED ||
        ioctl(buffer->fd, VIRTWL_IOCTL_DMABUF_SYNC, &sync) < 0) {
        die("its pixels");
    }
    for (uint32_t y = 0; y < HEIGHT; y++) {
        uint32_t *row = (void *)(at + buffer->dmabuf.offset0 +
                                 y * buffer->dmabuf.stride0);

        for (uint32_t x = 0; x < WIDTH; x++) {
            row[x] = 0xff000000u | x << 16 | y << 8 | (x ^ y);
        }
    }
    sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_WRITE;
    if (ioctl(buffer->fd, VIRTWL_IOCTL_DMABUF_SYNC, &sync) < 0) {
        die("its pixels");
    }
    munmap(at, size);
}

/* A buffer of the host's as this program's plane. */
static void own_buffers(void)
{
    struct virtwl_ioctl_new new = {
        .type = VIRTWL_IOCTL_NEW_DMABUF,
        .dmabuf = { .width = WIDTH, .height = HEIGHT, .format = XR24 },
    };
    int wl = open("/dev/wl0", O_RDWR | O_CLOEXEC);

    for (uint32_t opcode = 2; opcode <= 3; opcode++) {
        uint32_t params = next_id++;

        if (ioctl(wl, VIRTWL_IOCTL_NEW, &new) < 0) {
            die("NEW_DMABUF");
        }
        paint(&new);
        SAY(DMABUF, 1, -1, params);
        SAY(params, 1, new.fd, 0, new.dmabuf.offset0, new.dmabuf.stride0, 0, 0);
        close(new.fd);
        if (opcode == 2) {
            SAY(params, 2, -1, WIDTH, HEIGHT, XR24, 0);
            take(params, 0, "created");
        } else {
            SAY(params, 3, -1, next_id++, WIDTH, HEIGHT, XR24, 0);
            roundtrip("at once");
        }
    }
    close(wl);
    printf("own buffers ok\n");
}

static int status_of(int fence)
{
    struct sync_file_info info = { .flags = 0 };

    if (ioctl(fence, SYNC_IOC_FILE_INFO, &info) < 0) {
        die("not a sync_file");
    }
    return info.status;
}

/* The host's fence is one of this kernel's, and signalled when that is. The
 * host's signals itself after ten seconds, so a slow machine tries again. */
static void real_releases(void)
{
    int status = 1;

    for (int turn = 0; turn < 20 && status != 0; turn++) {
        uint32_t release = next_id++;
        struct pollfd p;

        SAY(SYNC, 2, -1, release);
        SAY(SURFACE, 6, -1);
        take(release, 0, "a release");
        p = (struct pollfd){ in_fd, POLLIN, 0 };
        status = status_of(p.fd);
        SAY(SURFACE, 6, -1);
        if (poll(&p, 1, 60000) != 1 || status_of(p.fd) != 1) {
            fail("the fence is not signalled");
        }
        close(p.fd);
    }
    if (status != 0) {
        fail("each fence was signalled before");
    }
    printf("real release ok\n");
}

/* Not a fence at all; and a buffer that nobody asked about. */
static void errors(int vgem)
{
    make_params(export(vgem, make_dumb(vgem)), 3);
    if (expect(next_id, 0)) {
        fail("no error");
    }
    printf("error %u\n", word(12));
}

int main(int argc, char **argv)
{
    int gpu, vgem;

    if (argc < 2) {
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 3) {
        next_id = FEEDBACK; /* there is none in version 3 */
        start(argv[1], 3);
        own_buffers();
        real_releases();
        return 0;
    }
    gpu = open_card("/dev/dri/card%d", 0, "virtio_gpu");
    vgem = open_card("/dev/dri/card%d", 0, "vgem");
    start(argv[1], 4);
    check_feedback();
    buffers(gpu, vgem);
    fences(gpu, vgem);
    releases();
    errors(vgem);
    return 0;
}
