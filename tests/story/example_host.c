/* SPDX-License-Identifier: BSD-3-Clause */
#include "example_host.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

static int map(struct example *host, uint64_t at, uint64_t len, int flags,
               int fd, uint64_t fd_offset)
{
    void *piece = mmap(host->window + at, len, PROT_READ | PROT_WRITE,
                       flags | MAP_FIXED, fd, (off_t)fd_offset);

    return piece == MAP_FAILED ? -errno : 0;
}

static int shm_map(void *opaque, int fd, uint64_t fd_offset,
                   uint64_t shm_offset, uint64_t len, int writable)
{
    /* A guest's write to what it may only read must not fault: it gets a
     * private copy of the page. */
    return map(opaque, shm_offset, len, writable ? MAP_SHARED : MAP_PRIVATE, fd,
               fd_offset);
}

static int shm_unmap(void *opaque, uint64_t shm_offset, uint64_t len)
{
    return map(opaque, shm_offset, len,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void say(void *opaque, enum vwl_log_level level, const char *line)
{
    fprintf(stderr, "# virtio-wl: %s\n", line);
}

int example_start(struct example *host, const struct vwl_plugin *plugin,
                  const char *wayland, int *fd)
{
    struct vwl_socket socket = { "", wayland };
    struct vwl_config config = { .size = sizeof config,
                                 .sockets = &socket,
                                 .n_sockets = 1,
                                 .shm_window = host->window_size };
    int err;

    host->callbacks = (struct vwl_host){ .size = sizeof host->callbacks,
                                         .opaque = host,
                                         .log = say,
                                         .shm_map = shm_map,
                                         .shm_unmap = shm_unmap };
    host->device = NULL;
    err = plugin->device_new(&config, &host->callbacks, &host->device);
    if (err == 0) { /* NULL: in a thread of the device's own */
        err = plugin->device_start(host->device, NULL, fd);
    }
    return err;
}
