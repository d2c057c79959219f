/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes through a context, memory and pipes, byte by byte. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wltest.h"

void test_ping(void)
{
    int ctx = make_ctx();

    CHECK(ctx >= 0);
    CHECK(ping(ctx));
    close(ctx);
}

void test_echo(void)
{
    uint8_t data[8 + 4000], back[4000];
    uint32_t head[2] = { ECHO, 4000 };
    int ctx = make_ctx();

    CHECK(ctx >= 0);
    CHECK(fcntl(ctx, F_GETFD) == FD_CLOEXEC);
    CHECK((fcntl(ctx, F_GETFL) & O_ACCMODE) == O_RDWR);
    CHECK(lseek(ctx, 0, SEEK_SET) < 0 && errno == ESPIPE);
    memcpy(data, head, 8);
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 4000; i++) {
            data[8 + i] = (uint8_t)(i * 7 + round);
        }
        CHECK(send_fds(ctx, data, sizeof data, NULL, 0) == 0);
        CHECK(recv_exactly(ctx, back, sizeof back) == 0);
        CHECK(memcmp(back, data + 8, sizeof back) == 0);
    }
    CHECK(write(ctx, data, sizeof data) == sizeof data);
    CHECK(recv_exactly(ctx, back, sizeof back) == 0);
    CHECK(memcmp(back, data + 8, sizeof back) == 0);
    CHECK(send_fds(ctx, data, 0, NULL, 0) == 0);
    CHECK(close(ctx) == 0);
}

void test_named(void)
{
    int ctx = make_named("peer");

    CHECK(ctx >= 0);
    CHECK(ping(ctx));
    close(ctx);
    CHECK(make_named("nobody") < 0 && errno == ENODEV);
    CHECK(make_named("refused") < 0 && errno == ENODEV);
    ctx = make_named("");
    CHECK(ctx >= 0);
    CHECK(ping(ctx));
    close(ctx);
}

/* What is written to a private mapping is the program's own; read or written
 * first, it begins as what is there. */
static void check_private(int shm, uint8_t *mem, size_t size)
{
    uint8_t *own = mmap(NULL, size - 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE,
                        shm, 4096);
    int status;
    pid_t pid;

    CHECK(own != MAP_FAILED);
    CHECK(memcmp(own, mem + 4096, size / 2) == 0);
    for (size_t i = 0; i < size - 4096; i += 1000) {
        CHECK(own[i] == mem[4096 + i]);
        own[i] ^= 0xff;
        CHECK((own[i] ^ mem[4096 + i]) == 0xff);
    }
    CHECK(own[1] == mem[4097]);
    pid = fork();
    if (pid == 0) {
        _exit((own[0] ^ mem[4096]) == 0xff && own[1001] == mem[5097] ? 7 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
          WEXITSTATUS(status) == 7);
    munmap(own, size - 4096);
}

void test_memory(void)
{
    const size_t size = 64 * 4096;
    int ctx = make_ctx();
    int shm = make_kind(VIRTWL_IOCTL_NEW_ALLOC, (uint32_t)size - 100);
    uint8_t *mem, *page, *ro;
    uint32_t sum, answer = 0;

    CHECK(ctx >= 0 && shm >= 0);
    CHECK(mmap(NULL, size + 4096, PROT_READ, MAP_SHARED, shm, 0) ==
              MAP_FAILED &&
          errno == EINVAL);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, shm, (off_t)size) ==
              MAP_FAILED &&
          errno == EINVAL);
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, ctx, 0) == MAP_FAILED &&
          errno == EACCES);
    mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 0);
    CHECK(mem != MAP_FAILED);
    for (size_t i = 0; i < size; i++) {
        CHECK(mem[i] == 0);
    }
    for (size_t i = 0; i < size; i++) {
        mem[i] = (uint8_t)(i * 31 >> 3);
    }
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shm, 5 * 4096);
    CHECK(page != MAP_FAILED);
    CHECK(memcmp(page, mem + 5 * 4096, 4096) == 0);
    page[17] = 0xa5;
    CHECK(mem[5 * 4096 + 17] == 0xa5);
    ro = mmap(NULL, size, PROT_READ, MAP_PRIVATE, shm, 0);
    CHECK(ro != MAP_FAILED);
    CHECK(memcmp(ro, mem, size) == 0);
    CHECK(mprotect(ro, size, PROT_READ | PROT_WRITE) < 0 && errno == EACCES);
    check_private(shm, mem, size);
    sum = checksum(mem, size);
    CHECK(send_op(ctx, SUM, (uint32_t)size, shm) == 0);
    CHECK(recv_exactly(ctx, &answer, 4) == 0);
    CHECK(answer == sum);
    CHECK(send_op(ctx, FILL, (uint32_t)size, shm) == 0);
    CHECK(recv_exactly(ctx, &answer, 4) == 0);
    CHECK(is_pattern(mem, size, 0));
    close(shm);
    CHECK(is_pattern(mem, size, 0));
    munmap(mem, size);
    munmap(page, 4096);
    munmap(ro, size);
    close(ctx);
}

