/* SPDX-License-Identifier: BSD-3-Clause */
#include "wl/peer/copy.h"

#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/page.h"

#define PAGE_BYTES 4096u

static bool is_hole(const char *page, size_t len)
{
    static const char zero[PAGE_BYTES];

    return memcmp(page, zero, len) == 0;
}

static int write_all(int to, const char *from, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(to, from, len, (off_t)at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : -EIO;
        }
        from += n;
        at += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* Pages without content stay holes of the copy; the others go in runs. By
 * calls: through a mapping each page would be a fault. */
static int copy_pages(int to, uint64_t at, const char *from, size_t len)
{
    int err = 0;

    for (size_t start = 0, end; start < len && err == 0; start = end) {
        end = MIN(start + PAGE_BYTES, len);
        if (is_hole(from + start, end - start)) {
            continue;
        }
        while (end < len && !is_hole(from + end, MIN(len - end, PAGE_BYTES))) {
            end = MIN(end + PAGE_BYTES, len);
        }
        err = write_all(to, from + start, end - start, at + start);
    }
    return err;
}

static int copy_fill(int fd, uint64_t size_bytes, bool cached_only, int to)
{
    char scratch[8 * PAGE_BYTES];
    uint64_t done = 0;
    int err;

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
        err = copy_pages(to, done, scratch, (size_t)n);
        if (err < 0) {
            return err;
        }
        done += (uint64_t)n;
    }
    return 0;
}

int vwl_copy_private(int fd, uint64_t size_bytes, bool cached_only, int *copy)
{
    uint64_t rounded = vwl_page_up(size_bytes);
    vwl_autofd int made = -1;
    int err = vwl_sealed_memfd("vwl-copy", rounded, &made);

    if (err < 0) {
        return err;
    }
    err = copy_fill(fd, size_bytes, cached_only, made);
    if (err == 0) {
        *copy = vwl_fd_steal(&made);
    }
    return err;
}
