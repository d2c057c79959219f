/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into a daemon: /dev/udmabuf for a kernel that has none. What it
 * makes is a file that says which parts of the guest's memory it would have
 * been; framelook maps those in its place. It refuses what the kernel would,
 * and with NO_UDMABUF=refuse all that is more than a page.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frame.h"

static int device = -1;

/* As the plugin calls it: files may be large. */
int open(const char *path, int flags, ...)
{
    int fake = strcmp(path, "/dev/udmabuf") == 0;
    va_list list;
    int mode, fd;

    va_start(list, flags);
    mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, int) : 0;
    va_end(list);
    fd = (int)syscall(SYS_openat, AT_FDCWD, fake ? "/dev/null" : path, flags,
                      mode);
    device = fake ? fd : device;
    return fd;
}

static int make(const struct udmabuf_create_list *list)
{
    struct frame_list *out = calloc(1, sizeof *out);
    uint64_t bytes = 0;
    int fd;

    if (!out || list->count == 0 || list->count > 1024) {
        free(out);
        errno = EINVAL;
        return -1;
    }
    out->magic = FRAME_MAGIC;
    out->n = list->count;
    for (uint32_t i = 0; i < list->count; i++) {
        int seals = fcntl((int)list->list[i].memfd, F_GET_SEALS);

        if (seals < 0 ||
            (seals & (F_SEAL_SHRINK | F_SEAL_WRITE)) != F_SEAL_SHRINK) {
            free(out);
            errno = EINVAL;
            return -1;
        }
        out->parts[i].offset = list->list[i].offset;
        out->parts[i].bytes = list->list[i].size;
        bytes += list->list[i].size;
    }
    if (bytes > 4096 && getenv("NO_UDMABUF")) {
        free(out);
        errno = EINVAL;
        return -1;
    }
    fd = memfd_create("no-udmabuf", MFD_CLOEXEC);
    if (fd >= 0 &&
        (ftruncate(fd, (off_t)(bytes + sizeof *out)) < 0 ||
         pwrite(fd, out, sizeof *out, (off_t)bytes) != sizeof *out)) {
        close(fd);
        fd = -1;
    }
    free(out);
    return fd;
}

int ioctl(int fd, unsigned long request, ...)
{
    void *argument;
    va_list list;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    if (fd >= 0 && fd == device && request == UDMABUF_CREATE_LIST) {
        return make(argument);
    }
    return (int)syscall(SYS_ioctl, fd, request, argument);
}
