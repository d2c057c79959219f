/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/fd.h"
#include "wl/peer/classify.h"
#include "wl/peer/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int memory(size_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    g_assert_cmpint(ftruncate(fd, (off_t)size), ==, 0);
    if (seals) {
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, seals), ==, 0);
    }
    return fd;
}

static int reopened(int fd, int flags)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    int again = open(path, flags | O_CLOEXEC);

    close(fd);
    g_assert_cmpint(again, >=, 0);
    return again;
}

/* Takes fd; neither its flags nor its offset may change. */
static struct vwl_fd_info classify(int fd)
{
    struct vwl_fd_info info;
    int flags = fcntl(fd, F_GETFL);
    off_t at = lseek(fd, 0, SEEK_CUR);

    vwl_classify(fd, &info);
    g_assert_cmpint(fcntl(fd, F_GETFL), ==, flags);
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, at);
    close(fd);
    return info;
}

static void test_memory(void)
{
    struct vwl_fd_info info;
    int fd;

    info = classify(memory(8192, F_SEAL_SHRINK));
    g_assert_cmpint(info.class, ==, VWL_FD_MEMORY);
    g_assert_cmpuint(info.size_bytes, ==, 8192);
    info = classify(memory(5000, F_SEAL_SHRINK));
    g_assert_cmpint(info.class, ==, VWL_FD_MEMORY);
    g_assert_cmpuint(info.size_bytes, ==, 5000);
    /* could be shrunk under us, until it is sealed */
    fd = memory(8192, 0);
    g_assert_cmpint(classify(dup(fd)).class, ==, VWL_FD_MEMORY);
    g_assert_cmpint(ftruncate(fd, 4096), ==, -1);
    g_assert_cmpint(ftruncate(fd, 12288), ==, 0);
    close(fd);
    info = classify(memory(8192, F_SEAL_SEAL));
    g_assert_cmpint(info.class, ==, VWL_FD_MEMORY_COPY);
    g_assert_true(info.parts);
    /* sealed against writing; read-only */
    g_assert_cmpint(classify(memory(8192, F_SEAL_SHRINK | F_SEAL_WRITE)).class,
                    ==, VWL_FD_MEMORY_COPY);
    g_assert_cmpint(
        classify(memory(8192, F_SEAL_SHRINK | F_SEAL_FUTURE_WRITE)).class, ==,
        VWL_FD_MEMORY_COPY);
    fd = reopened(memory(8192, F_SEAL_SHRINK), O_RDONLY);
    info = classify(fd);
    g_assert_cmpint(info.class, ==, VWL_FD_MEMORY_COPY);
    g_assert_false(info.parts);
    g_assert_cmpint(classify(memory(0, F_SEAL_SHRINK)).class, ==, VWL_FD_EMPTY);
}

static void test_files(void)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("vwl-XXXXXX", &path, NULL);
    struct vwl_fd_info info;

    g_assert_cmpint(write(fd, "abc", 3), ==, 3);
    g_assert_cmpint(lseek(fd, 1, SEEK_SET), ==, 1);
    if (fcntl(fd, F_GET_SEALS) >= 0) {
        g_test_skip("temporary files are shared memory here");
        close(fd);
        g_unlink(path);
        return;
    }
    info = classify(fd);
    g_assert_cmpint(info.class, ==, VWL_FD_FILE_COPY);
    g_assert_cmpuint(info.size_bytes, ==, 3);
    fd = open(path, O_RDWR | O_TRUNC | O_CLOEXEC);
    g_assert_cmpint(classify(fd).class, ==, VWL_FD_EMPTY);
    fd = open(path, O_PATH | O_CLOEXEC);
    info = classify(fd);
    g_assert_cmpint(info.class, ==, VWL_FD_OPAQUE);
    g_assert_cmphex(info.flags, ==, 0);
    g_unlink(path);
}

static void test_streams(void)
{
    struct vwl_fd_info info;
    int fds[2];

    g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
    info = classify(fds[0]);
    g_assert_cmpint(info.class, ==, VWL_FD_PIPE);
    g_assert_cmphex(info.flags, ==, 2);
    info = classify(fds[1]);
    g_assert_cmpint(info.class, ==, VWL_FD_PIPE);
    g_assert_cmphex(info.flags, ==, 1);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==,
                    0);
    info = classify(fds[0]);
    g_assert_cmpint(info.class, ==, VWL_FD_SOCKET);
    g_assert_cmphex(info.flags, ==, 3);
    close(fds[1]);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds),
                    ==, 0);
    g_assert_cmpint(classify(fds[0]).class, ==, VWL_FD_OPAQUE);
    close(fds[1]);
}

