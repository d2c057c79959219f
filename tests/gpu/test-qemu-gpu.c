/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * QEMU's gpu=ID and dmabuf=WORDS where the kernel has udmabuf and dma-heaps
 * (in a virtual machine: QEMU in QEMU). No guest runs in the inner one: this
 * program drives its virtio-gpu and its virtio-wl device by QEMU's qtest
 * protocol, through the guest memory that all of them share. VWL_QEMU and
 * VWL_PLUGIN name the files, VWL_FIRMWARE the folder of QEMU's.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/sync_file.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

#define PAGE 4096u
#define RAM_BYTES (256u << 20)
#define BARS 0xd0000000u /* where PCI devices are put */
#define WAIT_US (60 * G_USEC_PER_SEC)

#define OK 0x1000u
#define NEW_DMABUF_OK 0x1002u
#define INVALID_ID 0x1102u
#define INVALID_CMD 0x1105u

struct machine {
    char *folder, *path;
    int listener, peer;
    GPid pid;
    int qtest;
    uint8_t *ram;
    uint32_t next_page; /* of ram, to be given out */
    uint32_t next_bar;
    const uint8_t *answer; /* to the last command */
};

struct queue {
    uint64_t notify;
    uint32_t desc, avail, used; /* addresses in guest memory */
    uint16_t size, next, seen;
};

struct virtio {
    struct machine *m;
    unsigned int slot;
    uint64_t common, notify;
    uint32_t multiplier;
    struct queue queue;
};

static void put16(uint8_t *at, uint16_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

static uint32_t get32(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof value);
    return value;
}

/* ---- qtest -------------------------------------------------------------- */

static uint64_t ask(struct machine *m, const char *format, ...)
    G_GNUC_PRINTF(2, 3);

/* One command; the number after its OK. */
static uint64_t ask(struct machine *m, const char *format, ...)
{
    char line[256];
    size_t len = 0;
    va_list args;
    int n;

    va_start(args, format);
    n = g_vsnprintf(line, sizeof line, format, args);
    va_end(args);
    g_assert_cmpint(write(m->qtest, line, (size_t)n), ==, n);
    do {
        struct pollfd p = { m->qtest, POLLIN, 0 };

        g_assert_cmpint(poll(&p, 1, 60000), ==, 1);
        g_assert_cmpuint(len, <, sizeof line - 1);
        g_assert_cmpint(read(m->qtest, line + len, 1), ==, 1);
    } while (line[len++] != '\n');
    line[len] = 0;
    g_assert_true(g_str_has_prefix(line, "OK"));
    return g_ascii_strtoull(line + 2, NULL, 0);
}

static uint32_t config_read(struct virtio *v, unsigned int at)
{
    ask(v->m, "outl 0xcf8 0x%x\n", 0x80000000u | v->slot << 11 | at);
    return (uint32_t)ask(v->m, "inl 0xcfc\n");
}

static void config_write(struct virtio *v, unsigned int at, uint32_t value)
{
    ask(v->m, "outl 0xcf8 0x%x\n", 0x80000000u | v->slot << 11 | at);
    ask(v->m, "outl 0xcfc 0x%x\n", value);
}

#define COMMON(v, width, at, value)                             \
    ask((v)->m, "write" width " 0x%" PRIx64 " 0x%" PRIx64 "\n", \
        (v)->common + (at), (uint64_t)(value))

/* ---- the machine --------------------------------------------------------- */

static void die_with_parent(gpointer data)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Guest memory is a memfd of QEMU's. */
static void map_ram(struct machine *m)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)m->pid);
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (!m->ram && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *target = g_file_read_link(path, NULL);

        if (target && strstr(target, "memfd:memory-backend-memfd")) {
            int fd = open(path, O_RDWR | O_CLOEXEC);

            m->ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                          fd, 0);
            g_assert_true(m->ram != MAP_FAILED);
            close(fd);
        }
    }
    g_dir_close(dir);
    g_assert_nonnull(m->ram);
}

static int listen_at(const char *path)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_strlcpy(sun.sun_path, path, sizeof sun.sun_path);
    g_assert_cmpint(bind(fd, (struct sockaddr *)&sun, sizeof sun), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    return fd;
}