void test_received_memory(void)
{
    char word[8];
    int ctx = make_ctx(), fds[28], n = 0;
    uint8_t *mem;

    CHECK(ctx >= 0);
    CHECK(send_op(ctx, MEMFD, 10000, -1) == 0);
    CHECK(recv_some(ctx, word, sizeof word, fds, &n) == 5);
    CHECK(n == 1);
    CHECK(fcntl(fds[0], F_GETFD) == FD_CLOEXEC);
    mem = mmap(NULL, 10000, PROT_READ, MAP_PRIVATE, fds[0], 0);
    CHECK(mem != MAP_FAILED);
    CHECK(is_pattern(mem, 10000, 0));
    munmap(mem, 10000);
    mem = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
    CHECK(mem != MAP_FAILED);
    mem[5] = 1;
    mem[9999] = 2;
    munmap(mem, 10000);
    /* VFDs that came with data that was read(2) are gone, without harm */
    CHECK(send_op(ctx, MEMFD, 5000, -1) == 0);
    CHECK(recv_exactly(ctx, word, 5) == 0);
    CHECK(ping(ctx));
    close(fds[0]);
    close(ctx);
}

void test_many_fds(void)
{
    char word[8];
    int ctx = make_ctx(), fds[28], n, got = 0, bytes = 0;

    CHECK(ctx >= 0);
    CHECK(send_op(ctx, FDS, 60, -1) == 0);
    while (got < 60) {
        int r = recv_some(ctx, word, sizeof word, fds, &n);

        CHECK(r >= 0 && (r > 0 || n > 0));
        bytes += r;
        for (int i = 0; i < n; i++, got++) {
            uint32_t *mem = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[i], 0);

            CHECK(mem != MAP_FAILED);
            CHECK(mem[1023] == (uint32_t)got);
            munmap(mem, 4096);
            close(fds[i]);
        }
    }
    CHECK(bytes == 4);
    CHECK(ping(ctx));
    close(ctx);
}

void test_send_many(void)
{
    uint8_t data[8 + 16];
    uint32_t head[2] = { ECHO, 16 };
    int ctx = make_ctx(), fds[28], back[28], n = 0;
    uint32_t *mem;

    CHECK(ctx >= 0);
    for (int i = 0; i < 28; i++) {
        fds[i] = make_kind(VIRTWL_IOCTL_NEW_ALLOC, 4096);
        CHECK(fds[i] >= 0);
        mem = mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fds[i], 0);
        CHECK(mem != MAP_FAILED);
        mem[9] = 1000 + (uint32_t)i;
        munmap(mem, 4096);
    }
    memset(data, 7, sizeof data);
    memcpy(data, head, 8);
    CHECK(send_fds(ctx, data, sizeof data, fds, 28) == 0);
    CHECK(recv_some(ctx, data, 16, back, &n) == 16);
    CHECK(n == 28);
    for (int i = 0; i < 28; i++) {
        mem = mmap(NULL, 4096, PROT_READ, MAP_SHARED, back[i], 0);
        CHECK(mem != MAP_FAILED);
        CHECK(mem[9] == 1000 + (uint32_t)i);
        munmap(mem, 4096);
        close(fds[i]);
        close(back[i]);
    }
    close(ctx);
}

void test_pipes(void)
{
    enum { SIZE = 4 << 20 };
    uint8_t *data = malloc(SIZE);
    uint32_t answer[2];
    char word[8];
    int ctx = make_ctx(), fds[28], n = 0, fd;

    CHECK(ctx >= 0 && data != NULL);
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = pattern_at(i * 3);
    }

    fd = make_kind(VIRTWL_IOCTL_NEW_PIPE_READ, 0);
    CHECK(fd >= 0);
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
    CHECK(write(fd, "x", 1) < 0 && errno == EBADF);
    CHECK(send_op(ctx, DRAIN, SIZE, fd) == 0);
    CHECK(recv_exactly(fd, data, SIZE) == 0);
    CHECK(is_pattern(data, SIZE, 0));
    CHECK(read(fd, data, 1) == 0);
    CHECK(poll_for(fd, POLLIN, 0) & POLLHUP);
    close(fd);

    fd = make_kind(VIRTWL_IOCTL_NEW_PIPE_WRITE, 0);
    CHECK(fd >= 0);
    CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY);
    CHECK(send_op(ctx, DRAIN, 0, fd) == 0);
    for (size_t at = 0; at < SIZE;) {
        ssize_t done = write(fd, data + at, SIZE - at);

        CHECK(done > 0);
        at += (size_t)done;
    }
    close(fd);
    CHECK(recv_exactly(ctx, answer, 8) == 0);
    CHECK(answer[0] == SIZE);
    CHECK(answer[1] == checksum(data, SIZE));

    CHECK(send_op(ctx, PIPE_R, 100000, -1) == 0);
    CHECK(recv_some(ctx, word, 8, fds, &n) == 4 && n == 1);
    CHECK(recv_exactly(fds[0], data, 100000) == 0);
    CHECK(is_pattern(data, 100000, 0));
    CHECK(read(fds[0], data, 1) == 0);
    close(fds[0]);

    CHECK(send_op(ctx, PIPE_W, 0, -1) == 0);
    CHECK(recv_some(ctx, word, 8, fds, &n) == 4 && n == 1);
    CHECK(write(fds[0], data, 100000) == 100000);
    close(fds[0]);
    CHECK(recv_exactly(ctx, answer, 8) == 0);
    CHECK(answer[0] == 100000 && answer[1] == checksum(data, 100000));
    close(ctx);
    free(data);
}
