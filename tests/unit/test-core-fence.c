/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fences as VFDs. There are no sync_files without a DRM driver (tests/vm has
 * real ones): here an eventfd plays one, which polls just the same, and this
 * program answers the one ioctl that tells them apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/sync_file.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wl/peer/classify.h"
#include "wl/snapshot/snapshot.h"

#include "ask.h"
#include "bytes.h"
#include "fds.h"
#include "socket.h"
static int fake_fence = -1;
static unsigned int n_asked_strangers;

int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (request == SYNC_IOC_FILE_INFO) {
        char path[32], target[64] = "";

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, target, sizeof target - 1) < 0 ||
            !strstr(target, "anon_inode")) {
            n_asked_strangers++;
        } else if (strstr(target, "eventfd") && fake_fence >= 0) {
            struct sync_file_info *info = arg;

            g_assert_cmpuint(info->num_fences, ==, 0);
            info->num_fences = 1;
            return 0;
        }
        errno = ENOTTY;
        return -1;
    }
    return (int)syscall(SYS_ioctl, fd, request, arg);
}

static int fence(void)
{
    fake_fence = eventfd(0, EFD_CLOEXEC);
    g_assert_cmpint(fake_fence, >=, 0);
    return fake_fence;
}

static void signal_fence(int fd)
{
    uint64_t one = 1;

    g_assert_cmpint(write(fd, &one, sizeof one), ==, sizeof one);
}

/* eventfds share an inode: told apart by what they count. */
static bool is_fence(int fd)
{
    uint64_t n;

    signal_fence(fake_fence);
    return read(fd, &n, sizeof n) == sizeof n;
}

static void test_classify(void)
{
    struct vwl_fd_info info;
    int fds[2], fd = fence();

    vwl_classify(fd, &info);
    g_assert_cmpint(info.class, ==, VWL_FD_FENCE);
    g_assert_cmphex(info.flags, ==, 8);
    close(fd);
    fake_fence = -1;
    n_asked_strangers = 0;
    fd = eventfd(0, EFD_CLOEXEC);
    vwl_classify(fd, &info);
    g_assert_cmpint(info.class, ==, VWL_FD_OPAQUE);
    close(fd);
    /* who has a type is not asked: it may be anybody's device */
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    vwl_classify(fd, &info);
    close(fd);
    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    vwl_classify(fds[0], &info);
    vwl_classify(fds[1], &info);
    close(fds[0]);
    close(fds[1]);
    g_assert_cmpuint(n_asked_strangers, ==, 0);
}

static uint32_t receive_fence(struct core_rig *rig, int peer, int fd)
{
    uint32_t id;
    size_t len;

    socket_send(peer, "f", 1, &fd, 1);
    id = expect_new(rig, VFD_FENCE, 0x100000, 0);
    g_assert_cmpmem(expect_recv(rig, 1, 1, &len), 1, "f", 1);
    g_assert_cmphex(get32(rig->message + 16), ==, id);
    return id;
}

static void test_signal(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), fd = fence();
    uint32_t id = receive_fence(rig, peer, fd);

    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_false(is_readable(vwl_core_in_fd(rig->core)));
    /* it takes no data, and holds up nobody */
    g_assert_cmphex(ask_send(rig, id, NULL, 0, "x", 1), ==, RESP_INVALID_TYPE);
    g_assert_cmphex(ask_send(rig, 1, NULL, 0, "x", 1), ==, RESP_OK);
    socket_send(peer, "y", 1, NULL, 0);
    g_assert_cmpint(next_message(rig), ==, 17);
    signal_fence(fd);
    g_assert_true(is_readable(vwl_core_in_fd(rig->core)));
    expect_hup(rig, id);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_false(is_readable(vwl_core_in_fd(rig->core)));
    g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    close(fd);
    close(peer);
    core_rig_free(rig);
}

static void test_signalled_before(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), fd = fence();
    uint32_t id;

    signal_fence(fd);
    id = receive_fence(rig, peer, fd);
    expect_hup(rig, id);
    close(fd);
    close(peer);
    core_rig_free(rig);
}

static void test_never(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), fd = fence();
    uint32_t id = receive_fence(rig, peer, fd);

    close(peer); /* the context ends, the fence does not */
    expect_hup(rig, 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmphex(ask_close(rig, 1), ==, RESP_OK);
    signal_fence(fd);
    expect_hup(rig, id);
    /* and closing one that never signals leaves nothing */
    g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    close(fd);
    core_rig_free(rig);
}

static void test_send_back(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), fd = fence(), got[4];
    uint32_t id = receive_fence(rig, peer, fd);
    unsigned int n;
    char byte;

    for (int i = 0; i < 2; i++) { /* it can be sent again */
        g_assert_cmphex(ask_send(rig, 1, &id, 1, "s", 1), ==, RESP_OK);
        g_assert_cmpint(socket_receive(peer, &byte, 1, got, &n), ==, 1);
        g_assert_cmpuint(n, ==, 1);
        g_assert_true(is_fence(got[0]));
        close(got[0]);
    }
    close(fd);
    close(peer);
    core_rig_free(rig);
}

static void test_old_flags(void)
{
    struct core_rig *rig = core_rig_new(MODE_OLD);
    int peer = open_ctx(rig, 1), fd = fence();

    socket_send(peer, "f", 1, &fd, 1);
    expect_new(rig, 0, 0, 0);
    close(fd);
    close(peer);
    core_rig_free(rig);
}

/* Nobody can signal it any more after a restore: it counts as signalled. */
static void test_snapshot(void)
{
    struct core_rig *rig = core_rig_new(MODE_K23);
    int peer = open_ctx(rig, 1), fd = fence(), later = fence();
    uint32_t id = receive_fence(rig, peer, fd);
    GByteArray *stream = g_byte_array_new();
    struct vwl_loader *loader;
    struct vwl_saver *saver;
    const void *piece;
    const char *why;
    ssize_t n;

    socket_send(peer, "l", 1, &later, 1); /* its messages are queued yet */
    rig->message_room = 8;
    g_assert_cmpint(next_message(rig), ==, -ENOBUFS);
    g_assert_cmpint(vwl_saver_create(rig->core, 0, "", 0, &saver), ==, 0);
    while ((n = vwl_saver_next(saver, &piece)) > 0) {
        g_byte_array_append(stream, piece, (guint)n);
    }
    vwl_saver_destroy(saver);
    loader = vwl_loader_create(rig->core);
    g_assert_cmpint(vwl_loader_feed(loader, stream->data, stream->len, &why),
                    ==, 0);
    g_assert_cmpint(vwl_loader_apply(loader, MODE_K23, true, false), ==, 0);
    vwl_loader_destroy(loader);
    rig->message_room = sizeof rig->message;
    expect_new(rig, VFD_FENCE, 0x100000, 0);
    g_assert_cmpint(next_message(rig), ==, 21);
    expect_hup(rig, 1);
    expect_hup(rig, id);
    expect_hup(rig, id + 1);
    g_assert_cmpint(next_message(rig), ==, 0);
    g_assert_cmphex(ask_close(rig, id), ==, RESP_OK);
    g_byte_array_unref(stream);
    close(fd);
    close(later);
    close(peer);
    core_rig_free(rig);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fence/classify", test_classify);
    g_test_add_func("/fence/signal", test_signal);
    g_test_add_func("/fence/signalled-before", test_signalled_before);
    g_test_add_func("/fence/never", test_never);
    g_test_add_func("/fence/send-back", test_send_back);
    g_test_add_func("/fence/old-flags", test_old_flags);
    g_test_add_func("/fence/snapshot", test_snapshot);
    return g_test_run();
}
