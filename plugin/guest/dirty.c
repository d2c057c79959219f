/* SPDX-License-Identifier: BSD-3-Clause */
#include "guest/dirty.h"

#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/page.h"

#define LOG_PAGE 4096u

struct vwl_dirty {
    bool on;
    bool marked; /* since the last flush */
    int fd;
    void *map; /* NULL: no log yet */
    size_t map_len;
    unsigned char *bits;
    uint64_t pages; /* that the log has a bit for */
};

struct vwl_dirty *vwl_dirty_create(void)
{
    struct vwl_dirty *dirty = g_new0(struct vwl_dirty, 1);

    dirty->fd = -1;
    return dirty;
}

static void unmap(struct vwl_dirty *dirty)
{
    if (dirty->map) {
        munmap(dirty->map, dirty->map_len);
        dirty->map = NULL;
        dirty->pages = 0;
    }
}

void vwl_dirty_destroy(struct vwl_dirty *dirty)
{
    if (dirty) {
        unmap(dirty);
        vwl_fd_clear(&dirty->fd);
        g_free(dirty);
    }
}

int vwl_dirty_set_base(struct vwl_dirty *dirty, int fd, uint64_t offset,
                       uint64_t size)
{
    uint64_t lead = offset % vwl_page_host_bytes();
    struct stat st;
    void *map;

    vwl_fd_seal_length(fd); /* before its length is asked for */
    if (fstat(fd, &st) < 0) {
        return -errno;
    }
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || size == 0 ||
        offset > (uint64_t)st.st_size || size > (uint64_t)st.st_size - offset) {
        return -EINVAL;
    }
    map = mmap(NULL, size + lead, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
               (off_t)(offset - lead));
    if (map == MAP_FAILED) {
        return -errno;
    }
    unmap(dirty);
    dirty->map = map;
    dirty->map_len = size + lead;
    dirty->bits = (unsigned char *)map + lead;
    dirty->pages = size > UINT64_MAX / 8 ? UINT64_MAX : size * 8;
    return 0;
}

void vwl_dirty_set_fd(struct vwl_dirty *dirty, int *fd)
{
    struct stat st;

    vwl_fd_clear(&dirty->fd);
    /* An eventfd has no file type; a write to anything that has one could
     * block or raise a signal. */
    if (*fd >= 0 && fstat(*fd, &st) == 0 && (st.st_mode & S_IFMT) == 0) {
        dirty->fd = vwl_fd_steal(fd);
    } else {
        vwl_fd_clear(fd);
    }
}

void vwl_dirty_enable(struct vwl_dirty *dirty, bool on)
{
    dirty->on = on;
}

void vwl_dirty_mark(struct vwl_dirty *dirty, uint64_t gpa, uint64_t len)
{
    uint64_t first, last;

    if (!dirty || !dirty->on || dirty->pages == 0 || len == 0) {
        return;
    }
    first = gpa / LOG_PAGE;
    last = (len - 1 > UINT64_MAX - gpa ? UINT64_MAX : gpa + (len - 1)) /
           LOG_PAGE;
    if (first >= dirty->pages) {
        return;
    }
    last = MIN(last, dirty->pages - 1);
    while (first <= last) {
        /* the bits of this byte that lie in first..last */
        uint64_t upto = MIN(last, first | 7);
        unsigned int mask = (0xffu << (first & 7)) &
                            (0xffu >> (7 - (upto & 7)));

        __atomic_fetch_or(&dirty->bits[first / 8], (unsigned char)mask,
                          __ATOMIC_SEQ_CST);
        first = upto + 1;
    }
    dirty->marked = true;
}

void vwl_dirty_flush(struct vwl_dirty *dirty)
{
    struct pollfd poll_fd;
    uint64_t one = 1;

    if (!dirty->marked) {
        return;
    }
    dirty->marked = false;
    /* A full eventfd is readable already, and a write to it might block. */
    poll_fd = (struct pollfd){ .fd = dirty->fd, .events = POLLOUT };
    if (dirty->fd >= 0 && poll(&poll_fd, 1, 0) == 1 &&
        (poll_fd.revents & POLLOUT)) {
        ssize_t n = write(dirty->fd, &one, sizeof one);

        (void)n;
    }
}