static void machine_init(struct machine *m, bool blob, const char *dmabuf)
{
    g_autofree char *qtest = NULL, *wl = NULL;
    GError *error = NULL;
    int listener;

    memset(m, 0, sizeof *m);
    m->folder = g_dir_make_tmp("vwl-qemu-XXXXXX", NULL);
    m->path = g_build_filename(m->folder, "peer", NULL);
    m->listener = listen_at(m->path);
    m->peer = -1;
    m->next_page = 16;
    m->next_bar = BARS;
    qtest = g_build_filename(m->folder, "qtest", NULL);
    wl = g_strdup_printf("vhost-user-wl-pci,addr=5,gpu=gpu0,shm-size=16M,"
                         "plugin=%s,wayland-sock=%s%s%s",
                         g_getenv("VWL_PLUGIN"), m->path,
                         dmabuf ? ",dmabuf=" : "", dmabuf ? dmabuf : "");
    listener = listen_at(qtest);
    {
        g_autofree char *qtest_arg = g_strdup_printf("unix:%s", qtest);
        const char *const argv[] = {
            g_getenv("VWL_QEMU"),
            "-L",
            g_getenv("VWL_FIRMWARE"),
            "-accel",
            "qtest",
            "-nodefaults",
            "-display",
            "none",
            "-m",
            "256M",
            "-M",
            "q35,memory-backend=mem",
            "-object",
            "memory-backend-memfd,id=mem,size=256M,share=on",
            "-device",
            blob ? "virtio-gpu-pci,id=gpu0,addr=4,blob=on"
                 : "virtio-gpu-pci,id=gpu0,addr=4",
            "-device",
            wl,
            "-qtest",
            qtest_arg,
            "-qtest-log",
            "/dev/null",
            NULL,
        };

        g_spawn_async(NULL, (char **)(uintptr_t)argv, NULL,
                      G_SPAWN_DO_NOT_REAP_CHILD, die_with_parent, NULL, &m->pid,
                      &error);
        g_assert_no_error(error);
    }
    {
        struct pollfd p = { listener, POLLIN, 0 };

        g_assert_cmpint(poll(&p, 1, 120000), ==, 1);
    }
    m->qtest = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    g_assert_cmpint(m->qtest, >=, 0);
    close(listener);
    g_unlink(qtest);
    ask(m, "readl 0x0\n");
    map_ram(m);
}

/* QEMU lives to the end, and ends when it is told to. */
static void machine_finish(struct machine *m)
{
    int status;

    g_assert_cmpint(waitpid(m->pid, &status, WNOHANG), ==, 0);
    kill(m->pid, SIGTERM);
    g_assert_cmpint(waitpid(m->pid, &status, 0), ==, m->pid);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    munmap(m->ram, RAM_BYTES);
    close(m->qtest);
    close(m->listener);
    if (m->peer >= 0) {
        close(m->peer);
    }
    g_unlink(m->path);
    g_rmdir(m->folder);
    g_free(m->path);
    g_free(m->folder);
}

static uint32_t take_pages(struct machine *m, uint32_t n)
{
    uint32_t at = m->next_page * PAGE;

    m->next_page += n;
    g_assert_cmpuint(m->next_page, <, RAM_BYTES / PAGE);
    return at;
}

/* ---- virtio -------------------------------------------------------------- */

static void place_bars(struct virtio *v)
{
    for (unsigned int bar = 0; bar < 6; bar++) {
        unsigned int at = 0x10 + 4 * bar;
        uint32_t old = config_read(v, at), mask;

        config_write(v, at, UINT32_MAX);
        mask = config_read(v, at);
        if (!mask || old & 1) {
            continue;
        }
        mask = ~(mask & ~0xfu) + 1;
        v->m->next_bar = (v->m->next_bar + mask - 1) & ~(mask - 1);
        config_write(v, at, v->m->next_bar);
        v->m->next_bar += mask;
        if (old & 4) {
            config_write(v, at + 4, 0);
            bar++;
        }
    }
    config_write(v, 4, 6); /* memory, bus master */
}

static void find_registers(struct virtio *v)
{
    unsigned int at = config_read(v, 0x34) & 0xff;

    while (at) {
        uint32_t head = config_read(v, at);
        unsigned int bar = config_read(v, at + 4) & 0xff;
        uint64_t where = bar > 5 ? 0
                                 : (config_read(v, 0x10 + 4 * bar) & ~0xfu) +
                                       (uint64_t)config_read(v, at + 8);

        if ((head & 0xff) == 9 && head >> 24 == 1) {
            v->common = where;
        } else if ((head & 0xff) == 9 && head >> 24 == 2) {
            v->notify = where;
            v->multiplier = config_read(v, at + 16);
        }
        at = head >> 8 & 0xff;
    }
    g_assert_true(v->common && v->notify);
}

