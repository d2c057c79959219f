/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests' own pages as files for host peers, in a virtual machine whose kernel
 * has udmabuf: the daemon with its sandbox makes them of the memory of this
 * program's guest, and its host peer reads them. As root, since the kernel's
 * limits are changed, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "rig.h"
#include "wl_names.h"

#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif

#define PAGE UINT64_C(4096)
#define MAX_RUNS 1024u
#define FAR (UINT64_C(1) << 40) /* where a second region is */

/* The second argument of all: NULL, or one more of the daemon's. */
static struct rig *pages_rig(const char *arg, const char **args)
{
    struct rig_options options = {
        .device = RIG_DAEMON,
        .n_peers = 1,
        .daemon_args = args,
        .fe.protocol_features_on = UINT64_C(1)
                                   << VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
    };

    args[0] = "--guest-pages";
    args[1] = "--mem-slots";
    args[2] = arg;
    args[3] = NULL;
    return rig_new(&options);
}

static int new_pages(struct rig *r, uint32_t id, const uint64_t *runs,
                     uint32_t n)
{
    size_t head = sizeof(struct virtio_wl_ctrl_vfd_new_pages);
    struct virtio_wl_ctrl_vfd_new_pages *request = g_malloc0(head + n * 8);
    int type;

    request->hdr.type = CMD_VFD_NEW_PAGES;
    request->vfd_id = id;
    request->run_count = n;
    memcpy(request + 1, runs, n * 8);
    type = vwl_drv_command(r->drv, request, head + n * 8, 32, NULL, 0);
    g_free(request);
    return type;
}

static void fill_page(struct rig *r, uint64_t gpa, uint8_t with)
{
    memset(vwl_fe_at(r->fe, gpa), with, PAGE);
}

/* The file, as the host peer gets it, mapped whole. */
static uint8_t *send_pages(struct rig *r, int peer, uint32_t id, size_t size)
{
    unsigned int n_fds = 1;
    uint8_t *bytes;
    struct statfs fs;
    struct stat st;
    char byte;
    int fd;

    g_assert_cmphex(vwl_drv_send(r->drv, 1, &id, 1, "x", 1), ==, RESP_OK);
    rig_read(r, peer, &byte, 1, &fd, &n_fds);
    g_assert_cmpuint(n_fds, ==, 1);
    g_assert_cmpint(fstatfs(fd, &fs), ==, 0);
    g_assert_cmphex((unsigned long)fs.f_type, ==, DMA_BUF_MAGIC);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpuint((size_t)st.st_size, ==, size);
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    g_assert_true(bytes != MAP_FAILED);
    close(fd);
    return bytes;
}

static unsigned int wrong_bytes(const uint8_t *bytes, size_t n, uint8_t want)
{
    unsigned int wrong = 0;

    for (size_t i = 0; i < n; i++) {
        wrong += bytes[i] != want;
    }
    return wrong;
}

/* Scattered pages in an order of their own, seen as they are written, with
 * nothing copied; and what a peer has stays when the VFD goes. */
static void test_pixels(void)
{
    const char *args[4];
    struct rig *r = pages_rig(NULL, args);
    int peer = rig_open_ctx(r, 1, 0);
    uint64_t runs[64];
    uint8_t *seen;

    for (unsigned int i = 0; i < 64; i++) {
        runs[63 - i] = vwl_fe_alloc(r->fe, PAGE);
    }
    for (unsigned int i = 0; i < 64; i++) {
        fill_page(r, runs[i], (uint8_t)(i + 1));
    }
    g_assert_cmphex(new_pages(r, 2, runs, 64), ==, RESP_VFD_NEW);
    seen = send_pages(r, peer, 2, 64 * PAGE);
    for (unsigned int i = 0; i < 64; i++) {
        g_assert_cmpuint(wrong_bytes(seen + i * PAGE, PAGE, (uint8_t)(i + 1)),
                         ==, 0);
    }
    ((uint8_t *)vwl_fe_at(r->fe, runs[40]))[77] = 0xaa;
    g_assert_cmphex(seen[40 * PAGE + 77], ==, 0xaa);
    g_assert_cmphex(vwl_drv_close(r->drv, 2), ==, RESP_OK);
    fill_page(r, runs[0], 0x55);
    g_assert_cmpuint(wrong_bytes(seen, PAGE, 0x55), ==, 0);
    /* the device lives on without its guest's memory, and so does this */
    close(peer);
    rig_free(r);
    g_assert_cmpuint(wrong_bytes(seen, PAGE, 0x55), ==, 0);
    munmap(seen, 64 * PAGE);
}

static void set_list_limit(unsigned int limit)
{
    char text[16];
    int fd = open("/sys/module/udmabuf/parameters/list_limit",
                  O_WRONLY | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    g_snprintf(text, sizeof text, "%u", limit);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, (ssize_t)strlen(text));
    close(fd);
}

