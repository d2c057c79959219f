/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/locks.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/fd.h"

#define READ_BYTES 4096u

struct vwl_locks {
    int fd;
};

struct vwl_locks *vwl_locks_open(void)
{
    int fd = open("/proc/locks", O_RDONLY | O_CLOEXEC);
    struct vwl_locks *locks;

    if (fd < 0) {
        return NULL;
    }
    locks = g_new(struct vwl_locks, 1);
    locks->fd = fd;
    return locks;
}

void vwl_locks_close(struct vwl_locks *locks)
{
    if (locks) {
        vwl_fd_clear(&locks->fd);
        g_free(locks);
    }
}

/* "1: FLOCK  ADVISORY  WRITE 3731 fe:00:1501349 0 EOF" */
static void line_visit(const char *line,
                       void (*visit)(void *opaque, dev_t dev, uint64_t ino),
                       void *opaque)
{
    unsigned int high, low;
    uint64_t ino;

    if (sscanf(line, "%*u: FLOCK %*s %*s %*d %x:%x:%" SCNu64, &high, &low,
               &ino) == 3) {
        visit(opaque, makedev(high, low), ino);
    }
}

int vwl_locks_visit(struct vwl_locks *locks,
                    void (*visit)(void *opaque, dev_t dev, uint64_t ino),
                    void *opaque)
{
    char text[2 * READ_BYTES + 1];
    size_t len = 0;
    off_t at = 0;

    for (;;) {
        ssize_t n = pread(locks->fd, text + len, READ_BYTES, at);
        char *line = text, *end;

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n < 0 ? -errno : 0;
        }
        at += n;
        len += (size_t)n;
        text[len] = '\0';
        while ((end = strchr(line, '\n'))) {
            *end = '\0';
            line_visit(line, visit, opaque);
            line = end + 1;
        }
        len -= (size_t)(line - text);
        if (len > READ_BYTES) {
            return -EPROTO;
        }
        memmove(text, line, len);
    }
}