static void make_queue(struct virtio *v, uint16_t index, struct queue *queue)
{
    uint32_t at = take_pages(v->m, 8);
    uint16_t off;

    COMMON(v, "w", 0x16, index);
    queue->size = (uint16_t)ask(v->m, "readw 0x%" PRIx64 "\n",
                                v->common + 0x18);
    g_assert_cmpuint(queue->size, <=, 1024);
    queue->desc = at;
    queue->avail = at + 5 * PAGE;
    queue->used = at + 4 * PAGE;
    g_assert_cmpuint(queue->size * 16u, <=, 4 * PAGE);
    if (queue->size > 256) {
        queue->size = 256;
        COMMON(v, "w", 0x18, 256);
    }
    COMMON(v, "q", 0x20, queue->desc);
    COMMON(v, "q", 0x28, queue->avail);
    COMMON(v, "q", 0x30, queue->used);
    off = (uint16_t)ask(v->m, "readw 0x%" PRIx64 "\n", v->common + 0x1e);
    queue->notify = v->notify + (uint64_t)off * v->multiplier;
    COMMON(v, "w", 0x1c, 1);
}

/* The requests' queue stays. */
static void virtio_init(struct virtio *v, struct machine *m, unsigned int slot,
                        uint32_t features, uint16_t n_queues, uint16_t requests)
{
    *v = (struct virtio){ .m = m, .slot = slot };
    place_bars(v);
    find_registers(v);
    COMMON(v, "b", 0x14, 0);
    COMMON(v, "b", 0x14, 3);
    COMMON(v, "l", 8, 0);
    COMMON(v, "l", 12, features);
    COMMON(v, "l", 8, 1);
    COMMON(v, "l", 12, 1); /* VERSION_1 */
    COMMON(v, "b", 0x14, 11);
    for (uint16_t i = 0; i < n_queues; i++) {
        struct queue queue = { 0 };

        make_queue(v, i, &queue);
        if (i == requests) {
            v->queue = queue;
        }
    }
    COMMON(v, "b", 0x14, 15);
}

/* Asks, waits, and says the type of the answer. */
static uint32_t command(struct virtio *v, const void *request, uint32_t len)
{
    struct queue *q = &v->queue;
    struct machine *m = v->m;
    uint32_t out = take_pages(m, 1 + len / PAGE), in = take_pages(m, 1);
    volatile uint16_t *used = (volatile uint16_t *)(m->ram + q->used + 2);
    gint64 end = g_get_monotonic_time() + WAIT_US;
    uint16_t head = (uint16_t)(q->next * 2 % q->size);
    uint8_t *desc = m->ram + q->desc + head * 16;

    memcpy(m->ram + out, request, len);
    memset(m->ram + in, 0, PAGE);
    put64(desc, out);
    put32(desc + 8, len);
    put16(desc + 12, 1);
    put16(desc + 14, (uint16_t)(head + 1));
    put64(desc + 16, in);
    put32(desc + 24, 64);
    put16(desc + 28, 2);
    put16(desc + 30, 0);
    put16(m->ram + q->avail + 4 + 2 * (q->next % q->size), head);
    q->next++;
    __sync_synchronize();
    put16(m->ram + q->avail + 2, q->next);
    __sync_synchronize();
    ask(m, "writew 0x%" PRIx64 " 0x0\n", q->notify);
    q->seen++;
    while (*used != q->seen) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
        g_usleep(1000);
    }
    __sync_synchronize();
    m->answer = m->ram + in;
    return get32(m->answer);
}

/* ---- the two devices ----------------------------------------------------- */

/* Scattered: no page follows the one before. */
static void scatter(struct machine *m, uint32_t *pages, uint32_t n)
{
    uint32_t at = take_pages(m, 2 * n);

    for (uint32_t i = 0; i < n; i++) {
        pages[i] = at + 2 * (n - 1 - i) * PAGE;
        memset(m->ram + pages[i], 0x10 + (int)i, PAGE);
    }
}

static uint32_t gpu_blob(struct virtio *gpu, uint32_t id, const uint32_t *pages,
                         uint32_t n)
{
    uint8_t bytes[56 + 16 * 16] = { 0 };

    put32(bytes, 0x10c);
    put32(bytes + 24, id);
    put32(bytes + 28, 1); /* guest memory */
    put32(bytes + 32, 3); /* mappable, shareable */
    put32(bytes + 36, n);
    put64(bytes + 48, n * PAGE);
    for (uint32_t i = 0; i < n; i++) {
        put64(bytes + 56 + 16 * i, pages[i]);
        put32(bytes + 64 + 16 * i, PAGE);
    }
    return command(gpu, bytes, 56 + 16 * n);
}

