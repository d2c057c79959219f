/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QEMU's gpu=ID and dmabuf=WORDS where the kernel has udmabuf and dma-heaps
 * (in a virtual machine: QEMU in QEMU). No guest runs in the inner one: this
 * program drives its virtio-gpu and its virtio-wl device by QEMU's qtest
 * protocol, through the guest memory that all of them share. VWL_QEMU and
 * VWL_PLUGIN name the files.
 */
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/sync_file.h>
#include <linux/virtio_gpu.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bytes.h"
#include "commands.h"
#include "socket.h"
#include "wl_names.h"

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

#define WL_FEATURES                                                  \
    (1u << VIRTIO_WL_F_TRANS_FLAGS | 1u << VIRTIO_WL_F_SEND_FENCES | \
     1u << VIRTIO_WL_F_USE_SHMEM)

/* Scattered: no page follows the one before. */
static void scatter(struct machine *m, uint32_t *pages, uint32_t n)
{
    uint32_t at = machine_take_pages(m, 2 * n);

    for (uint32_t i = 0; i < n; i++) {
        pages[i] = at + 2 * (n - 1 - i) * PAGE;
        memset(m->ram + pages[i], 0x10 + (int)i, PAGE);
    }
}

/* The descriptor that came at the peer; -1: nothing did. */
static int take(struct machine *m)
{
    int fds[SOCKET_MAX_FDS];
    unsigned int n_fds;
    char byte;

    if (socket_receive(m->peer, &byte, 1, fds, &n_fds) != 1) {
        return -1;
    }
    return n_fds > 0 ? fds[0] : -1;
}

static void start(struct machine *m, bool blob, const char *dmabuf,
                  struct virtio *gpu, struct virtio *wl)
{
    uint8_t ctx[64] = { 0 };

    machine_init(m, blob, dmabuf);
    virtio_init(gpu, m, 4, blob ? 1u << VIRTIO_GPU_F_RESOURCE_BLOB : 0, 2, 0);
    virtio_init(wl, m, 5, WL_FEATURES, 2, VIRTIO_WL_QUEUE_OUT);
    put32(ctx, CMD_VFD_NEW_CTX);
    put32(ctx + 8, 1);
    put32(ctx + 12, VFD_READ_WRITE);
    g_assert_cmphex(virtio_command(wl, ctx, sizeof ctx), ==, RESP_VFD_NEW);
    m->peer = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(m->peer, >=, 0);
}

/* A dmabuf of these very pages, both ways. */
static void check_pages(struct machine *m, int fd, const uint32_t *pages,
                        uint32_t n)
{
    struct statfs fs;
    uint8_t *bytes;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fstatfs(fd, &fs), ==, 0);
    g_assert_cmphex((unsigned long)fs.f_type, ==, DMA_BUF_MAGIC);
    g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, n * PAGE);
    bytes = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(bytes != MAP_FAILED);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t at = 0; at < PAGE; at++) {
            g_assert_cmphex(bytes[i * PAGE + at], ==, 0x10 + i);
        }
        bytes[i * PAGE + 7] = 0xaa;
        g_assert_cmphex(m->ram[pages[i] + 7], ==, 0xaa);
    }
    munmap(bytes, n * PAGE);
    close(fd);
}

