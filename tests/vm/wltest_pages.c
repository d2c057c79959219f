/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program's own pages as a VFD, for a device (hostile.py) that looks into
 * them. In each stands which one it is and how often it was written; at each
 * new pipe the device looks at those of the last VFD again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wltest.h"

#define PAGE 4096u
#define MARK 0x50414745u
#define MANY 2100u /* pages that lie apart are more runs than there may be */

static int ask(const void *at, size_t length, uint32_t flags)
{
    struct virtwl_ioctl_new_pages arg = {
        .fd = -1, .flags = flags, .address = (uintptr_t)at, .length = length
    };

    return ioctl(wl, VIRTWL_IOCTL_NEW_PAGES, &arg) < 0 ? -1 : arg.fd;
}

static void fill(uint32_t *pages, unsigned int n, uint32_t version)
{
    for (uint32_t i = 0; i < n; i++) {
        pages[i * PAGE / 4] = MARK;
        pages[i * PAGE / 4 + 1] = i;
        pages[i * PAGE / 4 + 2] = version;
    }
}

static uint32_t *map_memory(unsigned int n, int *fd)
{
    *fd = memfd_create("pages", MFD_CLOEXEC);
    if (*fd < 0 || ftruncate(*fd, (off_t)n * PAGE) < 0) {
        return MAP_FAILED;
    }
    return mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
}

static int look_again(void)
{
    int fd = make_kind(VIRTWL_IOCTL_NEW_PIPE_READ, 0);

    return fd < 0 ? -1 : close(fd);
}

static void refused(void)
{
    int fd, file;
    char *mem = (char *)map_memory(4, &fd), *other;

    CHECK(mem != (char *)MAP_FAILED);
    CHECK(ask(mem, PAGE, 1) < 0 && errno == EINVAL);
    CHECK(ask(mem, 0, 0) < 0 && errno == EINVAL);
    CHECK(ask(mem + 8, PAGE, 0) < 0 && errno == EINVAL);
    CHECK(ask(mem, PAGE + 8, 0) < 0 && errno == EINVAL);
    CHECK(ask(mem, (64u << 20) + PAGE, 0) < 0 && errno == E2BIG);
    CHECK(ask((char *)-(uintptr_t)PAGE, 2 * PAGE, 0) < 0 && errno == EINVAL);
    CHECK(ask((char *)-(uintptr_t)(4 * PAGE), PAGE, 0) < 0 && errno == EINVAL);
    CHECK(ioctl(wl, VIRTWL_IOCTL_NEW_PAGES, NULL) < 0 && errno == EFAULT);
    /* behind the file's end, and behind the map's */
    CHECK(ftruncate(fd, 2 * PAGE) == 0);
    CHECK(ask(mem, 4 * PAGE, 0) < 0 && errno == EFAULT);
    munmap(mem + 2 * PAGE, 2 * PAGE);
    CHECK(ask(mem, 4 * PAGE, 0) < 0 && errno == EFAULT);
    CHECK(mprotect(mem, PAGE, PROT_READ) == 0);
    CHECK(ask(mem, PAGE, 0) < 0 && errno == EFAULT);
    munmap(mem, 2 * PAGE);
    mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(mem != MAP_FAILED && ask(mem, PAGE, 0) < 0 && errno == EINVAL);
    munmap(mem, PAGE);
    mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
               -1, 0);
    CHECK(mem != MAP_FAILED && ask(mem, PAGE, 0) < 0 && errno == EINVAL);
    munmap(mem, PAGE);
    /* of two files at once */
    file = memfd_create("other", MFD_CLOEXEC);
    CHECK(file >= 0 && ftruncate(file, PAGE) == 0);
    mem = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(mem != MAP_FAILED);
    other = mmap(mem + PAGE, PAGE, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED, file, 0);
    CHECK(other == mem + PAGE && ask(mem, 2 * PAGE, 0) < 0 && errno == EINVAL);
    munmap(mem, 2 * PAGE);
    close(file);
    close(fd);
}