static uint32_t gpu_2d(struct virtio *gpu, uint32_t id)
{
    uint8_t bytes[40] = { 0 };

    put32(bytes, 0x101);
    put32(bytes + 24, id);
    put32(bytes + 28, 2); /* B8G8R8X8 */
    put32(bytes + 32, 64);
    put32(bytes + 36, 64);
    return command(gpu, bytes, sizeof bytes);
}

static uint32_t gpu_attach(struct virtio *gpu, uint32_t id,
                           const uint32_t *pages, uint32_t n, uint32_t len)
{
    uint8_t bytes[32 + 16 * 16] = { 0 };

    put32(bytes, 0x106);
    put32(bytes + 24, id);
    put32(bytes + 28, n);
    for (uint32_t i = 0; i < n; i++) {
        put64(bytes + 32 + 16 * i, pages[i]);
        put32(bytes + 40 + 16 * i, len);
    }
    return command(gpu, bytes, 32 + 16 * n);
}

static uint32_t gpu_unref(struct virtio *gpu, uint32_t id)
{
    uint8_t bytes[32] = { 0 };

    put32(bytes, 0x102);
    put32(bytes + 24, id);
    return command(gpu, bytes, sizeof bytes);
}

static uint32_t wl_send(struct virtio *wl, uint32_t kind, uint64_t value)
{
    uint8_t bytes[33];

    memset(bytes, 0xcd, sizeof bytes);
    put32(bytes, 0x109);
    put32(bytes + 4, 0);
    put32(bytes + 8, 1);
    put32(bytes + 12, 1);
    put32(bytes + 16, kind);
    put32(bytes + 24, (uint32_t)value);
    if (kind == 2) {
        put32(bytes + 28, (uint32_t)(value >> 32));
    }
    return command(wl, bytes, sizeof bytes);
}

/* The descriptor that came at the peer; -1: nothing did. */
static int take(struct machine *m)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec iov = { &byte, 1 };
    struct msghdr msg = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };
    int fd = -1;

    if (recvmsg(m->peer, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) == 1 &&
        msg.msg_controllen >= CMSG_LEN(sizeof fd)) {
        memcpy(&fd, CMSG_DATA(&control.head), sizeof fd);
    }
    return fd;
}

static void start(struct machine *m, bool blob, const char *dmabuf,
                  struct virtio *gpu, struct virtio *wl)
{
    uint8_t ctx[64] = { 0 };

    machine_init(m, blob, dmabuf);
    virtio_init(gpu, m, 4, blob ? 1u << 3 : 0, 2, 0);
    virtio_init(wl, m, 5, 0xe, 2, 1);
    put32(ctx, 0x104);
    put32(ctx + 8, 1);
    put32(ctx + 12, 3);
    g_assert_cmphex(command(wl, ctx, sizeof ctx), ==, 0x1001);
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
    g_assert_cmphex(gpu_blob(&gpu, 7, pages, 8), ==, 0x1100);
    g_assert_cmphex(wl_send(&wl, 1, 7), ==, OK);
    check_pages(&m, take(&m), pages, 8);
    g_assert_cmphex(wl_send(&wl, 1, 8), ==, INVALID_ID);
    g_assert_cmphex(gpu_unref(&gpu, 7), ==, 0x1100);
    g_assert_cmphex(wl_send(&wl, 1, 7), ==, INVALID_ID);
    g_assert_cmpint(take(&m), ==, -1);
    machine_finish(&m);
}

static void test_2d(void)
{
    struct machine m;
    struct virtio gpu, wl;
    uint32_t pages[4], joined[4];

    start(&m, false, NULL, &gpu, &wl);
    g_assert_cmphex(gpu_2d(&gpu, 3), ==, 0x1100);
    /* no pages back it yet */
    g_assert_cmphex(wl_send(&wl, 1, 3), ==, INVALID_ID);
    scatter(&m, pages, 4);
    g_assert_cmphex(gpu_attach(&gpu, 3, pages, 4, PAGE), ==, 0x1100);
    g_assert_cmphex(wl_send(&wl, 1, 3), ==, OK);
    check_pages(&m, take(&m), pages, 4);
    /* pages that follow each other */
    joined[0] = take_pages(&m, 4);
    for (uint32_t i = 0; i < 4; i++) {
        joined[i] = joined[0] + i * PAGE;
        memset(m.ram + joined[i], 0x10 + (int)i, PAGE);
    }
    g_assert_cmphex(gpu_2d(&gpu, 4), ==, 0x1100);
    g_assert_cmphex(gpu_attach(&gpu, 4, joined, 4, PAGE), ==, 0x1100);
    g_assert_cmphex(wl_send(&wl, 1, 4), ==, OK);
    check_pages(&m, take(&m), joined, 4);
    /* half a page cannot be one's own */
    g_assert_cmphex(gpu_2d(&gpu, 5), ==, 0x1100);
    g_assert_cmphex(gpu_attach(&gpu, 5, pages, 4, PAGE / 2), ==, 0x1100);
    g_assert_cmphex(wl_send(&wl, 1, 5), ==, INVALID_ID);
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
    g_assert_cmphex(wl_send(&wl, 3, 0xabad1dea), ==, OK);
    fd = take(&m);
    g_assert_cmpint(ioctl(fd, SYNC_IOC_FILE_INFO, &info), ==, 0);
    g_assert_cmpint(info.status, ==, 1);
    close(fd);
    g_assert_cmphex(wl_send(&wl, 2, 5), ==, INVALID_ID);
    g_assert_cmpint(take(&m), ==, -1);
    machine_finish(&m);
}