static void test_opaque(void)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    /* autobind: an abstract name */
    g_assert_cmpint(bind(fd, (struct sockaddr *)&sun, sizeof(sa_family_t)), ==,
                    0);
    g_assert_cmpint(listen(fd, 1), ==, 0);
    g_assert_cmpint(classify(fd).class, ==, VWL_FD_OPAQUE);
    g_assert_cmpint(classify(eventfd(0, EFD_CLOEXEC)).class, ==, VWL_FD_OPAQUE);
    g_assert_cmpint(classify(epoll_create1(EPOLL_CLOEXEC)).class, ==,
                    VWL_FD_OPAQUE);
    g_assert_cmpint(
        classify(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)).class, ==,
        VWL_FD_OPAQUE);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    g_assert_cmpint(classify(fd).class, ==, VWL_FD_OPAQUE);
    fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    g_assert_cmphex(classify(fd).flags, ==, 1);
}

static void test_copy(void)
{
    char bytes[8192];
    int fd = memory(5000, 0), copy = -1;
    struct stat st;

    memset(bytes, 'x', sizeof bytes);
    g_assert_cmpint(pwrite(fd, bytes, 5000, 0), ==, 5000);
    g_assert_cmpint(lseek(fd, 17, SEEK_SET), ==, 17);
    g_assert_cmpint(vwl_copy_private(fd, 5000, 0, &copy), ==, 0);
    g_assert_cmpint(lseek(fd, 0, SEEK_CUR), ==, 17);
    g_assert_cmpint(fstat(copy, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 8192);
    g_assert_cmpint(pread(copy, bytes, 8192, 0), ==, 8192);
    g_assert_cmpint(bytes[4999], ==, 'x');
    g_assert_cmpint(bytes[5000], ==, 0);
    g_assert_cmpint(bytes[8191], ==, 0);
    /* nobody can take it away */
    g_assert_cmpint(ftruncate(copy, 0), ==, -1);
    g_assert_cmpint(fcntl(copy, F_GETFD) & FD_CLOEXEC, !=, 0);
    /* writing to it leaves the original alone */
    g_assert_cmpint(pwrite(copy, "y", 1, 0), ==, 1);
    g_assert_cmpint(pread(fd, bytes, 1, 0), ==, 1);
    g_assert_cmpint(bytes[0], ==, 'x');
    close(copy);
    /* what shrank meanwhile is zero, no fault */
    g_assert_cmpint(ftruncate(fd, 10), ==, 0);
    g_assert_cmpint(vwl_copy_private(fd, 5000, 0, &copy), ==, 0);
    g_assert_cmpint(pread(copy, bytes, 20, 0), ==, 20);
    g_assert_cmpint(bytes[9], ==, 'x');
    g_assert_cmpint(bytes[10], ==, 0);
    close(copy);
    fd = reopened(fd, O_WRONLY);
    copy = -7;
    g_assert_cmpint(vwl_copy_private(fd, 10, 0, &copy), ==, -EBADF);
    g_assert_cmpint(copy, ==, -7);
    close(fd);
}

/* 64 MiB of which one page has content. */
static void test_copy_holes(void)
{
    const uint64_t size = 64 * 1024 * 1024;
    int fd = memory(size, 0), copy = -1;
    struct stat st;
    char byte;

    g_assert_cmpint(pwrite(fd, "x", 1, 5 * 4096 + 17), ==, 1);
    g_assert_cmpint(vwl_copy_private(fd, size, false, &copy), ==, 0);
    g_assert_cmpint(fstat(copy, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, size);
    g_assert_cmpint(st.st_blocks, ==, 8);
    g_assert_cmpint(pread(copy, &byte, 1, 5 * 4096 + 17), ==, 1);
    g_assert_cmpint(byte, ==, 'x');
    close(copy);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    g_assert_cmpint(st.st_blocks, ==, 8);
    close(fd);
}

static void test_sealed(void)
{
    int fd = -1;

    g_assert_cmpint(vwl_sealed_memfd("test", 4096, &fd), ==, 0);
    g_assert_cmpint(ftruncate(fd, 0), ==, -1);
    g_assert_cmpint(ftruncate(fd, 8192), ==, -1);
    g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), ==, -1);
    g_assert_cmpint(pwrite(fd, "x", 1, 4095), ==, 1);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/classify/memory", test_memory);
    g_test_add_func("/classify/files", test_files);
    g_test_add_func("/classify/streams", test_streams);
    g_test_add_func("/classify/opaque", test_opaque);
    g_test_add_func("/classify/copy", test_copy);
    g_test_add_func("/classify/copy-holes", test_copy_holes);
    g_test_add_func("/classify/sealed", test_sealed);
    return g_test_run();
}
