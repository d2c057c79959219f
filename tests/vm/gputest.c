/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sends buffers and fences of the guest's virtio-gpu through /dev/wl0 to the
 * host's peer.py: `gputest [dumb] [blob] [fence] [strangers]
 * [host-fences]`. Prints a line
 * for each: its name, the number of the resource as virtio-gpu says, and "ok",
 * or what went wrong. A buffer holds the pattern of peer.py, whose checksum
 * the host sends back.
 */
#define _GNU_SOURCE
#include <drm.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <virtgpu_drm.h>

#include "virtwl.h"

#define SIZE 65536u /* 128 x 128 pixels */

enum { ECHO = 1, SUM = 8 };

/* Of vgem, which libdrm has no header for. */
struct vgem_fence_attach {
    uint32_t handle, flags, out_fence, pad;
};
#define IOCTL_VGEM_FENCE_ATTACH \
    DRM_IOWR(DRM_COMMAND_BASE + 1, struct vgem_fence_attach)

/* Newer than some libdrm's headers. */
struct create_blob {
    uint32_t mem, flags, bo_handle, res_handle;
    uint64_t size;
    uint32_t pad, cmd_size;
    uint64_t cmd, blob_id;
};
#define MEM_GUEST 1u
#define USE_MAPPABLE 1u
#define USE_SHAREABLE 2u
#define IOCTL_CREATE_BLOB DRM_IOWR(DRM_COMMAND_BASE + 10, struct create_blob)

static int ctx;

static void die(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_card(const char *driver)
{
    for (int i = 0; i < 8; i++) {
        char path[32], name[32] = "";
        struct drm_version version = { .name = name,
                                       .name_len = sizeof name - 1 };
        int fd;

        snprintf(path, sizeof path, "/dev/dri/card%d", i);
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
    return -1;
}

static int open_context(void)
{
    struct virtwl_ioctl_new new = { .type = VIRTWL_IOCTL_NEW_CTX };
    int wl = open("/dev/wl0", O_RDWR | O_CLOEXEC);

    if (wl < 0 || ioctl(wl, VIRTWL_IOCTL_NEW, &new) < 0) {
        die("/dev/wl0");
    }
    close(wl);
    return new.fd;
}

/* 0, or -errno. */
static int send_fd(int fd, uint32_t op, uint32_t arg, const char *data)
{
    struct {
        struct virtwl_ioctl_txn head;
        uint8_t data[64];
    } txn;
    size_t len = strlen(data);

    memset(&txn.head, 0xff, sizeof txn.head);
    txn.head.fds[0] = fd;
    txn.head.len = (uint32_t)(8 + len);
    memcpy(txn.head.data, &op, 4);
    memcpy(txn.head.data + 4, &arg, 4);
    memcpy(txn.head.data + 8, data, len);
    return ioctl(ctx, VIRTWL_IOCTL_SEND, &txn) < 0 ? -errno : 0;
}

static void receive(void *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = read(ctx, (char *)data + done, len - done);

        if (n <= 0) {
            die("the host's answer");
        }
        done += (size_t)n;
    }
}

static uint32_t adler(const uint8_t *data, size_t len)
{
    uint32_t a = 1, b = 0;

    for (size_t i = 0; i < len; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static uint32_t fill(uint8_t *data)
{
    for (size_t at = 0; at < SIZE; at += 4) {
        uint32_t word = (uint32_t)(at / 4) * 2654435761u;

        memcpy(data + at, &word, 4);
    }
    return adler(data, SIZE);
}

/* A GEM object: mapped, painted, sent, compared. */
static void send_object(const char *name, int card, uint32_t handle,
                        uint64_t map_at)
{
    struct drm_virtgpu_resource_info info = { .bo_handle = handle };
    struct drm_prime_handle prime = { .handle = handle,
                                      .flags = DRM_CLOEXEC | DRM_RDWR };
    uint32_t want, got = 0;
    uint8_t *data;
    int err;

    if (ioctl(card, DRM_IOCTL_VIRTGPU_RESOURCE_INFO, &info) < 0 ||
        ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) < 0) {
        die(name);
    }
    data = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, card,
                (off_t)map_at);
    if (data == MAP_FAILED) {
        die(name);
    }
    want = fill(data);
    printf("%s %u ", name, info.res_handle);
    err = send_fd(prime.fd, SUM, SIZE, "");
    if (err == 0) {
        receive(&got, sizeof got);
        if (got == want) {
            printf("ok\n");
        } else {
            printf("sum %08x, not %08x\n", got, want);
        }
    } else {
        printf("%s\n", strerror(-err));
    }
    fflush(stdout);
    munmap(data, SIZE);
    close(prime.fd);
}

static uint32_t make_dumb(int card)
{
    struct drm_mode_create_dumb dumb = { .width = 128,
                                         .height = 128,
                                         .bpp = 32 };

    if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb) < 0) {
        die("dumb");
    }
    return dumb.handle;
}

static void test_dumb(void)
{
    struct drm_mode_map_dumb map = { 0 };
    int card = open_card("virtio_gpu");

    /* the first ids are the console's; and two of them, to tell ids apart */
    for (int i = 0; i < 2; i++) {
        map.handle = make_dumb(card);
        if (ioctl(card, DRM_IOCTL_MODE_MAP_DUMB, &map) < 0) {
            die("dumb");
        }
        send_object("dumb", card, map.handle, map.offset);
    }
    close(card);
}

static void test_blob(void)
{
    struct create_blob blob = {
        .mem = MEM_GUEST,
        .flags = USE_MAPPABLE | USE_SHAREABLE,
        .size = SIZE,
    };
    struct drm_virtgpu_map map = { 0 };
    int card = open_card("virtio_gpu");

    if (ioctl(card, IOCTL_CREATE_BLOB, &blob) < 0) {
        die("blob");
    }
    map.handle = blob.bo_handle;
    if (ioctl(card, DRM_IOCTL_VIRTGPU_MAP, &map) < 0) {
        die("blob");
    }
    send_object("blob", card, blob.bo_handle, map.offset);
    close(card);
}

static int export_sync_file(int fd)
{
    struct dma_buf_export_sync_file export = { .flags = DMA_BUF_SYNC_RW };

    if (ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &export) < 0) {
        die("a sync_file");
    }
    return export.fd;
}

static int dmabuf_of(int card)
{
    struct drm_prime_handle prime = { .handle = make_dumb(card),
                                      .flags = DRM_CLOEXEC | DRM_RDWR };

    if (ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) < 0) {
        die("a dma-buf");
    }
    return prime.fd;
}

/* One that is signalled; the host sends it back. */
static void test_fence(void)
{
    struct {
        struct virtwl_ioctl_txn head;
        uint8_t data[64];
    } txn = { .head = { .len = sizeof txn.data } };
    int card = open_card("virtio_gpu");
    int fence = export_sync_file(dmabuf_of(card));
    int err = send_fd(fence, ECHO, 1, "e");
    struct pollfd p = { .events = POLLIN };

    printf("fence 0 ");
    if (err < 0) {
        printf("%s\n", strerror(-err));
        return;
    }
    if (ioctl(ctx, VIRTWL_IOCTL_RECV, &txn) < 0 || txn.head.fds[0] < 0) {
        die("it does not come back");
    }
    p.fd = txn.head.fds[0];
    printf("%s\n", poll(&p, 1, 20000) == 1 ? "ok" : "is not signalled");
    fflush(stdout);
}

static int fence_status(int fd)
{
    struct sync_fence_info fence = { 0 };
    struct sync_file_info info = {
        .num_fences = 1,
        .sync_fence_info = (uintptr_t)&fence,
    };

    if (ioctl(fd, SYNC_IOC_FILE_INFO, &info) < 0 || info.num_fences != 1 ||
        strcmp(fence.driver_name, "virtio_wl") != 0) {
        die("not a fence");
    }
    return info.status;
}

static int wait_for(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, ms) == 1 && p.revents & POLLIN;
}

/* Three of the host's, of a device double: sent back, merged, signalled by the
 * first's hang-up and the second's device going away; the last is left. */
static void test_host_fences(void)
{
    struct {
        struct virtwl_ioctl_txn head;
        uint8_t data[64];
    } txn = { .head = { .len = sizeof txn.data } };
    struct sync_merge_data merge = { .name = "both" };
    int *fds = txn.head.fds;

    if (ioctl(ctx, VIRTWL_IOCTL_RECV, &txn) < 0 || fds[2] < 0) {
        die("no fences");
    }
    merge.fd2 = fds[1];
    if (ioctl(fds[0], SYNC_IOC_MERGE, &merge) < 0 ||
        fence_status(fds[0]) != 0 || wait_for(fds[0], 0) ||
        wait_for(merge.fence, 0)) {
        die("signalled from the beginning");
    }
    if (send_fd(fds[0], ECHO, 1, "e") < 0 ||
        send_fd(merge.fence, ECHO, 1, "e") != -EINVAL) {
        die("cannot be sent back");
    }
    if (!wait_for(fds[0], 60000) || fence_status(fds[0]) != 1 ||
        fence_status(fds[1]) != 0 || wait_for(merge.fence, 0)) {
        die("the hang-up does not signal it");
    }
    /* its VFD is there for as long as the fence is: in the merged one */
    if (send_fd(fds[0], ECHO, 1, "f") < 0) {
        die("cannot be sent when it is signalled");
    }
    close(fds[0]);
    close(fds[2]);
    if (send_fd(fds[1], ECHO, 1, "g") < 0) {
        die("the second cannot be sent");
    }
    if (!wait_for(merge.fence, 60000) || fence_status(fds[1]) != -ENODEV) {
        die("the device's end does not signal it");
    }
    printf("host-fences 0 ok\n");
}

/* What the host knows no number of. */
static void test_strangers(void)
{
    struct vgem_fence_attach attach = { .flags = 1 };
    struct drm_prime_handle prime = { .flags = DRM_CLOEXEC | DRM_RDWR };
    int vgem = open_card("vgem");

    attach.handle = prime.handle = make_dumb(vgem);
    if (ioctl(vgem, IOCTL_VGEM_FENCE_ATTACH, &attach) < 0 ||
        ioctl(vgem, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) < 0) {
        die("vgem");
    }
    printf("strangers 0 %s, %s, %s, %s\n",
           strerror(-send_fd(prime.fd, ECHO, 1, "x")),
           strerror(-send_fd(export_sync_file(prime.fd), ECHO, 1, "x")),
           strerror(-send_fd(memfd_create("x", 0), ECHO, 1, "x")),
           strerror(-send_fd(1000, ECHO, 1, "x")));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        { "dumb", test_dumb },
        { "blob", test_blob },
        { "fence", test_fence },
        { "strangers", test_strangers },
        { "host-fences", test_host_fences },
    };

    ctx = open_context();
    for (int i = 1; i < argc; i++) {
        for (size_t t = 0; t < sizeof tests / sizeof *tests; t++) {
            if (strcmp(argv[i], tests[t].name) == 0) {
                tests[t].run();
            }
        }
    }
    return 0;
}