static void test_blob(void)
{
    struct machine m;
    struct virtio gpu, wl;
    uint32_t pages[8];

    start(&m, true, NULL, &gpu, &wl);
    scatter(&m, pages, 8);
    g_assert_cmphex(gpu_blob(&gpu, 7, pages, 8), ==, VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(wl_send(&wl, VIRTIO_WL_FOREIGN_VIRTGPU, 7), ==, RESP_OK);
    check_pages(&m, take(&m), pages, 8);
    g_assert_cmphex(wl_send(&wl, VIRTIO_WL_FOREIGN_VIRTGPU, 8), ==,
                    RESP_INVALID_ID);
    g_assert_cmphex(gpu_unref(&gpu, 7), ==, VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(wl_send(&wl, VIRTIO_WL_FOREIGN_VIRTGPU, 7), ==,
                    RESP_INVALID_ID);
    g_assert_cmpint(take(&m), ==, -1);
    machine_finish(&m);
}

static void test_2d(void)
{
    struct machine m;
    struct virtio gpu, wl;
    uint32_t pages[4], joined[4];

    start(&m, false, NULL, &gpu, &wl);
    g_assert_cmphex(gpu_2d(&gpu, 3), ==, VIRTIO_GPU_RESP_OK_NODATA);
    /* no pages back it yet */
    g_assert_cmphex(wl_send(&wl, VIRTIO_WL_FOREIGN_VIRTGPU, 3), ==,
                    RESP_INVALID_ID);
    scatter(&m, pages, 4);
    g_assert_cmphex(gpu_attach(&gpu, 3, pages, 4, PAGE), ==,
                    VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(wl_send(&wl, VIRTIO_WL_FOREIGN_VIRTGPU, 3), ==, RESP_OK);
    check_pages(&m, take(&m), pages, 4);
    /* pages that follow each other */
    joined[0] = machine_take_pages(&m, 4);
    for (uint32_t i = 0; i < 4; i++) {
        joined[i] = joined[0] + i * PAGE;
        memset(m.ram + joined[i], 0x10 + (int)i, PAGE);
    }
    g_assert_cmphex(gpu_2d(&gpu, 4), ==, VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(gpu_attach(&gpu, 4, joined, 4, PAGE), ==,
                    VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(wl_send(&wl, VIRTIO_WL_FOREIGN_VIRTGPU, 4), ==, RESP_OK);
    check_pages(&m, take(&m), joined, 4);
    /* half a page cannot be one's own */
    g_assert_cmphex(gpu_2d(&gpu, 5), ==, VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(gpu_attach(&gpu, 5, pages, 4, PAGE / 2), ==,
                    VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(wl_send(&wl, VIRTIO_WL_FOREIGN_VIRTGPU, 5), ==,
                    RESP_INVALID_ID);
    g_assert_cmpint(take(&m), ==, -1);
    machine_finish(&m);
}

static void test_fence(void)
{
    struct sync_file_info info = { .flags = 0 };
    struct machine m;
    struct virtio gpu, wl;
    int fd;

    start(&m, false, NULL, &gpu, &wl);
    g_assert_cmphex(wl_send(&wl, VIRTIO_WL_FOREIGN_VIRTGPU_SIGNALED_FENCE,
                            0xabad1dea),
                    ==, RESP_OK);
    fd = take(&m);
    g_assert_cmpint(ioctl(fd, SYNC_IOC_FILE_INFO, &info), ==, 0);
    g_assert_cmpint(info.status, ==, 1);
    close(fd);
    g_assert_cmphex(wl_send(&wl, VIRTIO_WL_FOREIGN_VIRTGPU_FENCE, 5), ==,
                    RESP_INVALID_ID);
    g_assert_cmpint(take(&m), ==, -1);
    machine_finish(&m);
}

/* The peer's dmabuf and the guest's window are the same memory. */
static void check_shared(struct machine *m, int fd, uint64_t window,
                         uint32_t size)
{
    struct statfs fs;
    uint64_t *words;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(fstatfs(fd, &fs), ==, 0);
    g_assert_cmphex((unsigned long)fs.f_type, ==, DMA_BUF_MAGIC);
    g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, size);
    words = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true((void *)words != MAP_FAILED);
    for (uint32_t at = 0; at < size; at += PAGE) {
        g_assert_cmphex(words[at / 8], ==, 0xfeed000000000000u + at);
        words[at / 8 + 1] = 0xbeef000000000000u + at;
        g_assert_cmphex(qtest_ask(m, "readq 0x%" PRIx64 "\n", window + at + 8),
                        ==, 0xbeef000000000000u + at);
    }
    munmap(words, size);
    close(fd);
}

/* dmabuf=WORDS: painted by the guest, through the region of its device. */
static void test_dmabuf(gconstpointer words)
{
    struct machine m;
    struct virtio gpu, wl;
    uint32_t stride, size;
    unsigned int n_fds;
    uint64_t window;

    start(&m, false, words, &gpu, &wl);
    n_fds = machine_count_fds(&m);
    g_assert_cmphex(wl_new_dmabuf(&wl, 2, 100, 50), ==, RESP_VFD_NEW_DMABUF);
    g_assert_cmpuint(get32(m.answer + 8), ==, 2);
    stride = get32(m.answer + 40);
    size = get32(m.answer + 24);
    g_assert_cmpuint(stride, >=, 400);
    g_assert_cmpuint(size, >=, stride * 50);
    window = (virtio_config_read(&wl, 0x18) & ~0xfu) +
             (get32(m.answer + 16) | (uint64_t)get32(m.answer + 20) << 32) *
                 PAGE;
    g_assert_cmphex(wl_short(&wl, CMD_VFD_DMABUF_SYNC, 2,
                             VIRTIO_WL_DMABUF_SYNC_WRITE),
                    ==, RESP_OK);
    for (uint32_t at = 0; at < size; at += PAGE) {
        g_assert_cmphex(qtest_ask(&m, "readq 0x%" PRIx64 "\n", window + at), ==,
                        0);
        qtest_ask(&m, "writeq 0x%" PRIx64 " 0x%" PRIx64 "\n", window + at,
                  0xfeed000000000000u + at);
    }
    g_assert_cmphex(wl_short(&wl, CMD_VFD_DMABUF_SYNC, 2,
                             VIRTIO_WL_DMABUF_SYNC_WRITE |
                                 VIRTIO_WL_DMABUF_SYNC_END),
                    ==, RESP_OK);
    g_assert_cmphex(wl_send_vfd(&wl, 2), ==, RESP_OK);
    check_shared(&m, take(&m), window, size);
    g_assert_cmphex(wl_short(&wl, CMD_VFD_CLOSE, 2, 0), ==, RESP_OK);
    g_assert_cmphex(qtest_ask(&m, "readq 0x%" PRIx64 "\n", window), !=,
                    0xfeed000000000000u);
    g_assert_cmphex(wl_new_dmabuf(&wl, 2, 0x8000, 0x8000), >, RESP_ERR);
    g_assert_cmpuint(machine_count_fds(&m), ==, n_fds);
    machine_finish(&m);
}

/* Off unless asked for, though this kernel has all that it takes. */
static void test_no_dmabuf(void)
{
    struct machine m;
    struct virtio gpu, wl;

    start(&m, false, NULL, &gpu, &wl);
    g_assert_cmphex(wl_new_dmabuf(&wl, 2, 100, 50), ==, RESP_INVALID_CMD);
    g_assert_cmphex(wl_new_dmabuf(&wl, 2, 0, 0), ==, RESP_INVALID_CMD);
    machine_finish(&m);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu-gpu/blob", test_blob);
    g_test_add_func("/qemu-gpu/2d", test_2d);
    g_test_add_func("/qemu-gpu/fence", test_fence);
    g_test_add_data_func("/qemu-gpu/dmabuf/udmabuf", "udmabuf", test_dmabuf);
    g_test_add_data_func("/qemu-gpu/dmabuf/heap", "heap", test_dmabuf);
    g_test_add_func("/qemu-gpu/dmabuf/off", test_no_dmabuf);
    return g_test_run();
}
