/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/peer/copy.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/fd.h"
#include "base/page.h"

#define PAGE_BYTES 4096u

/* Pages without content stay holes of the copy. */
static void copy_pages(char *to, const char *from, size_t len)
{
    static const char zero[PAGE_BYTES];

    for (size_t at = 0; at < len; at += PAGE_BYTES) {
        size_t n = MIN(len - at, PAGE_BYTES);

        if (memcmp(from + at, zero, n) != 0) {
            memcpy(to + at, from + at, n);
        }
    }
}

static int copy_fill(int fd, uint64_t size_bytes, bool cached_only, char *to)
{
    char scratch[8 * PAGE_BYTES];
    uint64_t done = 0;

    while (done < size_bytes) {
        struct iovec iov = { scratch, MIN(size_bytes - done, sizeof scratch) };
        ssize_t n = preadv2(fd, &iov, 1, (off_t)done,
                            cached_only ? RWF_NOWAIT : 0);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break; /* shrunk since: the rest stays zero */
        }
        copy_pages(to + done, scratch, (size_t)n);
        done += (uint64_t)n;
    }
    return 0;
}

int vwl_copy_private(int fd, uint64_t size_bytes, bool cached_only, int *copy)
{
    uint64_t rounded = vwl_page_up(size_bytes);
    vwl_autofd int made = -1;
    void *map;
    int err = vwl_sealed_memfd("vwl-copy", rounded, &made);

    if (err < 0) {
        return err;
    }
    map = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_SHARED, made, 0);
    if (map == MAP_FAILED) {
        return -errno;
    }
    err = copy_fill(fd, size_bytes, cached_only, map);
    munmap(map, rounded);
    if (err == 0) {
        *copy = vwl_fd_steal(&made);
    }
    return err;
}