static uint32_t wl_new_dmabuf(struct virtio *wl, uint32_t id, uint32_t width,
                              uint32_t height)
{
    uint8_t bytes[64] = { 0 };

    put32(bytes, 0x107);
    put32(bytes + 8, id);
    put32(bytes + 28, width);
    put32(bytes + 32, height);
    put32(bytes + 36, 0x34325258); /* XR24 */
    return command(wl, bytes, sizeof bytes);
}

static uint32_t wl_short(struct virtio *wl, uint32_t type, uint32_t id,
                         uint32_t flags)
{
    uint8_t bytes[16] = { 0 };

    put32(bytes, type);
    put32(bytes + 8, id);
    put32(bytes + 12, flags);
    return command(wl, bytes, sizeof bytes);
}

static uint32_t wl_send_vfd(struct virtio *wl, uint32_t id)
{
    uint8_t bytes[21] = { 0 };

    put32(bytes, 0x102);
    put32(bytes + 8, 1);
    put32(bytes + 12, 1);
    put32(bytes + 16, id);
    return command(wl, bytes, sizeof bytes);
}

static unsigned int count_fds(const struct machine *m)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)m->pid);
    GDir *dir = g_dir_open(folder, 0, NULL);
    unsigned int n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);
    return n;
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
        g_assert_cmphex(ask(m, "readq 0x%" PRIx64 "\n", window + at + 8), ==,
                        0xbeef000000000000u + at);
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
    n_fds = count_fds(&m);
    g_assert_cmphex(wl_new_dmabuf(&wl, 2, 100, 50), ==, NEW_DMABUF_OK);
    g_assert_cmpuint(get32(m.answer + 8), ==, 2);
    stride = get32(m.answer + 40);
    size = get32(m.answer + 24);
    g_assert_cmpuint(stride, >=, 400);
    g_assert_cmpuint(size, >=, stride * 50);
    window = (config_read(&wl, 0x18) & ~0xfu) +
             (get32(m.answer + 16) | (uint64_t)get32(m.answer + 20) << 32) *
                 PAGE;
    g_assert_cmphex(wl_short(&wl, 0x108, 2, 2), ==, OK);
    for (uint32_t at = 0; at < size; at += PAGE) {
        g_assert_cmphex(ask(&m, "readq 0x%" PRIx64 "\n", window + at), ==, 0);
        ask(&m, "writeq 0x%" PRIx64 " 0x%" PRIx64 "\n", window + at,
            0xfeed000000000000u + at);
    }
    g_assert_cmphex(wl_short(&wl, 0x108, 2, 2 | 4), ==, OK);
    g_assert_cmphex(wl_send_vfd(&wl, 2), ==, OK);
    check_shared(&m, take(&m), window, size);
    g_assert_cmphex(wl_short(&wl, 0x101, 2, 0), ==, OK);
    g_assert_cmphex(ask(&m, "readq 0x%" PRIx64 "\n", window), !=,
                    0xfeed000000000000u);
    g_assert_cmphex(wl_new_dmabuf(&wl, 2, 0x8000, 0x8000), >, 0x1100);
    g_assert_cmpuint(count_fds(&m), ==, n_fds);
    machine_finish(&m);
}

/* Off unless asked for, though this kernel has all that it takes. */
static void test_no_dmabuf(void)
{
    struct machine m;
    struct virtio gpu, wl;

    start(&m, false, NULL, &gpu, &wl);
    g_assert_cmphex(wl_new_dmabuf(&wl, 2, 100, 50), ==, INVALID_CMD);
    g_assert_cmphex(wl_new_dmabuf(&wl, 2, 0, 0), ==, INVALID_CMD);
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