/* Every other page is another file's: as many runs as pages. */
static void scattered(void)
{
    int fd, gap_fd, vfd;
    uint32_t *mem = map_memory(MANY, &fd), *gap = map_memory(MANY, &gap_fd);

    CHECK(mem != MAP_FAILED && gap != MAP_FAILED);
    for (uint32_t i = 0; i < MANY; i++) {
        mem[i * PAGE / 4] = gap[i * PAGE / 4] = 1;
    }
    fill(mem, MANY, 1);
    CHECK(ask(mem, MANY * PAGE, 0) < 0 && errno == E2BIG);
    vfd = ask(mem, 900 * PAGE, 0);
    CHECK(vfd >= 0);
    close(vfd);
    munmap(mem, MANY * PAGE);
    munmap(gap, MANY * PAGE);
    close(fd);
    close(gap_fd);
}

static int in_child(uint32_t *mem, unsigned int n, uint32_t version)
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        fill(mem, n, version);
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void alive(void)
{
    int fd, vfd, pipe_fd = make_kind(VIRTWL_IOCTL_NEW_PIPE_READ, 0);
    uint32_t *mem = map_memory(300, &fd);

    CHECK(mem != MAP_FAILED && pipe_fd >= 0);
    CHECK(ioctl(pipe_fd, VIRTWL_IOCTL_PAGES_INTACT) < 0 && errno == ENOTTY);
    close(pipe_fd);
    fill(mem, 300, 1);
    vfd = ask(mem, 300 * PAGE, 0);
    CHECK(vfd >= 0);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vfd, 0) == MAP_FAILED);
    fill(mem, 300, 2);
    CHECK(look_again() == 0);
    CHECK(in_child(mem, 300, 3));
    CHECK(look_again() == 0);
    fill(mem, 300, 4); /* and not into copies, since there was a fork */
    CHECK(look_again() == 0);
    CHECK(ioctl(vfd, VIRTWL_IOCTL_PAGES_INTACT) == 0);
    /* what the file has no more is not used for anything else */
    CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, 300 * PAGE) == 0);
    CHECK(ioctl(vfd, VIRTWL_IOCTL_PAGES_INTACT) < 0 && errno == ESTALE);
    fill(mem, 300, 5);
    CHECK(look_again() == 0);
    munmap(mem, 300 * PAGE);
    close(fd);
    CHECK(look_again() == 0);
    close(vfd);
}

/* Up to a user's half of a limit that the test has lowered to 4 MiB. */
static void limited(void)
{
    int fd, vfds[16], n = 0;
    uint32_t *mem = map_memory(1, &fd);

    CHECK(mem != MAP_FAILED);
    fill(mem, 1, 1);
    while (n < 16 && (vfds[n] = ask(mem, PAGE, 0)) >= 0) {
        n++;
    }
    CHECK(n == 8 && errno == EDQUOT);
    while (n > 0) {
        close(vfds[--n]);
    }
    /* they rest, and count */
    CHECK(ask(mem, PAGE, 0) < 0 && errno == EDQUOT);
    munmap(mem, PAGE);
    close(fd);
}

void test_pages(void)
{
    refused();
    scattered();
    alive();
}

void test_pages_limited(void)
{
    limited();
}

/* One, and how that went. */
void test_pages_once(void)
{
    int fd, vfd;
    uint32_t *mem = map_memory(4, &fd);

    CHECK(mem != MAP_FAILED);
    fill(mem, 4, 1);
    vfd = ask(mem, 4 * PAGE, 0);
    printf("pages %d\n", vfd < 0 ? errno : 0);
    if (vfd >= 0) {
        close(vfd);
    }
    munmap(mem, 4 * PAGE);
    close(fd);
}

/* One, until it is killed. */
void test_pages_hold(void)
{
    int fd, vfd;
    uint32_t *mem = map_memory(600, &fd);

    CHECK(mem != MAP_FAILED);
    fill(mem, 600, 1);
    printf("asks\n");
    fflush(stdout);
    vfd = ask(mem, 600 * PAGE, 0);
    printf("pages %d\n", vfd < 0 ? errno : 0);
    fflush(stdout);
    pause();
}
