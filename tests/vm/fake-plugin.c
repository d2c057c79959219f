/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plugins that QEMU must deal with, one for each macro:
 *   WRONG_ABI  a table of a later ABI
 *   NO_ENTRY   no entry symbol
 *   READ_ONLY  the real one (its path), that lets the guest write nowhere
 *   HANG_UP    the real one, whose connection ends for each byte that comes
 *              out of the FIFO ORDERS
 */
#include "vhost-user-wl/plugin.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef WRONG_ABI
static const struct vwl_plugin table = { .size = sizeof table,
                                         .abi = VWL_PLUGIN_ABI + 41,
                                         .version = "later" };

const struct vwl_plugin *vwl_plugin_get(void)
{
    return &table;
}
#endif

#ifdef READ_ONLY
static const struct vwl_plugin *real;
static const struct vwl_host *qemu;
static struct vwl_plugin table;
static struct vwl_host between;

static int map(void *opaque, int fd, uint64_t fd_offset, uint64_t shm_offset,
               uint64_t len, int writable)
{
    return qemu->shm_map(opaque, fd, fd_offset, shm_offset, len, 0);
}

static int device_new(const struct vwl_config *cfg, const struct vwl_host *host,
                      struct vwl_device **out)
{
    qemu = host;
    between = *host;
    between.shm_map = map;
    return real->device_new(cfg, &between, out);
}

const struct vwl_plugin *vwl_plugin_get(void)
{
    void *so = dlopen(READ_ONLY, RTLD_NOW);
    vwl_plugin_get_fn get;

    if (so == NULL) {
        abort();
    }
    get = (vwl_plugin_get_fn)dlsym(so, VWL_PLUGIN_ENTRY);
    real = get();
    table = *real;
    table.device_new = device_new;
    return &table;
}
#endif

#ifdef HANG_UP
static const struct vwl_plugin *real;
static struct vwl_plugin table;
static int held = -1;

static void *take_orders(void *unused)
{
    int orders = open(ORDERS, O_RDONLY | O_CLOEXEC);
    char byte;

    while (read(orders, &byte, 1) == 1) {
        shutdown(held, SHUT_RDWR);
    }
    return unused;
}

static int device_start(struct vwl_device *dev, struct _GMainContext *context,
                        int *fd)
{
    pthread_t thread;

    if (held < 0) {
        pthread_create(&thread, NULL, take_orders, NULL);
    } else {
        close(held);
    }
    held = dup(*fd);
    return real->device_start(dev, context, fd);
}

const struct vwl_plugin *vwl_plugin_get(void)
{
    void *so = dlopen(HANG_UP, RTLD_NOW);
    vwl_plugin_get_fn get;

    if (so == NULL) {
        abort();
    }
    get = (vwl_plugin_get_fn)dlsym(so, VWL_PLUGIN_ENTRY);
    real = get();
    table = *real;
    table.device_start = device_start;
    return &table;
}
#endif

int vwl_fake_plugin;