/* As many runs as there may be, which do not touch; and as many that do, which
 * are one for the kernel, whatever it allows at the moment. */
static void test_runs(void)
{
    const char *args[4];
    struct rig *r = pages_rig(NULL, args);
    int peer = rig_open_ctx(r, 1, 0);
    uint64_t base = vwl_fe_alloc(r->fe, 2 * MAX_RUNS * PAGE);
    uint64_t apart[MAX_RUNS], one[MAX_RUNS];
    uint8_t *seen;

    g_assert_cmphex(base, !=, UINT64_MAX);
    for (unsigned int i = 0; i < MAX_RUNS; i++) {
        apart[i] = base + 2 * (MAX_RUNS - 1 - i) * PAGE;
        one[i] = base + i * PAGE;
        fill_page(r, apart[i], (uint8_t)(i * 7));
    }
    g_assert_cmphex(new_pages(r, 2, apart, MAX_RUNS), ==, RESP_VFD_NEW);
    seen = send_pages(r, peer, 2, MAX_RUNS * PAGE);
    for (unsigned int i = 0; i < MAX_RUNS; i++) {
        g_assert_cmpuint(wrong_bytes(seen + i * PAGE, PAGE, (uint8_t)(i * 7)),
                         ==, 0);
    }
    munmap(seen, MAX_RUNS * PAGE);
    set_list_limit(8);
    g_assert_cmphex(new_pages(r, 3, apart, MAX_RUNS), ==, RESP_ERR);
    g_assert_true(rig_logged(r, "in 1024 runs"));
    g_assert_cmphex(new_pages(r, 3, one, MAX_RUNS), ==, RESP_VFD_NEW);
    set_list_limit(1024);
    g_assert_cmphex(new_pages(r, 4, apart, MAX_RUNS), ==, RESP_VFD_NEW);
    close(peer);
    rig_free(r);
}

static int slot(struct vwl_fe *fe, uint32_t request, uint64_t gpa, size_t size,
                int fd)
{
    struct vhost_user_single_memory_region payload = {
        .region = {
            .guest_phys_addr = gpa,
            .memory_size = size,
            .userspace_addr = UINT64_C(0x7000000000) + gpa,
        },
    };
    struct vwl_fe_message msg = {
        .request = request,
        .payload = &payload,
        .len = sizeof payload,
        .fds = &fd,
        .n_fds = request == VHOST_USER_ADD_MEM_REG,
        .ack = true,
    };

    return vwl_fe_request(fe, &msg);
}

/* A second piece of memory, in one file with the first; taken away under a
 * buffer; and one that the kernel does not take. */
