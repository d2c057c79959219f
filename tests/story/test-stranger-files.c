/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that strangers share with the guest: they cut them short, map them once
 * more, seal them, or answer for them late.
 */
#include "story.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuse.h"

/* A peer takes back the file that it sent: reading it raises no SIGBUS, in
 * the device or in the VMM. */
static void test_truncated_file(void)
{
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), disk, fds[3], again;
    char *path = NULL;

    disk = g_file_open_tmp("story-XXXXXX", &path, NULL);
    g_assert_cmpint(disk, >=, 0);
    unlink(path);
    g_free(path);
    fds[0] = story_memfd(8192, F_SEAL_SEAL, 7);
    fds[1] = story_memfd(8192, F_SEAL_SHRINK, 7);
    fds[2] = disk;
    for (unsigned int i = 0; i < 2; i++) { /* for the disk's: in the cache */
        char bytes[4096];

        memset(bytes, 7, sizeof bytes);
        g_assert_cmpint(write(disk, bytes, sizeof bytes), ==, sizeof bytes);
    }
    for (unsigned int i = 0; i < 3; i++) {
        uint32_t id = story_give(r, 1, peer, fds[i]);
        uint8_t *bytes = vwl_drv_map(r->drv, id);

        g_assert_cmpint(ftruncate(fds[i], 0), ==, i == 1 ? -1 : 0);
        if (bytes != NULL) {
            g_assert_cmpint(bytes[0], ==, 7);
            g_assert_cmpint(bytes[8191], ==, 7);
            memset(bytes, 9, 8192);
        }
        g_assert_true(bytes != NULL || i == 2);
        again = story_take(r, 1, peer, id);
        g_assert_cmpint(again, >=, 0);
        close(again);
        story_alive(r, 1, peer);
        g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
    }
    for (unsigned int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    close(peer);
    rig_free(r);
}

/* Keymaps are shared by all clients of a compositor: nobody's write gets
 * into the file. */
static void test_keymap(void)
{
    static const unsigned int seals[] = {
        F_SEAL_SHRINK,
        F_SEAL_SHRINK | F_SEAL_WRITE,
        F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE,
        0,
        F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
    };
    struct rig_options options = { .n_peers = 1 };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0);

    for (unsigned int i = 0; i < G_N_ELEMENTS(seals); i++) {
        int fd = story_memfd(40000, seals[i], 'k');
        int only = story_reopen(fd, O_RDONLY);
        uint32_t one = story_give(r, 1, peer, only);
        uint8_t *bytes = vwl_drv_map(r->drv, one), theirs[40000];
        uint32_t two;

        g_assert_nonnull(bytes);
        g_assert_cmpuint(vwl_drv_find(r->drv, one)->size, ==, 40000);
        memset(bytes, '!', 40960);
        two = story_give(r, 1, peer, only);
        bytes = vwl_drv_map(r->drv, two);
        for (unsigned int at = 0; at < 40960; at++) {
            g_assert_cmpint(bytes[at], ==, at < 40000 ? 'k' : 0);
        }
        g_assert_cmpint(pread(fd, theirs, 40000, 0), ==, 40000);
        for (unsigned int at = 0; at < 40000; at++) {
            g_assert_cmpint(theirs[at], ==, 'k');
        }
        g_assert_cmpint(vwl_drv_close(r->drv, one), ==, RESP_OK);
        g_assert_cmpint(vwl_drv_close(r->drv, two), ==, RESP_OK);
        close(fd);
        close(only);
    }
    close(peer);
    rig_free(r);
}

/* Memory is zero when it is allocated, whoever had it before. */
static void test_stale_bytes(gconstpointer data)
{
    struct rig_options options = { .n_peers = 1, .host_map = data != NULL };
    struct rig *r = rig_new(&options);
    int peer = rig_open_ctx(r, 1, 0), fd = story_memfd(16384, 0, 's');
    uint8_t *before[2] = { 0 };

    for (unsigned int round = 0; round < 4; round++) {
        uint32_t id = story_give(r, 1, peer, fd); /* a private copy */
        uint8_t *bytes;

        g_assert_cmpint(vwl_drv_new(r->drv, 2, 16384), ==, RESP_VFD_NEW);
        bytes = vwl_drv_map(r->drv, 2);
        for (unsigned int at = 0; at < 16384; at++) {
            g_assert_cmpint(bytes[at], ==, 0);
        }
        memset(bytes, 0x5a, 16384);
        before[0] = bytes;
        before[1] = vwl_drv_map(r->drv, id);
        g_assert_cmpint(vwl_drv_close(r->drv, 2), ==, RESP_OK);
        g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
        rig_settle(r);
        /* the guest still has them mapped: its touch is harmless */
        g_assert_cmpint(before[0][5], ==, 0);
        g_assert_cmpint(before[1][5], ==, 0);
    }
    close(fd);
    close(peer);
    rig_free(r);
}

/* A file whose server never answers. */
static void test_fuse(void)
{
    struct rig_options options = { .n_peers = 1, .device = RIG_THREAD };
    struct fuse *fuse;
    const char *why = fuse_start(&fuse);
    struct rig *r;
    int peer, fd;
    uint32_t id;

    if (why != NULL) {
        g_test_skip(why);
        return;
    }
    r = rig_new(&options);
    peer = rig_open_ctx(r, 1, 0);
    for (unsigned int i = 0; i < 3; i++) {
        fd = fuse_open(fuse, i == 0 ? O_RDWR : O_RDONLY);
        id = story_give(r, 1, peer, fd);
        close(fd);
        story_alive(r, 1, peer);
        g_assert_cmpuint(vwl_drv_find(r->drv, id)->size, ==, 0);
        g_assert_null(vwl_drv_map(r->drv, id));
        g_assert_cmpint(vwl_drv_close(r->drv, id), ==, RESP_OK);
        story_alive(r, 1, peer);
    }
    close(peer);
    rig_free(r);
    fuse_stop(fuse);
}

/* A file whose close waits for its server: the device does not. */
static void test_fuse_close(void)
{
    struct rig_options options = { .n_peers = 1, .device = RIG_THREAD };
    struct fuse *fuse;
    const char *why = fuse_start(&fuse);
    struct rig *r;
    int peer, fd;
    uint32_t id;

    if (why != NULL) {
        g_test_skip(why);
        return;
    }
    r = rig_new(&options);
    peer = rig_open_ctx(r, 1, 0);
    fd = fuse_open(fuse, O_RDWR);
    fuse_hold_close(fuse, 1);
    id = story_give(r, 1, peer, fd);
    story_alive(r, 1, peer);
    g_assert_cmpint(vwl_drv_close(r->drv, id), ==, VIRTIO_WL_RESP_OK);
    story_alive(r, 1, peer);
    while (fuse_held(fuse) == 0) { /* it really is being closed */
        story_alive(r, 1, peer);
    }
    fuse_hold_close(fuse, 0);
    while (fuse_held(fuse) != 0) {
        g_usleep(1000);
    }
    close(fd);
    close(peer);
    rig_free(r);
    fuse_stop(fuse);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/strangers/truncated-file", test_truncated_file);
    g_test_add_func("/strangers/keymap", test_keymap);
    g_test_add_data_func("/strangers/stale-bytes/asked", NULL,
                         test_stale_bytes);
    g_test_add_data_func("/strangers/stale-bytes/in-process", "host",
                         test_stale_bytes);
    g_test_add_func("/strangers/fuse", test_fuse);
    g_test_add_func("/strangers/fuse-close", test_fuse_close);
    return g_test_run();
}