static void test_regions(void)
{
    const char *args[4];
    struct rig *r = pages_rig(NULL, args);
    int peer = rig_open_ctx(r, 1, 0);
    int more = memfd_create("more", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int plain = memfd_create("plain", MFD_CLOEXEC);
    uint64_t runs[] = { FAR + PAGE, vwl_fe_alloc(r->fe, PAGE), FAR };
    uint64_t across = (FAR + 3 * PAGE) | 1, next = FAR + 4 * PAGE;
    char page[4096];
    uint8_t *seen;

    g_assert_cmpint(ftruncate(more, 4 * PAGE), ==, 0);
    g_assert_cmpint(ftruncate(plain, 4 * PAGE), ==, 0);
    memset(page, 0x33, sizeof page);
    g_assert_cmpint(pwrite(more, page, sizeof page, 4096), ==, sizeof page);
    fill_page(r, runs[1], 0x44);
    g_assert_cmphex(new_pages(r, 2, runs, 3), ==, RESP_ERR);
    g_assert_cmpint(slot(r->fe, VHOST_USER_ADD_MEM_REG, FAR, 4 * PAGE, more),
                    ==, 0);
    g_assert_cmphex(new_pages(r, 2, runs, 3), ==, RESP_VFD_NEW);
    seen = send_pages(r, peer, 2, 3 * PAGE);
    g_assert_cmpuint(wrong_bytes(seen, PAGE, 0x33), ==, 0);
    g_assert_cmpuint(wrong_bytes(seen + PAGE, PAGE, 0x44), ==, 0);
    g_assert_cmpuint(wrong_bytes(seen + 2 * PAGE, PAGE, 0), ==, 0);
    g_assert_cmphex(new_pages(r, 3, &across, 1), ==, RESP_ERR);
    g_assert_cmpint(slot(r->fe, VHOST_USER_ADD_MEM_REG, FAR + 4 * PAGE,
                         4 * PAGE, plain),
                    ==, 0);
    g_assert_cmphex(new_pages(r, 3, &next, 1), ==, RESP_ERR);
    g_assert_cmpint(slot(r->fe, VHOST_USER_REM_MEM_REG, FAR, 4 * PAGE, -1), ==,
                    0);
    g_assert_cmphex(new_pages(r, 3, runs, 3), ==, RESP_ERR);
    g_assert_cmpuint(wrong_bytes(seen, PAGE, 0x33), ==, 0);
    g_assert_cmphex(vwl_drv_close(r->drv, 2), ==, RESP_OK);
    munmap(seen, 3 * PAGE);
    close(more);
    close(plain);
    close(peer);
    rig_free(r);
}

/* Where there is none of the guest's memory, and a million runs of it. */
static void test_hostile(void)
{
    const char *args[4];
    struct rig *r = pages_rig(NULL, args);
    uint64_t window = UINT64_C(0xfe00000000), runs[MAX_RUNS];
    uint64_t end = r->fe->options.ram_gpa + r->fe->ram_size;
    uint64_t bad[] = { end, (end - PAGE) | 1, window, UINT64_MAX - 4095 };
    uint64_t good = vwl_fe_alloc(r->fe, PAGE);

    g_assert_cmphex(vwl_drv_new(r->drv, 5, 65536), ==, RESP_VFD_NEW);
    for (unsigned int i = 0; i < G_N_ELEMENTS(bad); i++) {
        const uint64_t both[] = { good, bad[i] };

        g_assert_cmphex(new_pages(r, 2, &bad[i], 1), ==, RESP_ERR);
        g_assert_cmphex(new_pages(r, 2, both, 2), ==, RESP_ERR);
    }
    for (unsigned int i = 0; i < MAX_RUNS; i++) {
        runs[i] = r->fe->options.ram_gpa + (i + 1) * PAGE;
    }
    for (unsigned int i = 0; i < 1000; i++) {
        /* a page twice, or one of nobody, at another place each time */
        runs[MAX_RUNS - 1] = i & 1 ? runs[i % (MAX_RUNS - 1)] : end + i * PAGE;
        g_assert_cmphex(new_pages(r, 2, runs, MAX_RUNS), ==, RESP_ERR);
    }
    g_assert_cmphex(new_pages(r, 2, &good, 1), ==, RESP_VFD_NEW);
    rig_free(r);
}

static bool has_room(void *opaque)
{
    struct rig *r = opaque;
    uint64_t run = r->fe->options.ram_gpa;

    return new_pages(r, 2, &run, 1) == RESP_VFD_NEW;
}

/* What a peer still has counts, although the guest has closed it. */
static void test_limit(void)
{
    const char *args[4];
    struct rig *r = pages_rig("--max-shm-bytes=65536", args);
    int peer = rig_open_ctx(r, 1, 0);
    uint64_t run = r->fe->options.ram_gpa | 15;
    uint8_t *seen;

    g_assert_cmphex(new_pages(r, 2, &run, 1), ==, RESP_VFD_NEW);
    seen = send_pages(r, peer, 2, 65536);
    g_assert_cmphex(vwl_drv_close(r->drv, 2), ==, RESP_OK);
    g_assert_cmphex(new_pages(r, 3, &run, 1), ==, RESP_OUT_OF_MEMORY);
    munmap(seen, 65536);
    rig_wait(r, has_room, r);
    close(peer);
    rig_free(r);
}

/* The VMM takes pages away under a file of them, as a balloon does: the file
 * keeps what it had, and goes on to count; the guest has others in their
 * place. */
static void test_balloon(void)
{
    const char *args[4];
    struct rig *r = pages_rig("--max-shm-bytes=65536", args);
    int peer = rig_open_ctx(r, 1, 0);
    uint64_t gpa = vwl_fe_alloc(r->fe, 16 * PAGE), run = gpa | 15;
    uint8_t *seen;

    for (unsigned int i = 0; i < 16; i++) {
        fill_page(r, gpa + i * PAGE, 0x77);
    }
    g_assert_cmphex(new_pages(r, 2, &run, 1), ==, RESP_VFD_NEW);
    seen = send_pages(r, peer, 2, 16 * PAGE);
    g_assert_cmpint(fallocate(r->fe->ram_fd,
                              FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              (off_t)(gpa - r->fe->options.ram_gpa), 16 * PAGE),
                    ==, 0);
    g_assert_cmpuint(wrong_bytes(seen, 16 * PAGE, 0x77), ==, 0);
    g_assert_cmpuint(wrong_bytes(vwl_fe_at(r->fe, gpa), 16 * PAGE, 0), ==, 0);
    fill_page(r, gpa, 0x11);
    g_assert_cmpuint(wrong_bytes(seen, PAGE, 0x77), ==, 0);
    g_assert_cmphex(vwl_drv_close(r->drv, 2), ==, RESP_OK);
    /* twice the memory, if it did not */
    g_assert_cmphex(new_pages(r, 3, &run, 1), ==, RESP_OUT_OF_MEMORY);
    munmap(seen, 16 * PAGE);
    rig_wait(r, has_room, r);
    close(peer);
    rig_free(r);
}

static void say(struct rig *r, const uint32_t *words, unsigned int n,
                uint32_t vfd)
{
    int type = vwl_drv_send(r->drv, 1, vfd ? &vfd : NULL, vfd ? 1 : 0, words,
                            n * sizeof *words);

    g_assert_cmphex(type, ==, RESP_OK);
}

struct reading {
    struct rig *r;
    uint32_t words[2048];
    size_t bytes;
};

/* Words of the compositor's, by the driver. */
static void read_more(struct reading *in)
{
    rig_settle(in->r);
    while (vwl_drv_readable(in->r->drv, 1)) {
        unsigned int n_ids = 0;
        int64_t n = vwl_drv_recv(in->r->drv, 1, (char *)in->words + in->bytes,
                                 sizeof in->words - in->bytes, NULL, &n_ids, 0);

        if (n <= 0) {
            return;
        }
        in->bytes += (size_t)n;
    }
}

/* The number of the global wl_shm; 0: it has not come yet. */
static uint32_t find_shm(struct reading *in)
{
    read_more(in);
    for (size_t at = 0; at + 4 < in->bytes / 4;) {
        const uint32_t *event = in->words + at;

        if (event[0] == 2 && strcmp((const char *)(event + 4), "wl_shm") == 0) {
            return event[2];
        }
        at += (event[1] >> 16) / 4;
    }
    return 0;
}

static bool has_shm(void *opaque)
{
    return find_shm(opaque) != 0;
}

static bool has_ended(void *opaque)
{
    struct reading *in = opaque;

    return rig_logged(in->r, "a pool that is longer than its file");
}

static bool has_synced(void *opaque)
{
    struct reading *in = opaque;

    read_more(in);
    /* wl_callback 5: done */
    return in->bytes >= 12 && in->words[in->bytes / 4 - 6] == 5;
}

/* As a compositor's pool, through the policy: no longer than they are. */
static void test_pool(void)
{
    const char *args[4];
    struct rig *r = pages_rig(NULL, args);
    uint64_t run = vwl_fe_alloc(r->fe, 4 * PAGE) | 3;
    struct reading in = { .r = r };
    uint32_t words[] = { /* get_registry */
                         1, 12 << 16 | 1, 2,
                         /* bind, of what find_shm finds */
                         2, 32 << 16, 0, 7, 0, 0, 1, 3,
                         /* create_pool, and then a sync */
                         3, 16 << 16, 4, 4 * PAGE, 1, 12 << 16, 5,
                         /* create_pool of a page more */
                         3, 16 << 16, 6, 5 * PAGE
    };

    memcpy(words + 7, "wl_shm", 7);
    g_assert_cmphex(vwl_drv_new_ctx(r->drv, 1, ""), ==, RESP_VFD_NEW);
    g_assert_cmphex(new_pages(r, 2, &run, 1), ==, RESP_VFD_NEW);
    say(r, words, 3, 0);
    rig_wait(r, has_shm, &in);
    words[5] = find_shm(&in);
    say(r, words + 3, 8, 0);
    say(r, words + 11, 7, 2);
    rig_wait(r, has_synced, &in);
    g_assert_false(has_ended(&in));
    say(r, words + 18, 4, 2);
    rig_wait(r, has_ended, &in);
    rig_free(r);
}

/* Who does not say that he wants it has none of it. */
static void test_off(void)
{
    struct rig_options options = { .device = RIG_DAEMON, .n_peers = 1 };
    struct rig *r = rig_new(&options);
    uint64_t run = r->fe->options.ram_gpa;

    g_assert_false(vwl_fe_has(r->fe, VIRTIO_WL_F_GUEST_PAGES));
    g_assert_cmphex(new_pages(r, 2, &run, 1), ==, RESP_INVALID_CMD);
    rig_free(r);
    options.fe.iommu = true;
    options.daemon_args = (const char *[]){ "--guest-pages", NULL };
    r = rig_new(&options);
    run = r->fe->options.ram_gpa;
    g_assert_cmphex(new_pages(r, 2, &run, 1), ==, RESP_INVALID_CMD);
    rig_free(r);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pages/pixels", test_pixels);
    g_test_add_func("/pages/runs", test_runs);
    g_test_add_func("/pages/regions", test_regions);
    g_test_add_func("/pages/hostile", test_hostile);
    g_test_add_func("/pages/limit", test_limit);
    g_test_add_func("/pages/balloon", test_balloon);
    g_test_add_func("/pages/pool", test_pool);
    g_test_add_func("/pages/off", test_off);
    return g_test_run();
}
